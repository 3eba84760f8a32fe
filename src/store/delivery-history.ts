import type { Database } from 'bun:sqlite'

import type { Db } from './db.ts'
import type { Outcome } from './deliveries.ts'

// How the deliveries of webhooks went, try by try. Rows are only ever added, and the oldest go first.

/** One try of a delivery. */
export interface PastAttempt {
  readonly id: string
  readonly deliveryId: string
  readonly webhook: string
  readonly jobId: string
  readonly requestId: string | undefined
  readonly event: string
  /** 1, 2, 3 … */
  readonly attempt: number
  readonly outcome: Outcome
  readonly statusCode: number | undefined
  readonly error: string | undefined
  readonly createdAtMs: number
}

/** A delivery that is still to be made. */
export interface Waiting {
  readonly deliveryId: string
  readonly webhook: string
  readonly jobId: string
  readonly event: string | undefined
  readonly attempts: number
  /** Of the wall clock. While a try is under way: when it counts as lost. */
  readonly nextAtMs: number
}

/** Which deliveries; what is absent does not matter. */
export interface DeliveryFilter {
  readonly webhook?: string | undefined
  readonly jobId?: string | undefined
  readonly event?: string | undefined
  readonly outcome?: string | undefined
}

export interface Page {
  readonly limit: number
  readonly offset: number
}

export interface DeliveryPage {
  readonly attempts: readonly PastAttempt[]
  /** Of what is counted by `limit` and `offset`. */
  readonly total: number
}

export interface WebhookHealth {
  /** Tries since the last that was accepted. */
  readonly failures: number
  readonly successAtMs: number | undefined
  readonly failureAtMs: number | undefined
  readonly waiting: number
}

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface DeliveryHistory {
  /** Whether there is anything to be read, as far as can be told without making a file. */
  exists(): boolean
  /** The tries to one webhook, newest first; a page is of tries. */
  attempts(webhook: string, page: Page): DeliveryPage
  /** All tries of the deliveries of which at least one try is wanted, newest first; a page is of deliveries. */
  search(filter: DeliveryFilter, page: Page): DeliveryPage
  /** The tries of one delivery, oldest first. `id` is its own or that of a try. */
  find(id: string): readonly PastAttempt[]
  /** What is still to be delivered, the next ones first. */
  waiting(
    wanted: Pick<DeliveryFilter, 'webhook' | 'jobId'> & { readonly deliveryId?: string },
    limit: number,
  ): readonly Waiting[]
  health(webhook: string): WebhookHealth
  /** Makes the delivery of a try again, now; false when it still waits to be made. */
  again(attempt: PastAttempt): boolean
  /** Removes some of what is too old or too much; whether there may be more. */
  sweep(maxAgeMs: number, maxRows: number, limit: number): boolean
}

const columns = `id, delivery_id, webhook, job_id, request_id, event, attempt, outcome, status_code,
  error, created_at_ms`
const selectOfGroups = `
  SELECT ${columns} FROM webhook_attempts
  WHERE delivery_id IN (SELECT value FROM json_each(?1)) ORDER BY seq DESC`
const insertAgain = `
  INSERT OR IGNORE INTO webhook_deliveries (id, job_id, webhook, attempts, next_at_ms, event)
  VALUES (?1, ?2, ?3, 0, ?4, ?5)`
const deleteOld = `
  DELETE FROM webhook_attempts WHERE seq IN (
    SELECT seq FROM webhook_attempts WHERE created_at_ms < ?1 LIMIT ?2)`
const deleteSurplus = `
  DELETE FROM webhook_attempts WHERE seq IN (
    SELECT seq FROM webhook_attempts
    WHERE seq <= (SELECT MAX(seq) FROM webhook_attempts) - ?1 ORDER BY seq LIMIT ?2)`

interface Row {
  readonly id: string
  readonly delivery_id: string
  readonly webhook: string
  readonly job_id: string
  readonly request_id: string | null
  readonly event: string
  readonly attempt: number
  readonly outcome: Outcome
  readonly status_code: number | null
  readonly error: string | null
  readonly created_at_ms: number
}

interface WaitingRow {
  readonly id: string
  readonly webhook: string
  readonly job_id: string
  readonly event: string | null
  readonly attempts: number
  readonly next_at_ms: number
}

