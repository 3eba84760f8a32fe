import { Database } from 'bun:sqlite'
import type { SQLQueryBindings } from 'bun:sqlite'
import { existsSync } from 'node:fs'

import { createBodies } from './logs-bodies.ts'
import { createFacets } from './logs-facets.ts'
import { BadFilter, iso, isSearch, sorts, spanOf, whereOf, wholeOf } from './logs-filter.ts'
import type { Where } from './logs-filter.ts'
import { detailed, listed } from './logs-row.ts'
import type { DetailedRow, StoredRow } from './logs-row.ts'
import type { Filters, Question } from './logs-schema.ts'
import { answerSums } from './logs-sums.ts'
import { LOG_LAYOUT } from './logs-tables.ts'

// Answers questions about the log, from a thread of its own. What a question gets wrong is thrown as `BadFilter`.

/** Counting stops here: beyond it nobody needs the exact number, and counting a million rows takes long. */
const maxCounted = 10_000
const maxLimit = 1000

const maxOffset = 100_000

/** Reads `path` only. Opened when first asked; a file that is not there yet is an empty log. */
export function createLogReader(path: string): { ask(question: Question): unknown; close(): void } {
  let sqlite: Database | undefined
  const facets = createFacets()

  function opened(): Database | undefined {
    if (sqlite || !existsSync(path)) return sqlite
    const fresh = new Database(path, { readonly: true, strict: true })
    try {
      fresh.run('PRAGMA busy_timeout = 1000')
      fresh.run('PRAGMA query_only = 1')
      fresh.run('PRAGMA cache_size = -16000')
      // Another process has made the file and not its tables yet.
      const { user_version: layout } = fresh
        .query<{ user_version: number }, []>('PRAGMA user_version')
        .get()!
      // One of another layout is laid aside once something is to be written.
      if (layout !== LOG_LAYOUT) {
        fresh.close()
        return undefined
      }
    } catch (thrown) {
      fresh.close()
      throw thrown
    }
    sqlite = fresh
    return fresh
  }

  function list(db: Database | undefined, filters: Filters): unknown {
    const where = whereOf(filters, Date.now())
    const limit = wholeOf('limit', filters['limit'], 50, maxLimit)
    const offset = wholeOf('offset', filters['offset'], 0, maxOffset)
    const sortBy = filters['sort_by'] || 'timestamp'
    const order = filters['order'] || 'desc'
    const column = Object.hasOwn(sorts, sortBy) ? sorts[sortBy] : undefined
    if (column === undefined) {
      throw new BadFilter(`'sort_by' must be one of ${Object.keys(sorts).join(', ')}.`)
    }
    if (order !== 'asc' && order !== 'desc') throw new BadFilter(`'order' must be asc or desc.`)
    const page = pageOf(filters['cursor'], column, order)
    const rowsOf = (wanted: Where): StoredRow[] =>
      db
        ?.query<StoredRow, SQLQueryBindings[]>(
          `SELECT logs.*, summary, error, metadata FROM (
             SELECT * FROM logs ${joined(wanted.sql, page.sql)}
             ORDER BY ${column} ${order}, n ${order} LIMIT ? OFFSET ?
           ) AS logs LEFT JOIN details USING (n) ORDER BY ${column} ${order}, n ${order}`,
        )
        .all(...wanted.values, ...page.values, limit, offset) ?? []
    const countOf = (wanted: Where): number =>
      db
        ?.query<{ count: number }, SQLQueryBindings[]>(
          `SELECT COUNT(*) AS count FROM (SELECT 1 FROM logs ${wanted.sql} LIMIT ${maxCounted + 1})`,
        )
        .get(...wanted.values)?.count ?? 0
    // The first page of a search is among its newest matches, unless other filters leave too few of them.
    const isFirst = column === 'at_ms' && order === 'desc' && page.sql === '' && offset === 0
    const recent = isFirst && isSearch(filters) ? whereOf(filters, Date.now(), true) : undefined
    const first = recent && rowsOf(recent)
    const isEnough = first !== undefined && first.length === limit
    const rows = isEnough ? first : rowsOf(where)
    const counted = countOf(isEnough ? recent! : where)
    const last = rows.at(-1)
    return {
      logs: rows.map(listed),
      pagination: {
        limit,
        offset,
        sort_by: sortBy,
        order,
        total_count: Math.min(counted, maxCounted),
        // Among the newest matches only as many are counted as there are of them.
        is_count_exact: counted <= maxCounted && !(isEnough && counted > limit),
        next_cursor:
          last && rows.length === limit ? cursorOf(last, column as keyof StoredRow) : null,
      },
      has_logs: counted > 0 || db?.query('SELECT 1 FROM logs LIMIT 1').get() != null,
    }
  }

  function stats(db: Database | undefined, filters: Filters): unknown {
    const now = Date.now()
    if (filters['compare_to_previous'] !== 'true') {
      return db ? statsOf(db, whereOf(filters, now)) : noStats
    }
    // Two times are compared that are equally long: the last day, where the filters name none.
    const { start, end } = spanOf(filters, now)
    const own = { ...filters, period: '', start_time: iso(start), end_time: iso(end) }
    const found = db ? statsOf(db, whereOf(own, now)) : noStats
    const before = {
      ...filters,
      period: '',
      start_time: iso(2 * start - end),
      end_time: iso(start),
    }
    return { ...found, previous: db ? statsOf(db, whereOf(before, now)) : noStats }
  }

  function histogram(db: Database | undefined, filters: Filters): unknown {
    const now = Date.now()
    const { start, end } = spanOf(filters, now)
    const wanted = wholeOf('bucket_size_seconds', filters['bucket_size_seconds'], 0, 31_536_000)
    // At most a thousand buckets, however small they are asked for.
    const leastMs = Math.max(1000, (end - start) / 1000)
    const bucketMs = Math.max(wanted === 0 ? usualBucket(end - start) : wanted * 1000, leastMs)
    const sizeMs = Math.ceil(bucketMs / 1000) * 1000
    const where = whereOf(
      { ...filters, period: '', start_time: iso(start), end_time: iso(end) },
      now,
    )
    const rows =
      db
        ?.query<{ bucket: number; count: number; success: number }, SQLQueryBindings[]>(
          `SELECT CAST(at_ms / ${sizeMs} AS INTEGER) AS bucket, COUNT(*) AS count,
                  SUM(status = 'success') AS success
           FROM logs ${where.sql} GROUP BY bucket ORDER BY bucket`,
        )
        .all(...where.values) ?? []
    const byBucket = new Map(rows.map((row) => [row.bucket, row]))
    const buckets: unknown[] = []
    for (let at = Math.floor(start / sizeMs); at <= Math.floor(end / sizeMs); at++) {
      const { count = 0, success = 0 } = byBucket.get(at) ?? {}
      buckets.push({ timestamp: iso(at * sizeMs), count, success, error: count - success })
    }
    return { buckets, bucket_size_seconds: sizeMs / 1000 }
  }

  return {
    ask(question) {
      const db = opened()
      switch (question.kind) {
        case 'list':
          return list(db, question.filters)
        case 'stats':
          return stats(db, question.filters)
        case 'histogram':
          return histogram(db, question.filters)
        case 'one': {
          const row = db
            ?.query<DetailedRow, [string]>(
              `SELECT * FROM logs LEFT JOIN details USING (n) WHERE id = ?1 ORDER BY n DESC LIMIT 1`,
            )
            .get(question.id)
          return row ? detailed(row, createBodies(db!)) : null
        }
        case 'sums':
          return answerSums(db, question.about, question.filters, facets)
        case 'export':
          return db ? exported(db, question) : { lines: '', after: null }
      }
    },
    close() {
      sqlite?.close()
      sqlite = undefined
    },
  }
}

