import { open } from 'node:fs/promises'
import { dirname } from 'node:path'

import type { Logger } from '#core/log.ts'

// A commit survives the end of the process; a loss of power it survives once the disk has it. SQLite would wait for
// that in each commit, and with it every call on this thread. Here a thread of the system waits, and whoever commits
// meanwhile shares the next wait with all others who do.

/**
 * What resolves when everything committed before the call is on the disk. `path` is the database's, which keeps a
 * write-ahead log. Never rejects: a disk that cannot do it is told to the log.
 */
export function createFlush(path: string, log: Logger, through = sync): () => Promise<void> {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let isEntered = false

  /** That the file is there at all has to be on the disk, too. */
  async function enter(): Promise<void> {
    isEntered = true
    // Windows has no such thing as writing through a folder.
    if (process.platform !== 'win32') await through(dirname(path), 'r')
  }

  async function flush(): Promise<void> {
    try {
      // SQLite's locks are on the other files, so that closing this one loses none of them.
      await through(`${path}-wal`, 'r+')
      if (!isEntered) await enter()
    } catch (thrown) {
      // Whoever closed the database last took the file away, and wrote all that was in it to its place before.
      if ((thrown as { code?: unknown }).code === 'ENOENT') return
      log.warn('what is stored may not survive a loss of power', { path, error: String(thrown) })
    }
  }

  function begin(): Promise<void> {
    next = undefined
    const mine = flush().finally(() => {
      if (running === mine) running = undefined
    })
    running = mine
    return mine
  }

  // One that has begun may be too early for what was committed since; the one after it is not.
  return () => (running ? (next ??= running.then(begin)) : begin())
}

async function sync(path: string, flags: 'r' | 'r+'): Promise<void> {
  const file = await open(path, flags)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
