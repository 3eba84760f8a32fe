import { KeySlots } from './key-slots.ts'
import { Pools } from './pools.ts'
import { FairQueue } from './queue.ts'
import { createRetryBudget } from './retry-budget.ts'
import type { RetryBudget } from './retry-budget.ts'
import { queueFull, waitIn } from './waiting.ts'
import type { Limits, Waiter } from './waiting.ts'

/**
 * Limits how many calls a provider has in flight and how many wait. Created per provider and kept across
 * configuration changes, so that a reload neither forgets nor doubles what is in flight.
 */
export class Gate {
  #inFlight = 0
  /** As the latest call was told; a reload may have changed it. */
  #concurrency = 1
  readonly #waiting = new FairQueue<Waiter<void>>()
  /** Where the calls that were let in have their connections. */
  readonly pools = new Pools()
  /** How much may be tried again. */
  readonly retries: RetryBudget = createRetryBudget()
  /** The calls in flight of keys that have a limit of their own. */
  readonly keys = new KeySlots()

  get inFlight(): number {
    return this.#inFlight
  }

  /** Calls that wait for a place or for a key. */
  get waiting(): number {
    return this.#waiting.size + this.keys.waiting
  }

  /** Takes a place when one is free and nobody waits for it. */
  tryEnter(concurrency: number): boolean {
    this.#concurrency = concurrency
    if (this.#inFlight >= concurrency || this.#waiting.size > 0) return false
    this.#inFlight++
    return true
  }

  /**
   * Takes a place, waiting when all are taken, fair among callers; undefined means it was free at once.
   * Throws `queue_full` when `bufferSize` calls wait already (or any, with `dropExcess`), and rejects as `waitIn` does.
   */
  enter(limits: Limits, signal: AbortSignal, caller = ''): Promise<void> | undefined {
    if (this.tryEnter(limits.concurrency)) return undefined
    if (limits.dropExcess || this.waiting >= limits.bufferSize) {
      throw queueFull(limits.provider, this.#inFlight, this.waiting)
    }
    return waitIn(this.#waiting, limits, signal, caller)
  }

  /** Gives a place back; exactly once per `enter` that succeeded. Bound, so that it can be kept as it is. */
  readonly leave = (): void => {
    this.#inFlight--
    this.#letIn()
  }

  /** The configuration has another limit from now on: who waits need not wait for somebody to leave. */
  resize(concurrency: number): void {
    this.#concurrency = concurrency
    this.#letIn()
  }

  #letIn(): void {
    while (this.#inFlight < this.#concurrency) {
      const waiter = this.#waiting.take()
      if (!waiter) return
      this.#inFlight++
      waiter.admit()
    }
  }
}
