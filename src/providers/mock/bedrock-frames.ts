import { crc32 } from 'node:zlib'

// The binary messages of a stream, put together byte by byte.

const encoder = new TextEncoder()

/** An event with a JSON payload. */
export function eventFrame(type: string, payload: unknown): Uint8Array<ArrayBuffer> {
  return frame(
    { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    payload,
  )
}

/** A failure in mid-stream. */
export function exceptionFrame(type: string, payload: unknown): Uint8Array<ArrayBuffer> {
  return frame(
    { ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' },
    payload,
  )
}

/** A message of any headers, all of them strings. */
export function frame(
  headers: Readonly<Record<string, string>>,
  payload: unknown,
): Uint8Array<ArrayBuffer> {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => header(name, value)))
  const body = encoder.encode(JSON.stringify(payload))
  const bytes = new Uint8Array(16 + head.length + body.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length)
  view.setUint32(4, head.length)
  view.setUint32(8, crc32(bytes.subarray(0, 8)))
  bytes.set(head, 12)
  bytes.set(body, 12 + head.length)
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(0, bytes.length - 4)))
  return bytes
}

function header(name: string, value: string): Buffer {
  const valueBytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(valueBytes.length)
  const type = Buffer.from([7])
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), type, length, valueBytes])
}

/** The name of an event that `eventFrame` made, which stands in front. */
export function eventTypeOf(bytes: Uint8Array): string {
  const length = bytes[12 + 1 + ':event-type'.length + 2] ?? 0
  const from = 12 + 1 + ':event-type'.length + 3
  return new TextDecoder().decode(bytes.subarray(from, from + length))
}
