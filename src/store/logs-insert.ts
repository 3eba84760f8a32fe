import type { Database, SQLQueryBindings } from 'bun:sqlite'

import type { AppOf } from './logs-apps.ts'
import { openBlocks } from './logs-bodies.ts'
import type { BlockWriter } from './logs-bodies.ts'
import { assembled, metadataIn } from './logs-content.ts'
import { openIndex } from './logs-index.ts'
import { openNames } from './logs-names.ts'
import { listed } from './logs-row.ts'
import type { StoredRow } from './logs-row.ts'
import type { LogRow } from './logs-schema.ts'
import type { Secrets } from './logs-secrets.ts'
import { floorOf, openTail } from './logs-segments.ts'
import {
  BODY_COLUMNS,
  CALL_COLUMNS,
  FACTS,
  NAMED,
  NUMBERS,
  rowsInSegment,
  TEXT_COLUMNS,
} from './logs-tables.ts'
import { charsIn, stringOf } from './logs-text.ts'
import type { LoggedText } from './logs-text.ts'
import { createWords } from './logs-words.ts'

// Turns what came of a call into rows of the log's tables.

export interface Insertion {
  /** Writes rows, in the caller's transaction; the rows as JSON text, as lists show them, if they are `told`. */
  insert(rows: readonly LogRow[], how: How): string[]
  /** Makes words of rows that wait for it findable. In the caller's transaction. */
  index(): number
  /** The newest row that there is or was. */
  readonly last: number
  /** Forgets names that only rows up to `floor` have. In the caller's transaction. */
  prune(floor: number): void
  close(): void
}

export interface How {
  /** What is to be taken out of a row; undefined when nothing of it is in there. */
  readonly secretsFor: (row: LogRow) => Secrets | undefined
  readonly maxBodyChars: number
  /** Which program a caller is. */
  readonly appOf: AppOf
  readonly told: boolean
  /** Called after every few rows. */
  readonly pause: () => void
}

const places = (count: number): string =>
  Array.from({ length: count }, (_, i) => `?${i + 1}`).join(', ')
const callColumns = [...CALL_COLUMNS, ...BODY_COLUMNS]
const textColumns = ['n', ...TEXT_COLUMNS]
/** Where the facts stand among the values of a call; what is not there stands behind them. */
const factPlaces = FACTS.map(({ name }) => {
  const place = CALL_COLUMNS.indexOf(name)
  return place < 0 ? callColumns.length : place
})

const rowsBetweenPauses = 4

type Value = string | number | null

