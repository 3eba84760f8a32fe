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

/** The text as bytes in memory of its own. What is no text, half a surrogate pair, is replaced. */
export function packedOf(text: string): PackedText {
  const memory = Buffer.from(text, 'utf8')
  return { memory, from: 0, until: memory.length, chars: text.length }
}

/** The text as a string, which is made anew each time. */
export function stringOf(text: LoggedText): string {
  return typeof text === 'string' ? text : textBetween(text, text.until)
}

/** The first `maxChars` UTF-16 units of a text, or one less where the last would be half of a character. */
export function beginningOf(text: LoggedText, maxChars: number): string {
  return typeof text === 'string'
    ? text.slice(0, maxChars).toWellFormed()
    : textBetween(text, endOf(text, maxChars))
}

/** Where the first `maxChars` UTF-16 units of a text end, which is where a character ends. */
export function endOf(text: PackedText, maxChars: number): number {
  const { memory, from, until, chars } = text
  if (chars <= maxChars) return until
  if (isAscii(text)) return from + maxChars
  let left = maxChars
  let at = from
  while (at < until) {
    const size = bytesOfCharacter(memory[at]!)
    left -= unitsOf(size)
    if (left < 0) break
    at += size
  }
  return at
}

/** UTF-16 units of a character of so many bytes. */
export function unitsOf(bytes: number): number {
  return bytes > 3 ? 2 : 1
}

/** Bytes of a character that begins so; what is none counts as one. */
export function bytesOfCharacter(byte: number): number {
  if (byte < 0xc0) return 1
  if (byte < 0xe0) return 2
  return byte < 0xf0 ? 3 : 4
}

function textBetween(text: PackedText, until: number): string {
  return text.memory.toString(isAscii(text) ? 'latin1' : 'utf8', text.from, until)
}

/** What has as many bytes as units. */
function isAscii({ from, until, chars }: PackedText): boolean {
  return until - from === chars
}
