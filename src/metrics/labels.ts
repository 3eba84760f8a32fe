/** Pairs of label and value; a label without a value is left out, which means the same to Prometheus. */
export type Labels = readonly (readonly [string, string | undefined])[]

const maxValueLength = 200

/** The pairs as they stand between braces, without them. */
export function labelText(labels: Labels): string {
  let text = ''
  for (const [name, value] of labels) {
    if (value === undefined || value === '') continue
    text += `${text === '' ? '' : ','}${name}="${escaped(value)}"`
  }
  return text
}

function escaped(value: string): string {
  const short = value.length > maxValueLength ? `${value.slice(0, maxValueLength)}…` : value
  return short
    .toWellFormed()
    .replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))
    .replaceAll('\r', ' ')
}
