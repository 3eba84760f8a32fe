import type { ErrorKind } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'
import { release, watch } from '#lib/deadline.ts'
import type { Deadline } from '#lib/deadline.ts'
import { SseOverflow } from '#lib/sse.ts'

import type { Inflight } from './inflight.ts'
import { departure } from './total.ts'

type Phase = Extract<
  ErrorKind,
  'connect_timeout' | 'headers_timeout' | 'first_token_timeout' | 'idle_timeout' | 'total_timeout'
>

const phaseNames: Record<Phase, string> = {
  connect_timeout: 'connect',
  headers_timeout: 'send response headers',
  first_token_timeout: 'send the first event',
  idle_timeout: 'send more of its stream',
  total_timeout: 'finish',
}

/**
 * The timers and the cancel of one upstream attempt. `signal` aborts when the caller leaves, when a timer
 * runs out, or by `abort`; `explain` tells afterwards which it was.
 */
export class Connection {
  readonly #controller = new AbortController()
  readonly #callSignal: AbortSignal
  readonly #deadline: Deadline
  #totalAt: number
  /** `performance.now()` when it began. */
  readonly sentAt = performance.now()
  #phase: Phase = 'total_timeout'
  #phaseStartedAt = this.sentAt
  #reason: GatewayError | undefined
  /** Called once when the attempt is aborted, whoever did it. */
  onAbort: (() => void) | undefined
  readonly #inflight: Inflight
  #probe: (() => Promise<void>) | undefined
  #closed = false
  slot: number | undefined

  constructor(callSignal: AbortSignal, totalMs: number, inflight: Inflight) {
    this.#callSignal = callSignal
    this.#inflight = inflight
    this.#totalAt = totalMs === 0 ? Number.POSITIVE_INFINITY : this.sentAt + totalMs
    this.#deadline = watch({ at: this.#totalAt, expired: this.#expired })
    callSignal.addEventListener('abort', this.#left)
    if (callSignal.aborted) this.#left()
    inflight.add(this)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Enters a phase that may take `ms` (0 = no limit of its own), counted from now or from `since`. */
  enter(phase: Phase, ms: number, since = performance.now()): void {
    this.#phase = phase
    this.#phaseStartedAt = since
    const at = ms === 0 ? Number.POSITIVE_INFINITY : this.#phaseStartedAt + ms
    this.#deadline.at = at < this.#totalAt ? at : this.#totalAt
  }

  /**
   * `fetch` does not tell when it has connected. So when the connect timer runs out with no answer yet,
   * `probe` opens a connection of its own; only if that fails too is the provider unreachable.
   */
  enterConnect(ms: number, probe: () => Promise<boolean>, then: () => void): void {
    this.enter('connect_timeout', ms)
    this.#probe = async () => {
      const reachable = await probe()
      if (this.#closed || this.#reason) return
      // The answer may have come while we were looking; then another phase has begun.
      if (this.#phase !== 'connect_timeout') watch(this.#deadline)
      else if (reachable) {
        then()
        watch(this.#deadline)
      } else this.#timeOut()
    }
  }

  /** Counts the whole from its start against `totalMs` instead: what has come is a stream after all. */
  allow(totalMs: number): void {
    this.#totalAt = totalMs === 0 ? Number.POSITIVE_INFINITY : this.sentAt + totalMs
  }

  /** Leaves only the total timer running, while the caller's side is what keeps us waiting. */
  pause(): void {
    this.#deadline.at = this.#totalAt
  }

  /** Ends the attempt from our side for the given reason. */
  abort(reason: GatewayError): void {
    this.#reason ??= reason
    if (this.#controller.signal.aborted) return
    this.#controller.abort()
    this.onAbort?.()
  }

  /** Why it ended: the timer or cancel that did it, or else what `thrown` says about the network. */
  explain(thrown: unknown, provider: string): GatewayError {
    return this.#reason ?? networkError(thrown, provider)
  }

  /** The reason of our own abort, if there was one. */
  get reason(): GatewayError | undefined {
    return this.#reason
  }

  /** Stops timers and listeners. Call exactly when nothing more is read from upstream. */
  close(): void {
    this.#closed = true
    this.#inflight.delete(this)
    release(this.#deadline)
  }

  // Stays with the signal, which lives as long as its call: taking it off costs more than leaving it there.
  readonly #left = (): void => {
    if (this.#closed) return
    this.abort(departure(this.#callSignal))
  }

  readonly #expired = (): void => {
    const probe = this.#phase === 'connect_timeout' ? this.#probe : undefined
    this.#probe = undefined
    if (probe && performance.now() < this.#totalAt) {
      void probe()
      return
    }
    this.#timeOut()
  }

  #timeOut(): void {
    const now = performance.now()
    const phase = now >= this.#totalAt ? 'total_timeout' : this.#phase
    const since = phase === 'total_timeout' ? this.sentAt : this.#phaseStartedAt
    const ms = Math.round(now - since)
    this.abort(
      new GatewayError(phase, `The provider did not ${phaseNames[phase]} within ${ms} ms.`),
    )
  }
}

function networkError(thrown: unknown, provider: string): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  if (thrown instanceof SseOverflow) {
    return new GatewayError(
      'upstream_malformed',
      `Provider '${provider}' sent an event of more than ${thrown.maxEventBytes} bytes.`,
      { cause: thrown },
    )
  }
  const { code = '' } = (thrown ?? {}) as { code?: string }
  if (/reset|closed|socket.*hang|EPIPE/i.test(code)) {
    return new GatewayError('upstream_reset', `Provider '${provider}' closed the connection.`, {
      cause: thrown,
    })
  }
  // EPROTO is a TLS handshake that came to nothing, ERR_PROXY_TUNNEL a proxy that opened no way: nothing was sent.
  if (
    /refused|unable|failed|notfound|dns|host|cert|tls|ssl|verif|open|http2unsupported|eproto|proxy/i.test(
      code,
    )
  ) {
    return new GatewayError(
      'upstream_unreachable',
      `Provider '${provider}' could not be reached (${code}).`,
      { cause: thrown },
    )
  }
  return new GatewayError(
    'upstream_malformed',
    `Provider '${provider}' sent an answer that is not valid HTTP${code ? ` (${code})` : ''}.`,
    { cause: thrown },
  )
}
