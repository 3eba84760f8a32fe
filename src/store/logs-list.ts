import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { wantedOf } from './logs-conditions.ts'
import type { Source } from './logs-conditions.ts'
import { BadFilter, orderOf, wholeOf, withoutTimes } from './logs-filter.ts'
import type { Order } from './logs-filter.ts'
import { createListStats, NO_STATS } from './logs-list-stats.ts'
import type { ListStats } from './logs-list-stats.ts'
import { listed } from './logs-row.ts'
import type { StoredRow } from './logs-row.ts'
import { placeOf, rowsAmong, walk } from './logs-scan.ts'
import type { Among } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'
import { createTotals } from './logs-stats.ts'
import type { Totals } from './logs-stats.ts'
import { NAMED } from './logs-tables.ts'
import { createTop } from './logs-top.ts'
import type { Top } from './logs-top.ts'

// One page of the log, in any order. Facts are looked at in segments; of an index of SQLite, which may have nearly every
// row, only so many rows are read at first.

const maxLimit = 1000
const maxOffset = 100_000
/** So many of the newest rows of an index are read before it is asked of single rows whether they are in it. */
const maxFirst = 200_000
/** Rows that are asked one by one: each costs some ten microseconds. */
const maxAsked = 4000
const maxAskingMs = 60

export function listCalls(
  db: Database | undefined,
  asked: Filters,
  nowMs: number,
  listStats: ListStats = createListStats(),
): unknown {
  const filters = withoutTimes(asked)
  const limit = wholeOf('limit', filters['limit'], 50, maxLimit)
  const offset = wholeOf('offset', filters['offset'], 0, maxOffset)
  const order = orderOf(filters)
  const after = afterOf(filters['cursor'], order)
  let stats = db ? listStats.known(filters) : NO_STATS
  const from = performance.now()
  const { rows, counted, isExact, totals } = db
    ? found(db, filters, nowMs, { order, after, wanted: offset + limit, isSummed: !stats })
    : nothing
  if (!stats) {
    stats = totals?.stats() ?? NO_STATS
    listStats.made(filters, stats, performance.now() - from)
  }
  const page = rows.slice(offset, offset + limit)
  const last = page.at(-1)
  const read = db && rowReader(db)
  return {
    logs: page.flatMap(({ n }) => {
      const row = read?.(n)
      return row ? [listed(row)] : []
    }),
    pagination: {
      limit,
      offset,
      sort_by: order.sortBy,
      order: order.isUp ? 'asc' : 'desc',
      total_count: counted,
      // Of a value that very many rows have, only the newest are counted.
      is_count_exact: isExact,
      is_complete: true,
      next_cursor: last && page.length === limit ? cursorOf(last, order) : null,
    },
    // Of the rows that are counted.
    stats,
    has_logs: counted > 0 || db?.query('SELECT 1 FROM calls LIMIT 1').get() != null,
  }
}

/** Reads rows as the view `logs` shows them, looking each name up only once. */
function rowReader(db: Database): (n: number) => StoredRow | undefined {
  const find = db.query<Record<string, string | number | null>, [number]>(
    `SELECT calls.*, error, metadata FROM calls LEFT JOIN texts USING (n) WHERE n = ?1`,
  )
  const findName = db.query<{ text: string }, [number]>('SELECT text FROM names WHERE k = ?1')
  const names = new Map<number, string | null>()
  return (n) => {
    const row = find.get(n)
    if (!row) return undefined
    row['status'] = row['success'] === 1 ? 'success' : 'error'
    for (const name of NAMED) {
      const k = row[`${name}_k`] as number | null
      let text = k === null ? null : names.get(k)
      if (text === undefined) {
        text = findName.get(k!)?.text ?? null
        names.set(k!, text)
      }
      row[name] = text
    }
    return row as unknown as StoredRow
  }
}

interface Place {
  /** -Infinity stands for what is missing: SQLite sorts it before everything else, and so do we. */
  readonly value: number
  readonly n: number
}

interface Found {
  readonly rows: readonly Place[]
  readonly counted: number
  readonly isExact: boolean
  /** Sums over the rows that are counted. */
  readonly totals: Totals | undefined
}

const nothing: Found = {
  rows: [],
  counted: 0,
  isExact: true,
  totals: undefined,
}

interface Wish {
  readonly order: Order
  readonly after: Place | undefined
  /** So many rows. */
  readonly wanted: number
  readonly isSummed: boolean
}

