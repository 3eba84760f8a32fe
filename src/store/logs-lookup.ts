import type { Database } from 'bun:sqlite'

import { piecesOf, wordsKey } from './logs-index.ts'
import { bucketOf, bytesOfRows, findPacked, rowsInPiece } from './logs-packed.ts'
import type { Among } from './logs-scan.ts'
import { wordsIn } from './logs-tokens.ts'

// Looks for words in the index. A bucket of every piece is a few kilobytes, so that all rows with a word are found at
// once, however many they are.

const maxWords = 20
/** To read one bucket after the other is faster than to look for each, if so many are needed. */
const manyShare = 0.25

/** What was found last, which the next page asks for again. */
const known = new WeakMap<Database, { readonly search: string; readonly rows: Among }>()

/**
 * The rows in which every word of `search` occurs, the last one perhaps only begun; rows that are gone may be among
 * them. To be called inside of a read transaction.
 */
export function rowsWith(db: Database, search: string): Among {
  // With every row that comes into the index, and that alone, something else may be found.
  const indexed = db.query<{ n: number }, []>('SELECT n FROM indexed').get()?.n ?? 0
  const name = `${indexed} ${search}`
  const last = known.get(db)
  if (last?.search === name) return last.rows
  const rows = lookFor(db, search)
  known.set(db, { search: name, rows })
  return rows
}

function lookFor(db: Database, search: string): Among {
  const words = wordsIn(search).slice(0, maxWords)
  const begun = words.length - 1
  const firsts = piecesOf(db)
  let left: ReadonlyMap<number, Uint8Array> | undefined
  // Long words are rare: after these little is left to look at.
  const order = words.map((word, i) => ({ word, isBegun: i === begun }))
  for (const { word, isBegun } of order.toSorted((a, b) => b.word.length - a.word.length)) {
    const found = new Map<number, Uint8Array>()
    for (const [first, packed] of bucketsOf(db, bucketOf(word), firsts, left)) {
      const before = left?.get(first)
      if (left && !before) continue
      const bits = new Uint8Array(bytesOfRows)
      if (!findPacked(packed, word, isBegun, bits)) continue
      if (before) for (let i = 0; i < bits.length; i++) bits[i]! &= before[i]!
      found.set(first, bits)
    }
    left = found
  }
  return amongOf(left ?? new Map())
}

/** A bucket of all pieces, or of those that are left. */
function* bucketsOf(
  db: Database,
  bucket: number,
  firsts: readonly number[],
  left: ReadonlyMap<number, Uint8Array> | undefined,
): Generator<readonly [first: number, packed: Uint8Array]> {
  if (left && left.size < firsts.length * manyShare) {
    const find = db.query<{ data: Uint8Array }, [number]>('SELECT data FROM words WHERE k = ?1')
    for (const first of left.keys()) {
      const row = find.get(wordsKey(bucket, first))
      if (row) yield [first, row.data]
    }
    return
  }
  const all = db.query<{ k: number; data: Uint8Array }, [number, number]>(
    'SELECT k, data FROM words WHERE k >= ?1 AND k < ?2',
  )
  for (const { k, data } of all.iterate(wordsKey(bucket, 0), wordsKey(bucket + 1, 0))) {
    yield [k - wordsKey(bucket, 0), data]
  }
}

function amongOf(pieces: ReadonlyMap<number, Uint8Array>): Among {
  const numbers = [...pieces.keys()]
  if (numbers.length === 0) return { low: 0, high: -1, has: () => false }
  const low = Math.min(...numbers)
  const high = Math.max(...numbers) + rowsInPiece - 1
  const bits = new Uint8Array(((high - low) >> 3) + 1)
  for (const [first, own] of pieces) {
    for (let place = 0; place < rowsInPiece; place++) {
      if ((own[place >> 3]! & (1 << (place & 7))) === 0) continue
      const at = first + place - low
      bits[at >> 3]! |= 1 << (at & 7)
    }
  }
  return {
    low,
    high,
    has: (n) => n >= low && n <= high && (bits[(n - low) >> 3]! & (1 << ((n - low) & 7))) !== 0,
  }
}
