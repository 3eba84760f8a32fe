import {
  columnOf,
  isBare,
  ranges,
  timesOf,
  valuesFor,
  valuesOf,
  withoutTimes,
} from './logs-filter.ts'
import type { StoredRow } from './logs-row.ts'
import type { Filters } from './logs-schema.ts'

// The filters of the log's API for rows that are in no file.

/**
 * Whether filters, which have been found to be right, want a row that has not ended, its status apart. What is not known
 * yet, such as its tokens and what is said in it, is like nothing that is looked for.
 */
export function wantsUnderway(asked: Filters, row: StoredRow, nowMs: number): boolean {
  const filters = withoutTimes(asked)
  const known = row as unknown as Readonly<Record<string, string | number | null>>
  for (const [name, text] of Object.entries(filters)) {
    if (text === '' || name === 'status') continue
    if (name === 'objects') {
      const object = row.stream === 1 ? `${row.object}_stream` : row.object
      if (!valuesOf(text).includes(object)) return false
    } else if (name === 'models') {
      const { model } = row
      const isOf = (wanted: string): boolean =>
        wanted === model || (isBare(wanted) && (model?.endsWith(`/${wanted}`) ?? false))
      if (!valuesOf(text).some(isOf)) return false
    } else if (Object.hasOwn(columnOf, name)) {
      const value = known[columnOf[name]!]
      if (typeof value !== 'string' || !valuesFor(name, text).includes(value)) return false
    } else if (Object.hasOwn(ranges, name)) {
      const [column, sign] = ranges[name]!
      const value = known[column]
      if (typeof value !== 'number') return false
      if (sign === '>=' ? value < Number(text) : value > Number(text)) return false
    } else if (name === 'routing_engine_used') {
      const engines = row.routing_engines?.split(',') ?? []
      if (!valuesOf(text).some((engine) => engines.includes(engine))) return false
    } else if (name.startsWith('metadata_')) {
      const metadata = JSON.parse(row.metadata ?? '{}') as Readonly<Record<string, unknown>>
      const own = name.slice('metadata_'.length)
      if (!Object.hasOwn(metadata, own) || metadata[own] !== text) return false
    } else if (name === 'business_unit_ids' || name === 'content_search') return false
  }
  if (filters['missing_cost_only'] === 'true') return false
  if (filters['roots_only'] === 'true' && row.session_id !== null) return false
  const { start, end } = timesOf(filters, nowMs)
  return row.at_ms >= start && row.at_ms <= end
}
