import type { Database } from 'bun:sqlite'

import {
  collectLatencies,
  collectSums,
  createBucketing,
  nothing,
  percentiles,
} from './logs-cells.ts'
import type { Collector, Found, Summed, Sums } from './logs-cells.ts'
import { iso } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'
import { bucketsOf, choosing, dimensionOf, scanOf, scanRows } from './logs-slices.ts'
import type { Buckets, Dimension } from './logs-slices.ts'

// Histograms over time, of everything together or of each provider, model or other dimension apart.

export type Measure = 'requests' | 'tokens' | 'cost' | 'latency' | 'throughput' | 'models'

/** What buckets are told apart by. */
export type By = 'provider' | 'dimension' | undefined

type Json = Record<string, unknown>

/** Buckets of one measure, apart by `by` where that is given. Throws `BadFilter`. */
export function seriesOf(
  db: Database | undefined,
  measure: Measure,
  by: By,
  filters: Filters,
): Json {
  const dimension = by === 'dimension' ? dimensionOf(filters) : undefined
  const scan = scanOf(choosing(filters), Date.now())
  const buckets = bucketsOf(filters, scan)
  const collector = collectorOf(measure, dimension?.column ?? columnOf(measure, by), buckets)
  if (db && !dimension?.isNobodys) {
    const bucketing = createBucketing(buckets)
    scanRows(db, scan, (part) => collector.visit(part, bucketing(part)))
  }
  return shownSeries(measure, by, buckets, db && collector.found(db), dimension?.name)
}

function columnOf(measure: Measure, by: By): Dimension | undefined {
  if (by === 'provider') return { id: 'provider' }
  return isByModel(measure, by) ? { id: 'model_used' } : undefined
}

function isByModel(measure: Measure, by: By): boolean {
  return by === undefined && (measure === 'models' || measure === 'cost')
}

const needed: Readonly<Record<Exclude<Measure, 'latency'>, readonly Summed[]>> = {
  requests: [],
  tokens: ['prompt_tokens', 'completion_tokens', 'total_tokens', 'cached_read_tokens'],
  cost: ['cost'],
  models: [],
  throughput: ['completion_tokens', 'latency_ms'],
}

function collectorOf(measure: Measure, column: Dimension | undefined, buckets: Buckets): Collector {
  return measure === 'latency'
    ? collectLatencies(buckets, column)
    : collectSums(buckets, column, needed[measure])
}

/** What was found as buckets of one measure; of no log they are empty. */
export function shownSeries(
  measure: Measure,
  by: By,
  buckets: Buckets,
  found: Found | undefined,
  dimension?: string,
): Json {
  const isModels = isByModel(measure, by)
  const isApart = by !== undefined || measure === 'models'
  const label = by === undefined ? 'by_model' : `by_${by}`
  const values = isModels || by !== undefined ? (found?.values ?? []) : []
  const show = showing[measure]
  const seconds = buckets.sizeMs / 1000
  const shown: Json[] = []
  for (let at = buckets.first; at <= buckets.last; at++) {
    const parts = values.flatMap((value) => {
      const part = found?.at(at, value)
      // Beside the sum of a bucket, the parts of models are plain numbers.
      return part ? [[value, isApart ? show(part, seconds) : part.cost] as const] : []
    })
    shown.push({
      timestamp: iso(at * buckets.sizeMs),
      ...(!isApart && show(found?.at(at, undefined) ?? nothing, seconds)),
      ...((isModels || by !== undefined) && { [label]: Object.fromEntries(parts) }),
    })
  }
  return {
    buckets: shown,
    bucket_size_seconds: seconds,
    ...(by === 'dimension' && { dimension, dimension_values: values }),
    ...(by === 'provider' && { providers: values }),
    ...(isModels && { models: values }),
  }
}

const showing: Readonly<Record<Measure, (sums: Sums, seconds: number) => Json>> = {
  requests: ({ count, success }) => ({ count, success, error: count - success }),
  tokens: ({ prompt, completion, total, cached }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: total,
    cached_read_tokens: cached,
  }),
  cost: ({ cost }) => ({ total_cost: cost }),
  models: ({ count, success }) => ({ total: count, success, error: count - success }),
  latency: ({ count, latency }) => ({
    avg_latency: latency?.average ?? 0,
    p90_latency: latency?.p90 ?? 0,
    p95_latency: latency?.p95 ?? 0,
    p99_latency: latency?.p99 ?? 0,
    total_requests: count,
  }),
  throughput: ({ count, completion, spokenMs }, seconds) => ({
    tokens_per_second: spokenMs === 0 ? 0 : completion / (spokenMs / 1000),
    requests_per_second: count / seconds,
    completion_tokens: completion,
    total_requests: count,
  }),
}

/** Of sorted values: the smallest that so large a part of them does not exceed. */
export function percentile(sorted: readonly number[], part: number): number {
  return percentiles([Float64Array.from(sorted)], [part])[0]!
}
