import { bytesOfCharacter, endOf, unitsOf } from './logs-text.ts'
import type { LoggedText, PackedText } from './logs-text.ts'

const firstBytes = 4096
const bytesOfUnit = 3
const lineBreak = 10
const quote = 0x22
const backslash = 0x5c
const letterU = 0x75
/** What an escaped letter of a JSON string stands for, when not for itself. */
const escapes: ReadonlyMap<number, number> = new Map(
  Object.entries({ n: 10, t: 9, r: 13, b: 8, f: 12 }).map(([letter, byte]) => [
    letter.charCodeAt(0),
    byte,
  ]),
)

/**
 * What can be searched for of a call: pieces of texts, each on a line of its own, in UTF-8. One is used for one call after
 * the other. The bytes of what was said are never made a string on the way: that would take as long as to index them.
 */
export class Gathering {
  bytes: Buffer = Buffer.alloc(firstBytes)
  /** How many of the bytes are in use. */
  length = 0

  clear(): void {
    this.length = 0
  }

  /** Adds at most so many UTF-16 units of a text. */
  add(text: LoggedText, maxChars: number): void {
    if (typeof text === 'string') {
      const kept = text.length > maxChars ? text.slice(0, maxChars) : text
      this.#begin(kept.length * bytesOfUnit)
      this.length += this.bytes.write(kept, this.length, 'utf8')
      return
    }
    const { memory, from } = text
    const until = endOf(text, maxChars)
    this.#begin(until - from)
    memory.copy(this.bytes, this.length, from, until)
    this.length += until - from
  }

  /** Adds what a string stands for that begins at `from` in a JSON text, behind its quote: at most so many UTF-16 units. */
  addQuoted({ memory, until }: PackedText, from: number, maxChars: number): void {
    this.#begin(Math.min(until - from, maxChars * bytesOfUnit))
    const { bytes } = this
    let end = this.length
    let left = maxChars
    let at = from
    while (at < until) {
      const byte = memory[at]!
      if (byte === quote) break
      if (byte === backslash) {
        const letter = memory[at + 1]!
        if (letter >= 0x80) {
          // Nothing that JSON knows; the character behind it is taken whole or not at all.
          at++
          continue
        }
        const isUnit = letter === letterU
        const size = isUnit ? 6 : 2
        if (at + size > until || --left < 0) break
        at += size
        if (!isUnit) {
          bytes[end++] = escapes.get(letter) ?? letter
          continue
        }
        let point = unitAt(memory, at - 4)
        if (isFirstHalf(point) && at + 6 <= until && memory[at] === backslash) {
          const second = unitAt(memory, at + 2)
          if (memory[at + 1] === letterU && isSecondHalf(second)) {
            if (--left < 0) break
            point = 0x1_0000 + ((point & 0x3ff) << 10) + (second & 0x3ff)
            at += 6
          }
        }
        end = writePoint(bytes, end, point)
      } else if (byte < 0x80) {
        if (--left < 0) break
        bytes[end++] = byte
        at++
      } else {
        const size = bytesOfCharacter(byte)
        left -= unitsOf(size)
        if (left < 0) break
        for (let i = 0; i < size; i++) bytes[end++] = memory[at++]!
      }
    }
    this.length = end
  }

  toString(): string {
    return this.bytes.toString('utf8', 0, this.length)
  }

  /** A new line, with room for so many bytes. */
  #begin(bytes: number): void {
    const most = this.length + 1 + bytes
    if (most > this.bytes.length) {
      const larger = Buffer.alloc(Math.max(most, this.bytes.length * 2))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    if (this.length > 0) this.bytes[this.length++] = lineBreak
  }
}

const isFirstHalf = (unit: number): boolean => (unit & 0xfc00) === 0xd800
const isSecondHalf = (unit: number): boolean => (unit & 0xfc00) === 0xdc00
/** For half a surrogate pair, and for what is no number. */
const replacement = 0xfffd

/** Four hexadecimal digits. */
function unitAt(memory: Buffer, at: number): number {
  let unit = 0
  for (let i = at; i < at + 4; i++) {
    const digit = digitOf(memory[i]!)
    if (digit < 0) return replacement
    unit = (unit << 4) | digit
  }
  return unit
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Returns where to go on. */
function writePoint(bytes: Buffer, at: number, given: number): number {
  const point = (given & 0xf_f800) === 0xd800 ? replacement : given
  if (point < 0x80) {
    bytes[at] = point
    return at + 1
  }
  if (point < 0x800) {
    bytes[at] = 0xc0 | (point >> 6)
    bytes[at + 1] = 0x80 | (point & 63)
    return at + 2
  }
  if (point < 0x1_0000) {
    bytes[at] = 0xe0 | (point >> 12)
    bytes[at + 1] = 0x80 | ((point >> 6) & 63)
    bytes[at + 2] = 0x80 | (point & 63)
    return at + 3
  }
  bytes[at] = 0xf0 | (point >> 18)
  bytes[at + 1] = 0x80 | ((point >> 12) & 63)
  bytes[at + 2] = 0x80 | ((point >> 6) & 63)
  bytes[at + 3] = 0x80 | (point & 63)
  return at + 4
}
