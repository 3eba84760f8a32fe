import type { Database, SQLQueryBindings, Statement } from 'bun:sqlite'

import type { AppOf } from './logs-apps.ts'
import { openBlocks } from './logs-bodies.ts'
import type { BlockWriter, Spot } from './logs-bodies.ts'
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
  SESSION_FACT,
  TEXT_COLUMNS,
} from './logs-tables.ts'
import { beginningOf, packedOf, stringOf } from './logs-text.ts'
import type { PackedText } from './logs-text.ts'
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

const inserting = (table: string, columns: readonly string[], rows: number): string =>
  `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${Array(rows)
    .fill(`(${Array(columns.length).fill('?').join(', ')})`)
    .join(', ')}`
const callColumns = [...CALL_COLUMNS, ...BODY_COLUMNS]
const textColumns = ['n', ...TEXT_COLUMNS]
/** So many rows are written by one statement: each has its price. */
const rowsAtOnce = 10
/** Where the facts stand among the values of a call. */
const factPlaces = FACTS.map(({ name }) =>
  CALL_COLUMNS.indexOf(name === SESSION_FACT ? 'session_id' : name),
)

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
  const many = sqlite.prepare<unknown, SQLQueryBindings[]>(
    inserting('calls', callColumns, rowsAtOnce),
  )
  const one = sqlite.prepare<unknown, SQLQueryBindings[]>(inserting('calls', callColumns, 1))
  const texts = sqlite.prepare<unknown, SQLQueryBindings[]>(inserting('texts', textColumns, 1))
  const metadata = sqlite.prepare<unknown, [string, string, number]>(
    'INSERT OR IGNORE INTO metadata (name, value, n) VALUES (?1, ?2, ?3)',
  )
  const index = openIndex(sqlite)
  const names = openNames(sqlite)
  const tail = openTail(sqlite)
  const find = createWords()
  let last = lastOf(sqlite)
  /** Values of rows, one row after the other, which the next statement writes. */
  const values: Value[] = Array<Value>(rowsAtOnce * callColumns.length).fill(null)
  let filled = 0

  function put(): void {
    if (++filled < rowsAtOnce) return
    // As one argument: many are copied once more.
    run(many, values)
    filled = 0
  }

  function putRest(): void {
    for (let row = 0; row < filled; row++) {
      const at = row * callColumns.length
      run(one, values.slice(at, at + callColumns.length))
    }
    filled = 0
  }

  function insert(row: ParcelReader, { blocks, how, namesOf }: Batching): string | undefined {
    const { stream } = row
    const secrets = how.secretsFor(row.secrets, stream !== undefined)
    const clean = (text: string): string => (secrets ? secrets.clean(text) : text).toWellFormed()
    const tidied = (text: string | undefined): string | null =>
      text === undefined ? null : clean(text)
    // What holds no secret stays as it is.
    const cleaned = (text: PackedText | undefined): PackedText | undefined =>
      text && secrets ? packedOf(secrets.clean(stringOf(text))) : text
    const object = row.names[row.nameOf(placeOfObject)]!
    const request = cleaned(row.packed('request'))
    const answer = stream
      ? packedOf(clean(assembled(stream, object)))
      : cleaned(row.packed('answer'))
    const asked = cleaned(row.packed('asked'))
    const found = find({ object, asked, request, answer })
    const n = ++last
    if (n % rowsInSegment === 0) {
      names.settle(n)
      // They are used from here on as well.
      namesOf.forget()
      // A segment that is full is made of what is written where costs have changed.
      putRest()
    }
    const { atMs } = row
    const sessionId = tidied(row.text('session_id'))
    const id = clean(row.text('id')!)
    const from = filled * callColumns.length
    let at = from
    values[at++] = n
    values[at++] = id
    values[at++] = sessionId
    values[at++] = atMs
    values[at++] = row.status === 'success' ? 1 : 0
    const own = secrets && clean
    for (let place = 0; place < NAMED.length; place++) {
      values[at++] = namesOf.numberOf(row, place, n, own)
    }
    const { stopReason } = found
    if (stopReason !== undefined) {
      const reason = secrets ? clean(stopReason) : stopReason
      values[from + namedFrom + placeOfStopReason] = names.numberOf(reason, n)
    }
    for (let place = 0; place < NUMBERS.length; place++) values[at++] = row.number(place)
    const hasBody = request !== undefined || answer !== undefined
    values[at++] = found.summary ?? null
    values[at++] = hasBody ? blocks.block : null
    for (const body of [request, answer]) {
      const spot = body && spotOf(body, how.maxBodyChars, blocks)
      values[at++] = spot?.at ?? null
      values[at++] = spot?.bytes ?? null
      values[at++] = body?.chars ?? null
    }
    tail.add(n, values, factPlaces, from)
    put()
    blocks.end(n)
    // In the order of `TEXT_COLUMNS`.
    const beside = {
      usage: row.text('usage') ?? null,
      error: tidied(row.text('error')),
      trail: tidied(row.text('trail')),
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
    index.add({ n, atMs, said: found.said }, how.pause)
    if (!how.told) return undefined
    const stored: Record<string, Value> = { n, id, session_id: sessionId }
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
      putRest()
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
      for (const statement of [many, one, texts, metadata]) statement.finalize()
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

/** Runs a statement with the values of its places, in their order. */
function run(statement: Statement<unknown, SQLQueryBindings[]>, values: Value[]): void {
  // Bun takes them as a list, which its types do not say.
  statement.run(values as unknown as string)
}

/** Puts a body into a block, as much of it as is kept. */
function spotOf(text: PackedText, maxChars: number, blocks: BlockWriter): Spot {
  return blocks.add(text.chars <= maxChars ? text : packedOf(beginningOf(text, maxChars)))
}
