import { bucketOf, buckets, packWords } from './logs-packed.ts'
import type { Sorted } from './logs-packed.ts'
import { numbersFor, numbersOfWord, scanWords, wordAt } from './logs-tokens.ts'

// A piece of the index of words: which of some rows in a row have which words. Collected in memory, packed when it is
// written. Words stand in one of 64 buckets by their first letter, so that a search, which may be for the beginning of a
// word, reads the one it needs of every piece.

export interface Piece {
  /** Row `place` has the words that stand in the first `length` bytes (UTF-8); places rise. */
  add(place: number, bytes: Uint8Array, length: number): void
  /** It is time to begin another: so much has been said. */
  readonly isFull: boolean
  readonly isEmpty: boolean
  /** The words of a bucket with their rows, packed; undefined for none. */
  packed(bucket: number): Uint8Array | undefined
}

const maxBytes = 1024 * 1024

/** Numbers of a slot: two hashes of a word, and the word plus one with the row it was met in last in the upper bits. */
const width = 4
const wordBits = 20
const wordMask = 2 ** wordBits - 1
/** Between the words of one row and of the next among what was met. */
const nextRow = -1

export function createPiece(): Piece {
  const words: string[] = []
  const byBucket: number[][] = Array.from({ length: buckets }, () => [])
  let table = new Int32Array(4096 * width)
  /** The words of each row, in the order in which they were met, and which rows these are. */
  let met = new Int32Array(65_536)
  let count = 0
  const places: number[] = []
  let found = new Int32Array(4096)
  let taken = 0
  let sorted: Sorted | undefined

  /** A word that no row had before. */
  function meet(text: string, hash: number, other: number, row: number): number {
    const word = words.push(text) - 1
    byBucket[bucketOf(text)]!.push(word)
    if (words.length * width * 2 > table.length) table = grown(table)
    put(table, hash, other, (word + 1) | (row << wordBits))
    return word
  }

  return {
    add(row, bytes, length) {
      found = withRoom(found, numbersFor(length), 0)
      const end = scanWords(bytes, length, found)
      met = withRoom(met, count + end / numbersOfWord + 1, count)
      const scanned = found
      let slots = table
      let next = count
      for (let i = 0; i < end; i += numbersOfWord) {
        const hash = scanned[i]!
        const other = scanned[i + 1]!
        const mask = slots.length - 1
        let at = slotOf(hash, mask)
        let known = slots[at + 2]!
        while (known !== 0 && (slots[at] !== hash || slots[at + 1] !== other)) {
          at = (at + width) & mask
          known = slots[at + 2]!
        }
        if (known === 0) {
          met[next++] = meet(wordAt(bytes, scanned[i + 2]!, scanned[i + 3]!), hash, other, row)
          slots = table
        } else if (known >>> wordBits !== row) {
          const word = known & wordMask
          slots[at + 2] = word | (row << wordBits)
          met[next++] = word - 1
        }
      }
      met[next++] = nextRow
      count = next
      taken += length
      places.push(row)
      sorted = undefined
    },
    get isFull() {
      return taken >= maxBytes
    },
    get isEmpty() {
      return words.length === 0
    },
    packed(bucket) {
      const own = byBucket[bucket]!
      if (own.length === 0) return undefined
      sorted ??= byWord(met, count, words.length, places)
      return packWords(own, words, sorted)
    },
  }
}

function withRoom(
  small: Int32Array<ArrayBuffer>,
  length: number,
  used: number,
): Int32Array<ArrayBuffer> {
  if (length <= small.length) return small
  const large = new Int32Array(Math.max(length, small.length * 2))
  large.set(small.subarray(0, used))
  return large
}

/** Where a word is looked for first. Of a hash like this one the lower bits know nothing of the upper ones. */
function slotOf(hash: number, mask: number): number {
  return ((hash ^ (hash >>> 15)) * width) & mask
}

function put(slots: Int32Array, hash: number, other: number, known: number): void {
  const mask = slots.length - 1
  let at = slotOf(hash, mask)
  while (slots[at + 2] !== 0) at = (at + width) & mask
  slots[at] = hash
  slots[at + 1] = other
  slots[at + 2] = known
}

function grown(small: Int32Array): Int32Array<ArrayBuffer> {
  const large = new Int32Array(small.length * 2)
  for (let at = 0; at < small.length; at += width) {
    if (small[at + 2] !== 0) put(large, small[at]!, small[at + 1]!, small[at + 2]!)
  }
  return large
}

/** Rows of words, those of each word together and rising. */
function byWord(met: Int32Array, count: number, words: number, places: readonly number[]): Sorted {
  const ends = new Int32Array(words + 1)
  for (let i = 0; i < count; i++) ends[met[i]! + 1]!++
  // What separates rows has been counted as well, at 0.
  ends[0] = 0
  let sum = 0
  for (let word = 0; word <= words; word++) {
    sum += ends[word]!
    ends[word] = sum
  }
  const rows = new Uint16Array(sum)
  let at = 0
  let row = places[0]!
  for (let i = 0; i < count; i++) {
    const word = met[i]!
    if (word === nextRow) row = places[++at]!
    else rows[ends[word]!++] = row
  }
  return { rows, ends }
}
