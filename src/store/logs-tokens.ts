// What a word is, for those who write the index of words and for those who look into it: letters and digits in a row,
// in lower case and without accents. Where people write without spaces, each letter is one; and so is an emoji.

/** Of longer words the beginning counts. */
const maxWordUnits = 40

/** What a unit is, if it does not stand for one in a word: that is a positive number. */
const separator = 0
/** An accent that stands apart from its letter. */
const accent = -1
/** A word by itself. */
const alone = -2
/** The first half of a pair, which is a word by itself. */
const leading = -3
const unknown = -4

const asciiUnits = 128
/** By UTF-16 unit; found out when one is met for the first time. */
const meanings = new Int32Array(65_536).fill(unknown)

const wordly = /[\p{L}\p{N}\p{M}\p{Co}]/u
const spaceless =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u

const isAccent = (unit: number): boolean => unit >= 0x300 && unit < 0x370
const isTrailing = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

function meaningOf(unit: number): number {
  let meaning = meanings[unit]!
  if (meaning === unknown) {
    meaning = findMeaning(unit)
    meanings[unit] = meaning
  }
  return meaning
}

function findMeaning(unit: number): number {
  if (unit >= 0xd800 && unit < 0xdc00) return leading
  if (isAccent(unit)) return accent
  const text = String.fromCharCode(unit)
  if (spaceless.test(text)) return alone
  if (!wordly.test(text)) return separator
  const lower = text.toLowerCase()
  const [base = lower, ...marks] = lower.normalize('NFD')
  return (marks.every((mark) => isAccent(mark.charCodeAt(0))) ? base : lower).charCodeAt(0)
}

/** Nearly all of most texts. */
const ascii = Int32Array.from({ length: asciiUnits }, (_, unit) => meaningOf(unit))

const firstHash = 0x811c9dc5 | 0
const mixed = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193)
const otherwiseMixed = (hash: number, unit: number): number => ((hash << 5) - hash + unit) | 0

/** Numbers by which `scanWords` tells of a word: two hashes, which no two words share, where it begins and where it ends. */
export const numbersOfWord = 4

/** How many numbers `scanWords` may need for a text. */
export const numbersFor = (text: string): number => (text.length + 1) * numbersOfWord

/** Puts the words of a text into `found`, in their order, and returns how many numbers that took. */
export function scanWords(text: string, found: Int32Array): number {
  const { length } = text
  let end = 0
  let from = -1
  let hash = firstHash
  let other = 0
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    const meaning = unit < asciiUnits ? ascii[unit]! : meaningOf(unit)
    if (meaning > 0) {
      if (from < 0) from = i
      if (i - from < maxWordUnits) {
        hash = mixed(hash, meaning)
        other = otherwiseMixed(other, meaning)
      }
      continue
    }
    if (meaning === accent) continue
    if (from >= 0) {
      found[end] = hash
      found[end + 1] = other
      found[end + 2] = from
      found[end + 3] = i
      end += numbersOfWord
      from = -1
      hash = firstHash
      other = 0
    }
    if (meaning === separator) continue
    const isPair = meaning === leading
    const next = isPair && i + 1 < length ? text.charCodeAt(i + 1) : 0
    // Half a pair is no word.
    if (isPair && !isTrailing(next)) continue
    found[end] = mixed(mixed(firstHash, unit), next)
    found[end + 1] = otherwiseMixed(unit, next)
    found[end + 2] = i
    if (isPair) i++
    found[end + 3] = i + 1
    end += numbersOfWord
  }
  if (from < 0) return end
  found[end] = hash
  found[end + 1] = other
  found[end + 2] = from
  found[end + 3] = length
  return end + numbersOfWord
}

/** A word that was found there, as the index has it. */
export function wordAt(text: string, from: number, until: number): string {
  const most = Math.min(until, from + maxWordUnits)
  let word = ''
  for (let i = from; i < most; i++) {
    const meaning = meaningOf(text.charCodeAt(i))
    if (meaning > 0) word += String.fromCharCode(meaning)
    else if (meaning !== accent) word += text[i]!
  }
  return word
}

/** The words of a text, in their order. */
export function wordsIn(text: string): string[] {
  const found = new Int32Array(numbersFor(text))
  const words: string[] = []
  const end = scanWords(text, found)
  for (let at = 0; at < end; at += numbersOfWord) {
    words.push(wordAt(text, found[at + 2]!, found[at + 3]!))
  }
  return words
}
