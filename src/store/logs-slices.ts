import type { Database } from 'bun:sqlite'

import { wantedOf } from './logs-conditions.ts'
import { BadFilter, iso, spanOf, wholeOf } from './logs-filter.ts'
import { placeOf, rowsAmong, walk } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import { FACTS, rowsInSegment } from './logs-tables.ts'

// Sums over many rows: which ones, for how long at most, and what they can be told apart by.

/** A search that matches more rows counts the newest of them. */
const maxMatches = 10_000_000
const maxMs = 5000

/** The calls of a time. */
export interface Scan {
  readonly filters: Filters
  readonly startMs: number
  readonly endMs: number
}

/** What `filters` want of the time that they name, or of the last day. Throws `BadFilter`. */
export function scanOf(filters: Filters, nowMs: number): Scan {
  const { start, end } = spanOf(filters, nowMs)
  return scanBetween(filters, start, end)
}

/** What `filters` want of another time than they name. */
export function scanBetween(filters: Filters, startMs: number, endMs: number): Scan {
  const bounded = { ...filters, period: '', start_time: iso(startMs), end_time: iso(endMs) }
  return { filters: bounded, startMs, endMs }
}

/**
 * Shows the rows of a scan, a part after the other. Throws `BadFilter` when that takes too long, which is found out
 * between two parts: SQLite cannot be told to stop from its own thread.
 */
export function scanRows(
  db: Database,
  { filters }: Pick<Scan, 'filters'>,
  visit: (part: Part) => void,
): void {
  const until = performance.now() + maxMs
  const { conditions, sources, among: found } = wantedOf(db, filters, Date.now())
  const among = [...found, ...sources.map((source) => rowsAmong(db, source, maxMatches).among)]
  walk(db, conditions, among, (part) => {
    if (performance.now() > until) {
      const seconds = maxMs / 1000
      throw new BadFilter(
        `'period' is too long: the question was given up after ${seconds} s. Ask for less time.`,
      )
    }
    visit(part)
  })
}

/** The buckets of a histogram over the time that a scan is about. */
export interface Buckets {
  readonly sizeMs: number
  readonly first: number
  readonly last: number
}

/** As `bucket_size_seconds` says, or so many that a chart can show them; never more than a thousand. */
export function bucketsOf(filters: Filters, { startMs, endMs }: Scan): Buckets {
  const wanted = wholeOf('bucket_size_seconds', filters['bucket_size_seconds'], 0, 31_536_000)
  const leastMs = Math.max(1000, (endMs - startMs) / 1000)
  const bucketMs = Math.max(wanted === 0 ? usualBucket(endMs - startMs) : wanted * 1000, leastMs)
  const sizeMs = Math.ceil(bucketMs / 1000) * 1000
  return { sizeMs, first: Math.floor(startMs / sizeMs), last: Math.floor(endMs / sizeMs) }
}

function usualBucket(spanMs: number): number {
  const minute = 60_000
  const sizes = [1, 5, 15, 60, 360, 1440, 10_080].map((minutes) => minutes * minute)
  return sizes.find((size) => spanMs / size <= 120) ?? 30 * 1440 * minute
}

/** What calls can be told apart by: the column of its value, and of its name where that is another one. */
export interface Dimension {
  readonly id: string
  readonly name?: string
}

const dimensions: Readonly<Record<string, Dimension>> = {
  provider: { id: 'provider' },
  model: { id: 'model_used' },
  alias: { id: 'model' },
  object: { id: 'object' },
  selected_key: { id: 'key_id', name: 'key_name' },
  virtual_key: { id: 'virtual_key_id', name: 'virtual_key_name' },
  team: { id: 'team_id', name: 'team_name' },
  customer: { id: 'customer_id', name: 'customer_name' },
  user: { id: 'user_id', name: 'user_name' },
  routing_rule: { id: 'routing_rule_id', name: 'routing_rule_name' },
  routing_engine: { id: 'routing_engines' },
  cache_hit_type: { id: 'cache_hit_type' },
  stop_reason: { id: 'stop_reason' },
  user_agent: { id: 'user_agent' },
  app: { id: 'app' },
}

/** Bifrost has it, and no call here belongs to one. */
const nobodys = 'business_unit'

export interface NamedDimension {
  readonly name: string
  readonly column: Dimension
  /** No call has a value of it. */
  readonly isNobodys: boolean
}

/** The one that `dimension` names, as in `selected_key` or `selected_key_id`. Throws `BadFilter`. */
export function dimensionOf(filters: Filters): NamedDimension {
  return dimensionNamed((filters['dimension'] ?? '').replace(/_id$/, ''))
}

/** The one of a name. Throws `BadFilter`. */
export function dimensionNamed(name: string): NamedDimension {
  if (name === nobodys) return { name, column: { id: '' }, isNobodys: true }
  const column = Object.hasOwn(dimensions, name) ? dimensions[name] : undefined
  if (column) return { name, column, isNobodys: false }
  const names = [...Object.keys(dimensions), nobodys]
  throw new BadFilter(`'dimension' must be one of ${names.join(', ')}.`)
}

/** Tells apart the rows of a part that are of the time before a moment, and those that are not. */
export function createParting(atMs: number): (part: Part) => {
  readonly before: Part | undefined
  readonly since: Part | undefined
} {
  const time = placeOf('at_ms')
  const [earlier, later] = [new Uint16Array(rowsInSegment), new Uint16Array(rowsInSegment)]
  return (part) => {
    const bounds = part.bounds(time)
    if (bounds && bounds.lo >= atMs) return { before: undefined, since: part }
    if (bounds && bounds.hi < atMs) return { before: part, since: undefined }
    const times = part.fact(time)
    const { places } = part
    let [before, since] = [0, 0]
    for (let i = 0; i < part.count; i++) {
      const at = places[i]!
      if (times[at]! < atMs) earlier[before++] = at
      else later[since++] = at
    }
    return {
      before: before === 0 ? undefined : { ...part, places: earlier, count: before },
      since: since === 0 ? undefined : { ...part, places: later, count: since },
    }
  }
}

/** The place among the facts of the number of a dimension's value. */
export function placeOfDimension({ id }: Dimension): number {
  return FACTS.findIndex(({ name }) => name === `${id}_k`)
}

/** The text that a number stands for. */
export function textsOf(db: Database): (k: number) => string {
  const find = db.query<{ text: string }, [number]>('SELECT text FROM names WHERE k = ?1')
  return (k) => find.get(k)?.text ?? ''
}

/** The filters that choose rows, without what says how they are shown. */
export function choosing(filters: Filters): Filters {
  const {
    dimension: _,
    dimensions: __,
    limit: ___,
    offset: ____,
    sort_by: _____,
    ...rest
  } = filters
  return rest
}
