// Jobs take minutes or milliseconds, so that turns alone would give nearly all places to whoever has the long ones; the
// queue in front of a provider (queue.ts), where calls wait that nobody counts by caller once they run, goes by turns.

/** What waits to be run, fair among owners: whoever has the least running is next, in turn where that is equal. */
export interface FairQueue {
  /** Does nothing when it already waits. */
  add(id: string, owner: string): void
  /** The next one, which counts as running from then on. */
  take(): { readonly id: string; readonly owner: string } | undefined
  /** One that was taken runs no more. */
  done(owner: string): void
  readonly size: number
  clear(): void
}

export function createFairQueue(): FairQueue {
  // The order of the map is the order of turns: whoever was served goes to its end.
  const waiting = new Map<string, Set<string>>()
  const running = new Map<string, number>()
  let size = 0
  return {
    add(id, owner) {
      let own = waiting.get(owner)
      if (!own) waiting.set(owner, (own = new Set()))
      if (own.has(id)) return
      own.add(id)
      size++
    },
    take() {
      let next: string | undefined
      let least = Number.POSITIVE_INFINITY
      for (const owner of waiting.keys()) {
        const count = running.get(owner) ?? 0
        if (count >= least) continue
        next = owner
        least = count
        if (count === 0) break
      }
      if (next === undefined) return undefined
      const own = waiting.get(next)!
      waiting.delete(next)
      const [id] = own
      own.delete(id!)
      if (own.size > 0) waiting.set(next, own)
      size--
      running.set(next, least + 1)
      return { id: id!, owner: next }
    },
    done(owner) {
      const count = (running.get(owner) ?? 0) - 1
      if (count > 0) running.set(owner, count)
      else running.delete(owner)
    },
    get size() {
      return size
    },
    clear() {
      waiting.clear()
      size = 0
    },
  }
}
