import type { Database } from 'bun:sqlite'

import { iso } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'
import { bucketsOf, choosing, dimensionOf, scanOf, scanRows } from './logs-slices.ts'
import type { Buckets, Dimension, Scan } from './logs-slices.ts'

// Histograms over time, of everything together or of each provider, model or other dimension apart.

export type Measure = 'tokens' | 'cost' | 'latency' | 'throughput' | 'models'

type Json = Record<string, unknown>

/** Values beyond the largest ones are summed up as one. */
const maxValues = 20
const others = 'other'
/** Values are callers' words as well; so many are told apart while rows are read. */
const maxKnown = 2000
const nobody = ''

interface Sums {
  count: number
  success: number
  prompt: number
  completion: number
  total: number
  cached: number
  cost: number
  /** Milliseconds of the calls that made `completion`. */
  spokenMs: number
}

interface Row extends Sums {
  readonly bucket: number
  readonly value: string | null
}

const sums = `
  COUNT(*) AS count, SUM(status = 'success') AS success,
  COALESCE(SUM(prompt_tokens), 0) AS prompt, COALESCE(SUM(completion_tokens), 0) AS completion,
  COALESCE(SUM(total_tokens), 0) AS total, COALESCE(SUM(cached_read_tokens), 0) AS cached,
  COALESCE(SUM(cost), 0) AS cost,
  COALESCE(SUM(CASE WHEN completion_tokens > 0 THEN latency_ms END), 0) AS spokenMs`

/** Buckets of one measure, apart by `by` where that is given. Throws `BadFilter`. */
export function seriesOf(
  db: Database | undefined,
  measure: Measure,
  by: 'provider' | 'dimension' | undefined,
  filters: Filters,
): Json {
  const chosen = by === 'dimension' ? dimensionOf(filters) : undefined
  const scan = scanOf(choosing(filters), Date.now())
  const buckets = bucketsOf(filters, scan)
  const isByModel = by === undefined && (measure === 'models' || measure === 'cost')
  const column: Dimension | undefined =
    chosen?.column ??
    (by === 'provider' ? { id: 'provider' } : isByModel ? { id: 'model_used' } : undefined)
  const label = chosen ? 'by_dimension' : by === 'provider' ? 'by_provider' : 'by_model'
  const read = measure === 'latency' ? latencies : summed
  const found = db ? read(db, scan, buckets, column) : undefined
  const values = found?.values ?? []
  const shown: Json[] = []
  const show = showing[measure]
  const seconds = buckets.sizeMs / 1000
  for (let at = buckets.first; at <= buckets.last; at++) {
    const whole = found?.at(at, undefined)
    const parts = column && {
      [label]: Object.fromEntries(
        values.flatMap((value) => {
          const part = found?.at(at, value)
          return part ? [[value, show(part, seconds)]] : []
        }),
      ),
    }
    const isApart = by !== undefined || measure === 'models'
    shown.push({
      timestamp: iso(at * buckets.sizeMs),
      ...(!isApart && show(whole ?? nothing, seconds)),
      ...(parts && (by === undefined && measure === 'cost' ? costsOnly(parts) : parts)),
    })
  }
  return {
    buckets: shown,
    bucket_size_seconds: seconds,
    ...(chosen && { dimension: chosen.name, dimension_values: values }),
    ...(by === 'provider' && { providers: values }),
    ...(isByModel && { models: values }),
  }
}

/** Beside the sum of a bucket, the parts of models are plain numbers. */
function costsOnly(parts: Json): Json {
  const byModel = parts['by_model'] as Record<string, Json>
  return {
    by_model: Object.fromEntries(
      Object.entries(byModel).map(([model, { total_cost }]) => [model, total_cost]),
    ),
  }
}

type Shown = Sums & { readonly latencies?: readonly number[] }

const nothing: Shown = {
  count: 0,
  success: 0,
  prompt: 0,
  completion: 0,
  total: 0,
  cached: 0,
  cost: 0,
  spokenMs: 0,
}

