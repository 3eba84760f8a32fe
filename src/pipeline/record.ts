import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import type { Usage } from '#openai/usage.ts'

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
  const debug = log.level === 'debug'
  return {
    totals,
    open(call, release) {
      let settled = false
      const close = (): boolean => {
        if (settled) return false
        settled = true
        release()
        return true
      }
      return {
        get isSettled() {
          return settled
        },
        success(usage) {
          if (!close()) return
          totals.succeeded++
          if (debug) log.debug('request served', facts(call, { usage }))
        },
        failure(error, usage) {
          if (!close()) return
          if (error.kind === 'client_closed') totals.abandoned++
          else totals.failed++
          log[error.level](`request failed: ${error.message}`, {
            ...facts(call, { usage }),
            kind: error.kind,
            status: error.status,
            fault: error.fault,
            ...(error.cause !== undefined && { cause: error.cause }),
          })
        },
      }
    },
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
