import { bytesOfCharacter } from './logs-text.ts'

// What a word is, for those who write the index of words and for those who look into it: letters and digits in a row,
// in lower case and without accents. Where people write without spaces, each letter is one; and so is an emoji.

/** Of longer words the beginning counts. */
const maxWordUnits = 40

/** What a UTF-16 unit is, if it does not stand for one in a word: that is a positive number. */
const separator = 0
/** An accent that stands apart from its letter, and what else changes nothing. */
const accent = -1
/** A word by itself. */
const alone = -2
const unknown = -3

/** By unit; found out when one is met for the first time. */
const meanings = new Int32Array(65_536).fill(unknown)

const wordly = /[\p{L}\p{N}\p{M}\p{Co}]/u
const spaceless =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u

/** Those of one unit; all of the others are words by themselves anyway. */
const emoji = /\p{Extended_Pictographic}/u

const isAccent = (unit: number): boolean => unit >= 0x300 && unit < 0x370
/** Tells whether the character before it is drawn as an emoji. */
const isVariation = (unit: number): boolean => unit >= 0xfe00 && unit < 0xfe10

function meaningOf(unit: number): number {
  let meaning = meanings[unit]!
  if (meaning === unknown) {
    meaning = findMeaning(unit)
    meanings[unit] = meaning
  }
  return meaning
}

function findMeaning(unit: number): number {
  if (isAccent(unit) || isVariation(unit)) return accent
  const text = String.fromCharCode(unit)
  if (spaceless.test(text)) return alone
  if (!wordly.test(text)) return emoji.test(text) ? alone : separator
  // By its capital letter: `ς` and `σ` have the same one.
  const upper = text.toUpperCase()
  const lower = (upper.length === 1 ? upper : text).toLowerCase()
  const [base = lower, ...marks] = lower.normalize('NFD')
  return (marks.every((mark) => isAccent(mark.charCodeAt(0))) ? base : lower).charCodeAt(0)
}

/** By byte: nearly all of most texts. What is none of ASCII has to be looked at. */
const ascii = Int32Array.from({ length: 256 }, (_, byte) =>
  byte < 128 ? meaningOf(byte) : unknown,
)

/** Another one in every process, so that nobody can send words that all have the same hash. */
const firstHash = crypto.getRandomValues(new Int32Array(1))[0]!
const mixed = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193)
const otherwiseMixed = (hash: number, unit: number): number => ((hash << 5) - hash + unit) | 0

/** Numbers by which `scanWords` tells of a word: two hashes, which no two words share, where it begins and where it ends. */
export const numbersOfWord = 4

/** How many numbers `scanWords` may need for so many bytes. */
export const numbersFor = (bytes: number): number => (bytes + 1) * numbersOfWord

/**
 * Puts the words of a text, which is the first `length` bytes (UTF-8), into `found`, in their order, and returns how many
 * numbers that took.
 */
export function scanWords(bytes: Uint8Array, length: number, found: Int32Array): number {
  let end = 0
  let at = 0
  while (at < length) {
    let meaning = ascii[bytes[at]!]!
    if (meaning === separator) {
      at++
      continue
    }
    const from = at
    let hash = firstHash
    let other = 0
    let units = 0
    // What most words are from end to end.
    while (meaning > 0 && units < maxWordUnits) {
      hash = mixed(hash, meaning)
      other = otherwiseMixed(other, meaning)
      units++
      meaning = ++at < length ? ascii[bytes[at]!]! : separator
    }
    if (meaning !== separator) {
      at = passOn(bytes, length, { at, from, units, hash, other })
      if (passed.isWord) {
        found[end] = passed.hash
        found[end + 1] = passed.other
        found[end + 2] = from
        found[end + 3] = passed.until
        end += numbersOfWord
      }
      continue
    }
    found[end] = hash
    found[end + 1] = other
    found[end + 2] = from
    found[end + 3] = at
    end += numbersOfWord
  }
  return end
}

interface Word {
  readonly at: number
  readonly from: number
  readonly units: number
  readonly hash: number
  readonly other: number
}

/** What came of the last `passOn`: one object for all. */
const passed = { isWord: false, hash: 0, other: 0, until: 0 }

/** Goes on in a word where it is not ASCII, or long, and returns where to go on after it. */
function passOn(bytes: Uint8Array, length: number, word: Word): number {
  let { at, units, hash, other } = word
  const { from } = word
  passed.isWord = false
  while (at < length) {
    const point = pointAt(bytes, at)
    const size = bytesOfCharacter(bytes[at]!)
    const meaning = point > 0xffff ? alone : meaningOf(point)
    if (meaning === separator || meaning === alone) {
      if (at > from) break
      // It is the first there.
      at += size
      if (meaning === separator) return at
      hash = mixed(mixed(firstHash, point & 0xffff), point >> 16)
      other = otherwiseMixed(point & 0xffff, point >> 16)
      units = 1
      break
    }
    at += size
    if (meaning === accent) continue
    if (units < maxWordUnits) {
      hash = mixed(hash, meaning)
      other = otherwiseMixed(other, meaning)
    }
    units++
  }
  passed.isWord = units > 0
  passed.hash = hash
  passed.other = other
  passed.until = at
  return at
}

/** The code point that begins there, in a text that is well-formed. */
function pointAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!
  const next = (i: number): number => (bytes[at + i] ?? 0) & 63
  switch (bytesOfCharacter(byte)) {
    case 1:
      return byte
    case 2:
      return ((byte & 31) << 6) | next(1)
    case 3:
      return ((byte & 15) << 12) | (next(1) << 6) | next(2)
    default:
      return ((byte & 7) << 18) | (next(1) << 12) | (next(2) << 6) | next(3)
  }
}

/** A word that was found there, as the index has it. */
export function wordAt(bytes: Uint8Array, from: number, until: number): string {
  const said = decoder.decode(bytes.subarray(from, until))
  let word = ''
  let units = 0
  for (const character of said) {
    const meaning = character.length > 1 ? alone : meaningOf(character.charCodeAt(0))
    if (meaning === accent) continue
    word += meaning > 0 ? String.fromCharCode(meaning) : character
    if (++units === maxWordUnits) break
  }
  return word
}

const decoder = new TextDecoder()

/** The words of a text, in their order. */
export function wordsIn(text: string): string[] {
  const bytes = new TextEncoder().encode(text)
  const found = new Int32Array(numbersFor(bytes.length))
  const words: string[] = []
  const end = scanWords(bytes, bytes.length, found)
  for (let at = 0; at < end; at += numbersOfWord) {
    words.push(wordAt(bytes, found[at + 2]!, found[at + 3]!))
  }
  return words
}