/** For a file that is open for writing. After a transaction that failed a new one is needed. */
export function openInsertion(sqlite: Database): Insertion {
  const call = sqlite.prepare<unknown, SQLQueryBindings[]>(
    `INSERT INTO calls (${callColumns.join(', ')}) VALUES (${places(callColumns.length)})`,
  )
  const texts = sqlite.prepare<unknown, SQLQueryBindings[]>(
    `INSERT INTO texts (${textColumns.join(', ')}) VALUES (${places(textColumns.length)})`,
  )
  const metadata = sqlite.prepare<unknown, [string, string, number]>(
    'INSERT OR IGNORE INTO metadata (name, value, n) VALUES (?1, ?2, ?3)',
  )
  const index = openIndex(sqlite)
  const names = openNames(sqlite)
  const tail = openTail(sqlite)
  const find = createWords()
  let last = lastOf(sqlite)

  function insert(row: LogRow, blocks: BlockWriter, how: How): string | undefined {
    const secrets = how.secretsFor(row)
    const clean = (text: string): string => (secrets ? secrets.clean(text) : text).toWellFormed()
    const tidied = (text: string | undefined): string | null =>
      text === undefined ? null : clean(text)
    const said = row.answer instanceof Uint8Array ? assembled(row.answer, row.object) : row.answer
    // What holds no secret stays as it is.
    const cleaned = (text: LoggedText): LoggedText =>
      secrets || typeof text === 'string' ? clean(stringOf(text)) : text
    const request = row.request === undefined ? undefined : cleaned(row.request)
    const answer = said === undefined ? undefined : cleaned(said)
    const asked = row.asked === undefined ? undefined : clean(row.asked)
    const found = find({ object: row.object, asked, request, answer })
    const n = ++last
    if (n % rowsInSegment === 0) names.settle(n)
    const agent = tidied(row.userAgent)
    // Of a text without secrets, half of which would not be recognised.
    const app = agent === null ? undefined : how.appOf(agent)
    const isSuccess = row.status === 'success' ? 1 : 0
    const values: Value[] = [n, clean(row.id), tidied(row.sessionId), row.atMs, isSuccess]
    const shown = namesOf(row, found.stopReason, app)
    for (const text of shown) {
      if (text === undefined || text === null) values.push(null)
      else values.push(names.numberOf(secrets ? clean(text) : text, n))
    }
    const numbers = numbersOf(row)
    for (const value of numbers) values.push(value)
    const { maxBodyChars } = how
    const hasBody = request !== undefined || answer !== undefined
    values.push(found.summary ?? null, hasBody ? blocks.block : null)
    addBody(request, maxBodyChars, blocks, values)
    addBody(answer, maxBodyChars, blocks, values)
    call.run(...values)
    values.push(values[2] === null ? 0 : 1)
    tail.add(n, values, factPlaces)
    blocks.end(n)
    // In the order of `TEXT_COLUMNS`.
    const beside = {
      usage: row.usage ?? null,
      error: tidied(row.error),
      trail: row.trail ?? null,
      dropped: tidied(row.dropped),
      metadata: tidied(row.metadata),
      trace: tidied(row.trace),
    }
    const all = Object.values(beside)
    // Often there is nothing.
    if (all.some((text) => text !== null)) texts.run(n, ...all)
    if (beside.metadata !== null) {
      for (const [name, value] of metadataIn(beside.metadata)) metadata.run(name, value, n)
    }
    index.add({ n, atMs: row.atMs, text: found.text }, how.pause)
    if (!how.told) return undefined
    const stored: Record<string, Value> = { n, id: values[1]!, session_id: values[2]! }
    NAMED.forEach((name, i) => (stored[name] = tidied(shown[i])))
    NUMBERS.forEach((name, i) => (stored[name] = numbers[i]!))
    const { atMs: at_ms, status } = row
    const { summary = null } = found
    return JSON.stringify(
      listed({ ...stored, ...beside, summary, at_ms, status } as unknown as StoredRow),
    )
  }

  return {
    insert(rows, how) {
      const blocks = openBlocks(sqlite)
      const lines: string[] = []
      rows.forEach((row, i) => {
        if (i % rowsBetweenPauses === 0) how.pause()
        const line = insert(row, blocks, how)
        if (line !== undefined) lines.push(line)
      })
      blocks.flush()
      return lines
    },
    index: () => index.write(last),
    get last() {
      return last
    },
    prune: (floor) => names.prune(floor, last),
    close() {
      // A statement that is still there keeps the file open.
      for (const statement of [call, texts, metadata]) statement.finalize()
      names.close()
    },
  }
}

/** The number of the newest row that is there or was. */
function lastOf(sqlite: Database): number {
  const of = (table: string): number =>
    sqlite.query<{ n: number | null }, []>(`SELECT MAX(n) AS n FROM ${table}`).get()?.n ?? 0
  return Math.max(of('calls'), of('gone'), floorOf(sqlite))
}

/** In the order of `NAMED`. */
function namesOf(
  row: LogRow,
  stopReason: string | undefined,
  app: string | undefined,
): (string | undefined)[] {
  return [
    ...[row.object, row.provider, row.model, row.modelUsed, row.keyId, row.keyName],
    ...[row.virtualKeyId, row.virtualKeyName, row.teamId, row.teamName, row.customerId],
    ...[row.customerName, row.userId, row.userName, row.ruleId, row.ruleName, row.engines],
    ...[row.cacheHitType, stopReason, row.userAgent, app],
  ]
}

/** In the order of `NUMBERS`. */
function numbersOf(row: LogRow): (number | null)[] {
  return [
    ...[row.stream ? 1 : 0, row.statusCode, round(row.latencyMs), round(row.queuedMs)],
    ...[round(row.upstreamMs), row.firstTokenMs === undefined ? null : round(row.firstTokenMs)],
    ...[row.promptTokens ?? null, row.completionTokens ?? null, row.totalTokens ?? null],
    ...[row.cachedTokens ?? null, row.cost ?? null, row.fallbackIndex, row.retries],
    row.attempts,
  ]
}

/** To a thousandth of a millisecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** Adds where a body stands, how much of it is kept, and how long it was. */
function addBody(
  text: LoggedText | undefined,
  maxChars: number,
  blocks: BlockWriter,
  values: Value[],
): void {
  if (text === undefined) {
    values.push(null, null, null)
    return
  }
  const chars = charsIn(text)
  const kept = chars > maxChars ? stringOf(text).slice(0, maxChars).toWellFormed() : text
  const { at, bytes } = blocks.add(kept)
  values.push(at, bytes, chars)
}