export function createDeliveryHistory(db: Db, now: () => number = Date.now): DeliveryHistory {
  return {
    exists: () => !db.isInMemory && db.exists(),
    attempts: (webhook, { limit, offset }) =>
      db.use((sqlite) => ({
        attempts: sqlite
          .query<Row, [string, number, number]>(
            `SELECT ${columns} FROM webhook_attempts WHERE webhook = ?1
             ORDER BY seq DESC LIMIT ?2 OFFSET ?3`,
          )
          .all(webhook, limit, offset)
          .map(attemptOf),
        total: countOf(
          sqlite,
          `SELECT COUNT(*) AS count FROM webhook_attempts WHERE webhook = ?1`,
          webhook,
        ),
      })),
    search: ({ webhook, jobId, event, outcome }, { limit, offset }) =>
      db.use((sqlite) => {
        const wanted = [
          ['webhook = ?', webhook],
          ['job_id = ?', jobId],
          ['event = ?', event],
          ['outcome = ?', outcome],
        ].filter((each): each is [string, string] => each[1] !== undefined)
        const where = ['1', ...wanted.map(([condition]) => condition)].join(' AND ')
        const values = wanted.map(([, value]) => value)
        const groups = newestGroups(sqlite, where, values, offset + limit)
        return {
          attempts: sqlite
            .query<Row, [string]>(selectOfGroups)
            .all(JSON.stringify(groups.slice(offset)))
            .map(attemptOf),
          total: countOf(
            sqlite,
            `SELECT COUNT(DISTINCT delivery_id) AS count FROM webhook_attempts WHERE ${where}`,
            ...values,
          ),
        }
      }),
    find: (id) =>
      db.use((sqlite) =>
        sqlite
          .query<Row, [string]>(
            `SELECT ${columns} FROM webhook_attempts
             WHERE delivery_id = COALESCE((SELECT delivery_id FROM webhook_attempts WHERE id = ?1), ?1)
             ORDER BY seq`,
          )
          .all(id)
          .map(attemptOf),
      ),
    waiting: ({ deliveryId, webhook, jobId }, limit) =>
      db.use((sqlite) =>
        sqlite
          .query<WaitingRow, [string | null, string | null, string | null, number]>(
            `SELECT id, webhook, job_id, event, attempts, next_at_ms FROM webhook_deliveries
             WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR webhook = ?2)
               AND (?3 IS NULL OR job_id = ?3)
             ORDER BY next_at_ms LIMIT ?4`,
          )
          .all(deliveryId ?? null, webhook ?? null, jobId ?? null, limit)
          .map((row) => ({
            deliveryId: row.id,
            webhook: row.webhook,
            jobId: row.job_id,
            event: row.event ?? undefined,
            attempts: row.attempts,
            nextAtMs: row.next_at_ms,
          })),
      ),
    health: (webhook) =>
      db.use((sqlite) => {
        const last = (isDelivered: boolean): { seq: number; at: number } | null =>
          sqlite
            .query<{ seq: number; at: number }, [string]>(
              `SELECT seq, created_at_ms AS at FROM webhook_attempts
               WHERE webhook = ?1 AND outcome ${isDelivered ? '=' : '<>'} 'delivered'
               ORDER BY seq DESC LIMIT 1`,
            )
            .get(webhook)
        const success = last(true)
        return {
          failures: countOf(
            sqlite,
            `SELECT COUNT(*) AS count FROM webhook_attempts WHERE webhook = ?1 AND seq > ?2`,
            webhook,
            success?.seq ?? -1,
          ),
          successAtMs: success?.at,
          failureAtMs: last(false)?.at,
          waiting: countOf(
            sqlite,
            `SELECT COUNT(*) AS count FROM webhook_deliveries WHERE webhook = ?1`,
            webhook,
          ),
        }
      }),
    again: ({ deliveryId, jobId, webhook, event }) =>
      db.use(
        (sqlite) =>
          sqlite.query(insertAgain).run(deliveryId, jobId, webhook, now(), event).changes > 0,
      ),
    sweep: (maxAgeMs, maxRows, limit) =>
      db.use((sqlite) => {
        const old = sqlite.query(deleteOld).run(now() - maxAgeMs, limit).changes
        const surplus = sqlite.query(deleteSurplus).run(maxRows, limit).changes
        return old >= limit || surplus >= limit
      }),
  }
}

/** Walks from the newest try until it has met so many deliveries. */
function newestGroups(
  sqlite: Database,
  where: string,
  values: readonly string[],
  count: number,
): readonly string[] {
  const found = new Set<string>()
  const newest = sqlite.query<{ delivery_id: string }, string[]>(
    `SELECT delivery_id FROM webhook_attempts WHERE ${where} ORDER BY seq DESC`,
  )
  for (const { delivery_id: id } of newest.iterate(...values)) {
    found.add(id)
    if (found.size >= count) break
  }
  return [...found]
}

function countOf(
  sqlite: Database,
  sql: string,
  ...values: readonly (string | number | null)[]
): number {
  return sqlite.query<{ count: number }, (string | number | null)[]>(sql).get(...values)?.count ?? 0
}

function attemptOf(row: Row): PastAttempt {
  return {
    id: row.id,
    deliveryId: row.delivery_id,
    webhook: row.webhook,
    jobId: row.job_id,
    requestId: row.request_id ?? undefined,
    event: row.event,
    attempt: row.attempt,
    outcome: row.outcome,
    statusCode: row.status_code ?? undefined,
    error: row.error ?? undefined,
    createdAtMs: row.created_at_ms,
  }
}