const rowsInPage = 200

/** One page of an export, oldest first, and where the next one begins. */
function exported(db: Database, question: Extract<Question, { kind: 'export' }>): unknown {
  const { format, after = '0' } = question
  const where = whereOf(question.filters, Date.now())
  const rows = db
    .query<DetailedRow, SQLQueryBindings[]>(
      `SELECT * FROM logs LEFT JOIN details USING (n) ${joined(where.sql, 'logs.n > ?')}
       ORDER BY logs.n LIMIT ${rowsInPage}`,
    )
    .all(...where.values, Number(after))
  const bodies = createBodies(db)
  const lines = rows.map((row) =>
    format === 'ndjson'
      ? JSON.stringify(detailed(row, bodies))
      : csvLine(Object.values(listed(row))),
  )
  if (format === 'csv' && after === '0') {
    lines.unshift(csvLine(Object.keys(listed(rows[0] ?? emptyRow))))
  }
  const last = rows.length === rowsInPage ? rows.at(-1)?.n : undefined
  return {
    lines: lines.map((line) => `${line}\n`).join(''),
    after: last === undefined ? null : String(last),
  }
}

const emptyRow = {
  at_ms: 0,
  error: null,
  metadata: null,
  routing_engines: null,
} as unknown as StoredRow

/** A text that a spreadsheet would take for a formula is marked as text. */
export function csvLine(values: readonly unknown[]): string {
  return values
    .map((value) => {
      if (value === null || value === undefined) return ''
      const plain = typeof value === 'string' ? value : JSON.stringify(value)
      const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
    })
    .join(',')
}

