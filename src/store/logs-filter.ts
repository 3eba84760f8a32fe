import type { SQLQueryBindings } from 'bun:sqlite'

import type { Filters } from './logs-schema.ts'

// The filters of the log's API as SQL. Names and values are the asker's; only what stands in these tables becomes SQL.

/** The asker's mistake, in words for them. */
export class BadFilter extends Error {
  override readonly name = 'BadFilter'
}

/** A condition, empty when everything is wanted, with the values of its places. */
export interface Where {
  readonly sql: string
  readonly values: readonly SQLQueryBindings[]
}

/** Filters that name values of a column, separated by commas. */
export const columnOf: Readonly<Record<string, string>> = {
  providers: 'provider',
  models: 'model',
  aliases: 'model_used',
  status: 'status',
  objects: 'object',
  selected_key_ids: 'key_id',
  virtual_key_ids: 'virtual_key_id',
  team_ids: 'team_id',
  customer_ids: 'customer_id',
  user_ids: 'user_id',
  routing_rule_ids: 'routing_rule_id',
  cache_hit_types: 'cache_hit_type',
  apps: 'app',
  stop_reasons: 'stop_reason',
  user_agents: 'user_agent',
  parent_request_id: 'session_id',
  session_id: 'session_id',
  request_id: 'id',
}
/** Filters that are bounds of a column. */
export const ranges: Readonly<Record<string, readonly [string, '>=' | '<=']>> = {
  min_latency: ['latency_ms', '>='],
  max_latency: ['latency_ms', '<='],
  min_tokens: ['total_tokens', '>='],
  max_tokens: ['total_tokens', '<='],
  min_cost: ['cost', '>='],
  max_cost: ['cost', '<='],
}
/** What rows can be sorted by. */
const sorts: Readonly<Record<string, string>> = {
  timestamp: 'at_ms',
  latency: 'latency_ms',
  tokens: 'total_tokens',
  cost: 'cost',
}

/** In which order rows are wanted. */
export interface Order {
  readonly sortBy: string
  /** Of `calls`. */
  readonly column: string
  readonly isUp: boolean
}

/** The order that is asked for. Throws `BadFilter`. */
export function orderOf(filters: Filters): Order {
  const sortBy = filters['sort_by'] || 'timestamp'
  const order = filters['order'] || 'desc'
  const column = Object.hasOwn(sorts, sortBy) ? sorts[sortBy] : undefined
  if (column === undefined) {
    throw new BadFilter(`'sort_by' must be one of ${Object.keys(sorts).join(', ')}.`)
  }
  if (order !== 'asc' && order !== 'desc') throw new BadFilter(`'order' must be asc or desc.`)
  return { sortBy, column, isUp: order === 'asc' }
}
const others = new Set(
  'start_time end_time period content_search missing_cost_only roots_only limit offset sort_by order cursor compare_to_previous bucket_size_seconds format'.split(
    ' ',
  ),
)
const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

const maxValues = 100

/** Whoever names calls gets them, whenever and in whatever session they were. */
export function withoutTimes(filters: Filters): Filters {
  if (!filters['request_id']) return filters
  return { ...filters, start_time: '', end_time: '', period: '', roots_only: '' }
}

/** The rows that `filters` want. Throws `BadFilter`. */
export function whereOf(filters: Filters, nowMs: number): Where {
  const parts: string[] = []
  const values: SQLQueryBindings[] = []
  const and = (sql: string, ...given: SQLQueryBindings[]): void => {
    parts.push(sql)
    values.push(...given)
  }
  for (const [name, text] of Object.entries(filters)) {
    if (text === '') continue
    if (name === 'models') {
      const wanted = valuesOf(text)
      const bare = wanted.filter(isBare)
      const ends = bare.map(() => ' OR substr(model, ?) = ?').join('')
      and(
        `(model IN (${wanted.map(() => '?').join(', ')})${ends})`,
        ...wanted,
        ...bare.flatMap((model) => [-model.length - 1, `/${model}`]),
      )
    } else if (Object.hasOwn(columnOf, name)) {
      const wanted = valuesFor(name, text)
      and(`${columnOf[name]} IN (${wanted.map(() => '?').join(', ')})`, ...asStored(name, wanted))
      if (name === 'objects') streamsOf(wanted, and)
    } else if (Object.hasOwn(ranges, name)) {
      const [column, sign] = ranges[name]!
      and(`${column} ${sign} ?`, numberOf(name, text))
    } else if (name === 'routing_engine_used') {
      const wanted = text.split(',').slice(0, maxValues)
      const holds = wanted.map(() => `instr(',' || routing_engines || ',', ?) > 0`)
      and(`(${holds.join(' OR ')})`, ...wanted.map((engine) => `,${engine},`))
    } else if (name === 'business_unit_ids') {
      // Nothing belongs to one.
      and('0')
    } else if (name.startsWith('metadata_')) {
      and(
        `n IN (SELECT n FROM metadata WHERE name = ? AND value = ?)`,
        name.slice('metadata_'.length),
        text,
      )
    } else if (!others.has(name)) throw new BadFilter(`There is no filter '${name.slice(0, 100)}'.`)
  }
  const { start, end } = timesOf(filters, nowMs)
  if (start > -Infinity) and('at_ms >= ?', start)
  if (end < Infinity) and('at_ms <= ?', end)
  if (filters['missing_cost_only'] === 'true') and('cost IS NULL')
  if (filters['roots_only'] === 'true') and('session_id IS NULL')
  return { sql: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values }
}

