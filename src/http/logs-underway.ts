import { GatewayError } from '#core/errors.ts'
import type { UnderwayCall } from '#pipeline/underway.ts'
import { BadFilter, orderOf, valuesOf, whereOf, wholeOf } from '#store/logs-filter.ts'
import { NO_STATS } from '#store/logs-list-stats.ts'
import { wantsUnderway } from '#store/logs-match.ts'
import type { StoredRow } from '#store/logs-row.ts'
import type { Filters } from '#store/logs-schema.ts'
import type { LogStore } from '#store/logs.ts'

import type { Gateway } from './gateway.ts'

// Calls under way among those of the log. They are in no file, and a page of them would have no place at which the next
// one begins: whoever asks for nothing else gets a list of its own, and whoever asks for others as well gets them
// before the first page, whose rows and cursor stay what they are without them.

const processing = 'processing'
/** Before a page of others. */
const maxBefore = 100
const maxLimit = 1000
const maxOffset = 100_000

/** A page of the log as JSON text. Throws `GatewayError`. */
export async function listOf(gateway: Gateway, logs: LogStore, filters: Filters): Promise<string> {
  const wanted = valuesOf(filters['status'] ?? '')
  if (!wanted.includes(processing)) return await logs.ask({ kind: 'list', filters })
  const others = wanted.filter((status) => status !== processing)
  if (others.length === 0) {
    const found = faultless(() => listUnderway(gateway, filters))
    // An empty list is not the same as an empty log.
    const hasLogs = found.count > 0 || (await hasRows(logs))
    // Of what is not over there is nothing to be summed up.
    const stats = JSON.stringify(NO_STATS)
    return `{"logs":[${found.rows}],"pagination":${found.pagination},"stats":${stats},"has_logs":${hasLogs}}`
  }
  // First, or what ends meanwhile would be in neither of them.
  const before = foundIn(gateway, filters).map(({ call, row }) => call.text(row))
  const page = await logs.ask({ kind: 'list', filters: { ...filters, status: others.join(',') } })
  const { cursor, offset, sort_by: sortBy, order } = filters
  const isFirst = !cursor && Number(offset || 0) === 0
  const isUsual = (sortBy || 'timestamp') === 'timestamp' && (order || 'desc') === 'desc'
  if (!isFirst || !isUsual) return page
  const rows = before
    .filter((row) => !page.includes(idIn(row)))
    .slice(0, maxBefore)
    .join(',')
  const start = '{"logs":['
  const isEmpty = page.startsWith(']', start.length)
  return `${start}${rows}${rows === '' || isEmpty ? '' : ','}${page.slice(start.length)}`
}

/** The beginning of a row, which no other one has: quotes inside of texts are escaped. */
function idIn(row: string): string {
  return row.slice(0, row.indexOf(',"inc_number":'))
}

async function hasRows(logs: LogStore): Promise<boolean> {
  const text = await logs.ask({ kind: 'list', filters: { limit: '0' } })
  return (JSON.parse(text) as { has_logs: boolean }).has_logs
}

/** A call under way as JSON text; undefined when there is none of this id. */
export function oneUnderway(gateway: Gateway, id: string | undefined): string | undefined {
  const call = gateway.underway?.calls().find((one) => one.id === id)
  return call?.text(call.row())
}

interface FoundCall {
  readonly call: UnderwayCall
  readonly row: StoredRow
}

function foundIn(gateway: Gateway, filters: Filters): readonly FoundCall[] {
  const now = Date.now()
  return (gateway.underway?.calls() ?? [])
    .map((call) => ({ call, row: call.row() }))
    .filter(({ row }) => wantsUnderway(filters, row, now))
}

interface Listed {
  readonly count: number
  /** JSON texts. */
  readonly rows: string
  readonly pagination: string
}

function listUnderway(gateway: Gateway, filters: Filters): Listed {
  // Finds fault with what is wrong.
  whereOf(filters, Date.now())
  const limit = wholeOf('limit', filters['limit'], 50, maxLimit)
  const offset = wholeOf('offset', filters['offset'], 0, maxOffset)
  const { sortBy, column, isUp } = orderOf(filters)
  if (filters['cursor']) throw new BadFilter(`'cursor' is not one that this listing gave.`)
  const valueOf = ({ row }: FoundCall): number => row[column as 'at_ms' | 'latency_ms'] ?? 0
  const falling = foundIn(gateway, filters).toSorted((a, b) => valueOf(b) - valueOf(a))
  const all = isUp ? falling.toReversed() : falling
  const rows = all.slice(offset, offset + limit).map(({ call, row }) => call.text(row))
  const pagination = {
    limit,
    offset,
    sort_by: sortBy,
    order: isUp ? 'asc' : 'desc',
    total_count: all.length,
    is_count_exact: true,
    is_complete: true,
    next_cursor: null,
  }
  return { count: all.length, rows: rows.join(','), pagination: JSON.stringify(pagination) }
}

/** What is wrong with filters is the asker's fault. */
function faultless<T>(work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    if (!(thrown instanceof BadFilter)) throw thrown
    const param = /^'([\w-]+)'/.exec(thrown.message)?.[1]
    throw new GatewayError('invalid_request', thrown.message, { param })
  }
}
