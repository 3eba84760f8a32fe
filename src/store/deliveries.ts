import type { Db } from './db.ts'
import { endedJobOf } from './jobs-row.ts'
import type { EndedJob, EndedRow } from './jobs-row.ts'

// The outbox of webhooks. A delivery is put in by the transaction that ends its job, and leaves when it has been made
// or given up. Whoever takes one sets the time of its next try; should the process end, that is when it is tried again.

export interface Delivery {
  readonly id: string
  readonly webhook: string
  /** Tries, this one included. */
  readonly attempts: number
  readonly job: EndedJob
}

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface DeliveryStore {
  /** Whether there is anything to be done, as far as can be told without making a file. */
  exists(): boolean
  /** Takes deliveries that are due; nobody else gets them for `leaseMs`. */
  take(webhook: string, limit: number, leaseMs: number): readonly Delivery[]
  /** Tries again at `atMs` of the wall clock. `isUncounted`: this try was none. */
  postpone(id: string, atMs: number, isUncounted: boolean): void
  remove(id: string): void
  /** Removes the deliveries to all but these; returns how many. */
  removeOthers(webhooks: readonly string[]): number
  /** When the next one is due, by the wall clock; undefined when there is none. */
  nextAtMs(): number | undefined
}

const takeDue = `
  UPDATE webhook_deliveries SET attempts = attempts + 1, next_at_ms = ?3
  WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE webhook = ?1 AND next_at_ms <= ?2 ORDER BY next_at_ms LIMIT ?4)
  RETURNING id, job_id, attempts`
const selectJob = `
  SELECT id, endpoint, model, provider, request_id, state, created_at_ms, completed_at_ms,
    expires_at_ms, status_code, streams, starts, headers, result
  FROM jobs WHERE id = ?1`
const deleteOne = `DELETE FROM webhook_deliveries WHERE id = ?1`

interface Taken {
  readonly id: string
  readonly job_id: string
  readonly attempts: number
}

export function createDeliveryStore(db: Db, now: () => number = Date.now): DeliveryStore {
  return {
    exists: () => !db.isInMemory && db.exists(),
    take: (webhook, limit, leaseMs) =>
      db.use((sqlite) =>
        sqlite
          .transaction(() => {
            const taken = sqlite
              .query<Taken, [string, number, number, number]>(takeDue)
              .all(webhook, now(), now() + leaseMs, limit)
            return taken.flatMap(({ id, job_id: jobId, attempts }) => {
              const row = sqlite.query<EndedRow, [string]>(selectJob).get(jobId)
              const job = row ? endedJobOf(row) : undefined
              if (job) return [{ id, webhook, attempts, job }]
              sqlite.query(deleteOne).run(id)
              return []
            })
          })
          .immediate(),
      ),
    postpone: (id, atMs, isUncounted) =>
      db.use((sqlite) => {
        sqlite
          .query(
            `UPDATE webhook_deliveries SET next_at_ms = ?2, attempts = attempts - ?3 WHERE id = ?1`,
          )
          .run(id, atMs, isUncounted ? 1 : 0)
      }),
    remove: (id) =>
      db.use((sqlite) => {
        sqlite.query(deleteOne).run(id)
      }),
    removeOthers: (webhooks) =>
      db.use(
        (sqlite) =>
          sqlite
            .query(
              `DELETE FROM webhook_deliveries WHERE webhook NOT IN (SELECT value FROM json_each(?1))`,
            )
            .run(JSON.stringify(webhooks)).changes,
      ),
    nextAtMs: () =>
      db.use(
        (sqlite) =>
          sqlite
            .query<{ at: number | null }, []>(
              `SELECT MIN(next_at_ms) AS at FROM webhook_deliveries`,
            )
            .get()?.at ?? undefined,
      ),
  }
}
