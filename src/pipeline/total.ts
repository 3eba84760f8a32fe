import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { release, watch } from '#lib/deadline.ts'

import { readMs } from './timeouts.ts'

// The time that a caller gives a call as a whole: all of its attempts, and the waiting between and before them.

const header = 'x-bf-timeout-total'

/** A call that ends when its time is over, whoever is asked then. */
export interface Limited {
  readonly call: Call
  /** Stops the clock. Call exactly when the call has been settled. */
  readonly end: () => void
}

/** Undefined when the caller sets no limit. Throws a 400 for one that is no time. */
export function limited(call: Call): Limited | undefined {
  const asked = call.headers[header]
  if (asked === undefined) return undefined
  const ms = readMs(header, asked)
  const controller = new AbortController()
  const { signal } = call
  const left = (): void => controller.abort(signal.reason)
  if (signal.aborted) left()
  else signal.addEventListener('abort', left, { once: true })
  const deadline = watch({
    at: call.startedAt + ms,
    expired() {
      call.trace.add('attempt', `its ${ms} ms are over`, { timer: 'total_timeout' })
      controller.abort(
        new GatewayError('total_timeout', `The request was not answered within ${ms} ms.`),
      )
    },
  })
  return {
    call: { ...call, signal: controller.signal },
    end() {
      release(deadline)
      signal.removeEventListener('abort', left)
    },
  }
}

/** What is left of the call's time, in milliseconds; endless when the caller sets no limit. */
export function timeLeft({ headers, startedAt }: Call): number {
  const asked = headers[header]
  if (asked === undefined) return Number.POSITIVE_INFINITY
  return Math.max(0, startedAt + readMs(header, asked) - performance.now())
}

/** Why a call's signal has aborted: its time is over, or its caller has left. */
export function departure({ reason }: AbortSignal): GatewayError {
  return isTimeUp(reason)
    ? reason
    : new GatewayError('client_closed', 'The client closed the connection.')
}

/** Whether nobody waits for an answer any more. Who has only run out of time is told so. */
export function hasLeft({ aborted, reason }: AbortSignal): boolean {
  return aborted && !isTimeUp(reason)
}

function isTimeUp(reason: unknown): reason is GatewayError {
  return reason instanceof GatewayError && reason.kind === 'total_timeout'
}

/**
 * What a failure was, when it came of the end of the call: whoever waits for something is told of a caller who left, be
 * it that the time was over.
 */
export function asEnded(error: GatewayError, { signal }: Call): GatewayError {
  return error.kind === 'client_closed' && signal.aborted ? departure(signal) : error
}
