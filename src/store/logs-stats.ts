import type { Database } from 'bun:sqlite'

import { iso, spanOf } from './logs-filter.ts'
import { trendOf } from './logs-rank.ts'
import { placeOf } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import { scanRows } from './logs-slices.ts'

// Totals over calls, and how they compare with those of the time before.

const noStats = {
  total_requests: 0,
  success_rate: 0,
  user_facing_success_rate: 0,
  user_facing_total_requests: 0,
  average_latency: 0,
  total_tokens: 0,
  total_cost: 0,
  cache_hit_rate_total_requests: 0,
  direct_cache_hits: 0,
  semantic_cache_hits: 0,
}

export type Stats = typeof noStats

/** Totals over what filters want; with `compare_to_previous` beside those of the time before. Throws `BadFilter`. */
export function statsOf(db: Database | undefined, filters: Filters): object {
  const totals = (wanted: Filters): Totals => {
    const sums = createTotals(db)
    if (db) scanRows(db, { filters: wanted }, (part) => sums.visit(part))
    return sums
  }
  if (filters['compare_to_previous'] !== 'true') return totals(filters).stats()
  // Two times are compared that are equally long: the last day, where the filters name none.
  const { start, end } = spanOf(filters, Date.now())
  const between = (from: number, to: number): Totals =>
    totals({ ...filters, period: '', start_time: iso(from), end_time: iso(to) })
  return comparedStats(between(start, end), between(2 * start - end, start))
}

/** Totals of a time beside those of the time before. */
export function comparedStats(now: Totals, before: Totals): object {
  const { has_previous_period, ...trend } = trendOf(now.period(), before.period())
  return { ...now.stats(), has_previous_period, previous: before.stats(), trend }
}

export interface Totals {
  visit(part: Part): void
  stats(): Stats
  period(): Parameters<typeof trendOf>[0]
}

export function createTotals(db: Database | undefined): Totals {
  const [directHits, semanticHits] = db ? namesOf(db, ['direct', 'semantic']) : []
  const sums = { count: 0, success: 0, facing: 0, latency: 0, tokens: 0, cost: 0 }
  let direct = 0
  let semantic = 0
  return {
    visit(part) {
      const { count } = part
      sums.count += count
      sums.success += part.sum(placeOf('success'))
      sums.facing += count - part.equal(placeOf('status_code'), 499)
      sums.latency += part.sum(placeOf('latency_ms'))
      sums.tokens += part.sum(placeOf('total_tokens'))
      sums.cost += part.sum(placeOf('cost'))
      const cache = placeOf('cache_hit_type_k')
      if (directHits !== undefined) direct += part.equal(cache, directHits)
      if (semanticHits !== undefined) semantic += part.equal(cache, semanticHits)
    },
    period: () => sums,
    stats() {
      const { count, success, facing } = sums
      if (count === 0) return noStats
      return {
        total_requests: count,
        success_rate: (100 * success) / count,
        // Callers that left saw neither success nor failure.
        user_facing_success_rate: facing === 0 ? 0 : (100 * success) / facing,
        user_facing_total_requests: facing,
        average_latency: sums.latency / count,
        total_tokens: sums.tokens,
        total_cost: sums.cost,
        cache_hit_rate_total_requests: (100 * (direct + semantic)) / count,
        direct_cache_hits: direct,
        semantic_cache_hits: semantic,
      }
    },
  }
}

/** The numbers of names; undefined for those that no row has. */
function namesOf(db: Database, texts: readonly string[]): (number | undefined)[] {
  const find = db.query<{ k: number }, [string]>('SELECT k FROM names WHERE text = ?1')
  return texts.map((text) => find.get(text)?.k)
}
