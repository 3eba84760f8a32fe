import { GatewayError } from '#core/errors.ts'
import { createEventSplitter, SseOverflow } from '#lib/sse.ts'
import type { Reading } from '#providers/provider.ts'

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
}

const encoder = new TextEncoder()

/** Cuts OpenAI's own events out of the bytes, or translates with the vendor's reading. */
export function createEventSource(reading: Reading | undefined): EventSource {
  return reading?.stream ? translating(reading.stream) : cutting()
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

function cutting(): EventSource {
  const splitter = createEventSplitter()
  return {
    push: splitter.push,
    end: () => undefined,
    failure: undefined,
    get rest() {
      return splitter.rest
    },
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
