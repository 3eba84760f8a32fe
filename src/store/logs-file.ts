import { Database } from 'bun:sqlite'
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

import { LOG_LAYOUT, LOG_TABLES } from './logs-tables.ts'

// The file of the log, for the thread that writes it.

const busyMs = 2000

/** The file has another layout, which this version does not write. */
export class OldLayout extends Error {
  override readonly name = 'OldLayout'
}

/** Opens it, new if need be. Throws `OldLayout`, and what SQLite throws. */
export function openLog(path: string, maxBytes: number): Database {
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
    lay(sqlite)
    return sqlite
  } catch (thrown) {
    sqlite.close()
    throw thrown
  }
}

function lay(sqlite: Database): void {
  const version = layoutOf(sqlite)
  if (version > LOG_LAYOUT) throw new Error('it was written by a newer version of Asbru')
  if (version === LOG_LAYOUT) return
  if (version > 0) throw new OldLayout('it was written by an older version of Asbru')
  sqlite
    .transaction(() => {
      // Another process may have been faster.
      if (layoutOf(sqlite) !== 0) return
      sqlite.run(LOG_TABLES)
      sqlite.run(`PRAGMA user_version = ${LOG_LAYOUT}`)
    })
    .immediate()
}

function layoutOf(sqlite: Database): number {
  return sqlite.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0
}

/** Renames the file, which is kept for whoever wants to look at it, one at a time. Returns where it is. */
export function layAside(path: string, as: string): string {
  const dir = dirname(path)
  for (const name of readdirSync(dir)) {
    if (name.startsWith(`${basename(path)}.${as}-`)) rmSync(join(dir, name), { force: true })
  }
  const aside = `${path}.${as}-${Date.now()}`
  renameSync(path, aside)
  for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true })
  return aside
}

/** Bytes of the file with its journal, those of them that are in use, and those that can be given back. */
export function sizeOf(
  sqlite: Database,
  path: string,
): { readonly file: number; readonly used: number; readonly free: number } {
  const number = (pragma: string): number => {
    const row = sqlite.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get()
    return Object.values(row ?? {})[0] ?? 0
  }
  const pageBytes = number('page_size')
  const pages = number('page_count')
  const wal = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0
  const free = number('freelist_count') * pageBytes
  return { file: pages * pageBytes + wal, used: pages * pageBytes - free, free }
}

/** What one row takes, with all that belongs to it; on average, of what is in use. */
export function bytesOfRow(sqlite: Database, used: number): number {
  const { first, last } = sqlite
    .query<{ first: number; last: number }, []>(
      'SELECT (SELECT MIN(n) FROM calls) AS first, (SELECT MAX(n) FROM calls) AS last',
    )
    .get()!
  return used / Math.max(1, last - first + 1)
}

/**
 * Writes the journal into the file and leaves nothing of it. Waits for those who read it, unless it is not to be patient;
 * false when somebody still does.
 */
export function emptyJournal(sqlite: Database, isPatient: boolean): boolean {
  if (!isPatient) sqlite.run('PRAGMA busy_timeout = 0')
  try {
    const row = sqlite.query<{ busy: number }, []>('PRAGMA wal_checkpoint(TRUNCATE)').get()
    return row?.busy === 0
  } finally {
    if (!isPatient) sqlite.run(`PRAGMA busy_timeout = ${busyMs}`)
  }
}

function codeOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

export const isDamage = (thrown: unknown): boolean =>
  /^SQLITE_(?:CORRUPT|NOTADB)/.test(codeOf(thrown))
/** What may be over the next time. */
export const isPassing = (thrown: unknown): boolean =>
  /^SQLITE_(?:BUSY|FULL|LOCKED)/.test(codeOf(thrown))
