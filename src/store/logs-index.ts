import type { Database } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import type { Place } from './logs-bodies.ts'
import { wordsOf } from './logs-words.ts'

// The index of words. SQLite makes a piece of it for every transaction that adds to it, and joins pieces again and
// again: for ten rows that takes fifty times what it takes per row for a thousand. So words wait in memory until there
// are many, or until somebody looks for one. What waited when a process ended is found again in the rows.

export interface WordIndex {
  /** Row `n`, which is newer than all before, has these words, or none. */
  add(n: number, text: string): void
  /** Whether so much waits that it should be written. */
  readonly isDue: boolean
  /**
   * Writes what waits, rows up to `last` being all there are; in the caller's transaction. Returns how many rows.
   * `pause` is called after every few of them.
   */
  write(last: number, pause?: () => void): number
  /** Whether row `n` may be waiting. */
  mayWait(n: number): boolean
  close(): void
}

const rowsDue = 1000
const charsDue = 1024 * 1024
const rowsBetweenPauses = 16
/** Of a text that has to be found again. */
const maxChars = 8 * 1024

/** For a file that is open for writing. After a transaction that failed a new one is needed. */
export function openIndex(sqlite: Database): WordIndex {
  const insert = sqlite.prepare<unknown, [number, string]>(
    'INSERT INTO words (rowid, text) VALUES (?1, ?2)',
  )
  let upTo = sqlite.query<{ n: number }, []>('SELECT n FROM indexed').get()!.n
  let waiting: (readonly [n: number, text: string])[] = []
  let chars = 0
  let isLooked = false

  function put(n: number, text: string): void {
    if (text !== '') insert.run(n, text)
  }

  /** Rows that were written before we came, and not indexed. Returns how many. */
  function putLeft(): number {
    const before = waiting[0]?.[0] ?? Number.MAX_SAFE_INTEGER
    const bodies = createBodies(sqlite)
    const left = sqlite.query<LeftRow, [number, number]>(
      `SELECT details.n AS n, object, summary, request, answer FROM details JOIN logs ON logs.n = details.n
       WHERE details.n > ?1 AND details.n < ?2 ORDER BY details.n`,
    )
    let count = 0
    for (const row of left.iterate(upTo, before)) {
      put(row.n, wordsAgain(row, bodies))
      count++
    }
    return count
  }

  return {
    add(n, text) {
      waiting.push([n, text])
      chars += text.length
    },
    get isDue() {
      return waiting.length >= rowsDue || chars >= charsDue
    },
    write(last, pause) {
      const count = waiting.length + (isLooked || last <= upTo ? 0 : putLeft())
      isLooked = true
      waiting.forEach(([n, text], i) => {
        if (i % rowsBetweenPauses === 0) pause?.()
        put(n, text)
      })
      waiting = []
      chars = 0
      if (last > upTo) sqlite.query('UPDATE indexed SET n = ?1').run(last)
      upTo = Math.max(upTo, last)
      return count
    },
    mayWait: (n) => n > upTo,
    close: () => insert.finalize(),
  }
}

interface LeftRow {
  readonly n: number
  readonly object: string
  readonly summary: string | null
  readonly request: Place | null
  readonly answer: Place | null
}

function wordsAgain(row: LeftRow, bodies: ReturnType<typeof createBodies>): string {
  const request = row.request === null ? undefined : bodies(row.request)
  const answer = row.answer === null ? undefined : bodies(row.answer)
  const said = { object: row.object, asked: undefined, request, answer }
  const found = wordsOf(said, maxChars, maxChars, maxChars)
  // A request that was cut cannot be read.
  return found.summary === undefined && row.summary !== null
    ? wordsOf({ ...said, asked: row.summary }, maxChars).text
    : found.text
}
