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
  /** Sweeps every so often from now on, so that what is too old goes although nothing new comes. */
  keepTidy(limitsNow: () => Limits, everyMs?: number): void
  close(): void
}

const rowsInSlice = 50
const pagesInSlice = 200
const usualEveryMs = 10 * 60_000
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
  let rounds: ReturnType<typeof setInterval> | undefined
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
    while (slice(limits)) await Bun.sleep(pauseMs)
  }

  async function trySweep(limits: Limits): Promise<void> {
    try {
      await sweep(limits)
    } catch (thrown) {
      // Another process may have the file; what is too much now is still too much later.
      totals = undefined
      log.debug('stored responses were not swept', { error: String(thrown) })
    }
  }

  function schedule(limits: Limits): void {
    if (timer !== undefined || isClosed) return
    timer = setTimeout(() => {
      void trySweep(limits).finally(() => {
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
      if (isOver(limits)) schedule(limits)
    },
    removed(bytes) {
      if (!totals) return
      totals.count--
      totals.bytes -= bytes
    },
    sweep,
    keepTidy(limitsNow, everyMs = usualEveryMs) {
      rounds = setInterval(() => {
        // A file that nobody needed yet is not made for being swept.
        if (!db.exists()) return
        // Counted anew: another process over the same file may have put something, too.
        totals = undefined
        void trySweep(limitsNow())
      }, everyMs)
      rounds.unref()
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      clearInterval(rounds)
    },
  }
}