/** A model without a provider before it, which stands for the model of any of them. */
export function isBare(model: string): boolean {
  return !model.includes('/')
}

/** Rows hold the operation and whether it was streamed apart. */
function asStored(name: string, wanted: readonly string[]): readonly string[] {
  return name === 'objects' ? wanted.map((object) => object.replace(/_stream$/, '')) : wanted
}

function streamsOf(wanted: readonly string[], and: (sql: string) => void): void {
  const streamed = wanted.filter((object) => object.endsWith('_stream')).length
  if (streamed === wanted.length) and('stream = 1')
  else if (streamed === 0) and('stream = 0')
}

/** The values that a filter names. */
export function valuesOf(text: string): readonly string[] {
  return text.split(',').slice(0, maxValues)
}

/** Their values hold commas themselves, as in `(KHTML, like Gecko)`: so many parts may be one value. */
const withCommas: ReadonlySet<string> = new Set(['user_agents', 'apps'])
const maxParts = 6

/** The values that a filter of a column may mean. */
export function valuesFor(name: string, text: string): readonly string[] {
  const parts = valuesOf(text)
  if (parts.length === 1 || !withCommas.has(name)) return parts
  return parts.flatMap((_, at) =>
    Array.from({ length: Math.min(maxParts, parts.length - at) }, (__, more) =>
      parts.slice(at, at + more + 1).join(','),
    ),
  )
}

/** The first and the last moment that filters want. Throws `BadFilter`. */
export function timesOf(filters: Filters, nowMs: number): { start: number; end: number } {
  const { start_time: start, end_time: end, period } = filters
  return {
    start: Math.max(
      start ? timeOf('start_time', start) : -Infinity,
      period ? nowMs - periodOf(period) : -Infinity,
    ),
    end: end ? timeOf('end_time', end) : Infinity,
  }
}

function numberOf(name: string, text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new BadFilter(`'${name}' must be a number.`)
  }
  return value
}

/** A whole number among the filters. Throws `BadFilter`. */
export function wholeOf(
  name: string,
  text: string | undefined,
  standard: number,
  max: number,
): number {
  if (text === undefined || text === '') return standard
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new BadFilter(`'${name}' must be a whole number from 0 to ${max}.`)
  }
  return value
}

function timeOf(name: string, text: string): number {
  const value = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text.replace(' ', '+')) : Number.NaN
  if (Number.isNaN(value)) throw new BadFilter(`'${name}' must be a time as in RFC 3339.`)
  return value
}

function periodOf(text: string): number {
  const [, amount, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? []
  if (amount === undefined) throw new BadFilter(`'period' must be a length such as 15m, 24h or 7d.`)
  return Number(amount) * unitMs[unit!]!
}

/** Which time is looked at: the last day, unless the filters say otherwise. */
export function spanOf(filters: Filters, nowMs: number): { start: number; end: number } {
  const { start_time: from, end_time: until, period } = filters
  const end = until ? timeOf('end_time', until) : nowMs
  const start = from ? timeOf('start_time', from) : end - (period ? periodOf(period) : unitMs['d']!)
  if (start >= end) throw new BadFilter(`'start_time' must be before 'end_time'.`)
  return { start, end }
}

const firstMs = Date.parse('0000-01-01T00:00:00.000Z')
const lastMs = Date.parse('9999-12-31T23:59:59.999Z')

/** As in RFC 3339, which knows no years of another length: the time before one since year 1 would begin in such a year. */
export function iso(ms: number): string {
  return new Date(Math.min(Math.max(ms, firstMs), lastMs)).toISOString()
}

/** Whether a search or metadata are among the filters, which may match many rows that stand in no order. */
export function isSearch(filters: Filters): boolean {
  return (
    Boolean(filters['content_search']?.trim()) ||
    Object.keys(filters).some((name) => name.startsWith('metadata_'))
  )
}