function found(
  db: Database,
  filters: Filters,
  nowMs: number,
  { order, after, wanted, isSummed }: Wish,
): Found {
  const { conditions, sources, among: known } = wantedOf(db, filters, nowMs)
  const read = sources.map((source) => ({ source, ...rowsAmong(db, source, maxFirst) }))
  const whole = [...known, ...read.filter(({ isWhole }) => isWhole).map(({ among }) => among)]
  const common = read.filter(({ isWhole }) => !isWhole)

  interface Searched {
    readonly top: Top
    readonly counted: number
    readonly totals: Totals | undefined
  }

  /** The first `size` rows of this order among these; and how many there are of them in all, and their sums. */
  function search(amongAll: readonly Among[], size: number, isAdded = isSummed): Searched {
    const place = placeOf(order.column)
    const top = createTop(size, order.isUp)
    const totals = isAdded ? createTotals(db) : undefined
    let counted = 0
    walk(db, conditions, amongAll, (part) => {
      counted += part.count
      totals?.visit(part)
      const bounds = part.bounds(place)
      // Missing values come first on the way up, and of them the bounds say nothing.
      if (bounds && top.isFull && (!order.isUp || order.column === 'at_ms')) {
        const best = order.isUp ? bounds.lo : bounds.hi
        if (!top.takes(best, order.isUp ? part.from : part.from + part.places.length)) return
      }
      const values = part.fact(place)
      const { places, count } = part
      for (let i = 0; i < count; i++) {
        const at = places[i]!
        const value = values[at]!
        // Nearly all rows end here.
        if (order.isUp ? value > top.worst : value < top.worst) continue
        top.add(value === value ? value : -Infinity, part.from + at, after)
      }
    })
    return { top, counted, totals }
  }

  if (common.length === 0) {
    const { top, counted, totals } = search(whole, wanted)
    return { rows: top.sorted(), counted, isExact: true, totals }
  }
  const newest = search([...whole, ...common.map(({ among }) => among)], wanted)
  const { counted, totals } = newest
  // The newest rows with a common value are among the newest rows with it.
  const isNewest = order.column === 'at_ms' && !order.isUp && after === undefined
  if (isNewest && counted >= wanted) {
    return { rows: newest.top.sorted(), counted, isExact: false, totals }
  }
  const asked = ask(
    db,
    search(whole, maxAsked, false).top.sorted(),
    common.map(({ source }) => source),
    wanted,
  )
  if (asked) return { rows: asked, counted, isExact: false, totals }
  const all = common.map(({ source }) => rowsAmong(db, source, Number.MAX_SAFE_INTEGER).among)
  const complete = search([...whole, ...all], wanted)
  return { ...complete, rows: complete.top.sorted(), isExact: true }
}

/** The first of these rows that all sources have; undefined when that takes too long to find out. */
function ask(
  db: Database,
  rows: readonly Place[],
  sources: readonly Source[],
  wanted: number,
): readonly Place[] | undefined {
  const until = performance.now() + maxAskingMs
  const checks = sources.map(({ check, values }) => ({
    query: db.query<unknown, SQLQueryBindings[]>(check),
    values,
  }))
  const having: Place[] = []
  for (const row of rows) {
    if (checks.every(({ query, values }) => query.get(...values, row.n) !== null)) {
      if (having.push(row) >= wanted) return having
    }
    if (performance.now() > until) return undefined
  }
  // When these were not even all candidates, these were all rows.
  return rows.length < maxAsked ? having : undefined
}

/** Where a page ends, so that the next one begins there even if rows have come since. */
function cursorOf({ value, n }: Place, { column }: Order): string {
  const plain = value === -Infinity ? null : value
  return Buffer.from(JSON.stringify([column, plain, n])).toString('base64url')
}

function afterOf(cursor: string | undefined, { column }: Order): Place | undefined {
  if (cursor === undefined || cursor === '') return undefined
  let decoded: unknown
  try {
    decoded = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    // Said below, with the other ways in which it may be wrong.
  }
  const [name, value, n] = Array.isArray(decoded) ? (decoded as unknown[]) : []
  const isValue = value === null || typeof value === 'number'
  if (name !== column || typeof n !== 'number' || !isValue) {
    throw new BadFilter(`'cursor' is not one that this listing gave.`)
  }
  return { value: value ?? -Infinity, n }
}
