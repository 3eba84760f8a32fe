import type { Key } from '#config/snapshot.ts'

import { FairQueue } from './queue.ts'
import { queueFull, waitIn } from './waiting.ts'
import type { Limits, Waiter } from './waiting.ts'

/** Counts the calls in flight of those keys of one provider that have a limit, and queues for them. */
export class KeySlots {
  readonly #inFlight = new Map<string, number>()
  /** Who waits, by the keys that would do; nearly always one list, which all calls for a model share. */
  readonly #queues = new Map<readonly Key[], FairQueue<Waiter<Key>>>()
  /** As the configuration has them since it was changed last; calls from before know their keys as those were. */
  #limits: ReadonlyMap<string, number> = new Map()
  #waiting = 0

  get waiting(): number {
    return this.#waiting
  }

  /** Calls in flight with keys that have a limit. */
  get inFlight(): number {
    let sum = 0
    for (const count of this.#inFlight.values()) sum += count
    return sum
  }

  isFull({ id, concurrency }: Key): boolean {
    if (concurrency === undefined) return false
    return (this.#inFlight.get(id) ?? 0) >= (this.#limits.get(id) ?? concurrency)
  }

  /** The keys have these limits from now on. Who waits for one that has room then, has it. */
  resize(keys: readonly Key[]): void {
    const limits = keys.map(({ id, concurrency = Number.POSITIVE_INFINITY }) => [id, concurrency])
    this.#limits = new Map(limits as [string, number][])
    for (const { id } of keys) while (this.#waiting > 0 && this.#hand(id));
  }

  /** Counts a call; a key without a limit is not counted. */
  take({ id, concurrency }: Key): void {
    if (concurrency !== undefined) this.#inFlight.set(id, (this.#inFlight.get(id) ?? 0) + 1)
  }

  /** Waits until one of the keys is free, and takes it. Throws and rejects as `Gate.enter` does. */
  async wait(
    keys: readonly Key[],
    limits: Limits,
    signal: AbortSignal,
    caller: string,
  ): Promise<Key> {
    if (limits.dropExcess || this.#waiting >= limits.bufferSize) {
      throw queueFull(limits.provider, this.inFlight, this.#waiting)
    }
    let queue = this.#queues.get(keys)
    if (!queue) {
      queue = new FairQueue()
      this.#queues.set(keys, queue)
    }
    this.#waiting++
    try {
      return await waitIn(queue, limits, signal, caller)
    } finally {
      this.#waiting--
      if (queue.size === 0 && this.#queues.get(keys) === queue) this.#queues.delete(keys)
    }
  }

  /** Gives a key back; exactly once for each that was taken. */
  give(key: Key): void {
    if (key.concurrency === undefined) return
    const left = this.#inFlight.get(key.id)! - 1
    if (left === 0) this.#inFlight.delete(key.id)
    else this.#inFlight.set(key.id, left)
    while (this.#waiting > 0 && this.#hand(key.id));
  }

  /** Gives a key that has become free to whoever is next among those it would do for; false when that is nobody. */
  #hand(id: string): boolean {
    for (const [keys, queue] of this.#queues) {
      // The key as the waiter knows it, which is what it will be called with.
      const key = queue.size > 0 ? keys.find((one) => one.id === id) : undefined
      if (!key || this.isFull(key)) continue
      // The list goes to the end, so that lists take turns as well.
      this.#queues.delete(keys)
      this.#queues.set(keys, queue)
      this.take(key)
      queue.take()!.admit(key)
      return true
    }
    return false
  }
}
