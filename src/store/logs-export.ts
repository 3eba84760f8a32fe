import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import { whereOf } from './logs-filter.ts'
import { detailed, listed } from './logs-row.ts'
import type { DetailedRow, StoredRow } from './logs-row.ts'
import type { ExportedPage, ExportQuestion } from './logs-schema.ts'

// The log as a text to take away, a page at a time.

const rowsInPage = 100

const encoder = new TextEncoder()

/** One page of an export, oldest first; of no log, nothing. */
export function exported(db: Database | undefined, question: ExportQuestion): ExportedPage {
  if (!db) return { bytes: new Uint8Array(), after: null }
  const { format, after = '0' } = question
  const where = whereOf(question.filters, Date.now())
  const rows = db
    .query<DetailedRow, SQLQueryBindings[]>(
      `SELECT * FROM logs JOIN details USING (n) ${joined(where.sql, 'logs.n > ?')}
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
    bytes: encoder.encode(lines.map((line) => `${line}\n`).join('')),
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
