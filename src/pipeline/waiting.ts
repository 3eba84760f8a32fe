import { GatewayError } from '#core/errors.ts'
import { inMs, release, watch } from '#lib/deadline.ts'

import type { FairQueue } from './queue.ts'

/** A queue that is full now has usually moved after a second. */
const queueFullMs = 1000

/** One that waits for a `T`. */
export interface Waiter<T> {
  /** Its turn has come. Call it after taking it out of the queue. */
  readonly admit: (what: T) => void
}

/** How long a queue may be, and how long anybody waits in it. */
export interface Limits {
  readonly provider: string
  /** Calls in flight at once. */
  readonly concurrency: number
  /** Calls that may wait. */
  readonly bufferSize: number
  /** Refuse at once instead of waiting. */
  readonly dropExcess: boolean
  /** Longest wait; 0 or absent = as long as the caller does. */
  readonly maxWaitMs?: number | undefined
}

/**
 * Waits in a queue until `admit` is called. Rejects with `queue_full` when that takes longer than allowed, and with
 * `client_closed` when the caller leaves first; it is out of the queue then.
 */
export function waitIn<T>(
  queue: FairQueue<Waiter<T>>,
  { provider, maxWaitMs = 0 }: Limits,
  signal: AbortSignal,
  caller: string,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  if (signal.aborted) return Promise.reject(left())
  const over = (): void => {
    signal.removeEventListener('abort', gone)
    release(patience)
    queue.remove(place)
  }
  const gone = (): void => {
    over()
    reject(left())
  }
  const patience = {
    at: inMs(maxWaitMs),
    expired: () => {
      over()
      reject(tooLong(provider, maxWaitMs))
    },
  }
  const place = queue.add(caller, {
    admit: (what) => {
      over()
      resolve(what)
    },
  })
  signal.addEventListener('abort', gone, { once: true })
  if (maxWaitMs > 0) watch(patience)
  return promise
}

/** The refusal of a queue that takes no more. */
export function queueFull(provider: string, inFlight: number, waiting: number): GatewayError {
  return new GatewayError(
    'queue_full',
    `Provider '${provider}' has ${inFlight} requests in flight and ${waiting} waiting; no more are taken.`,
    { retryAfterMs: queueFullMs },
  )
}

function tooLong(provider: string, maxWaitMs: number): GatewayError {
  return new GatewayError(
    'queue_full',
    `Provider '${provider}' had no free place for ${maxWaitMs / 1000} s.`,
    { code: 'queue_timeout', retryAfterMs: queueFullMs },
  )
}

function left(): GatewayError {
  return new GatewayError('client_closed', 'The client left the queue.')
}
