import { stat } from 'node:fs/promises'

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
  /** Between two looks at whether the file is another than before. */
  readonly lookMs?: number
  /** Between such a look and the reading of the file, so that half-written files are rarely seen. */
  readonly debounceMs?: number
  /** The file is also read this often without a sign, for changes that leave size and times as they were. */
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
  const { path, reload, onChange, onRejected } = options
  const { lookMs = 200, debounceMs = 100, pollMs = 5000 } = options
  let current = initial
  let closed = false
  // Versions are told apart by their hash; the text, which may hold secrets, is not kept.
  let loaded = versionOf(asSource(options.initialText))
  let seen = loaded
  // One read at a time; what is asked for during one follows it.
  let queue: Promise<unknown> = Promise.resolve()

  const follower =
    path === undefined ? undefined : follow(path, { lookMs, debounceMs, pollMs }, check)
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

/**
 * Calls `check` some time after what stands at `path` changed, and every now and then. It looks (one `stat`)
 * instead of having the folder watched: the log writes thousands of times a second into the same folder, and each
 * of its writes would wake a watcher. A watch on the file itself is dead after the first atomic rename, which is
 * how editors save and how Kubernetes swaps mounted configurations.
 */
function follow(
  path: string,
  times: { readonly lookMs: number; readonly debounceMs: number; readonly pollMs: number },
  check: (path: string) => Promise<void>,
): { close(): void } {
  let standing: string | undefined
  let looking = false
  let soon: ReturnType<typeof setTimeout> | undefined
  const looks = setInterval(() => void look(), times.lookMs)
  const poll = setInterval(() => void check(path), times.pollMs)
  looks.unref()
  poll.unref()
  return {
    close() {
      clearTimeout(soon)
      clearInterval(looks)
      clearInterval(poll)
    },
  }

  async function look(): Promise<void> {
    // A folder on the network may take longer than the time between two looks.
    if (looking) return
    looking = true
    const now = await standingAt(path)
    looking = false
    if (now === standing) return
    standing = now
    soon ??= setTimeout(() => {
      soon = undefined
      void check(path)
    }, times.debounceMs)
  }
}

/** What tells one version of a file from another without reading it. */
async function standingAt(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path)
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch {
    return missingVersion
  }
}
