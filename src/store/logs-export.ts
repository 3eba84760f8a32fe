import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import { whereOf } from './logs-filter.ts'
import { rowsWith } from './logs-lookup.ts'
import { detailed, listed } from './logs-row.ts'
import type { DetailedRow, StoredRow } from './logs-row.ts'
import type { ExportQuestion, Filters } from './logs-schema.ts'

// The log as a text to take away, a page at a time. A page is written into memory that whoever sends it sees as well:
// as messages, the pages of one export would be most of what the thread that answers calls has to collect.

/** What a reader says of a page. */
export interface WrittenPage {
  /** How much of the memory it was given has lines in it. */
  readonly length: number
  /** Instead of that: a line that is too long for it. */
  readonly alone: Uint8Array<ArrayBuffer> | undefined
  /** Where the next page begins; null when there is none. */
  readonly after: string | null
}

/** One page of an export, oldest first; of no log, nothing. */
export function exported(db: Database | undefined, question: ExportQuestion): WrittenPage {
  const { format, after = '0', filters } = question
  const page = new Lines(question.into)
  if (!db) return page.end(null)
  const bodies = createBodies(db)
  const line = (row: DetailedRow): string =>
    format === 'ndjson'
      ? JSON.stringify(detailed(row, bodies))
      : csvLine(Object.values(listed(row)))
  if (format === 'csv' && question.after === undefined) {
    page.put(csvLine(Object.keys(listed(emptyRow))))
  }
  let last = Number(after)
  const found = rowsAfter(db, filters, last)
  for (;;) {
    const turn = found.next()
    if (turn.done) return page.end(turn.value ?? null)
    for (const row of turn.value) {
      const text = line(row)
      if (page.put(text)) last = row.n
      else return page.isEmpty ? page.alone(text, row.n) : page.end(last)
    }
  }
}

class Lines {
  readonly #memory: Buffer
  #length = 0

  constructor(memory: SharedArrayBuffer) {
    this.#memory = Buffer.from(memory)
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** Whether there was room for it. */
  put(text: string): boolean {
    const line = `${text}\n`
    if (Buffer.byteLength(line) > this.#memory.length - this.#length) return false
    this.#length += this.#memory.write(line, this.#length)
    return true
  }

  end(after: number | null): WrittenPage {
    return { length: this.#length, alone: undefined, after: after === null ? null : String(after) }
  }

  alone(text: string, after: number): WrittenPage {
    return { ...this.end(after), alone: new TextEncoder().encode(`${text}\n`) }
  }
}

const rowsAtOnce = 25
/** So many rows with words that are looked for are looked at for other filters at once, and so many times. */
const candidatesAtOnce = 1000
const maxLooks = 20

/**
 * The rows behind number `after`, some at a time. Returns where it stopped looking although there may be more; undefined
 * when that was all.
 */
function* rowsAfter(
  db: Database,
  filters: Filters,
  after: number,
): Generator<readonly DetailedRow[], number | undefined> {
  const where = whereOf(filters, Date.now())
  const search = filters['content_search']?.trim()
  function* read(
    condition: string,
    from: number,
    ...more: SQLQueryBindings[]
  ): Generator<readonly DetailedRow[], void> {
    const query = db.query<DetailedRow, SQLQueryBindings[]>(
      `SELECT * FROM logs JOIN details USING (n) ${joined(where.sql, `logs.n > ?${condition}`)}
       ORDER BY logs.n LIMIT ${rowsAtOnce}`,
    )
    let behind = from
    for (;;) {
      const rows = query.all(...where.values, behind, ...more)
      yield rows
      if (rows.length < rowsAtOnce) return
      behind = rows.at(-1)!.n
    }
  }
  if (!search) {
    yield* read('', after)
    return undefined
  }
  const among = rowsWith(db, search)
  let from = after
  for (let looks = 0; looks < maxLooks; looks++) {
    const candidates: number[] = []
    for (let n = Math.max(from + 1, among.low); n <= among.high; n++) {
      if (among.has(n) && candidates.push(n) === candidatesAtOnce) break
    }
    const list = JSON.stringify(candidates)
    yield* read(' AND logs.n IN (SELECT value FROM json_each(?))', from, list)
    if (candidates.length < candidatesAtOnce) return undefined
    from = candidates.at(-1)!
  }
  return from
}

const emptyRow = {
  at_ms: 0,
  model: null,
  model_used: null,
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
