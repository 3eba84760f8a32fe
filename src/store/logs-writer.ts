import { Database } from 'bun:sqlite'
import type { SQLQueryBindings, Statement } from 'bun:sqlite'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

import { applyChange, removeRows } from './logs-change.ts'
import type { Change } from './logs-change.ts'
import { assembled, packed, parsed, redactor, wordsOf } from './logs-content.ts'
import { listed } from './logs-row.ts'
import type { StoredRow } from './logs-row.ts'
import { LOG_MIGRATIONS } from './logs-schema.ts'
import type { LogLimits, LogRow } from './logs-schema.ts'

// Writes `logs.db` and keeps it within bounds. Runs in a thread of its own, where waiting for a disk hurts nobody.

export interface LogWriter {
  /** Writes rows in one transaction. Throws when the file cannot be used; then none of them is there. */
  write(rows: readonly LogRow[], told: boolean): readonly string[]
  /** Changes rows that are there and returns how many. Throws when the file cannot be used. */
  change(change: Change): number
  setLimits(limits: LogLimits): void
  setSecrets(secrets: readonly string[]): void
  /** Removes one slice of what is too old or too much; whether there may be more. */
  tidy(): boolean
  close(): void
}

export interface LogWriterOptions {
  readonly path: string
  readonly limits: LogLimits
  /** The file was damaged; it lies at `path` now and a new one is in its place. */
  readonly onAside: (path: string, why: string) => void
  readonly now?: () => number
}

const busyMs = 2000
const maxRedactors = 200
const rowsInSlice = 200
const pagesInSlice = 2000
/** After room was made there is some left, so that it need not be made for every batch. */
const roomFactor = 0.95

const columns = [
  ...[
    'id',
    'at_ms',
    'object',
    'stream',
    'status',
    'status_code',
    'provider',
    'model',
    'model_used',
  ],
  ...['key_id', 'key_name', 'virtual_key_id', 'virtual_key_name', 'session_id', 'user_agent'],
  ...['latency_ms', 'queued_ms', 'upstream_ms', 'first_token_ms', 'prompt_tokens'],
  ...['completion_tokens', 'total_tokens', 'cached_read_tokens', 'cost', 'fallback_index'],
  ...['retries', 'attempts', 'stop_reason'],
] as const
const insertRow = `INSERT INTO logs (${columns.join(', ')}) VALUES (${columns.map((_, i) => `?${i + 1}`).join(', ')})`
const insertDetails = `
  INSERT INTO details (n, summary, usage, error, trail, dropped, metadata, trace, request, request_chars, answer, answer_chars)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`
const insertMetadata = `INSERT OR IGNORE INTO metadata (name, value, n) VALUES (?1, ?2, ?3)`
const insertWords = `INSERT INTO words (rowid, text) VALUES (?1, ?2)`
const oldest = `SELECT n, at_ms FROM logs ORDER BY n LIMIT ?1`

interface Open {
  readonly sqlite: Database
  readonly row: Statement<unknown, SQLQueryBindings[]>
  readonly details: Statement<unknown, SQLQueryBindings[]>
  readonly metadata: Statement<unknown, SQLQueryBindings[]>
  readonly words: Statement<unknown, SQLQueryBindings[]>
}

