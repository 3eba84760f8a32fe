import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import { whereOf } from './logs-filter.ts'
import { rowsWith } from './logs-lookup.ts'
import { detailed, listed } from './logs-row.ts'
import type { DetailedRow, StoredRow } from './logs-row.ts'
import type { ExportedPage, ExportQuestion, Filters } from './logs-schema.ts'

// The log as a text to take away, a page at a time.

const rowsInPage = 100

const encoder = new TextEncoder()

/** One page of an export, oldest first; of no log, nothing. */
export function exported(db: Database | undefined, question: ExportQuestion): ExportedPage {
  if (!db) return { bytes: new Uint8Array(), after: null }
  const { format, after = '0' } = question
  const { rows, last } = pageAfter(db, question.filters, Number(after))
  const bodies = createBodies(db)
  const lines = rows.map((row) =>
    format === 'ndjson'
      ? JSON.stringify(detailed(row, bodies))
      : csvLine(Object.values(listed(row))),
  )
  if (format === 'csv' && after === '0') {
    lines.unshift(csvLine(Object.keys(listed(rows[0] ?? emptyRow))))
  }
  return {
    bytes: encoder.encode(lines.map((line) => `${line}\n`).join('')),
    after: last === undefined ? null : String(last),
  }
}

interface Page {
  readonly rows: readonly DetailedRow[]
  /** The row up to which this was all; undefined when there are no more. */
  readonly last: number | undefined
}

/** So many rows with words that are looked for are looked at for other filters at once, and so many times. */
const candidatesAtOnce = 1000
const maxLooks = 20

function pageAfter(db: Database, filters: Filters, after: number): Page {
  const where = whereOf(filters, Date.now())
  const search = filters['content_search']?.trim()
  const read = (condition: string, from: number, ...more: SQLQueryBindings[]): DetailedRow[] =>
    db
      .query<DetailedRow, SQLQueryBindings[]>(
        `SELECT * FROM logs JOIN details USING (n) ${joined(where.sql, `logs.n > ?${condition}`)}
         ORDER BY logs.n LIMIT ${rowsInPage}`,
      )
      .all(...where.values, from, ...more)
  if (!search) {
    const rows = read('', after)
    return { rows, last: rows.length === rowsInPage ? rows.at(-1)?.n : undefined }
  }
  const among = rowsWith(db, search)
  const rows: DetailedRow[] = []
  let from = after
  for (let looks = 0; looks < maxLooks; looks++) {
    const candidates: number[] = []
    for (let n = Math.max(from + 1, among.low); n <= among.high; n++) {
      if (among.has(n) && candidates.push(n) === candidatesAtOnce) break
    }
    rows.push(
      ...read(' AND logs.n IN (SELECT value FROM json_each(?))', from, JSON.stringify(candidates)),
    )
    if (rows.length >= rowsInPage) return { rows, last: rows.at(-1)?.n }
    if (candidates.length < candidatesAtOnce) return { rows, last: undefined }
    from = candidates.at(-1)!
  }
  return { rows, last: from }
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
