import type { Database } from 'bun:sqlite'

import { BadFilter, spanOf, wholeOf } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'
import { choosing, dimensionOf, scanBetween, scanRows } from './logs-slices.ts'

// Who is used most: models, or the values of another dimension, each beside what it was in the time before.

type Json = Record<string, unknown>

interface Period {
  count: number
  success: number
  tokens: number
  cost: number
  latency: number
}

interface Row extends Period {
  readonly id: string
  readonly name: string | null
  readonly provider: string | null
  readonly current: 0 | 1
}

const sortKeys: Readonly<Record<string, (period: Period) => number>> = {
  requests: ({ count }) => count,
  tokens: ({ tokens }) => tokens,
  cost: ({ cost }) => cost,
  latency: averageOf,
}

const maxRanked = 1000
/** Names are callers' words as well. */
const maxKnown = 20_000

interface Ranked {
  readonly id: string
  readonly name: string
  readonly provider: string | null
  now: Period
  before: Period
}

/** The largest of the time that `filters` name, or of the last day. Throws `BadFilter`. */
export function rankingOf(db: Database | undefined, byDimension: boolean, filters: Filters): Json {
  const chosen = byDimension ? dimensionOf(filters) : undefined
  const sortBy = filters['sort_by'] || 'requests'
  const sortKey = Object.hasOwn(sortKeys, sortBy) ? sortKeys[sortBy] : undefined
  if (!sortKey) throw new BadFilter(`'sort_by' must be one of ${Object.keys(sortKeys).join(', ')}.`)
  const limit = wholeOf('limit', filters['limit'], 50, maxRanked)
  const now = Date.now()
  const { start, end } = spanOf(filters, now)
  const id = chosen ? chosen.column.id : 'COALESCE(model_used, model)'
  const name = chosen?.column.name ?? id
  const sql = (condition: string): string =>
    `SELECT ${id} AS id, MAX(${name}) AS name, ${chosen ? 'NULL' : 'provider'} AS provider,
            at_ms >= ${start} AS current, COUNT(*) AS count, SUM(status = 'success') AS success,
            COALESCE(SUM(total_tokens), 0) AS tokens, COALESCE(SUM(cost), 0) AS cost,
            SUM(latency_ms) AS latency
     FROM logs ${condition} AND ${id} IS NOT NULL GROUP BY 1, 3, 4`
  const ranked = new Map<string, Ranked>()
  if (db) {
    const scan = scanBetween(choosing(filters), 2 * start - end, end, now)
    for (const row of scanRows(db, scan, sql) as Iterable<Row>) {
      const key = `${row.provider}\n${row.id}`
      let own = ranked.get(key)
      if (!own) {
        if (ranked.size >= maxKnown) continue
        const { provider } = row
        own = { id: row.id, name: row.name ?? row.id, provider, now: none(), before: none() }
        ranked.set(key, own)
      }
      add(row.current === 1 ? own.now : own.before, row)
    }
  }
  const rankings = [...ranked.values()]
    .filter((one) => one.now.count > 0)
    .toSorted((a, b) => sortKey(b.now) - sortKey(a.now) || (a.id < b.id ? -1 : 1))
    .slice(0, limit)
    .map((one) => ({
      ...(chosen ? { id: one.id, name: one.name } : { model: one.id, provider: one.provider }),
      total_requests: one.now.count,
      success_count: one.now.success,
      success_rate: (100 * one.now.success) / one.now.count,
      total_tokens: one.now.tokens,
      total_cost: one.now.cost,
      avg_latency: averageOf(one.now),
      trend: trendOf(one),
    }))
  return { rankings, ...(chosen && { dimension: chosen.name }) }
}

function none(): Period {
  return { count: 0, success: 0, tokens: 0, cost: 0, latency: 0 }
}

function add(to: Period, { count, success, tokens, cost, latency }: Period): void {
  to.count += count
  to.success += success
  to.tokens += tokens
  to.cost += cost
  to.latency += latency
}

function averageOf({ count, latency }: Period): number {
  return count === 0 ? 0 : latency / count
}

/** Changes in percent. */
function trendOf({ now, before }: Ranked): Json {
  const change = (current: number, previous: number): number =>
    previous === 0 ? 0 : (100 * (current - previous)) / previous
  return {
    has_previous_period: before.count > 0,
    requests_trend: change(now.count, before.count),
    tokens_trend: change(now.tokens, before.tokens),
    cost_trend: change(now.cost, before.cost),
    latency_trend: change(averageOf(now), averageOf(before)),
  }
}
