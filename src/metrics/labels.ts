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

/**
 * As much of a value as is told apart: what looks the same in the text has to be the same label, for nobody reads a text
 * that says two things of one. Half a character may come from JSON, and from a cut.
 */
export function shortened(value: string): string {
  const start = value.length > maxValueLength ? `${value.slice(0, maxValueLength)}…` : value
  return start.toWellFormed()
}

function escaped(value: string): string {
  return shortened(value)
    .replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))
    .replaceAll('\r', ' ')
}
