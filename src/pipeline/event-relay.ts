import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { framingOf, streamsOnlyEvents } from '#core/endpoint.ts'
import type { StreamFraming } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { alarm, release } from '#lib/deadline.ts'
import { DONE, KEEP_ALIVE } from '#openai/frames.ts'
import type { Usage } from '#openai/usage.ts'

import { createUnfinished } from './choices.ts'
import type { Unfinished } from './choices.ts'
import type { Connection } from './connection.ts'
import { pricing } from './costs.ts'
import type { Upstream } from './dispatch.ts'
import {
  countPlainEvents,
  eventsIn,
  latin1,
  withCounts,
  withFields,
  withoutMark,
} from './event-bytes.ts'
import type { EventSlice } from './event-bytes.ts'
import { createEventSource, readerOf } from './event-source.ts'
import type { EventSource, Read } from './event-source.ts'
import { extraFields, rawWanted, sentText, wantsExtraFields } from './extra.ts'
import { failureFrame } from './failure-frame.ts'
import { needsReading, promisesTerminal, readEvent } from './framing.ts'
import type { Meaning } from './framing.ts'
import { startKeepAlive } from './keep-alive.ts'
import { linger } from './linger.ts'
import type { Sink } from './outcome.ts'
import type { Settle } from './record.ts'
import { redact } from './redact.ts'
import { untilAborted } from './relay-bytes.ts'
import { hasLeft } from './total.ts'

type Piece = Uint8Array | string

/**
 * One stream from upstream to caller, from the first byte to exactly one well-formed end. Runs of events that
 * mean nothing to us pass as the bytes they came in; the last event is held back until it is known to be the
 * last, because that is where `extra_fields` goes.
 */
export class EventRelay {
  readonly #call: Call
  readonly #upstream: Upstream
  readonly #connection: Connection
  readonly #snapshot: Snapshot
  readonly #settle: Settle
  readonly #framing: StreamFraming
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #source: EventSource
  readonly #extra: 'none' | 'last' | 'all'
  readonly #unfinished: Unfinished
  readonly #price: ReturnType<typeof pricing>
  #pendingRead: Promise<Read> | undefined
  readonly #out: Piece[] = []
  #held: EventSlice | undefined
  #chunks = 0
  #started = false
  #opened = false
  #waitsForCaller = false
  #sawFinish = false
  #promisesTerminal = false
  #ended = false
  #upstreamEnded = false
  #usage: Usage | undefined
  #error: GatewayError | undefined

  constructor(call: Call, upstream: Upstream, snapshot: Snapshot, settle: Settle) {
    this.#call = call
    this.#upstream = upstream
    this.#connection = upstream.connection
    this.#snapshot = snapshot
    this.#settle = settle
    this.#framing = framingOf(call.endpoint)
    this.#source = createEventSource(upstream.outbound)
    this.#unfinished = createUnfinished(call, upstream.outbound.dropped)
    this.#price = pricing(call, upstream.target, snapshot)
    this.#reader = readerOf(upstream.response)
    this.#extra = wantsExtraFields(call, snapshot) ? snapshot.client.streamExtraFields : 'none'
  }

