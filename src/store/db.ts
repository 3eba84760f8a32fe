import { Database } from 'bun:sqlite'
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'

import { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'

import { createFlush } from './flush.ts'
import { MIGRATIONS } from './migrations.ts'

// One SQLite file, opened when something first needs it. A file that cannot be used never stops the gateway: who
// needs it is told, everybody else does not notice.

export interface Db {
  /**
   * What `work` returns. Throws `GatewayError` `store_unavailable` when the file cannot be used; one that could not
   * be opened is left alone for some seconds, so that a broken disk does not hold up every request anew.
   */
  use<T>(work: (sqlite: Database) => T): T
  /**
   * Resolves when all that was committed before is on the disk, so that it survives a loss of power. Nothing waits
   * for the disk meanwhile, and who asks at the same time shares one wait. Never rejects: a disk that cannot do that
   * is told to the log.
   */
  durable(): Promise<void>
  /** Whether something written now would stay, as far as is known; opens the file to find out. */
  isUsable(): boolean
  /** Whether there is anything to be read, as far as can be told without opening it. */
  exists(): boolean
  readonly isInMemory: boolean
  /** Writes what is in the log back into the file and lets go of it. It opens again when it is used again. */
  close(): void
}

export interface DbOptions {
  /** Undefined keeps everything in memory. */
  readonly path: string | undefined
  readonly log: Logger
  /** How long a file that failed is left alone. */
  readonly retryMs?: number
}

/** The main thread waits here, so it does not wait long for another process that writes. */
const busyMs = 100

export function createDb({ path, log, retryMs = 10_000 }: DbOptions): Db {
  let sqlite: Database | undefined
  let retryAt = 0
  let lastFailure: unknown

  function failed(thrown: unknown): GatewayError {
    const error = thrown instanceof Error ? thrown.message : String(thrown)
    if (lastFailure === undefined) {
      log.error(`the database cannot be used; nothing is stored until it can: ${error}`, { path })
    }
    lastFailure = thrown
    retryAt = performance.now() + retryMs
    // What is there can still be read while nothing can be added.
    if (!passing.test(codeOf(thrown))) shut()
    return unavailable(thrown)
  }

  function shut(): void {
    const last = sqlite
    sqlite = undefined
    try {
      last?.close()
    } catch (thrown) {
      log.debug('the database did not close cleanly', { path, error: String(thrown) })
    }
  }

  /** What is written to a file that somebody has deleted is gone with the process, whatever was promised. */
  function isDeleted(): boolean {
    return path !== undefined && !existsSync(path)
  }

  function opened(): Database {
    if (sqlite && !isDeleted()) return sqlite
    if (sqlite) {
      log.error('the database was deleted while it was used; a new one takes its place', { path })
      shut()
    }
    if (performance.now() < retryAt) throw unavailable(lastFailure)
    try {
      sqlite = open(path)
    } catch (thrown) {
      throw failed(thrown)
    }
    return sqlite
  }

  return {
    use(work) {
      const ready = opened()
      let result
      try {
        result = work(ready)
      } catch (thrown) {
        throw failed(thrown)
      }
      if (lastFailure !== undefined && performance.now() >= retryAt) {
        lastFailure = undefined
        log.info('the database can be used again', { path })
      }
      return result
    },
    isUsable() {
      if (performance.now() < retryAt) return false
      try {
        opened()
        return true
      } catch {
        // The log has said why.
        return false
      }
    },
    durable: path === undefined ? () => Promise.resolve() : createFlush(path, log),
    exists: () => sqlite !== undefined || (path !== undefined && existsSync(path)),
    isInMemory: path === undefined,
    close() {
      // Copying the log into the file is a courtesy to whoever copies the file; the log alone is as good.
      try {
        sqlite?.run('PRAGMA wal_checkpoint(TRUNCATE)')
      } catch (thrown) {
        log.warn('the database was closed with its log beside it', { path, error: String(thrown) })
      }
      shut()
    },
  }
}

const passing = /^SQLITE_(?:BUSY|FULL|LOCKED|READONLY|IOERR_(?:WRITE|FSYNC|TRUNCATE))/

function codeOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

function unavailable(cause: unknown): GatewayError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new GatewayError(
    'store_unavailable',
    `The gateway's store cannot be used at the moment: ${why.slice(0, 200)}.`,
    { cause },
  )
}

function open(path: string | undefined): Database {
  if (path !== undefined) createPrivate(path)
  const sqlite = new Database(path ?? ':memory:', { readwrite: true, create: true, strict: true })
  try {
    sqlite.run(`PRAGMA busy_timeout = ${busyMs}`)
    // Before the first table: pages of what was deleted can then be given back a few at a time.
    sqlite.run('PRAGMA auto_vacuum = INCREMENTAL')
    sqlite.run('PRAGMA journal_mode = WAL')
    // Survives the death of the process at any moment; a loss of power may take the last commits with it, and
    // nothing else. Waiting for the disk in each of them would hold up all other callers: `durable` waits beside them.
    sqlite.run('PRAGMA synchronous = NORMAL')
    sqlite.run('PRAGMA cache_size = -8000')
    migrate(sqlite)
  } catch (thrown) {
    sqlite.close()
    throw thrown
  }
  return sqlite
}

/** The file holds what people said to models, so nobody else on this machine reads it. */
function createPrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  closeSync(openSync(path, 'a', 0o600))
}

function migrate(sqlite: Database): void {
  const seen = versionOf(sqlite)
  if (seen > MIGRATIONS.length) {
    throw new Error('it was written by a newer version of Asbru')
  }
  if (seen === MIGRATIONS.length) return
  sqlite
    .transaction(() => {
      // Another process may have been faster.
      for (const step of MIGRATIONS.slice(versionOf(sqlite))) sqlite.run(step)
      sqlite.run(`PRAGMA user_version = ${MIGRATIONS.length}`)
    })
    .immediate()
}

function versionOf(sqlite: Database): number {
  const row = sqlite.query<{ user_version: number }, []>('PRAGMA user_version').get()
  return row?.user_version ?? 0
}