export function createLogWriter(options: LogWriterOptions): LogWriter {
  const { path, onAside, now = Date.now } = options
  let { limits } = options
  let open: Open | undefined
  let redact = redactor([])
  let configured: readonly string[] = []
  const redactors = new Map<string, (text: string) => string>()

  function ready(): Open {
    if (open) return open
    try {
      open = openLog(path, limits.maxBytes)
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown
      moveAside(thrown)
      open = openLog(path, limits.maxBytes)
    }
    return open
  }

  function shut(): void {
    const last = open
    open = undefined
    if (!last) return
    // A statement that is still there keeps the file open.
    for (const statement of [last.row, last.details, last.metadata, last.words])
      statement.finalize()
    last.sqlite.close()
  }

  /** A damaged file is kept for whoever wants to look at it, one at a time. */
  function moveAside(thrown: unknown): void {
    shut()
    const dir = dirname(path)
    for (const name of readdirSync(dir)) {
      if (name.startsWith(`${basename(path)}.damaged-`)) rmSync(join(dir, name), { force: true })
    }
    const aside = `${path}.damaged-${now()}`
    renameSync(path, aside)
    for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true })
    onAside(aside, thrown instanceof Error ? thrown.message : String(thrown))
  }

  /** Callers come with the same keys again and again. */
  function redactorFor(secrets: readonly string[]): (text: string) => string {
    const name = secrets.join('\n')
    const known = redactors.get(name)
    if (known) return known
    if (redactors.size >= maxRedactors) redactors.clear()
    const fresh = redactor([...configured, ...secrets])
    redactors.set(name, fresh)
    return fresh
  }

  function insert(into: Open, row: LogRow, told: boolean): string | undefined {
    const clean = row.secrets.length === 0 ? redact : redactorFor(row.secrets)
    const tidied = (text: string | undefined): string | null => {
      return text === undefined ? null : clean(text).toWellFormed()
    }
    const answer =
      row.answer === undefined || typeof row.answer === 'string'
        ? row.answer
        : assembled(row.answer, row.object)
    const request = tidied(row.request) ?? undefined
    const said = tidied(answer) ?? undefined
    const words = wordsOf(request, said)
    const values: SQLQueryBindings[] = [
      ...[tidied(row.id), row.atMs, row.object, row.stream ? 1 : 0, row.status, row.statusCode],
      ...[row.provider, tidied(row.model), tidied(row.modelUsed), row.keyId ?? null],
      ...[row.keyName ?? null, row.virtualKeyId ?? null, row.virtualKeyName ?? null],
      ...[tidied(row.sessionId), tidied(row.userAgent), row.latencyMs, row.queuedMs],
      ...[row.upstreamMs, row.firstTokenMs ?? null, row.promptTokens ?? null],
      ...[row.completionTokens ?? null, row.totalTokens ?? null, row.cachedTokens ?? null],
      ...[row.cost ?? null, row.fallbackIndex, row.retries, row.attempts],
      ...[words.stopReason ?? null],
    ]
    const n = Number(into.row.run(...values).lastInsertRowid)
    const beside = {
      summary: words.summary ?? null,
      usage: row.usage ?? null,
      error: tidied(row.error),
      trail: row.trail ?? null,
      dropped: tidied(row.dropped),
      metadata: tidied(row.metadata),
      trace: tidied(row.trace),
    }
    into.details.run(
      n,
      ...Object.values(beside),
      ...body(request, limits.maxBodyChars),
      ...body(said, limits.maxBodyChars),
    )
    if (beside.metadata !== null) {
      for (const [name, value] of Object.entries(parsed(beside.metadata) ?? {})) {
        if (typeof value === 'string') into.metadata.run(name, value, n)
      }
    }
    if (words.text !== '') into.words.run(n, words.text)
    if (!told) return undefined
    const stored = Object.fromEntries(columns.map((name, i) => [name, values[i] ?? null]))
    return JSON.stringify(listed({ n, ...beside, ...stored } as unknown as StoredRow))
  }

  function tidy(): boolean {
    const { sqlite } = ready()
    const size = sizeOf(sqlite, path)
    const isLarge = size.file > limits.maxBytes && size.used > limits.maxBytes * roomFactor * 0.9
    const before = now() - limits.maxAgeMs
    const rows = sqlite.query<{ n: number; at_ms: number }, [number]>(oldest).all(rowsInSlice)
    const doomed = isLarge ? rows : rows.filter(({ at_ms }) => at_ms < before)
    if (doomed.length > 0) {
      sqlite
        .transaction(() => {
          removeRows(
            sqlite,
            doomed.map(({ n }) => n),
          )
        })
        .immediate()
    }
    if (size.file > limits.maxBytes || doomed.length > 0) {
      sqlite.run(`PRAGMA incremental_vacuum(${pagesInSlice})`)
      // Pages given back leave the file only when the journal is written into it.
      if (size.file > limits.maxBytes) sqlite.run('PRAGMA wal_checkpoint(TRUNCATE)')
    }
    return doomed.length === rowsInSlice
  }

  return {
    write(rows, told) {
      // What is written next has room first, so that the file is never larger than its bound and one batch.
      for (let slices = 0; slices < 50 && tidy(); slices++);
      try {
        const into = ready()
        const lines: string[] = []
        into.sqlite
          .transaction(() => {
            for (const row of rows) {
              const line = insert(into, row, told)
              if (line !== undefined) lines.push(line)
            }
          })
          .immediate()
        return lines
      } catch (thrown) {
        if (isDamage(thrown)) moveAside(thrown)
        else if (!isPassing(thrown)) shut()
        throw thrown
      }
    },
    change(change) {
      try {
        return applyChange(ready().sqlite, change)
      } catch (thrown) {
        if (isDamage(thrown)) moveAside(thrown)
        throw thrown
      }
    },
    setLimits(next) {
      limits = next
    },
    setSecrets(secrets) {
      configured = secrets
      redactors.clear()
      redact = redactor(secrets)
    },
    tidy() {
      try {
        return tidy()
      } catch (thrown) {
        if (isDamage(thrown)) moveAside(thrown)
        throw thrown
      }
    },
    close() {
      open?.sqlite.run('PRAGMA wal_checkpoint(TRUNCATE)')
      shut()
    },
  }
}

