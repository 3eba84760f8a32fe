import type { Database, SQLQueryBindings } from 'bun:sqlite'

import type { AppOf } from './logs-apps.ts'
import { openBlocks } from './logs-bodies.ts'
import type { BlockWriter } from './logs-bodies.ts'
import { assembled, metadataIn } from './logs-content.ts'
import { openIndex } from './logs-index.ts'
import { createNaming, openNames } from './logs-names.ts'
import type { Naming } from './logs-names.ts'
import type { ParcelReader } from './logs-parcel.ts'
import { listed } from './logs-row.ts'
import type { StoredRow } from './logs-row.ts'
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
  insert(rows: ParcelReader, how: How): string[]
  /** Makes words of rows that wait for it findable. In the caller's transaction. */
  index(): number
  /** The newest row that there is or was. */
  readonly last: number
  /** Forgets names that only rows up to `floor` have. In the caller's transaction. */
  prune(floor: number): void
  close(): void
}

export interface How {
  /** What is to be taken out of a row with these secrets of its own; undefined when nothing of it is in there. */
  readonly secretsFor: (own: readonly string[], isStream: boolean) => Secrets | undefined
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

/** Where `NAMED` stand among the values of a call. */
const namedFrom = 5
const placeOfObject = NAMED.indexOf('object')
const placeOfStopReason = NAMED.indexOf('stop_reason')

const rowsBetweenPauses = 4

interface Batching {
  readonly blocks: BlockWriter
  readonly how: How
  readonly namesOf: Naming
}

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

  function insert(row: ParcelReader, { blocks, how, namesOf }: Batching): string | undefined {
    const { stream } = row
    const secrets = how.secretsFor(row.secrets, stream !== undefined)
    const clean = (text: string): string => (secrets ? secrets.clean(text) : text).toWellFormed()
    const tidied = (text: string | undefined): string | null =>
      text === undefined ? null : clean(text)
    // What holds no secret stays as it is.
    const cleaned = (text: LoggedText | undefined): LoggedText | undefined =>
      text !== undefined && (secrets || typeof text === 'string') ? clean(stringOf(text)) : text
    const object = row.names[row.nameOf(placeOfObject)]!
    const request = cleaned(row.packed('request'))
    const answer = cleaned(stream ? assembled(stream, object) : row.packed('answer'))
    const asked = row.text('asked')
    const found = find({ object, asked: asked && clean(asked), request, answer })
    const n = ++last
    if (n % rowsInSegment === 0) {
      names.settle(n)
      // They are used from here on as well.
      namesOf.forget()
    }
    const { atMs } = row
    const sessionId = tidied(row.text('session_id'))
    const values: Value[] = [n, clean(row.text('id')!), sessionId, atMs]
    values.push(row.status === 'success' ? 1 : 0)
    const own = secrets && clean
    for (let place = 0; place < NAMED.length; place++) {
      values.push(namesOf.numberOf(row, place, n, own))
    }
    const { stopReason } = found
    if (stopReason !== undefined) {
      values[namedFrom + placeOfStopReason] = names.numberOf(
        secrets ? clean(stopReason) : stopReason,
        n,
      )
    }
    for (let place = 0; place < NUMBERS.length; place++) values.push(row.number(place))
    const { maxBodyChars } = how
    const hasBody = request !== undefined || answer !== undefined
    values.push(found.summary ?? null, hasBody ? blocks.block : null)
    addBody(request, maxBodyChars, blocks, values)
    addBody(answer, maxBodyChars, blocks, values)
    call.run(...values)
    values.push(sessionId === null ? 0 : 1)
    tail.add(n, values, factPlaces)
    blocks.end(n)
    // In the order of `TEXT_COLUMNS`.
    const beside = {
      usage: row.text('usage') ?? null,
      error: tidied(row.text('error')),
      trail: row.text('trail') ?? null,
      dropped: tidied(row.dropped),
      metadata: tidied(row.text('metadata')),
      trace: tidied(row.text('trace')),
    }
    const all = Object.values(beside)
    // Often there is nothing.
    if (all.some((text) => text !== null)) texts.run(n, ...all)
    if (beside.metadata !== null) {
      for (const [name, value] of metadataIn(beside.metadata)) metadata.run(name, value, n)
    }
    index.add({ n, atMs, text: found.text }, how.pause)
    if (!how.told) return undefined
    const stored: Record<string, Value> = { n, id: values[1]!, session_id: sessionId }
    NAMED.forEach((name, place) => (stored[name] = tidied(namesOf.textOf(row, place, own))))
    stored['stop_reason'] = tidied(stopReason)
    NUMBERS.forEach((name, place) => (stored[name] = row.number(place)))
    const { summary = null } = found
    return JSON.stringify(
      listed({
        ...{ ...stored, ...beside, summary, at_ms: atMs },
        status: row.status,
      } as unknown as StoredRow),
    )
  }

  return {
    insert(parcel, how) {
      const blocks = openBlocks(sqlite)
      const namesOf = createNaming(parcel.names, names, how.appOf)
      const batching = { blocks, how, namesOf }
      const lines: string[] = []
      for (let row = 0; row < parcel.count; row++) {
        if (row % rowsBetweenPauses === 0) how.pause()
        parcel.goTo(row)
        const line = insert(parcel, batching)
        if (line !== undefined) lines.push(line)
      }
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
