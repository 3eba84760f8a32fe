import type { Database } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import type { Place } from './logs-bodies.ts'
import { Gathering } from './logs-gathering.ts'
import { buckets, rowsInPiece, withoutRows } from './logs-packed.ts'
import { createPiece } from './logs-piece.ts'
import { gatherWords } from './logs-words.ts'

// The index of words, which lies in the table `words` in pieces, each of up to 2,048 rows in a row. A piece is written
// when it is full, and again whenever somebody wants to look for words in it. What was not written when a process ended
// is found again in the rows.

export interface WordIndex {
  /** A row that is newer than all before. Writes a piece that is full; `pause` is called several times meanwhile. */
  add(row: Worded, pause: () => void): void
  /** Writes what is not written, rows up to `last` being all there are; in the caller's transaction. Returns how many rows. */
  write(last: number): number
}

export interface Worded {
  readonly n: number
  readonly atMs: number
  /** What its words stand in; used only until `add` returns. */
  readonly said: Gathering
}

/** Numbers in `words.k` are a bucket times this plus the first row of a piece. */
const rowsOfBucket = 2 ** 40
/** Instead of a bucket: what tells of a piece, its last row. */
const heads = buckets
/** Of a longer time there is no piece: its words stay until its last row is so old that it goes. */
const maxPieceMs = 3_600_000

/** Where a bucket of the piece with this first row stands. */
export function wordsKey(bucket: number, first: number): number {
  return bucket * rowsOfBucket + first
}

const bucketsBetweenPauses = 8
/** Of a text that has to be found again. */
const maxChars = 8 * 1024

const never = (): void => undefined

/** For a file that is open for writing. After a transaction that failed a new one is needed. */
export function openIndex(sqlite: Database): WordIndex {
  const put = 'INSERT OR REPLACE INTO words (k, data) VALUES (?1, ?2)'
  let upTo = sqlite.query<{ n: number }, []>('SELECT n FROM indexed').get()!.n
  let piece = createPiece()
  /** The first row of the piece; 0 before there is one. */
  let first = 0
  let firstAtMs = 0
  let waiting = 0
  let isLooked = false

  function take({ n, atMs, said }: Worded, pause: () => void): void {
    const isOld = atMs - firstAtMs > maxPieceMs
    if (first > 0 && (n - first >= rowsInPiece || isOld || piece.isFull)) {
      writePiece(n - 1, pause)
      piece = createPiece()
      first = 0
    }
    if (first === 0) {
      first = n
      firstAtMs = atMs
    }
    piece.add(n - first, said.bytes, said.length)
    waiting++
  }

  function writePiece(last: number, pause: () => void): void {
    if (first > 0) {
      const query = sqlite.query<unknown, [number, Uint8Array | number]>(put)
      query.run(wordsKey(heads, first), last)
      for (let bucket = 0; bucket < buckets; bucket++) {
        if (bucket % bucketsBetweenPauses === 0) pause()
        const packed = piece.packed(bucket)
        if (packed) query.run(wordsKey(bucket, first), packed)
      }
    }
    sqlite.query('UPDATE indexed SET n = ?1').run(last)
    upTo = last
    waiting = 0
  }

  /** Rows before row `n` that were written before we came, and not indexed. */
  function takeLeft(n: number, pause: () => void): void {
    isLooked = true
    if (n - 1 <= upTo) return
    const bodies = createBodies(sqlite)
    const said = new Gathering()
    const left = sqlite.query<LeftRow, [number, number]>(
      `SELECT details.n AS n, at_ms AS atMs, object, summary, request, answer FROM details JOIN logs ON logs.n = details.n
       WHERE details.n > ?1 AND details.n < ?2 ORDER BY details.n`,
    )
    for (const row of left.all(upTo, n)) {
      wordsAgain(row, bodies, said)
      take({ n: row.n, atMs: row.atMs, said }, pause)
    }
  }

  return {
    add(row, pause) {
      if (!isLooked) takeLeft(row.n, pause)
      take(row, pause)
    },
    write(last) {
      if (!isLooked) takeLeft(last + 1, never)
      const count = waiting
      if (last > upTo) writePiece(last, never)
      return count
    },
  }
}

interface LeftRow {
  readonly n: number
  readonly atMs: number
  readonly object: string
  readonly summary: string | null
  readonly request: Place | null
  readonly answer: Place | null
}

function wordsAgain(row: LeftRow, bodies: ReturnType<typeof createBodies>, into: Gathering): void {
  const request = row.request === null ? undefined : bodies(row.request)
  const answer = row.answer === null ? undefined : bodies(row.answer)
  const said = { object: row.object, asked: undefined, request, answer }
  const { summary } = gatherWords(
    said,
    { asked: maxChars, answered: maxChars, rest: maxChars },
    into,
  )
  // A request that was cut cannot be read.
  if (summary === undefined && row.summary !== null) {
    gatherWords(
      { ...said, asked: row.summary },
      { asked: maxChars, answered: maxChars, rest: 0 },
      into,
    )
  }
}

/** The first rows of all pieces from row `from` on, rising. */
export function piecesOf(sqlite: Database, from = 0): number[] {
  const rows = sqlite
    .query('SELECT k FROM words WHERE k >= ?1 ORDER BY k')
    .values(wordsKey(heads, from)) as [number][]
  return rows.map(([k]) => k - wordsKey(heads, 0))
}

/** Takes the words of single rows out, wherever they stand; in the caller's transaction. All of them must be written. */
export function removeWords(sqlite: Database, numbers: readonly number[]): void {
  const firsts = piecesOf(sqlite)
  const byPiece = Map.groupBy(numbers, (n) => firsts.findLast((first) => first <= n))
  const find = sqlite.query<{ data: Uint8Array }, [number]>('SELECT data FROM words WHERE k = ?1')
  for (const [first, own] of byPiece) {
    if (first === undefined) continue
    const places = own.map((n) => n - first).filter((place) => place < rowsInPiece)
    for (let bucket = 0; bucket < buckets; bucket++) {
      const k = wordsKey(bucket, first)
      const packed = find.get(k)?.data
      if (!packed) continue
      const left = withoutRows(packed, places)
      if (!left) sqlite.query('DELETE FROM words WHERE k = ?1').run(k)
      else if (left !== packed) sqlite.query('UPDATE words SET data = ?2 WHERE k = ?1').run(k, left)
    }
  }
}

const piecesInSlice = 4

/** Removes pieces whose rows are all gone, up to row `floor`; in the caller's transaction. */
export function removePieces(sqlite: Database, floor: number, pause: () => void): void {
  const oldest = sqlite.query<{ k: number; last: number }, [number]>(
    'SELECT k, data AS last FROM words WHERE k >= ?1 ORDER BY k LIMIT 1',
  )
  const remove = sqlite.query<unknown, [number]>('DELETE FROM words WHERE k = ?1')
  for (let removed = 0; removed < piecesInSlice; removed++) {
    const head = oldest.get(wordsKey(heads, 0))
    if (!head || head.last > floor) return
    const first = head.k - wordsKey(heads, 0)
    for (let bucket = 0; bucket <= heads; bucket++) {
      if (bucket % bucketsBetweenPauses === 0) pause()
      remove.run(wordsKey(bucket, first))
    }
  }
}
