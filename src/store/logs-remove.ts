import type { Database } from 'bun:sqlite'

import { eraseBodies } from './logs-bodies.ts'
import { metadataIn } from './logs-content.ts'
import { removePieces, removeWords } from './logs-index.ts'
import { floorOf } from './logs-segments.ts'
import { FACTS, segmentKey, segmentOf } from './logs-tables.ts'

// How rows leave the log, with all that belongs to them.

/**
 * Takes single rows out, wherever they stand, and what was said in them out of their blocks and out of the index, where
 * all of them must be. In a transaction.
 */
export function removeRows(sqlite: Database, numbers: readonly number[]): void {
  eraseBodies(sqlite, numbers)
  removeWords(sqlite, numbers)
  for (const n of numbers) {
    removeMetadata(sqlite, n, n)
    removeRow(sqlite, n)
  }
}

function removeRow(sqlite: Database, n: number): void {
  sqlite.query('DELETE FROM calls WHERE n = ?1').run(n)
  sqlite.query('DELETE FROM texts WHERE n = ?1').run(n)
}

/**
 * Takes out the metadata of rows `from` to `last`. Callers say the same again and again, so that it is looked for by
 * what it says, once for all of these rows.
 */
function removeMetadata(sqlite: Database, from: number, last: number): void {
  const texts = sqlite
    .query<unknown, [number, number]>(
      'SELECT DISTINCT metadata FROM texts WHERE n BETWEEN ?1 AND ?2 AND metadata IS NOT NULL',
    )
    .values(from, last) as [string][]
  const remove = sqlite.query<unknown, [string, string, number, number]>(
    'DELETE FROM metadata WHERE name = ?1 AND value = ?2 AND n BETWEEN ?3 AND ?4',
  )
  for (const [text] of texts) {
    for (const [name, value] of metadataIn(text)) remove.run(name, value, from, last)
  }
}

/** Blocks that are given back at once: they may be large. */
const blocksInSlice = 8

/**
 * Takes out the oldest rows, up to number `last`, and the blocks and segments that nobody needs any more. In a
 * transaction. Returns whether a segment came to its end, which is when names may have become free. `pause` is called
 * several times in a millisecond.
 */
export function removeOldest(
  sqlite: Database,
  numbers: readonly number[],
  pause: () => void,
): boolean {
  const last = numbers.at(-1)
  if (last === undefined) return false
  const before = floorOf(sqlite)
  // First, so that the trigger does not note each of them.
  sqlite.query('UPDATE bounds SET floor = ?1').run(last)
  // Rows up to here are all to go, whatever their numbers.
  removeMetadata(sqlite, numbers[0]!, last)
  // Table by table: to go from one to the other for every row takes nearly twice as long.
  sqlite.query('DELETE FROM calls WHERE n <= ?1').run(last)
  pause()
  sqlite.query('DELETE FROM texts WHERE n <= ?1').run(last)
  removePieces(sqlite, last, pause)
  sqlite.query('DELETE FROM gone WHERE n <= ?1').run(last)
  pause()
  removeBlocks(sqlite)
  pause()
  if (segmentOf(before + 1) === segmentOf(last + 1)) return false
  FACTS.forEach((_, place) => {
    sqlite
      .query('DELETE FROM segments WHERE k >= ?1 AND k < ?2')
      .run(segmentKey(place, 0), segmentKey(place, segmentOf(last + 1)))
  })
  sqlite.query('DELETE FROM stale WHERE segment < ?1').run(segmentOf(last + 1))
  return true
}

/** Gives back blocks whose rows are all behind the floor; whether there may be more. */
function removeBlocks(sqlite: Database): void {
  sqlite
    .query(
      `DELETE FROM blocks WHERE block IN (SELECT block FROM blocks ORDER BY block LIMIT ${blocksInSlice})
       AND last_n <= (SELECT floor FROM bounds)`,
    )
    .run()
}
