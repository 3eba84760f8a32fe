import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { BadFilter, iso, isSearch, spanOf, whereOf, wholeOf } from './logs-filter.ts'
import type { Where } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'
import { sealedOf } from './logs-segments.ts'
import { rowsInSegment, segmentKey } from './logs-tables.ts'

// Sums over many rows, a slice at a time: a question that takes too long is given up between two slices, because
// SQLite cannot be told to stop from its own thread.

const rowsInSlice = 50_000
const maxMs = 5000

/** Rows are looked at in this order; `bounds` is the time that they are from. */
export interface Scan {
  readonly where: Where
  readonly startMs: number
  readonly endMs: number
  /** A search is done once, not once for each slice. */
  readonly isWhole: boolean
}

/** What `filters` want of the time that they name, or of the last day. Throws `BadFilter`. */
export function scanOf(filters: Filters, nowMs: number): Scan {
  const { start, end } = spanOf(filters, nowMs)
  return { ...scanBetween(filters, start, end, nowMs) }
}

/** What `filters` want of another time than they name. */
export function scanBetween(filters: Filters, start: number, end: number, nowMs: number): Scan {
  const bounded = { ...filters, period: '', start_time: iso(start), end_time: iso(end) }
  return {
    where: whereOf(bounded, nowMs),
    startMs: start,
    endMs: end,
    isWhole: isSearch(filters),
  }
}

/**
 * Runs `sql` for one slice of the rows after the other; it gets the condition of its WHERE. Throws `BadFilter` when
 * that takes too long.
 */
export function* scanRows(
  db: Database,
  { where, startMs, endMs, isWhole }: Scan,
  sql: (condition: string) => string,
): Generator {
  const until = performance.now() + maxMs
  const bounds = boundsOf(db, startMs, endMs)
  if (!bounds) return
  const { low, high } = bounds
  const step = isWhole ? high - low + 1 : rowsInSlice
  const query = db.query<unknown, SQLQueryBindings[]>(
    sql(`${where.sql} AND logs.n >= ? AND logs.n < ?`),
  )
  for (let from = low; from <= high; from += step) {
    if (performance.now() > until) {
      throw new BadFilter(
        `'period' is too long: the question was given up after ${maxMs / 1000} s. Ask for less time.`,
      )
    }
    yield* query.all(...where.values, from, from + step)
  }
}

/** The least and the greatest number that rows of this time may have; undefined when there are none. */
function boundsOf(
  db: Database,
  startMs: number,
  endMs: number,
): { low: number; high: number } | undefined {
  type Range = { low: number | null; high: number | null }
  // The time is the first of the packed facts.
  const packed = db
    .query<Range, [number, number, number]>(
      'SELECT MIN(k) AS low, MAX(k) AS high FROM segments WHERE k < ?1 AND hi >= ?2 AND lo <= ?3',
    )
    .get(segmentKey(1, 0), startMs, endMs)
  const rest = db
    .query<Range, [number, number, number]>(
      'SELECT MIN(n) AS low, MAX(n) AS high FROM calls WHERE n >= ?1 AND at_ms >= ?2 AND at_ms <= ?3',
    )
    .get(sealedOf(db) * rowsInSegment, startMs, endMs)
  const first = packed?.low == null ? rest?.low : packed.low * rowsInSegment
  const last = rest?.high ?? (packed?.high == null ? null : (packed.high + 1) * rowsInSegment - 1)
  return first == null || last == null ? undefined : { low: first, high: last }
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

/** What calls can be told apart by: the SQL of its value, and of its name where that is another one. */
export interface Dimension {
  readonly id: string
  readonly name?: string
}

const dimensions: Readonly<Record<string, Dimension>> = {
  provider: { id: 'provider' },
  model: { id: 'model_used' },
  alias: { id: 'model' },
  object: { id: 'object' },
  status: { id: 'status' },
  selected_key: { id: 'key_id', name: 'key_name' },
  virtual_key: { id: 'virtual_key_id', name: 'virtual_key_name' },
  stop_reason: { id: 'stop_reason' },
  user_agent: { id: 'user_agent' },
  session: { id: 'session_id' },
  team: { id: 'team_id', name: 'team_name' },
  customer: { id: 'customer_id', name: 'customer_name' },
  user: { id: 'user_id', name: 'user_name' },
  routing_rule: { id: 'routing_rule_id', name: 'routing_rule_name' },
  routing_engine: { id: 'routing_engines' },
  cache_hit_type: { id: 'cache_hit_type' },
  app: { id: 'app' },
}

/** The one that `dimension` names, as in `selected_key` or `selected_key_id`. Throws `BadFilter`. */
export function dimensionOf(filters: Filters): { name: string; column: Dimension } {
  const name = (filters['dimension'] ?? '').replace(/_id$/, '')
  const column = Object.hasOwn(dimensions, name) ? dimensions[name] : undefined
  if (column) return { name, column }
  throw new BadFilter(`'dimension' must be one of ${Object.keys(dimensions).join(', ')}.`)
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
