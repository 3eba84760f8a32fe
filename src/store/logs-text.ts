/**
 * A text on its way into the log: a string, or where its bytes (UTF-8) lie in memory that both threads see. There it
 * stays only until its batch is written.
 */
export type LoggedText = string | PackedText

export interface PackedText {
  readonly memory: Buffer
  readonly from: number
  readonly until: number
  /** UTF-16 units of the text. */
  readonly chars: number
}

/** UTF-16 units of a text. */
export function charsIn(text: LoggedText): number {
  return typeof text === 'string' ? text.length : text.chars
}

/** The text as a string, which is made anew each time. */
export function stringOf(text: LoggedText): string {
  if (typeof text === 'string') return text
  const { memory, from, until, chars } = text
  // What has as many bytes as units is ASCII.
  return until - from === chars
    ? memory.toString('latin1', from, until)
    : memory.toString('utf8', from, until)
}
