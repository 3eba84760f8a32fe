import type { Logger } from '#core/log.ts'

import type { Db } from './db.ts'

// Keeps the stored responses within bounds. Oldest go first, a few at a time between other work, so that no request
// waits for a large deletion.

export interface Limits {
  readonly maxAgeMs: number
  /** Of all responses together; characters of JSON, which is about bytes. */
  readonly maxBytes: number
  readonly maxCount: number
}

export interface Sweeper {
  /** Something was put; a sweep follows soon if that was too much. */
  added(bytes: number, limits: Limits): void
  removed(bytes: number): void
  /** Removes all there is to remove, in slices. */
  sweep(limits: Limits): Promise<void>
  close(): void
}

const rowsInSlice = 50
const pagesInSlice = 200
/** Between sweeps that look for what has become too old. */
const everyMs = 10 * 60_000
const pauseMs = 5

const countAll = `SELECT COUNT(*) AS count, COALESCE(SUM(bytes), 0) AS bytes FROM responses`
const selectOldest = `
  SELECT id, bytes, created_at_ms FROM responses ORDER BY created_at_ms, rowid LIMIT ?1`
const deleteOne = `DELETE FROM responses WHERE id = ?1`
const deleteItems = `DELETE FROM response_items WHERE response_id = ?1`

interface Old {
  readonly id: string
  readonly bytes: number
  readonly created_at_ms: number
}

export function createSweeper(db: Db, log: Logger, now: () => number): Sweeper {
  /** Undefined until they have been counted. */
  let totals: { count: number; bytes: number } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let nextAt = 0
  let isClosed = false

  function isOver({ maxBytes, maxCount }: Limits): boolean {
    return totals === undefined || totals.count > maxCount || totals.bytes > maxBytes
  }

  /** Removes one slice; whether there may be more. */
  function slice(limits: Limits): boolean {
    if (isClosed) return false
    return db.use((sqlite) => {
      totals ??= sqlite.query<{ count: number; bytes: number }, []>(countAll).get() ?? {
        count: 0,
        bytes: 0,
      }
      const { count, bytes } = totals
      const before = now() - limits.maxAgeMs
      let excessCount = count - limits.maxCount
      let excessBytes = bytes - limits.maxBytes
      const doomed: Old[] = []
      for (const old of sqlite.query<Old, [number]>(selectOldest).all(rowsInSlice)) {
        if (old.created_at_ms >= before && excessCount <= 0 && excessBytes <= 0) break
        doomed.push(old)
        excessCount--
        excessBytes -= old.bytes
      }
      if (doomed.length > 0) {
        sqlite
          .transaction(() => {
            for (const { id } of doomed) {
              sqlite.query(deleteOne).run(id)
              sqlite.query(deleteItems).run(id)
            }
          })
          .immediate()
        totals.count -= doomed.length
        totals.bytes -= doomed.reduce((sum, old) => sum + old.bytes, 0)
        sqlite.run(`PRAGMA incremental_vacuum(${pagesInSlice})`)
      }
      return doomed.length === rowsInSlice
    })
  }

  async function sweep(limits: Limits): Promise<void> {
    nextAt = performance.now() + everyMs
    while (slice(limits)) await Bun.sleep(pauseMs)
  }

  function schedule(limits: Limits): void {
    timer ??= setTimeout(() => {
      sweep(limits)
        .catch((thrown: unknown) => {
          // Another process may have the file; what is too much now is still too much later.
          totals = undefined
          log.debug('stored responses were not swept', { error: String(thrown) })
        })
        .finally(() => {
          timer = undefined
        })
    }, pauseMs)
    timer.unref()
  }

  return {
    added(bytes, limits) {
      if (totals) {
        totals.count++
        totals.bytes += bytes
      }
      if (isOver(limits) || performance.now() >= nextAt) schedule(limits)
    },
    removed(bytes) {
      if (!totals) return
      totals.count--
      totals.bytes -= bytes
    },
    sweep,
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
