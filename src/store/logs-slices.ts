import type { Database } from 'bun:sqlite'

import { wantedOf } from './logs-conditions.ts'
import { BadFilter, iso, spanOf, wholeOf } from './logs-filter.ts'
import { rowsAmong, walk } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import { FACTS } from './logs-tables.ts'

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
  const { conditions, sources } = wantedOf(db, filters, Date.now())
  const among = sources.map((source) => rowsAmong(db, source, maxMatches).among)
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

/** The one that `dimension` names, as in `selected_key` or `selected_key_id`. Throws `BadFilter`. */
export function dimensionOf(filters: Filters): { name: string; column: Dimension } {
  const name = (filters['dimension'] ?? '').replace(/_id$/, '')
  const column = Object.hasOwn(dimensions, name) ? dimensions[name] : undefined
  if (column) return { name, column }
  throw new BadFilter(`'dimension' must be one of ${Object.keys(dimensions).join(', ')}.`)
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
