import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import { isEventStream } from '#lib/sse.ts'
import type { Usage } from '#openai/usage.ts'

import type { Books } from './books.ts'
import { failureClass } from './failure.ts'
import type { FailureClass } from './failure.ts'
import type { Health, TargetName, Ticket } from './health.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { hasOwnTimers } from './timeouts.ts'

/** Why an attempt's signal aborted when another attempt of the same call was faster. */
export class Overtaken {
  /** Its answer takes longer than this, in milliseconds; undefined when it was not given the time to show. */
  readonly beyondMs: number | undefined

  constructor(beyondMs: number | undefined) {
    this.beyondMs = beyondMs
  }
}

/**
 * What one attempt says of its target. It stands between the attempt and the call's books, because a stream is only
 * known to be good when it has ended: one that breaks half-way is a failure of its target, and the time to its first
 * event is the latency of one that does not.
 */
export class Verdict implements Settle {
  readonly #settle: Settle
  readonly #health: Health
  readonly #call: Call
  readonly #ticket: Ticket
  readonly #beganMs: number
  #firstMs: number | undefined
  #given = false
  /** Called when the target fails after all, its answer having begun. */
  broken: (() => void) | undefined

  constructor(settle: Settle, health: Health, call: Call, target: TargetName) {
    this.#settle = settle
    this.#health = health
    this.#call = call
    this.#beganMs = performance.now()
    this.#ticket = health.began(target, this.#beganMs)
  }

  get books(): Books {
    return this.#settle.books
  }

  get isSettled(): boolean {
    return this.#settle.isSettled
  }

  first(): void {
    this.#firstMs ??= performance.now() - this.#beganMs
    this.#settle.first?.()
  }

  /** Its outcome is what the caller gets. Files and sounds have no events; their first bytes are here with it. */
  committed(outcome: Outcome): void {
    if (outcome.kind === 'stream' && !isEventStream(outcome.contentType)) {
      this.first()
    }
  }

  success(usage: Usage | undefined): void {
    if (!this.#given) {
      this.#given = true
      const now = performance.now()
      const latencyMs = this.#firstMs ?? now - this.#beganMs
      const what = this.#firstMs === undefined ? 'whole' : 'first'
      this.#health.succeeded(this.#ticket, now, latencyMs, what)
    }
    this.#settle.success(usage)
  }

  failure(error: GatewayError, usage?: Usage): void {
    this.failed(error, failureClass(error))
    this.#settle.failure(error, usage)
  }

  /** It came to nothing; the call goes on. */
  failed(error: GatewayError, what: FailureClass): void {
    if (this.#given) return
    this.#given = true
    const now = performance.now()
    const { reason } = this.#call.signal
    // A caller's impatience is not held against the target, which others may have all the time for.
    const isHurried = what === 'timeout' && error.upstream === undefined && hasOwnTimers(this.#call)
    if (isOfTarget(what) && !isHurried) {
      this.broken?.()
      this.#health.failed(this.#ticket, now, what, error.upstream?.retryAfterMs)
    } else if (reason instanceof Overtaken && reason.beyondMs !== undefined) {
      this.#health.overtaken(this.#ticket, reason.beyondMs, this.#call.stream ? 'first' : 'whole')
    } else this.#health.abandoned(this.#ticket)
  }
}

/** Whether a failure of this class says anything about who was asked. */
function isOfTarget(what: FailureClass): boolean {
  return what !== 'caller' && what !== 'cancelled' && what !== 'gateway'
}
