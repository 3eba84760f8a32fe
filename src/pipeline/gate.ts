import { GatewayError } from '#core/errors.ts'

import { Pools } from './pools.ts'
import { createRetryBudget } from './retry-budget.ts'
import type { RetryBudget } from './retry-budget.ts'

/** A queue that is full now has usually moved after a second. */
const queueFullMs = 1000

interface Waiter {
  readonly admit: () => void
}

/**
 * Limits how many calls a provider has in flight and how many wait. Created per provider and kept across
 * configuration changes, so that a reload neither forgets nor doubles what is in flight.
 */
export class Gate {
  #inFlight = 0
  /** As the latest call was told; a reload may have changed it. */
  #concurrency = 1
  readonly #waiting = new Set<Waiter>()
  /** Where the calls that were let in have their connections. */
  readonly pools = new Pools()
  /** How much may be tried again. */
  readonly retries: RetryBudget = createRetryBudget()

  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Takes a place, waiting in arrival order when all are taken; undefined means it was free at once.
   * Rejects with `queue_full` when `bufferSize` calls wait already (or any, with `dropExcess`), and
   * with the signal's reason when the caller leaves first.
   */
  enter(
    limits: { concurrency: number; bufferSize: number; dropExcess: boolean; provider: string },
    signal: AbortSignal,
  ): Promise<void> | undefined {
    this.#concurrency = limits.concurrency
    if (this.#inFlight < limits.concurrency && this.#waiting.size === 0) {
      this.#inFlight++
      return undefined
    }
    if (limits.dropExcess || this.#waiting.size >= limits.bufferSize) {
      throw new GatewayError(
        'queue_full',
        `Provider '${limits.provider}' has ${this.#inFlight} requests in flight and ${this.#waiting.size} waiting; no more are taken.`,
        { retryAfterMs: queueFullMs },
      )
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        admit: () => {
          signal.removeEventListener('abort', left)
          this.#inFlight++
          resolve()
        },
      }
      const left = () => {
        this.#waiting.delete(waiter)
        reject(new GatewayError('client_closed', 'The client left the queue.'))
      }
      if (signal.aborted) {
        left()
        return
      }
      signal.addEventListener('abort', left, { once: true })
      this.#waiting.add(waiter)
    })
  }

  /** Gives a place back; exactly once per `enter` that succeeded. */
  leave(): void {
    this.#inFlight--
    for (const waiter of this.#waiting) {
      if (this.#inFlight >= this.#concurrency) return
      this.#waiting.delete(waiter)
      waiter.admit()
    }
  }
}
