import { Database } from 'bun:sqlite'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// One process at a time keeps its jobs, answers and log in a folder. The lock is SQLite's own, on a file that stays
// empty: the system takes it back from a process that ends, however it ends, so that nothing has to be tidied up.

/** What holds a folder, or who does. */
export type Claim =
  | { readonly kind: 'held'; release(): void }
  /** `pid` is undefined when the other process has not said who it is. */
  | { readonly kind: 'taken'; readonly pid: number | undefined }
  /** Nothing can be written there, so there is nothing to get into each other's way with. */
  | { readonly kind: 'unwritable' }

/** Takes the folder for this process, for as long as it runs or until `release`. */
export function claimFolder(folder: string): Claim {
  const pidPath = join(folder, 'asbru.pid')
  let lock: Database | undefined
  try {
    mkdirSync(folder, { recursive: true })
    lock = new Database(join(folder, 'asbru.lock'))
    lock.run('PRAGMA busy_timeout = 0')
    // Nothing is ever written, so there is nothing to keep a journal of.
    lock.run('PRAGMA journal_mode = MEMORY')
    lock.run('BEGIN EXCLUSIVE')
    writeFileSync(pidPath, `${process.pid}\n`)
  } catch (thrown) {
    lock?.close()
    const isTaken = String((thrown as { code?: unknown }).code).startsWith('SQLITE_BUSY')
    return isTaken ? { kind: 'taken', pid: readPid(pidPath) } : { kind: 'unwritable' }
  }
  const held = lock
  return {
    kind: 'held',
    release() {
      rmSync(pidPath, { force: true })
      held.close()
    },
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}
