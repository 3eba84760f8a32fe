import type { Database } from 'bun:sqlite'

import { newId } from '#lib/id.ts'

import type { Db } from './db.ts'
import { endedJobOf } from './jobs-row.ts'
import type { EndedJob, EndedRow } from './jobs-row.ts'

// The outbox of webhooks. A delivery is put in by the transaction that ends its job, and leaves when it has been made
// or given up. Whoever takes one sets the time of its next try; should the process end, that is when it is tried again.
// How each try went stays behind, in the history.

export interface Delivery {
  readonly id: string
  readonly webhook: string
  readonly event: string
  /** Tries, this one included. */
  readonly attempts: number
  readonly jobId: string
  /** Undefined when it has expired, which only a delivery that is made again can meet. */
  readonly job: EndedJob | undefined
  /** The result of the job was too long to be read; it stands empty there. */
  readonly isCut: boolean
}

export type Outcome =
  | 'delivered'
  /** It is tried again. */
  | 'retryable_failure'
  /** It was not worth another try. */
  | 'permanent_failure'
  /** There were no tries left. */
  | 'exhausted'

/** How a try went. */
export interface Attempt {
  readonly outcome: Outcome
  /** Of the answer; undefined when there was none. */
  readonly statusCode: number | undefined
  readonly error: string | undefined
}

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface DeliveryStore {
  /** Whether there is anything to be done, as far as can be told without making a file. */
  exists(): boolean
  /**
   * Takes deliveries that are due; nobody else gets them for `leaseMs`. Of longer results nothing is read. One that is
   * due in more than `longestMs` is due now: the clock has been put back since.
   */
  take(
    webhook: string,
    limit: number,
    leaseMs: number,
    maxResultBytes: number,
    longestMs?: number,
  ): readonly Delivery[]
  /** Notes how a try went. The delivery leaves, unless it is tried again at `nextAtMs` of the wall clock. */
  settle(delivery: Delivery, attempt: Attempt, nextAtMs?: number): void
  /** Gives back what was taken: this try was none. */
  giveBack(id: string): void
  /** Gives up the deliveries to all but these; returns how many. */
  giveUpOthers(webhooks: readonly string[], why: string): number
  /** How many there are. */
  count(): number
  /** When the next one is due, by the wall clock; undefined when there is none. */
  nextAtMs(): number | undefined
}

const takeDue = `
  UPDATE webhook_deliveries SET attempts = attempts + 1, next_at_ms = ?3
  WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE webhook = ?1 AND (next_at_ms <= ?2 OR next_at_ms > ?5) ORDER BY next_at_ms LIMIT ?4)
  RETURNING id, webhook, job_id, attempts, event`
/** Goes from name to name and not from row to row, so that it may be asked at any time. */
const selectOthers = `
  WITH RECURSIVE names (name) AS (
    SELECT MIN(webhook) FROM webhook_deliveries
    UNION ALL
    SELECT (SELECT MIN(webhook) FROM webhook_deliveries WHERE webhook > name) FROM names
    WHERE name IS NOT NULL)
  SELECT name FROM names WHERE name IS NOT NULL AND name NOT IN (SELECT value FROM json_each(?1))`
const takeAll = `
  DELETE FROM webhook_deliveries WHERE webhook = ?1 RETURNING id, webhook, job_id, attempts, event`
const selectJob = `
  SELECT id, endpoint, model, provider, request_id, state, created_at_ms, completed_at_ms,
    expires_at_ms, status_code, streams, starts, headers,
    CASE WHEN LENGTH(result) <= ?2 THEN result END AS result, LENGTH(result) > ?2 AS is_cut
  FROM jobs WHERE id = ?1`
const insertAttempt = `
  INSERT INTO webhook_attempts (id, delivery_id, webhook, job_id, request_id, event, attempt, outcome,
    status_code, error, created_at_ms)
  VALUES (?1, ?2, ?3, ?4,
    COALESCE((SELECT request_id FROM jobs WHERE id = ?4),
      (SELECT request_id FROM webhook_attempts WHERE delivery_id = ?2 LIMIT 1)),
    ?5, ?6, ?7, ?8, ?9, ?10)`

