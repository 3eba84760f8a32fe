import type { Database } from 'bun:sqlite'

import { namesOf } from './logs-facets.ts'
import { iso } from './logs-filter.ts'
import { placeOf } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import {
  bucketsOf,
  choosing,
  dimensionOf,
  placeOfDimension,
  scanOf,
  scanRows,
  textsOf,
} from './logs-slices.ts'
import type { Buckets, Dimension, Scan } from './logs-slices.ts'
import { rowsInSegment } from './logs-tables.ts'

// Histograms over time, of everything together or of each provider, model or other dimension apart.

export type Measure = 'tokens' | 'cost' | 'latency' | 'throughput' | 'models'

type Json = Record<string, unknown>

/** Values beyond the largest ones are summed up as one. */
const maxValues = 20
const others = 'other'
/** Values are callers' words as well; so many are told apart while rows are read, the newest first. */
const maxKnown = 200
/** Stand for all further values, and for none at all: names have numbers from 1 on. */
const further = -1
const none = 0

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
  const found = db ? read(db, scan, buckets, column, measure) : undefined
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

const needed: Readonly<Record<Measure, readonly Name[]>> = {
  tokens: ['prompt_tokens', 'completion_tokens', 'total_tokens', 'cached_read_tokens'],
  cost: ['cost'],
  models: [],
  latency: [],
  throughput: ['completion_tokens', 'latency_ms'],
}
type Name =
  | 'prompt_tokens'
  | 'completion_tokens'
  | 'total_tokens'
  | 'cached_read_tokens'
  | 'cost'
  | 'latency_ms'
const nought = new Float64Array(rowsInSegment)

/** What belongs to a value, by bucket from the first one on. */
type Cells<Cell> = Map<number, (Cell | undefined)[]>

function cellsFor<Cell>(cells: Cells<Cell>, value: number): (Cell | undefined)[] {
  const key = value === value ? value : none
  let own = cells.get(key)
  if (own) return own
  const kept = cells.size >= maxKnown ? further : key
  own = cells.get(kept) ?? []
  cells.set(kept, own)
  return own
}

function summed(
  db: Database,
  scan: Scan,
  buckets: Buckets,
  column: Dimension | undefined,
  measure: Measure,
): Found {
  const cells: Cells<Sums> = new Map()
  scanRows(db, scan, (part) => {
    const fact = (name: Name): Float64Array =>
      needed[measure].includes(name) ? part.fact(placeOf(name)) : nought
    const values = column ? part.fact(placeOfDimension(column)) : nought
    const times = part.fact(placeOf('at_ms'))
    const success = part.fact(placeOf('success'))
    const prompts = fact('prompt_tokens')
    const completions = fact('completion_tokens')
    const totals = fact('total_tokens')
    const cached = fact('cached_read_tokens')
    const costs = fact('cost')
    const taken = fact('latency_ms')
    for (let i = 0; i < part.count; i++) {
      const at = part.places[i]!
      const own = cellsFor(cells, values[at]!)
      const cell = (own[Math.floor(times[at]! / buckets.sizeMs) - buckets.first] ??= { ...nothing })
      cell.count++
      cell.success += success[at]!
      // What is missing is NaN.
      cell.prompt += prompts[at]! || 0
      cell.total += totals[at]! || 0
      cell.cached += cached[at]! || 0
      cell.cost += costs[at]! || 0
      if (completions[at]! > 0) {
        cell.completion += completions[at]!
        cell.spokenMs += taken[at]!
      }
    }
  })
  return foundIn(db, cells, buckets, column, (sums) => sums.count, sumOf)
}

function sumOf(parts: readonly Sums[]): Shown {
  const all = { ...nothing }
  for (const part of parts) {
    for (const name of Object.keys(nothing) as (keyof Sums)[]) all[name] += part[name]
  }
  return all
}

function latencies(
  db: Database,
  scan: Scan,
  buckets: Buckets,
  column: Dimension | undefined,
): Found {
  const cells: Cells<number[]> = new Map()
  scanRows(db, scan, (part) => {
    const values = column ? part.fact(placeOfDimension(column)) : nought
    const times = part.fact(placeOf('at_ms'))
    const success = part.fact(placeOf('success'))
    const taken = part.fact(placeOf('latency_ms'))
    for (let i = 0; i < part.count; i++) {
      const at = part.places[i]!
      if (success[at] !== 1) continue
      const own = cellsFor(cells, values[at]!)
      const cell = (own[Math.floor(times[at]! / buckets.sizeMs) - buckets.first] ??= [])
      cell.push(taken[at]!)
    }
  })
  return foundIn(
    db,
    cells,
    buckets,
    column,
    (cell) => cell.length,
    (parts) => {
      const sorted = parts.flat().toSorted((a, b) => a - b)
      return { ...nothing, count: sorted.length, latencies: sorted }
    },
  )
}

/** Cells by the names of their values: the largest ones, and one for the others. */
function foundIn<Cell>(
  db: Database,
  cells: Cells<Cell>,
  { first }: Buckets,
  column: Dimension | undefined,
  weigh: (cell: Cell) => number,
  join: (parts: readonly Cell[]) => Shown,
): Found {
  const textOf = textsOf(db)
  const names = column?.name === undefined ? undefined : namesOf(db, column.id, column.name)
  const weightOf = (own: readonly (Cell | undefined)[]): number =>
    own.reduce((sum, cell) => sum + (cell === undefined ? 0 : weigh(cell)), 0)
  const ranked = [...cells]
    .filter(([value]) => value !== further)
    .map(([value, own]) => {
      const named = names?.get(value)
      const name = (named === undefined ? '' : textOf(named)) || textOf(value)
      return { name, weight: weightOf(own), own }
    })
    .toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
  const shown = ranked.slice(0, maxValues)
  const rest = ranked.slice(maxValues).map(({ own }) => own)
  const beyond = cells.get(further)
  if (beyond) rest.push(beyond)
  const byName = new Map<string, (Cell | undefined)[][]>()
  for (const { name, own } of shown) byName.set(name, [...(byName.get(name) ?? []), own])
  if (rest.length > 0) byName.set(others, [...(byName.get(others) ?? []), ...rest])
  return {
    values: [...byName.keys()],
    at(bucket, value) {
      const lists = value === undefined ? [...cells.values()] : (byName.get(value) ?? [])
      const parts: Cell[] = []
      for (const own of lists) {
        const cell = own[bucket - first]
        if (cell !== undefined) parts.push(cell)
      }
      return parts.length === 0 ? undefined : join(parts)
    },
  }
}