const showing: Readonly<Record<Measure, (sums: Shown, seconds: number) => Json>> = {
  tokens: ({ prompt, completion, total, cached }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: total,
    cached_read_tokens: cached,
  }),
  cost: ({ cost }) => ({ total_cost: cost }),
  models: ({ count, success }) => ({ total: count, success, error: count - success }),
  latency: ({ count, latencies: sorted = [] }) => ({
    avg_latency: sorted.length === 0 ? 0 : sorted.reduce((a, b) => a + b, 0) / sorted.length,
    p90_latency: percentile(sorted, 0.9),
    p95_latency: percentile(sorted, 0.95),
    p99_latency: percentile(sorted, 0.99),
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
  if (sorted.length === 0) return 0
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)]!
}

interface Found {
  /** The values that are told apart, the largest first. */
  readonly values: readonly string[]
  /** `value` undefined is all of a bucket. */
  at(bucket: number, value: string | undefined): Shown | undefined
}

function summed(db: Database, scan: Scan, buckets: Buckets, column: Dimension | undefined): Found {
  const rows: Row[] = []
  const sql = (condition: string): string =>
    `SELECT CAST(at_ms / ${buckets.sizeMs} AS INTEGER) AS bucket,
            ${column ? valueOf(column) : 'NULL'} AS value, ${sums}
     FROM logs ${condition} GROUP BY 1, 2`
  const known = new Set<string>()
  for (const row of scanRows(db, scan, sql) as Iterable<Row>) {
    rows.push({ ...row, value: within(known, row.value) })
  }
  const weights = new Map<string, number>()
  for (const { value, count } of rows) {
    if (value !== null) weights.set(value, (weights.get(value) ?? 0) + count)
  }
  const values = largest(weights)
  const kept = new Set(values)
  const cells = new Map<string, Sums>()
  const add = (name: string, row: Row): void => {
    const cell = cells.get(name) ?? { ...nothing }
    for (const key of Object.keys(nothing) as (keyof Sums)[]) cell[key] += row[key]
    cells.set(name, cell)
  }
  for (const row of rows) {
    add(String(row.bucket), row)
    if (row.value !== null) add(cellName(row.bucket, kept.has(row.value) ? row.value : others), row)
  }
  return {
    values: values.length < weights.size ? [...values, others] : values,
    at: (bucket, value) => cells.get(cellName(bucket, value)),
  }
}

function latencies(
  db: Database,
  scan: Scan,
  buckets: Buckets,
  column: Dimension | undefined,
): Found {
  const cells = new Map<string, number[]>()
  const weights = new Map<string, number>()
  const known = new Set<string>()
  const sql = (condition: string): string =>
    `SELECT CAST(at_ms / ${buckets.sizeMs} AS INTEGER) AS bucket,
            ${column ? valueOf(column) : 'NULL'} AS value, latency_ms AS latency
     FROM logs ${condition} AND status = 'success'`
  const add = (name: string, latency: number): void => {
    const cell = cells.get(name)
    if (cell) cell.push(latency)
    else cells.set(name, [latency])
  }
  type Timed = { bucket: number; value: string | null; latency: number }
  for (const row of scanRows(db, scan, sql) as Iterable<Timed>) {
    add(String(row.bucket), row.latency)
    const value = within(known, row.value)
    if (value === null) continue
    weights.set(value, (weights.get(value) ?? 0) + 1)
    add(cellName(row.bucket, value), row.latency)
  }
  const values = largest(weights)
  for (const cell of cells.values()) cell.sort((a, b) => a - b)
  return {
    values,
    at(bucket, value) {
      const cell = cells.get(cellName(bucket, value))
      return cell && { ...nothing, count: cell.length, latencies: cell }
    },
  }
}

function valueOf({ id, name }: Dimension): string {
  return `COALESCE(${name === undefined ? id : `${name}, ${id}`}, '${nobody}')`
}

/** The value, or what stands for it where too many are known already. */
function within(known: Set<string>, value: string | null): string | null {
  if (value === null || known.has(value)) return value
  if (known.size >= maxKnown) return others
  known.add(value)
  return value
}

function largest(weights: ReadonlyMap<string, number>): string[] {
  return [...weights.entries()]
    .toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, maxValues)
    .map(([value]) => value)
}

function cellName(bucket: number, value: string | undefined): string {
  return value === undefined ? String(bucket) : `${bucket}\n${value}`
}