interface Taken {
  readonly id: string
  readonly webhook: string
  readonly job_id: string
  readonly attempts: number
  readonly event: string | null
}

/** Puts a delivery in, inside the transaction that ends its job. */
export function putWithin(
  sqlite: Database,
  jobId: string,
  webhook: string,
  event: string,
  now: number,
): void {
  sqlite
    .query(
      `INSERT INTO webhook_deliveries (id, job_id, webhook, next_at_ms, event) VALUES (?1, ?2, ?3, ?4, ?5)`,
    )
    .run(newId(now), jobId, webhook, now, event)
}

export function createDeliveryStore(db: Db, now: () => number = Date.now): DeliveryStore {
  function within<T>(work: (sqlite: Database) => T): T {
    return db.use((sqlite) => sqlite.transaction(() => work(sqlite)).immediate())
  }

  function note(
    sqlite: Database,
    { id, webhook, jobId, event, attempts }: Delivery,
    { outcome, statusCode, error }: Attempt,
  ): void {
    const at = now()
    sqlite
      .query(insertAttempt)
      .run(
        newId(at),
        id,
        webhook,
        jobId,
        event,
        attempts,
        outcome,
        statusCode ?? null,
        error ?? null,
        at,
      )
  }

  return {
    exists: () => !db.isInMemory && db.exists(),
    take: (webhook, limit, leaseMs, maxResultBytes, longestMs = Number.MAX_SAFE_INTEGER / 2) =>
      within((sqlite) =>
        sqlite
          .query<Taken, [string, number, number, number, number]>(takeDue)
          .all(webhook, now(), now() + leaseMs, limit, now() + longestMs)
          .map((taken) => {
            const row = sqlite
              .query<EndedRow & { is_cut: number }, [string, number]>(selectJob)
              .get(taken.job_id, maxResultBytes)
            return deliveryOf(taken, row ? endedJobOf(row) : undefined, row?.is_cut === 1)
          }),
      ),
    settle: (delivery, attempt, nextAtMs) =>
      within((sqlite) => {
        note(sqlite, delivery, attempt)
        const { id } = delivery
        if (nextAtMs === undefined) {
          sqlite.query(`DELETE FROM webhook_deliveries WHERE id = ?1`).run(id)
        } else {
          sqlite
            .query(`UPDATE webhook_deliveries SET next_at_ms = ?2 WHERE id = ?1`)
            .run(id, nextAtMs)
        }
      }),
    giveBack: (id) =>
      db.use((sqlite) => {
        sqlite
          .query(
            `UPDATE webhook_deliveries SET next_at_ms = ?2, attempts = attempts - 1 WHERE id = ?1`,
          )
          .run(id, now())
      }),
    giveUpOthers(webhooks, why) {
      const others = db.use((sqlite) =>
        sqlite.query<{ name: string }, [string]>(selectOthers).all(JSON.stringify(webhooks)),
      )
      if (others.length === 0) return 0
      return within((sqlite) => {
        const removed = others.flatMap(({ name }) =>
          sqlite.query<Taken, [string]>(takeAll).all(name),
        )
        for (const taken of removed) {
          const attempt = {
            outcome: 'permanent_failure',
            statusCode: undefined,
            error: why,
          } as const
          note(sqlite, deliveryOf({ ...taken, attempts: taken.attempts + 1 }, undefined), attempt)
        }
        return removed.length
      })
    },
    count: () =>
      db.use(
        (sqlite) =>
          sqlite
            .query<{ count: number }, []>(`SELECT COUNT(*) AS count FROM webhook_deliveries`)
            .get()?.count ?? 0,
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

function deliveryOf(
  { id, webhook, job_id: jobId, attempts, event }: Taken,
  job: EndedJob | undefined,
  isCut = false,
): Delivery {
  // Rows of older versions do not say; they go with their job.
  const told = event ?? `async_job.${job?.ending.state ?? 'completed'}`
  return { id, webhook, event: told, attempts, jobId, job, isCut }
}
