import type { Database } from 'bun:sqlite'

import { BadFilter, iso, wholeOf } from './logs-filter.ts'
import { listed } from './logs-row.ts'
import type { StoredRow } from './logs-row.ts'
import type { Filters } from './logs-schema.ts'

// The calls of one session: those with the same `x-bf-session-id` or `x-bf-parent-request-id`.

type Json = Record<string, unknown>

const maxLimit = 500
const maxOffset = 100_000
const maxNames = 100

/** A page of a session, oldest first unless asked otherwise. Throws `BadFilter`. */
export function sessionOf(db: Database | undefined, id: string, filters: Filters): Json {
  const { limit: rows, offset: from, order = 'asc', ...more } = filters
  const [extra] = Object.keys(more)
  if (extra !== undefined) throw new BadFilter(`'${extra.slice(0, 100)}' is no parameter here.`)
  if (order !== 'asc' && order !== 'desc') throw new BadFilter(`'order' must be asc or desc.`)
  const limit = wholeOf('limit', rows, 50, maxLimit)
  const offset = wholeOf('offset', from, 0, maxOffset)
  const logs =
    db
      ?.query<StoredRow, [string, number, number]>(
        `SELECT logs.*, summary, error, metadata FROM logs JOIN details USING (n)
         WHERE session_id = ?1 ORDER BY at_ms ${order}, n ${order} LIMIT ?2 OFFSET ?3`,
      )
      .all(id, limit, offset) ?? []
  const { count } = db
    ?.query<{ count: number }, [string]>('SELECT COUNT(*) AS count FROM logs WHERE session_id = ?1')
    .get(id) ?? { count: 0 }
  return {
    session_id: id,
    logs: logs.map(listed),
    pagination: { limit, offset, sort_by: 'timestamp', order, total_count: count },
    has_more: offset + logs.length < count,
  }
}

interface Summed {
  readonly count: number
  readonly success: number
  readonly tokens: number
  readonly prompt: number
  readonly completion: number
  readonly cost: number
  readonly latency: number
  readonly first: number | null
  readonly last: number | null
}

/** Sums over a session; null when there is none. */
export function sessionSummary(db: Database | undefined, id: string): Json | null {
  const row = db
    ?.query<Summed, [string]>(
      `SELECT COUNT(*) AS count, COALESCE(SUM(status = 'success'), 0) AS success,
              COALESCE(SUM(total_tokens), 0) AS tokens, COALESCE(SUM(prompt_tokens), 0) AS prompt,
              COALESCE(SUM(completion_tokens), 0) AS completion, COALESCE(SUM(cost), 0) AS cost,
              COALESCE(AVG(latency_ms), 0) AS latency, MIN(at_ms) AS first,
              MAX(at_ms + latency_ms) AS last
       FROM logs WHERE session_id = ?1`,
    )
    .get(id)
  if (!db || !row || row.count === 0) return null
  const distinct = (column: string): string[] =>
    db
      .query<{ value: string }, [string]>(
        `SELECT DISTINCT ${column} AS value FROM logs
         WHERE session_id = ?1 AND ${column} <> '' LIMIT ${maxNames}`,
      )
      .all(id)
      .map(({ value }) => value)
  const { first, last } = row
  return {
    session_id: id,
    count: row.count,
    success_count: row.success,
    error_count: row.count - row.success,
    total_tokens: row.tokens,
    prompt_tokens: row.prompt,
    completion_tokens: row.completion,
    total_cost: row.cost,
    average_latency: row.latency,
    started_at: first === null ? null : iso(first),
    latest_at: last === null ? null : iso(last),
    duration_ms: first === null || last === null ? 0 : Math.round(last - first),
    models: distinct('model'),
    providers: distinct('provider'),
  }
}
