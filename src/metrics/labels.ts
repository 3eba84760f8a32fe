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

/** As much of a value as is told apart. */
export function shortened(value: string): string {
  return value.length > maxValueLength ? `${value.slice(0, maxValueLength)}…` : value
}

function escaped(value: string): string {
  return shortened(value)
    .toWellFormed()
    .replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))
    .replaceAll('\r', ' ')
}
