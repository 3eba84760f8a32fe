import { GatewayError } from '#core/errors.ts'
import { createEventSplitter, SseOverflow } from '#lib/sse.ts'
import type { Mending, Outbound, Reading } from '#providers/provider.ts'

import { eventsIn, latin1 } from './event-bytes.ts'

/** What comes from upstream as runs of whole OpenAI events, whatever dialect the provider speaks. */
export interface EventSource {
  /** The whole events in what has come; undefined while there are none. */
  push(bytes: Uint8Array): Uint8Array | undefined
  /** Call once the upstream has ended; the events that only this made whole. */
  end(): Uint8Array | undefined
  /** Set when the stream can be read no further; what came with it still counts. */
  readonly failure: unknown
  /** Bytes of an event that was never finished. */
  readonly rest: Uint8Array | undefined
  /** The last event of a stream that failed; undefined where the endpoint's usual error event does. */
  fail?(error: GatewayError): string | undefined
}

const encoder = new TextEncoder()

/** Cuts OpenAI's own events out of the bytes, or translates with the vendor's reading. */
export function createEventSource({
  reading,
  mending,
}: Pick<Outbound, 'reading' | 'mending'>): EventSource {
  return reading?.stream ? translating(reading.stream) : cutting(mending)
}

/** A reader that stumbles over what a provider sent has met an answer that is none, not a fault of ours to hide. */
export function unreadable(thrown: unknown): unknown {
  if (thrown instanceof GatewayError || thrown instanceof SseOverflow) return thrown
  return new GatewayError(
    'upstream_malformed',
    'The provider sent an answer that cannot be read.',
    {
      cause: thrown,
    },
  )
}

function cutting(mending: Mending | undefined): EventSource {
  const splitter = createEventSplitter()
  return {
    push: mending ? mended(splitter.push, mending) : splitter.push,
    end: () => undefined,
    failure: undefined,
    get rest() {
      return splitter.rest
    },
  }
}

/** The events that `push` gives, with those changed that need it. */
function mended(push: EventSource['push'], mending: Mending): EventSource['push'] {
  const mender = mending.open()
  return (bytes) => {
    const run = push(bytes)
    if (!run) return undefined
    const view = latin1(run)
    if (!mender.isWaiting && !mending.pattern.test(view)) return run
    const pieces: Uint8Array[] = []
    for (const { bytes: original, name, data } of eventsIn(run, view)) {
      const wanted = data === undefined ? data : mender.mend(data)
      if (wanted === data) pieces.push(original)
      else if (wanted !== undefined) {
        const line = name === undefined ? '' : `event: ${name}\n`
        for (const each of typeof wanted === 'string' ? [wanted] : wanted) {
          pieces.push(encoder.encode(`${line}data: ${each}\n\n`))
        }
      }
    }
    return pieces.length === 0 ? undefined : new Uint8Array(Buffer.concat(pieces))
  }
}

function translating(open: NonNullable<Reading['stream']>): EventSource {
  let written = ''
  let failure: unknown
  const reader = open((events) => {
    written += events
  })
  function taking(read: () => void): Uint8Array | undefined {
    try {
      read()
    } catch (thrown) {
      failure = unreadable(thrown)
    }
    if (written === '') return undefined
    const events = encoder.encode(written)
    written = ''
    return events
  }
  return {
    push: (bytes) => taking(() => reader.push(bytes)),
    end: () => taking(() => reader.end()),
    get failure() {
      return failure
    },
    rest: undefined,
    fail(error) {
      written = ''
      reader.fail?.(error)
      return written === '' ? undefined : written
    },
  }
}

/** What one read of a body gives. */
export type Read = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>>

/** A reader of the body; a response without one counts as an empty stream. */
export function readerOf({ body }: Response): ReadableStreamDefaultReader<Uint8Array> {
  const stream =
    body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
  return stream.getReader() as ReadableStreamDefaultReader<Uint8Array>
}