  /**
   * Resolves with the first event; where only the provider's headers have told that events will come, also when the
   * caller's have been held for long enough. Throws `GatewayError` when the stream failed or ended before.
   */
  async open(): Promise<void> {
    // Not every body fails when its request is aborted; a cancelled one always ends.
    this.#connection.onAbort = this.#cancel
    this.#awaitFirst()
    // Where headers may go ahead of any outcome, nothing is lost by waiting: another candidate may still be asked.
    const { headerHoldMs } = this.#snapshot.client
    const hold = streamsOnlyEvents(this.#call.endpoint) ? undefined : alarm(headerHoldMs)
    try {
      while (!this.#opened) {
        const reading = (this.#pendingRead ??= this.#reader.read())
        const result = await (hold ? Promise.race([reading, hold.rung]) : reading)
        if (result === 'late') break
        this.#pendingRead = undefined
        this.#take(result)
        if (this.#upstreamEnded && !this.#opened) throw this.#truncated('before the first event')
      }
      if (this.#connection.reason) throw this.#connection.reason
    } catch (thrown) {
      const error = this.#connection.explain(thrown, this.#upstream.target.settings.name)
      this.#connection.abort(error)
      this.#connection.close()
      throw error
    } finally {
      if (hold) release(hold.deadline)
    }
    this.#connection.onAbort = this.#abandon
  }

  /** Writes the stream to its end and settles the call. Never throws: what goes wrong becomes the last event. */
  async pump(sink: Sink): Promise<void> {
    const connection = this.#connection
    connection.onAbort = this.#cancel
    const keepAliveMs = this.#snapshot.client.keepAliveMs
    const { idleMs } = this.#upstream.target.settings.network.timers
    const keepAlive = startKeepAlive(sink, keepAliveMs, () => !this.#waitsForCaller)
    try {
      // Headers leave with the first write; after a hold nothing else may be there to send.
      if (this.#out.length === 0) this.#out.push(KEEP_ALIVE)
      await this.#drain(sink)
      while (!this.#ended) {
        const now = performance.now()
        keepAlive.at = now + keepAliveMs
        if (this.#opened) connection.enter('idle_timeout', idleMs, now)
        else this.#awaitFirst()
        const reading = this.#pendingRead ?? this.#reader.read()
        this.#pendingRead = undefined
        this.#take(await reading)
        const waiting = this.#drain(sink)
        if (waiting) await waiting
      }
    } catch (thrown) {
      this.#breakOff(connection.explain(thrown, this.#upstream.target.settings.name))
      // A caller that has left cannot be written to.
      if (!hasLeft(this.#call.signal)) await this.#drain(sink)
    } finally {
      release(keepAlive)
      this.#close()
    }
  }

  #awaitFirst(): void {
    const { firstTokenMs } = this.#upstream.target.settings.network.timers
    this.#connection.enter('first_token_timeout', firstTokenMs, this.#upstream.sentAt)
  }

  readonly #cancel = (): void => {
    // The reason is known; how the upstream takes it is not of interest.
    this.#reader.cancel().catch(() => undefined)
  }

  /** The caller left, or a timer ran out, before anybody asked for the body. */
  readonly #abandon = (): void => {
    this.#cancel()
    this.#breakOff(this.#connection.explain(undefined, this.#upstream.target.settings.name))
    this.#close()
  }

  #take({ done, value }: Read): void {
    if (value) this.#feedOn(this.#source.push(value))
    if (done && !this.#ended) {
      if (this.#connection.reason) throw this.#connection.reason
      this.#upstreamEnded = true
      this.#feedOn(this.#source.end())
      this.#endOfUpstream()
    }
  }

  #feedOn(events: Uint8Array | undefined): void {
    if (this.#ended) return
    if (events) this.#feed(events)
    const { failure } = this.#source
    if (failure !== undefined && !this.#ended) throw failure
  }

  #feed(run: Uint8Array): void {
    const bytes = this.#started ? run : withoutMark(run)
    this.#started = true
    const view = latin1(bytes)
    if (
      this.#opened &&
      this.#held === undefined &&
      this.#extra !== 'all' &&
      !needsReading(this.#framing, view)
    ) {
      const count = countPlainEvents(view)
      if (count > 0) {
        this.#chunks += count
        this.#out.push(bytes)
        return
      }
    }
    for (const event of eventsIn(bytes, view)) {
      if (this.#ended) return
      this.#handle(event, readEvent(this.#framing, event))
    }
  }

  #handle(event: EventSlice, meaning: Meaning): void {
    switch (meaning.kind) {
      case 'comment':
        // Named events without data break OpenAI's parsers, so only true comments pass.
        if (this.#opened && event.isComment) this.#out.push(event.bytes)
        return
      case 'opaque':
        this.#advance()
        this.#out.push(event.bytes)
        return
      case 'plain':
        this.#advance()
        this.#usage = meaning.usage ?? this.#usage
        if (promisesTerminal(meaning.type)) this.#promisesTerminal = true
        this.#out.push(this.#extra === 'all' ? this.#decorate(event) : event.bytes)
        return
      case 'finish':
        this.#advance()
        this.#sawFinish = this.#unfinished.finish(meaning.choices)
        this.#usage = meaning.usage ?? this.#usage
        this.#held = withCounts(event, this.#framing, this.#usage, this.#price)
        return
      case 'usage':
        this.#usage = meaning.usage
        if (!this.#call.wantsUsage) return
        this.#advance()
        this.#held = withCounts(event, this.#framing, this.#usage, this.#price)
        return
      case 'terminal':
        this.#advance()
        this.#usage = meaning.usage ?? this.#usage
        this.#sawFinish = true
        this.#held = withCounts(event, this.#framing, this.#usage, this.#price)
        // A response has one terminal event; other streams may report several results.
        if (this.#framing === 'responses') this.#finish()
        return
      case 'done':
        if (this.#framing === 'responses' || (!this.#opened && !this.#usage)) {
          this.#fail(this.#truncated('before its answer was complete'))
          return
        }
        this.#opened = true
        this.#finish()
        if (this.#framing === 'events') this.#out.push(DONE)
        return
      case 'error':
        this.#fail(this.#redacted(event, meaning.error))
    }
  }

  /** An HTTP status before the first event, and an error event after it. */
  #fail(error: GatewayError): void {
    if (!this.#opened) throw error
    this.#breakOff(error)
  }

  /** One more event is on its way; the one held before it was not the last after all. */
  #advance(): void {
    if (!this.#opened) {
      this.#settle.first?.()
      this.#settle.books.firstTokenAt ??= performance.now()
    }
    this.#opened = true
    this.#letGo()
    this.#chunks++
  }

  #letGo(): void {
    if (!this.#held) return
    this.#out.push(this.#extra === 'all' ? this.#decorate(this.#held) : this.#held.bytes)
    this.#held = undefined
  }

  #decorate(event: EventSlice, raw?: string): Piece {
    const { target, sentAt } = this.#upstream
    const latencyMs = performance.now() - sentAt
    const rawFields = raw === undefined ? undefined : { request: raw, response: undefined }
    const index = Math.max(this.#chunks - 1, 0)
    return withFields(event, extraFields(this.#call, target, latencyMs, index, rawFields))
  }

  /** What a provider says in an error may hold the key it was sent. */
  #redacted(event: EventSlice, error: GatewayError): GatewayError {
    const data = event.data === undefined ? '' : redact(event.data, this.#upstream.credential)
    if (data === event.data) return error
    const meaning = readEvent(this.#framing, { name: event.name, data })
    return meaning.kind === 'error' ? meaning.error : error
  }

  #finish(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#held) {
      const { outbound, target } = this.#upstream
      const wanted = rawWanted(this.#call, target.settings, this.#snapshot)
      const raw = wanted.request ? sentText(outbound) : undefined
      this.#out.push(this.#extra === 'none' ? this.#held.bytes : this.#decorate(this.#held, raw))
      this.#held = undefined
    }
    if (this.#framing === 'chat') this.#out.push(DONE)
  }

  /** The upstream closed without the event that ends its framing. */
  #endOfUpstream(): void {
    const isWhole = this.#takeRest()
    if (this.#ended || !this.#opened) return
    const isDone = this.#framing === 'events' && isWhole && !this.#promisesTerminal
    if (this.#sawFinish || isDone) this.#finish()
    else this.#breakOff(this.#truncated('without finishing it'))
  }

  /**
   * Some servers leave out the blank line after their last event; half an event does not parse and is dropped.
   * Answers whether there was no such half.
   */
  #takeRest(): boolean {
    const rest = this.#source.rest
    if (!rest || rest.length === 0) return true
    let isWhole = true
    const bytes = new Uint8Array(Buffer.concat([rest, Buffer.from('\n\n')]))
    for (const event of eventsIn(bytes, latin1(bytes))) {
      if (this.#ended) break
      const meaning = readEvent(this.#framing, event)
      const isHalf =
        meaning.kind === 'opaque' ||
        (meaning.kind === 'comment' && !event.isComment) ||
        (meaning.kind === 'error' && meaning.error.upstream === undefined)
      if (isHalf) isWhole = false
      else if (meaning.kind !== 'comment') this.#handle(event, meaning)
    }
    return isWhole
  }

  #truncated(how: string): GatewayError {
    const { name } = this.#upstream.target.settings
    return new GatewayError('upstream_truncated', `Provider '${name}' ended its stream ${how}.`)
  }

  /** Ends the stream with an error event, or cleanly when only the formal end was missing. */
  #breakOff(error: GatewayError): void {
    if (this.#ended) return
    if (this.#sawFinish && error.fault === 'provider' && !error.upstream) {
      this.#finish()
      return
    }
    this.#letGo()
    this.#ended = true
    this.#error = error
    const written = this.#source.fail?.(error)
    this.#out.push(
      written === undefined
        ? failureFrame(this.#call, this.#upstream.target.settings.name, error, this.#chunks)
        : redact(written, this.#upstream.credential),
    )
  }

  /** Hands over what is ready; a promise when the caller reads too slowly to take it at once. */
  #drain(sink: Sink): Promise<void> | undefined {
    const pieces = this.#out
    if (pieces.length === 0) return undefined
    let waiting: Promise<unknown> | undefined
    const { books } = this.#settle
    books.passedOn(performance.now(), this.#chunks)
    for (const piece of pieces) {
      books.wrote(piece)
      const written = sink.write(piece)
      if (written instanceof Promise) waiting = written
    }
    pieces.length = 0
    const flushed = sink.flush()
    if (flushed instanceof Promise) waiting = flushed
    return waiting && this.#waitForCaller(waiting)
  }

  async #waitForCaller(waiting: Promise<unknown>): Promise<void> {
    this.#connection.pause()
    this.#waitsForCaller = true
    await untilAborted(waiting, this.#connection.signal)
    this.#waitsForCaller = false
  }

  #close(): void {
    this.#connection.onAbort = undefined
    this.#call.trace.add('stream', `${this.#chunks} chunks`)
    if (this.#error) {
      this.#settle.failure(this.#error, this.#usage)
      this.#connection.abort(this.#error)
      this.#cancel()
    } else {
      this.#settle.success(this.#usage)
      if (!this.#upstreamEnded) void linger(this.#reader, this.#cancel)
    }
    this.#connection.close()
  }
}
