import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Usage } from '#openai/usage.ts'

import { Books } from './books.ts'
import type { Settle } from './record.ts'
import { Overtaken } from './verdict.ts'

// Two attempts of one call, of which the caller gets whichever answers first. The other is cancelled in that instant:
// its connection is closed and its place given back.

/** What is held and has to be given back. */
interface Held {
  release: (() => void) | undefined
}

/** Calls `then` after so many milliseconds, unless the function it returns is called before. */
export type After = (ms: number, then: () => void) => () => void

export interface RaceOptions<T> {
  readonly call: Call
  readonly settle: Settle
  /** The call's own; what it holds belongs to the first attempt. */
  readonly holding: Held
  /** How long the first is given alone. */
  readonly delayMs: number
  first(lane: Lane): Promise<T>
  /** Asked once, after the delay; undefined when nobody else can be asked. */
  second(lane: Lane): Promise<T> | undefined
  /** Both were asked, and this one answered first. */
  decided?(isSecond: boolean): void
  /** One of them came to nothing while the other went on. */
  dropped?(thrown: unknown, isSecond: boolean): void
  readonly after?: After
}

/**
 * Resolves with what answers first: the first event of a stream, or a whole answer. An attempt that fails leaves the
 * race to the other; rejects with what the first one threw when there is no other, or it has failed as well. The call
 * is settled only by the winner.
 */
export function race<T>(options: RaceOptions<T>): Promise<T> {
  const { call, settle, holding, after = afterDelay } = options
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const first = new Lane(call, settle, claim)
  first.own.adopt(settle.books)
  let second: Lane | undefined
  let winner: Lane | undefined
  let failure: { readonly thrown: unknown } | undefined
  let hasFailedSecond = false
  first.holding.release = holding.release
  holding.release = () => {
    holding.release = undefined
    first.free()
    second?.free()
  }
  const stopWaiting = after(options.delayMs, begin)
  run(first)
  return promise

  function claim(lane: Lane): boolean {
    if (winner) return winner === lane
    winner = lane
    stopWaiting()
    settle.books.adopt(lane.own)
    if (!second) return true
    const loser = lane === second ? first : second
    loser.cancel(new Overtaken(loser === first ? options.delayMs : undefined))
    loser.free()
    options.decided?.(lane === second)
    return true
  }

  function begin(): void {
    if (winner || failure || call.signal.aborted) return
    const lane = new Lane(call, settle, claim)
    const running = options.second(lane)
    if (!running) return
    second = lane
    run(lane, running)
  }

  function run(lane: Lane, running: Promise<T> = options.first(lane)): void {
    running.then(
      (outcome) => (claim(lane) ? resolve(outcome) : lane.free()),
      (thrown: unknown) => lost(lane, thrown),
    )
  }

  function lost(lane: Lane, thrown: unknown): void {
    lane.free()
    if (winner) {
      if (winner === lane) reject(thrown)
      return
    }
    if (lane === second) {
      hasFailedSecond = true
      if (failure) giveUp(failure.thrown)
      else options.dropped?.(thrown, true)
      return
    }
    stopWaiting()
    failure = { thrown }
    if (!second || hasFailedSecond) giveUp(thrown)
    else options.dropped?.(thrown, false)
  }

  function giveUp(thrown: unknown): void {
    settle.books.adopt(first.own)
    reject(thrown)
  }
}

function afterDelay(ms: number, then: () => void): () => void {
  const timer = setTimeout(then, ms)
  return () => clearTimeout(timer)
}

/** One attempt of the two, with a signal, a place and books of its own. */
export class Lane implements Settle {
  /** The call as this attempt sees it. */
  readonly call: Call
  readonly holding: Held = { release: undefined }
  /** What this attempt notes while nothing is decided. */
  readonly own: Books
  readonly #settle: Settle
  readonly #claim: (lane: Lane) => boolean
  readonly #leaving = new AbortController()
  #hasWon = false

  constructor(call: Call, settle: Settle, claim: (lane: Lane) => boolean) {
    this.own = new Books(call, settle.books.wantsContent)
    this.#settle = settle
    this.#claim = claim
    const { onResponse, signal } = call
    const leave = (): void => this.#leaving.abort(signal.reason)
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    this.call = {
      ...call,
      signal: this.#leaving.signal,
      onResponse: onResponse && ((response) => void (this.claims() && onResponse(response))),
    }
  }

  /** Whether it is this one whose answer counts; decides so when nothing is decided yet. */
  claims(): boolean {
    this.#hasWon ||= this.#claim(this)
    return this.#hasWon
  }

  cancel(reason: Overtaken): void {
    this.#leaving.abort(reason)
  }

  /** Gives back what it holds, once. */
  free(): void {
    const { release } = this.holding
    this.holding.release = undefined
    release?.()
  }

  get books(): Books {
    return this.#hasWon ? this.#settle.books : this.own
  }

  get isSettled(): boolean {
    return this.#settle.isSettled
  }

  first(): void {
    if (this.claims()) this.#settle.first?.()
  }

  success(usage: Usage | undefined): void {
    if (this.claims()) this.#settle.success(usage)
  }

  failure(error: GatewayError, usage?: Usage): void {
    if (this.claims()) this.#settle.failure(error, usage)
  }
}
