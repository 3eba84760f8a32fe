import type { Database } from 'bun:sqlite'

import { eraseBodies } from './logs-bodies.ts'
import { floorOf } from './logs-segments.ts'
import { FACTS, segmentKey, segmentOf } from './logs-tables.ts'

// How rows leave the log, with all that belongs to them.

const deleteMetadata = `
  DELETE FROM metadata WHERE n = ?1 AND (name, value) IN (
    SELECT key, value FROM texts, json_each(metadata) WHERE texts.n = ?1)`

/** Takes single rows out, wherever they stand, and what was said in them out of their blocks. In a transaction. */
export function removeRows(sqlite: Database, numbers: readonly number[]): void {
  eraseBodies(sqlite, numbers)
  for (const n of numbers) removeRow(sqlite, n)
}

function removeRow(sqlite: Database, n: number): void {
  sqlite.query('DELETE FROM calls WHERE n = ?1').run(n)
  sqlite.query(deleteMetadata).run(n)
  sqlite.query('DELETE FROM texts WHERE n = ?1').run(n)
  sqlite.query('DELETE FROM words WHERE rowid = ?1').run(n)
}

/** Blocks that are given back at once: they may be large. */
const blocksInSlice = 8

/**
 * Takes out the oldest rows, up to number `last`, and the blocks and segments that nobody needs any more. In a
 * transaction. Returns whether a segment came to its end, which is when names may have become free.
 */
export function removeOldest(sqlite: Database, numbers: readonly number[]): boolean {
  const last = numbers.at(-1)
  if (last === undefined) return false
  const before = floorOf(sqlite)
  // First, so that the trigger does not note each of them.
  sqlite.query('UPDATE bounds SET floor = ?1').run(last)
  for (const n of numbers) removeRow(sqlite, n)
  sqlite.query('DELETE FROM gone WHERE n <= ?1').run(last)
  removeBlocks(sqlite)
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
