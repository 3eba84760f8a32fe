import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'

import type { LoadResult } from './load.ts'
import type { Problem } from './problem.ts'
import type { Snapshot } from './snapshot.ts'
import { readSource, wholeFile } from './source.ts'
import type { Source } from './source.ts'

export interface LiveOptions {
  /** The file to follow; undefined = none. It need not exist yet. */
  readonly path: string | undefined
  /** The text that the first snapshot was made from; undefined = there was no file. */
  readonly initialText: string | undefined
  readonly reload: (text: string | undefined) => LoadResult
  /** Runs after the swap. If it throws, the swap is taken back. */
  readonly onChange: (snapshot: Snapshot, previous: Snapshot) => void
  /** Gets whatever is wrong with a new version of the file; the old configuration stays. */
  readonly onRejected: (problems: readonly Problem[]) => void
  /** Between an event and the reading of the file, so that half-written files are rarely seen. */
  readonly debounceMs?: number
  /**
   * The file is also read this often without an event, for folders that tell nothing (network mounts,
   * single files mounted into containers, folders made later).
   */
  readonly pollMs?: number
}

export type ReloadOutcome =
  | { readonly kind: 'changed'; readonly snapshot: Snapshot }
  | { readonly kind: 'rejected'; readonly problems: readonly Problem[] }

export interface Live {
  current(): Snapshot
  /** Reads the file and swaps it in, whether it changed or not. */
  reloadNow(): Promise<ReloadOutcome>
  /** Swaps in a snapshot that did not come from the file. Throws what `onChange` throws, after swapping back. */
  replace(next: Snapshot): void
  /** Stops following the file; a read under way ends without effect. */
  close(): void
}

/** Holds the current configuration and follows its file. Only a valid file replaces anything. */
export function createLive(initial: Snapshot, options: LiveOptions): Live {
  const { path, reload, onChange, onRejected, debounceMs = 100, pollMs = 5000 } = options
  let current = initial
  let closed = false
  // Versions are told apart by their hash; the text, which may hold secrets, is not kept.
  let loaded = versionOf(asSource(options.initialText))
  let seen = loaded
  // One read at a time; what is asked for during one follows it.
  let queue: Promise<unknown> = Promise.resolve()

  const follower = path === undefined ? undefined : follow(path, { debounceMs, pollMs }, check)
  return {
    current: () => current,
    reloadNow: () =>
      inTurn(async () => {
        const source: Source = path === undefined ? { kind: 'missing' } : await readSource(path)
        seen = versionOf(source)
        return apply(source)
      }),
    replace: swap,
    close() {
      closed = true
      follower?.close()
    },
  }

  function check(file: string): Promise<void> {
    return inTurn(async () => {
      const source = await readSource(file)
      const version = versionOf(source)
      if (closed || version === seen) return
      seen = version
      // A broken edit that was undone: what runs is what stands there.
      if (version !== loaded) apply(source)
    })
  }

  function apply(source: Source): ReloadOutcome {
    if (source.kind === 'unreadable') return reject([source.problem])
    if (source.kind === 'missing' && loaded !== missingVersion) {
      return reject([wholeFile('the file is gone; the configuration it had stays in force')])
    }
    const result = reload(source.kind === 'text' ? source.text : undefined)
    if (result.snapshot === undefined) return reject(result.problems)
    try {
      swap(result.snapshot)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return reject([wholeFile(`the configuration could not be applied: ${why}`)])
    }
    loaded = versionOf(source)
    return { kind: 'changed', snapshot: result.snapshot }
  }

  function reject(problems: readonly Problem[]): ReloadOutcome {
    onRejected(problems)
    return { kind: 'rejected', problems }
  }

  function swap(next: Snapshot): void {
    const previous = current
    current = next
    try {
      onChange(next, previous)
    } catch (error) {
      current = previous
      throw error
    }
  }

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = queue.then(task)
    // The caller gets the failure; the next in turn must not.
    queue = run.then(
      () => undefined,
      () => undefined,
    )
    return run
  }
}

const missingVersion = 'missing'

function asSource(text: string | undefined): Source {
  return text === undefined ? { kind: 'missing' } : { kind: 'text', text }
}

function versionOf(source: Source): string {
  if (source.kind === 'missing') return missingVersion
  if (source.kind === 'unreadable') return source.problem.message
  return new Bun.CryptoHasher('sha256').update(source.text).digest('hex')
}

// The databases share the folder and are written all the time.
const databaseFile = /\.(db|log)(-\w+)?$/

/**
 * Calls `check` some time after anything changes in the folder of `path`, and every now and then. The
 * folder is watched because a watch on the file itself is dead after the first atomic rename, which is how
 * editors save and how Kubernetes swaps mounted configurations.
 */
function follow(
  path: string,
  times: { readonly debounceMs: number; readonly pollMs: number },
  check: (path: string) => Promise<void>,
): { close(): void } {
  let watcher: FSWatcher | undefined
  let soon: ReturnType<typeof setTimeout> | undefined
  arm()
  const poll = setInterval(() => {
    arm()
    void check(path)
  }, times.pollMs)
  poll.unref()
  return {
    close() {
      disarm()
      clearTimeout(soon)
      clearInterval(poll)
    },
  }

  function arm(): void {
    if (watcher) return
    try {
      watcher = watch(dirname(path), { persistent: false }, (_, name) => {
        if (soon !== undefined || (name !== null && databaseFile.test(name))) return
        soon = setTimeout(() => {
          soon = undefined
          void check(path)
        }, times.debounceMs)
      })
      watcher.on('error', disarm)
    } catch {
      // No such folder yet, or none that can be watched: the poll reads the file and tries again.
      disarm()
    }
  }

  function disarm(): void {
    watcher?.close()
    watcher = undefined
  }
}