/** The stored form of a body and how long it was. */
function body(
  text: string | undefined,
  maxChars: number,
): [string | Uint8Array | null, number | null] {
  if (text === undefined) return [null, null]
  return [
    packed(text.length > maxChars ? text.slice(0, maxChars).toWellFormed() : text),
    text.length,
  ]
}

function codeOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

const isDamage = (thrown: unknown): boolean => /^SQLITE_(?:CORRUPT|NOTADB)/.test(codeOf(thrown))
const isPassing = (thrown: unknown): boolean => /^SQLITE_(?:BUSY|FULL|LOCKED)/.test(codeOf(thrown))

function sizeOf(sqlite: Database, path: string): { file: number; used: number } {
  const number = (pragma: string): number => {
    const row = sqlite.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get()
    return Object.values(row ?? {})[0] ?? 0
  }
  const pageBytes = number('page_size')
  const pages = number('page_count')
  const wal = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0
  return {
    file: pages * pageBytes + wal,
    used: (pages - number('freelist_count')) * pageBytes,
  }
}

function openLog(path: string, maxBytes: number): Open {
  const journalPages = Math.max(250, Math.min(4000, Math.floor(maxBytes / 4096 / 16)))
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // It holds what people said to models, so nobody else on this machine reads it.
  closeSync(openSync(path, 'a', 0o600))
  const sqlite = new Database(path, { readwrite: true, create: true, strict: true })
  try {
    sqlite.run(`PRAGMA busy_timeout = ${busyMs}`)
    sqlite.run('PRAGMA auto_vacuum = INCREMENTAL')
    sqlite.run('PRAGMA journal_mode = WAL')
    // A loss of power may take the last rows with it, and nothing else.
    sqlite.run('PRAGMA synchronous = NORMAL')
    sqlite.run('PRAGMA cache_size = -8000')
    // Pages that are written again and again are copied into the file once.
    sqlite.run(`PRAGMA wal_autocheckpoint = ${journalPages}`)
    sqlite.run(`PRAGMA journal_size_limit = ${journalPages * 4096}`)
    migrate(sqlite)
    return {
      sqlite,
      row: sqlite.prepare(insertRow),
      details: sqlite.prepare(insertDetails),
      metadata: sqlite.prepare(insertMetadata),
      words: sqlite.prepare(insertWords),
    }
  } catch (thrown) {
    sqlite.close()
    throw thrown
  }
}

function migrate(sqlite: Database): void {
  const version = (): number =>
    sqlite.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0
  if (version() > LOG_MIGRATIONS.length) {
    throw new Error('it was written by a newer version of Asbru')
  }
  if (version() === LOG_MIGRATIONS.length) return
  sqlite
    .transaction(() => {
      for (const step of LOG_MIGRATIONS.slice(version())) sqlite.run(step)
      sqlite.run(`PRAGMA user_version = ${LOG_MIGRATIONS.length}`)
    })
    .immediate()
}
