import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import type { Usage } from '#openai/usage.ts'

import { failureClass } from './failure.ts'

/** Ends a call's books. The first word counts; whatever is said after it changes nothing. */
export interface Settle {
  success(usage: Usage | undefined): void
  failure(error: GatewayError, usage?: Usage): void
  /** Whether the books are closed. */
  readonly isSettled: boolean
}

/** Calls ended since the start, by how they ended. */
export interface Totals {
  succeeded: number
  failed: number
  abandoned: number
}

export interface Recorder {
  readonly totals: Readonly<Totals>
  /** `release` runs once, when the call is settled. */
  open(call: Call, release: () => void): Settle
}

/** Writes one log line for each call that failed, at the level of its error, and one at debug for the others. */
export function createRecorder(log: Logger): Recorder {
  const totals: Totals = { succeeded: 0, failed: 0, abandoned: 0 }
  return { totals, open: (call, release) => new Settlement(call, release, totals, log) }
}

class Settlement implements Settle {
  isSettled = false
  readonly #call: Call
  readonly #release: () => void
  readonly #totals: Totals
  readonly #log: Logger

  constructor(call: Call, release: () => void, totals: Totals, log: Logger) {
    this.#call = call
    this.#release = release
    this.#totals = totals
    this.#log = log
  }

  success(usage: Usage | undefined): void {
    if (!this.#close()) return
    this.#totals.succeeded++
    const log = this.#log
    // Only then are the facts worth collecting.
    if (log.level === 'debug') log.debug('request served', facts(this.#call, { usage }))
  }

  failure(error: GatewayError, usage?: Usage): void {
    if (!this.#close()) return
    if (error.kind === 'client_closed') this.#totals.abandoned++
    else this.#totals.failed++
    this.#log[error.level](`request failed: ${error.message}`, {
      ...facts(this.#call, { usage }),
      kind: error.kind,
      failure_class: failureClass(error),
      status: error.status,
      fault: error.fault,
      ...(error.cause !== undefined && { cause: error.cause }),
    })
  }

  #close(): boolean {
    if (this.isSettled) return false
    this.isSettled = true
    this.#release()
    return true
  }
}

function facts(call: Call, more: { usage: Usage | undefined }): Record<string, unknown> {
  return {
    id: call.id,
    request_type: requestType(call.endpoint, call.stream),
    provider: call.provider,
    model: call.modelRequested,
    ms: Math.round(performance.now() - call.startedAt),
    ...(more.usage && { usage: more.usage }),
    trace: call.trace.list().map(({ atMs, step, what }) => `${atMs.toFixed(1)} ${step}: ${what}`),
  }
}
