import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { framingOf, requestType } from '#core/endpoint.ts'
import type { StreamFraming } from '#core/endpoint.ts'
import { errorEnvelope, GatewayError } from '#core/errors.ts'
import { release, watch } from '#lib/deadline.ts'
import type { Deadline } from '#lib/deadline.ts'
import { createEventSplitter } from '#lib/sse.ts'
import { DONE, errorFrame, KEEP_ALIVE } from '#openai/frames.ts'
import type { Usage } from '#openai/usage.ts'

import type { Connection } from './connection.ts'
import type { Upstream } from './dispatch.ts'
import { countEvents, eventsIn, latin1, withFields, withMirroredUsage } from './event-bytes.ts'
import type { EventSlice } from './event-bytes.ts'
import { extraFields, rawWanted, sentText, wantsExtraFields } from './extra.ts'
import { needsReading, readEvent } from './framing.ts'
import type { Meaning } from './framing.ts'
import type { Sink } from './outcome.ts'
import type { Settle } from './record.ts'
import { untilAborted } from './relay-bytes.ts'
import { registerStream } from './streams.ts'

/** After the last event the upstream gets this long to close, so that its connection can be used again. */
const lingerMs = 1000

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
  readonly #splitter = createEventSplitter()
  readonly #extra: 'none' | 'last' | 'all'
  #pendingRead: ReturnType<EventRelay['read']> | undefined
  #out: Piece[] = []
  #held: Uint8Array | undefined
  #chunks = 0
  #opened = false
  #sawFinish = false
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
    const body =
      upstream.response.body ?? new ReadableStream<Uint8Array>({ start: (c) => c.close() })
    this.#reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>
    this.#extra = wantsExtraFields(call, snapshot) ? snapshot.client.streamExtraFields : 'none'
  }

  /** Resolves when headers may be sent. Throws `GatewayError` when the stream failed before its first event. */
  async open(): Promise<void> {
    const { timers } = this.#upstream.target.settings.network
    this.#connection.enter('first_token_timeout', timers.firstTokenMs)
    const { promise: held, resolve: letGo } = Promise.withResolvers<'held'>()
    const holdMs = this.#snapshot.client.headerHoldMs
    const hold: Deadline = watch({
      at: holdMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + holdMs,
      expired: () => letGo('held'),
    })
    try {
      while (!this.#opened) {
        this.#pendingRead ??= this.read()
        const result = await Promise.race([this.#pendingRead, held])
        if (result === 'held') return
        this.#pendingRead = undefined
        this.#take(result)
        if (this.#upstreamEnded && !this.#opened) {
          throw new GatewayError(
            'upstream_truncated',
            `Provider '${this.#upstream.target.settings.name}' ended its stream before the first event.`,
          )
        }
      }
    } catch (thrown) {
      const error = this.#connection.explain(thrown, this.#upstream.target.settings.name)
      this.#connection.abort(error)
      this.#connection.close()
      throw error
    } finally {
      release(hold)
    }
  }

  /** Writes the stream to its end and settles the call. Never throws: what goes wrong becomes the last event. */
  async pump(sink: Sink): Promise<void> {
    const connection = this.#connection
    const unregister = registerStream({ terminate: (reason) => connection.abort(reason) })
    const keepAliveMs = this.#snapshot.client.keepAliveMs
    const { idleMs } = this.#upstream.target.settings.network.timers
    const keepAlive: Deadline = {
      at: performance.now() + keepAliveMs,
      expired: () => {
        void sink.write(KEEP_ALIVE)
        void sink.flush()
        keepAlive.at = performance.now() + keepAliveMs
        watch(keepAlive)
      },
    }
    if (keepAliveMs > 0) watch(keepAlive)
    try {
      // Headers leave with the first write; after a hold nothing else may be there to send.
      if (this.#out.length === 0) this.#out.push(KEEP_ALIVE)
      await this.#drain(sink)
      while (!this.#ended) {
        if (this.#opened) connection.enter('idle_timeout', idleMs)
        const reading = this.#pendingRead ?? this.read()
        this.#pendingRead = undefined
        const result = reading instanceof Promise ? await reading : reading
        this.#take(result)
        keepAlive.at = performance.now() + keepAliveMs
        await this.#drain(sink)
      }
    } catch (thrown) {
      this.#breakOff(connection.explain(thrown, this.#upstream.target.settings.name))
      // A caller that has left cannot be written to.
      if (!this.#call.signal.aborted) await this.#drain(sink)
    } finally {
      release(keepAlive)
      unregister()
      this.#close()
    }
  }

  /** Reads all that has arrived; may answer without a promise. */
  read(): ReturnType<ReadableStreamDefaultReader<Uint8Array>['readMany']> {
    return this.#reader.readMany()
  }

  #take(result: Awaited<ReturnType<EventRelay['read']>>): void {
    for (const chunk of result.value ?? []) {
      const events = this.#splitter.push(chunk)
      if (events && !this.#ended) this.#feed(events)
    }
    if (result.done && !this.#ended) {
      this.#upstreamEnded = true
      this.#endOfUpstream()
    }
  }

  #feed(bytes: Uint8Array): void {
    const view = latin1(bytes)
    if (
      this.#opened &&
      this.#held === undefined &&
      this.#extra !== 'all' &&
      !needsReading(this.#framing, view)
    ) {
      this.#chunks += countEvents(view)
      this.#out.push(bytes)
      return
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
      case 'plain':
        this.#advance()
        this.#out.push(this.#extra === 'all' ? this.#decorate(event.bytes) : event.bytes)
        return
      case 'finish':
        this.#advance()
        this.#sawFinish = true
        this.#usage = meaning.usage ?? this.#usage
        this.#held = event.bytes
        return
      case 'usage':
        this.#usage = meaning.usage
        if (!this.#call.wantsUsage) return
        this.#advance()
        this.#held = withMirroredUsage(event.bytes)
        return
      case 'terminal':
        this.#advance()
        this.#usage = meaning.usage ?? this.#usage
        this.#sawFinish = true
        this.#held = event.bytes
        // A response has one terminal event; other streams may report several results.
        if (this.#framing === 'responses') this.#finish()
        return
      case 'done':
        this.#opened = true
        this.#finish()
        return
      case 'error':
        if (!this.#opened) throw meaning.error
        this.#breakOff(meaning.error)
    }
  }

  /** One more event is on its way; the one held before it was not the last after all. */
  #advance(): void {
    this.#opened = true
    if (this.#held) {
      this.#out.push(this.#extra === 'all' ? this.#decorate(this.#held) : this.#held)
      this.#held = undefined
    }
    this.#chunks++
  }

  #decorate(bytes: Uint8Array, raw?: string): Piece {
    const { target, sentAt } = this.#upstream
    const latencyMs = performance.now() - sentAt
    const rawFields = raw === undefined ? undefined : { request: raw, response: undefined }
    const index = Math.max(this.#chunks - 1, 0)
    return withFields(bytes, extraFields(this.#call, target, latencyMs, index, rawFields))
  }

  #finish(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#held) {
      const { outbound, target } = this.#upstream
      const wanted = rawWanted(this.#call, target.settings, this.#snapshot)
      const raw = wanted.request ? sentText(outbound) : undefined
      this.#out.push(this.#extra === 'none' ? this.#held : this.#decorate(this.#held, raw))
      this.#held = undefined
    }
    if (this.#framing === 'chat') this.#out.push(DONE)
  }

  /** The upstream closed without the event that ends its framing. */
  #endOfUpstream(): void {
    const rest = this.#splitter.rest
    if (rest && rest.length > 0) {
      // Some servers leave out the blank line after their last event; half an event does not parse.
      const bytes = new Uint8Array(Buffer.concat([rest, Buffer.from('\n\n')]))
      for (const event of eventsIn(bytes, latin1(bytes))) {
        const meaning = readEvent(this.#framing, event)
        if (meaning.kind !== 'error' || meaning.error.kind === 'upstream_error') {
          this.#handle(event, meaning)
        }
      }
    }
    if (this.#ended || !this.#opened) return
    if (this.#sawFinish || this.#framing === 'events') this.#finish()
    else {
      this.#breakOff(
        new GatewayError(
          'upstream_truncated',
          `Provider '${this.#upstream.target.settings.name}' ended its stream without finishing it.`,
        ),
      )
    }
  }

  /** Ends the stream with an error event, or cleanly when only the formal end was missing. */
  #breakOff(error: GatewayError): void {
    if (this.#ended) return
    if (this.#sawFinish && error.fault === 'provider' && !error.upstream) {
      this.#finish()
      return
    }
    this.#ended = true
    this.#error = error
    if (this.#held) this.#out.push(this.#held)
    this.#held = undefined
    const call = this.#call
    const envelope = errorEnvelope(
      error,
      {
        provider: this.#upstream.target.settings.name,
        modelRequested: call.modelRequested,
        requestType: requestType(call.endpoint, true),
      },
      call.id,
    )
    this.#out.push(
      errorFrame(this.#framing, JSON.stringify(envelope), envelope.error, this.#chunks),
    )
  }

  async #drain(sink: Sink): Promise<void> {
    if (this.#out.length === 0) return
    const pieces = this.#out
    this.#out = []
    let waiting: Promise<unknown> | undefined
    for (const piece of pieces) {
      const written = sink.write(piece)
      if (written instanceof Promise) waiting = written
    }
    const flushed = sink.flush()
    if (flushed instanceof Promise) waiting = flushed
    if (waiting) {
      this.#connection.pause()
      await untilAborted(waiting, this.#connection.signal)
    }
  }

  #close(): void {
    const connection = this.#connection
    this.#call.trace.add('stream', `${this.#chunks} chunks`)
    if (this.#error) this.#settle.failure(this.#error, this.#usage)
    else if (this.#call.signal.aborted && !this.#ended) {
      this.#settle.failure(connection.explain(undefined, ''), this.#usage)
    } else this.#settle.success(this.#usage)
    if (this.#error || !this.#ended) {
      connection.abort(this.#error ?? new GatewayError('client_closed', 'The stream is over.'))
      connection.close()
    } else if (this.#upstreamEnded) connection.close()
    else void this.#linger()
  }

  /** Reads on to the end of the body: a connection whose answer was read whole is used again. */
  async #linger(): Promise<void> {
    this.#connection.enter('idle_timeout', lingerMs)
    try {
      for (let read = await this.read(); !read.done;) read = await this.read()
    } catch {
      // Nobody waits for these bytes; a failure here only costs the connection.
      this.#upstreamEnded = true
    } finally {
      this.#connection.close()
    }
  }
}
