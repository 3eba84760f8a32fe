import type { Database } from 'bun:sqlite'

import { namesOf } from './logs-facets.ts'
import { BadFilter, spanOf, wholeOf } from './logs-filter.ts'
import { placeOf } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import {
  choosing,
  dimensionOf,
  placeOfDimension,
  scanBetween,
  scanRows,
  textsOf,
} from './logs-slices.ts'
import type { Dimension } from './logs-slices.ts'

// Who is used most: models, or the values of another dimension, each beside what it was in the time before.

type Json = Record<string, unknown>

interface Period {
  count: number
  success: number
  tokens: number
  cost: number
  latency: number
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
  /** Numbers of names; where a dimension is ranked, the provider is 0. */
  readonly id: number
  readonly provider: number
  readonly now: Period
  readonly before: Period
}

/** Names have smaller numbers than this. */
const maxNames = 2 ** 26

/** The largest of the time that `filters` name, or of the last day. Throws `BadFilter`. */
export function rankingOf(db: Database | undefined, byDimension: boolean, filters: Filters): Json {
  const chosen = byDimension ? dimensionOf(filters) : undefined
  const sortBy = filters['sort_by'] || 'requests'
  const sortKey = Object.hasOwn(sortKeys, sortBy) ? sortKeys[sortBy] : undefined
  if (!sortKey) throw new BadFilter(`'sort_by' must be one of ${Object.keys(sortKeys).join(', ')}.`)
  const limit = wholeOf('limit', filters['limit'], 50, maxRanked)
  const { start, end } = spanOf(filters, Date.now())
  const scan = scanBetween(choosing(filters), 2 * start - end, end)
  const ranked = new Map<number, Ranked>()
  if (db) scanRows(db, scan, (part) => addPart(ranked, part, chosen?.column, start))
  const textOf = db ? textsOf(db) : (): string => ''
  const column = chosen?.column
  const names =
    db && column?.name !== undefined
      ? namesOf(db, column.id, column.name)
      : new Map<number, number>()
  const nameOf = (id: number): string => textOf(names.get(id) ?? id) || textOf(id)
  const rankings = [...ranked.values()]
    .filter((one) => one.now.count > 0)
    .toSorted((a, b) => sortKey(b.now) - sortKey(a.now) || a.id - b.id)
    .slice(0, limit)
    .map((one) => ({
      ...(chosen
        ? { id: textOf(one.id), name: nameOf(one.id) }
        : { model: textOf(one.id), provider: textOf(one.provider) }),
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

/** Without a dimension, models of providers are ranked: as providers were asked for them, or else as callers did. */
function addPart(
  ranked: Map<number, Ranked>,
  part: Part,
  column: Dimension | undefined,
  startMs: number,
): void {
  const times = part.fact(placeOf('at_ms'))
  const success = part.fact(placeOf('success'))
  const tokens = part.fact(placeOf('total_tokens'))
  const costs = part.fact(placeOf('cost'))
  const taken = part.fact(placeOf('latency_ms'))
  const ids = part.fact(column ? placeOfDimension(column) : placeOf('model_used_k'))
  const asked = part.fact(placeOf('model_k'))
  const providers = part.fact(placeOf('provider_k'))
  for (let i = 0; i < part.count; i++) {
    const at = part.places[i]!
    const id = column ? ids[at]! : ids[at]! || asked[at]!
    if (id !== id) continue
    const provider = column ? 0 : providers[at]!
    const key = provider * maxNames + id
    let own = ranked.get(key)
    if (!own) {
      if (ranked.size >= maxKnown) continue
      own = { id, provider, now: none(), before: none() }
      ranked.set(key, own)
    }
    const to = times[at]! >= startMs ? own.now : own.before
    to.count++
    to.success += success[at]!
    to.tokens += tokens[at]! || 0
    to.cost += costs[at]! || 0
    to.latency += taken[at]!
  }
}

function none(): Period {
  return { count: 0, success: 0, tokens: 0, cost: 0, latency: 0 }
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
