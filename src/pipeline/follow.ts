import type { LogStore } from '#store/logs.ts'

import type { Underway } from './underway.ts'

// Who watches the log is told of calls when they have begun and when they are written. Beginnings are looked for every
// now and then, and only while somebody watches: calls themselves do nothing for it.

/** `row` is a row of the log as JSON text. */
export type Watcher = (operation: 'create' | 'update', row: string) => void

export interface Following {
  /** Tells `watcher` of what is under way and of what comes, until the returned function is called. */
  watch(watcher: Watcher): () => void
}

const lookMs = 250
/** More than so many are told of when they are written. */
const maxKnown = 5000
/** A call whose row has not come after this long has none. */
const lostMs = 60_000

interface Known {
  readonly row: string
  /** When it was last seen under way. */
  at: number
}

export function createFollowing(
  logs: Pick<LogStore, 'watch'>,
  underway: Underway['calls'],
): Following {
  const watchers = new Set<Watcher>()
  /** By the ids that are shown. */
  const known = new Map<string, Known>()
  let ids = new WeakMap<object, string>()
  let timer: ReturnType<typeof setInterval> | undefined
  let unwatch: (() => void) | undefined

  function tell(operation: 'create' | 'update', row: string): void {
    for (const watcher of watchers) watcher(operation, row)
  }

  function look(): void {
    const now = performance.now()
    for (const call of underway()) {
      const before = known.get(ids.get(call.key) ?? '')
      if (before) before.at = now
      else if (known.size < maxKnown && !ids.has(call.key)) {
        const row = call.text(call.row())
        const id = idOf(row)
        ids.set(call.key, id)
        // Callers may give several calls the same id: the first one stands for all.
        if (known.has(id)) continue
        known.set(id, { row, at: now })
        tell('create', row)
      }
    }
    for (const [id, { at }] of known) if (now - at > lostMs) known.delete(id)
  }

  function start(): void {
    unwatch = logs.watch((row) => tell(known.delete(idOf(row)) ? 'update' : 'create', row))
    timer = setInterval(look, lookMs)
    timer.unref()
  }

  return {
    watch(watcher) {
      for (const { row } of known.values()) watcher('create', row)
      watchers.add(watcher)
      if (watchers.size === 1) start()
      return () => {
        if (!watchers.delete(watcher) || watchers.size > 0) return
        clearInterval(timer)
        unwatch?.()
        known.clear()
        ids = new WeakMap()
      }
    },
  }
}

const first = /^\{"id":("(?:[^"\\]|\\.)*")/

/** Rows begin with it. */
function idOf(row: string): string {
  const quoted = first.exec(row)?.[1]
  return quoted === undefined ? '' : (JSON.parse(quoted) as string)
}
