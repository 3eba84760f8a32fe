import { EventStreamCodec } from '@smithy/eventstream-codec'

import { fixture, unaryFixture } from '../play.ts'

// Streams as the vendor's own library writes them.

export const EVENT_STREAM = 'application/vnd.amazon.eventstream'

const encoder = new TextEncoder()
const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes)),
  (text) => encoder.encode(text),
)

/** One message of the vendor's library. A name that begins with `!` is that of an exception. */
export function message(name: string, payload: unknown): Uint8Array<ArrayBuffer> {
  const isException = name.startsWith('!')
  const text = (value: string) => ({ type: 'string' as const, value })
  const bytes = codec.encode({
    headers: {
      [isException ? ':exception-type' : ':event-type']: text(isException ? name.slice(1) : name),
      ':content-type': text('application/json'),
      ':message-type': text(isException ? 'exception' : 'event'),
    },
    body: encoder.encode(JSON.stringify(payload)),
  })
  return new Uint8Array(bytes)
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts))
}

/** The messages of a recorded stream. */
export function messagesOf(name: string): Uint8Array<ArrayBuffer>[] {
  const { events } = unaryFixture(`bedrock/${name}.events.json`) as { events: [string, unknown][] }
  return events.map(([type, payload]) => message(type, payload))
}

/** The bytes of a recorded stream. */
export function streamOf(name: string): Uint8Array<ArrayBuffer> {
  return joined(messagesOf(name))
}

/** Bytes as they went over a wire. */
export function recordedBytes(name: string): Uint8Array<ArrayBuffer> {
  const text = fixture(`bedrock/${name}.base64`)
  return new Uint8Array(Buffer.from(text.slice(text.indexOf('\n') + 1), 'base64'))
}