function joined(where: string, condition: string): string {
  if (condition === '') return where
  return where === '' ? `WHERE ${condition}` : `${where} AND ${condition}`
}

/** Where a page ends, so that the next one begins there even if rows have come since. */
function cursorOf(row: StoredRow, column: keyof StoredRow): string {
  return Buffer.from(JSON.stringify([column, row[column], row.n])).toString('base64url')
}

function pageOf(cursor: string | undefined, column: string, order: 'asc' | 'desc'): Where {
  if (cursor === undefined || cursor === '') return { sql: '', values: [] }
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
  const sign = order === 'asc' ? '>' : '<'
  // SQLite sorts what is missing before everything else.
  if (value === null) {
    return order === 'asc'
      ? { sql: `(${column} IS NOT NULL OR n > ?)`, values: [n] }
      : { sql: `(${column} IS NULL AND n < ?)`, values: [n] }
  }
  // The time is never missing, so a plain bound helps its index along.
  if (column === 'at_ms') {
    return {
      sql: `at_ms ${sign}= ? AND (at_ms ${sign} ? OR n ${sign} ?)`,
      values: [value, value, n],
    }
  }
  const orMissing = order === 'desc' ? ` OR ${column} IS NULL` : ''
  return {
    sql: `(${column} ${sign} ? OR (${column} = ? AND n ${sign} ?)${orMissing})`,
    values: [value, value, n],
  }
}

const noStats = {
  total_requests: 0,
  success_rate: 0,
  user_facing_success_rate: 0,
  user_facing_total_requests: 0,
  average_latency: 0,
  total_tokens: 0,
  total_cost: 0,
  cache_hit_rate_total_requests: 0,
  direct_cache_hits: 0,
  semantic_cache_hits: 0,
}

function statsOf(db: Database, where: Where): typeof noStats {
  const row = db
    .query<
      {
        total: number
        success: number
        facing: number
        latency: number
        tokens: number
        cost: number
        direct: number
        semantic: number
      },
      SQLQueryBindings[]
    >(
      `SELECT COUNT(*) AS total, COALESCE(SUM(status = 'success'), 0) AS success,
              COALESCE(SUM(status_code <> 499), 0) AS facing,
              COALESCE(AVG(latency_ms), 0) AS latency, COALESCE(SUM(total_tokens), 0) AS tokens,
              COALESCE(SUM(cost), 0) AS cost,
              COALESCE(SUM(cache_hit_type = 'direct'), 0) AS direct,
              COALESCE(SUM(cache_hit_type = 'semantic'), 0) AS semantic
       FROM logs ${where.sql}`,
    )
    .get(...where.values)
  if (!row || row.total === 0) return noStats
  return {
    total_requests: row.total,
    success_rate: (100 * row.success) / row.total,
    // Callers that left saw neither success nor failure.
    user_facing_success_rate: row.facing === 0 ? 0 : (100 * row.success) / row.facing,
    user_facing_total_requests: row.facing,
    average_latency: row.latency,
    total_tokens: row.tokens,
    total_cost: row.cost,
    cache_hit_rate_total_requests: (100 * (row.direct + row.semantic)) / row.total,
    direct_cache_hits: row.direct,
    semantic_cache_hits: row.semantic,
  }
}

function usualBucket(spanMs: number): number {
  const minute = 60_000
  const sizes = [1, 5, 15, 60, 360, 1440, 10_080].map((minutes) => minutes * minute)
  return sizes.find((size) => spanMs / size <= 120) ?? 30 * 1440 * minute
}
