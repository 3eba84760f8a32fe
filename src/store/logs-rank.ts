import type { Database } from 'bun:sqlite'

import { namesOf } from './logs-facets.ts'
import { BadFilter, spanOf, wholeOf } from './logs-filter.ts'
import { placeOf } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import {
  choosing,
  createParting,
  dimensionOf,
  placeOfDimension,
  scanBetween,
  scanRows,
  textsOf,
} from './logs-slices.ts'
import type { NamedDimension } from './logs-slices.ts'
import { createSlots } from './logs-slots.ts'
import type { Slots } from './logs-slots.ts'

// Who is used most: models, or the values of another dimension, each beside what it was in the time before.

type Json = Record<string, unknown>

/** Sums over a time; latencies and rates are made of them. */
export interface Period {
  readonly count: number
  readonly success: number
  readonly tokens: number
  readonly cost: number
  readonly latency: number
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

/** How a ranking is ordered, and how many are shown. */
export interface RankingOrder {
  readonly sortBy: (period: Period) => number
  readonly limit: number
}

/** As filters say it. Throws `BadFilter`. */
export function rankingOrder(filters: Filters): RankingOrder {
  const name = filters['sort_by'] || 'requests'
  const sortBy = Object.hasOwn(sortKeys, name) ? sortKeys[name] : undefined
  if (!sortBy) throw new BadFilter(`'sort_by' must be one of ${Object.keys(sortKeys).join(', ')}.`)
  return { sortBy, limit: wholeOf('limit', filters['limit'], 50, maxRanked) }
}

/** The largest of the time that `filters` name, or of the last day. Throws `BadFilter`. */
export function rankingOf(db: Database | undefined, byDimension: boolean, filters: Filters): Json {
  const order = rankingOrder(filters)
  const ranking = createRanking(byDimension ? dimensionOf(filters) : undefined)
  const { start, end } = spanOf(filters, Date.now())
  const scan = scanBetween(choosing(filters), 2 * start - end, end)
  const parting = createParting(start)
  if (db) {
    scanRows(db, scan, (part) => {
      const { before, since } = parting(part)
      if (since) ranking.visit(since, true)
      if (before) ranking.visit(before, false)
    })
  }
  return ranking.shown(db, order)
}

export interface Ranking {
  /** `isNow` for rows of the time that is asked about, and not of the one before. */
  visit(part: Part, isNow: boolean): void
  shown(db: Database | undefined, order: RankingOrder): Json
}

/** Numbers of a period, in the order of its members; those of the time before follow. */
const width = 5

/** Without a dimension, models of providers are ranked: as providers were asked for them, or else as callers did. */
export function createRanking(dimension: NamedDimension | undefined): Ranking {
  const column = dimension?.column
  const whose = column ? createSlots(maxKnown) : undefined
  const models = whose ? undefined : createPairs()
  const placeOfId = column ? placeOfDimension(column) : placeOf('model_used_k')
  let sums = new Float64Array(64 * 2 * width)

  /** Room for as many more as a part can have. */
  function reserve(slots: number): void {
    if (slots * 2 * width <= sums.length) return
    const wider = new Float64Array(Math.max(sums.length * 2, slots * 2 * width))
    wider.set(sums)
    sums = wider
  }

  return {
    visit(part, isNow) {
      if (dimension?.isNobodys) return
      const ids = part.fact(placeOfId)
      const success = part.fact(placeOf('success'))
      const tokens = part.fact(placeOf('total_tokens'))
      const costs = part.fact(placeOf('cost'))
      const taken = part.fact(placeOf('latency_ms'))
      const asked = models ? part.fact(placeOf('model_k')) : ids
      const providers = models ? part.fact(placeOf('provider_k')) : ids
      const later = isNow ? 0 : width
      const { places, count } = part
      reserve((whose ? whose.names : models!.pairs).length + count)
      const own = sums
      for (let i = 0; i < count; i++) {
        const at = places[i]!
        const id = ids[at]! || asked[at]!
        if (id !== id) continue
        const slot = whose ? whose.of(id) : models!.of(providers[at]!, id)
        if (slot < 0) continue
        const sum = slot * 2 * width + later
        own[sum]!++
        own[sum + 1]! += success[at]!
        // What is missing is NaN.
        own[sum + 2]! += tokens[at]! || 0
        own[sum + 3]! += costs[at]! || 0
        own[sum + 4]! += taken[at]!
      }
    },
    shown(db, { sortBy, limit }) {
      const ids = whose ? whose.names.map((id) => ({ id, provider: 0 })) : models!.pairs
      const top = ids
        .map((one, slot) => ({
          ...one,
          now: periodIn(sums, slot * 2 * width),
          before: periodIn(sums, slot * 2 * width + width),
        }))
        .filter((one) => one.now.count > 0)
        .toSorted((a, b) => sortBy(b.now) - sortBy(a.now) || a.id - b.id)
        .slice(0, limit)
      const textOf = db ? textsOf(db) : (): string => ''
      const isNamed = db !== undefined && column?.name !== undefined && top.length > 0
      const shownIds = top.map(({ id }) => id)
      const named = isNamed ? namesOf(db, column.id, column.name, shownIds) : empty
      const nameOf = (id: number): string => textOf(named.get(id) ?? id) || textOf(id)
      const rankings = top.map(({ id, provider, now, before }) => ({
        ...(dimension
          ? { id: textOf(id), name: nameOf(id) }
          : { model: textOf(id), provider: textOf(provider) }),
        total_requests: now.count,
        success_count: now.success,
        success_rate: rateOf(now),
        total_tokens: now.tokens,
        total_cost: now.cost,
        avg_latency: averageOf(now),
        trend: trendOf(now, before),
      }))
      return { rankings, ...(dimension && { dimension: dimension.name }) }
    },
  }
}

const empty: ReadonlyMap<number, number> = new Map()

/** Slots for models of providers. */
function createPairs(): {
  of(provider: number, id: number): number
  readonly pairs: readonly { readonly id: number; readonly provider: number }[]
} {
  const providers = createSlots(maxKnown)
  const models: { readonly slots: Slots; readonly places: number[] }[] = []
  const pairs: { id: number; provider: number }[] = []
  return {
    pairs,
    of(provider, id) {
      const which = providers.of(provider)
      if (which < 0) return -1
      const { slots, places } = (models[which] ??= { slots: createSlots(maxKnown), places: [] })
      const slot = slots.of(id)
      if (slot < 0) return -1
      if (slot === places.length) {
        places.push(pairs.length < maxKnown ? pairs.push({ id, provider }) - 1 : -1)
      }
      return places[slot]!
    },
  }
}

function periodIn(sums: Float64Array, at: number): Period {
  const of = (i: number): number => sums[at + i] ?? 0
  return { count: of(0), success: of(1), tokens: of(2), cost: of(3), latency: of(4) }
}

function averageOf({ count, latency }: Period): number {
  return count === 0 ? 0 : latency / count
}

function rateOf({ count, success }: Period): number {
  return count === 0 ? 0 : (100 * success) / count
}

/** Changes in percent. */
export function trendOf(now: Period, before: Period): Json {
  const change = (current: number, previous: number): number =>
    previous === 0 ? 0 : (100 * (current - previous)) / previous
  return {
    has_previous_period: before.count > 0,
    requests_trend: change(now.count, before.count),
    tokens_trend: change(now.tokens, before.tokens),
    cost_trend: change(now.cost, before.cost),
    latency_trend: change(averageOf(now), averageOf(before)),
    // Of a rate, the points by which it has changed.
    success_rate_trend: before.count === 0 ? 0 : rateOf(now) - rateOf(before),
  }
}
