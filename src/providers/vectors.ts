/** A list of vectors; undefined when the value is anything else. */
export function vectorsOf(value: unknown): readonly (readonly number[])[] | undefined {
  if (!Array.isArray(value)) return undefined
  const isVector = (one: unknown): one is number[] =>
    Array.isArray(one) && one.every((component) => typeof component === 'number')
  return value.every(isVector) ? value : undefined
}
