import { crc32 } from 'node:zlib'

import type { HeaderMarshaller } from '@smithy/eventstream-codec'

import { GatewayError } from '#core/errors.ts'

import type { StreamReader } from '../provider.ts'

// The binary framing of streams ("Data frames", Amazon Bedrock and Amazon Transcribe developer guides, as read in
// November 2026): lengths and a checksum of them, headers, payload, a checksum of it all. All numbers are big-endian.

const preludeBytes = 12
const checksumBytes = 4
const maxHeaderBytes = 128 * 1024
const maxPayloadBytes = 24 * 1024 * 1024
/** Room that is taken before more of a message has come than its announced length. */
const firstRoom = 4096

/** One message. */
export interface EventMessage {
  /** `event`, `exception` or `error`; empty where the stream does not say. */
  readonly kind: string
  /** Of an event or an exception. */
  readonly name: string
  /** What it says besides, of errors. */
  readonly message: string | undefined
  readonly payload: Uint8Array
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()
let marshaller: HeaderMarshaller | undefined

/** Made with the library for the first stream: a start does not pay for it. */
function headersReader(): HeaderMarshaller {
  if (marshaller) return marshaller
  const codec = require('@smithy/eventstream-codec') as typeof import('@smithy/eventstream-codec')
  marshaller = new codec.HeaderMarshaller(
    (bytes) => (typeof bytes === 'string' ? bytes : decoder.decode(bytes)),
    (text) => encoder.encode(text),
  )
  return marshaller
}

/**
 * Takes a stream apart into messages, however it was cut. Throws `upstream_malformed` for checksums that do not fit,
 * for lengths that no message has, and for headers that cannot be read. `onEnd` is called at the end of a stream that
 * stopped between two messages.
 */
export function frameReader(
  onMessage: (message: EventMessage) => void,
  onEnd: () => void,
): StreamReader {
  /** The beginning of a message whose rest has not come. */
  let held = new Uint8Array(firstRoom)
  let size = 0
  /** Length of that message, once its prelude has been checked; 0 before. */
  let length = 0

  function hold(bytes: Uint8Array): void {
    if (size + bytes.length > held.length) {
      // Grows with what has come and not to what was announced.
      const grown = new Uint8Array(Math.max(held.length * 2, size + bytes.length))
      grown.set(held.subarray(0, size))
      held = grown
    }
    held.set(bytes, size)
    size += bytes.length
  }

  return {
    push(bytes) {
      let at = 0
      while (size > 0 && at < bytes.length) {
        const wanted = length === 0 ? preludeBytes : length
        const taken = Math.min(wanted - size, bytes.length - at)
        hold(bytes.subarray(at, at + taken))
        at += taken
        if (size < wanted) return
        if (length === 0) {
          length = lengthOf(viewOf(held, 0, size), held)
          continue
        }
        const message = readMessage(held.subarray(0, size))
        // The payload is read before the room is used again.
        size = 0
        length = 0
        onMessage(message)
      }
      while (bytes.length - at >= preludeBytes) {
        const whole = lengthOf(viewOf(bytes, at, bytes.length - at), bytes.subarray(at))
        if (bytes.length - at < whole) {
          length = whole
          break
        }
        onMessage(readMessage(bytes.subarray(at, at + whole)))
        at += whole
      }
      if (at < bytes.length) hold(bytes.subarray(at))
    },
    end() {
      if (size === 0) onEnd()
    },
  }
}

function viewOf({ buffer, byteOffset }: Uint8Array, at: number, length: number): DataView {
  return new DataView(buffer, byteOffset + at, length)
}

/** The length of the message that a prelude announces. */
function lengthOf(view: DataView, bytes: Uint8Array): number {
  const length = view.getUint32(0)
  const headers = view.getUint32(4)
  if (crc32(bytes.subarray(0, 8)) !== view.getUint32(8)) {
    throw malformed('The checksum of a message’s prelude in the stream is wrong.')
  }
  const payload = length - headers - preludeBytes - checksumBytes
  if (headers > maxHeaderBytes || payload < 0 || payload > maxPayloadBytes) {
    throw malformed('A message of the stream has lengths that no message can have.')
  }
  return length
}

function readMessage(bytes: Uint8Array): EventMessage {
  const view = viewOf(bytes, 0, bytes.length)
  const end = bytes.length - checksumBytes
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end)) {
    throw malformed('The checksum of a message in the stream is wrong.')
  }
  const from = preludeBytes + view.getUint32(4)
  const headers = readHeaders(viewOf(bytes, preludeBytes, from - preludeBytes))
  const text = (name: string): string | undefined => {
    const value = headers[name]?.value
    return typeof value === 'string' ? value : undefined
  }
  return {
    kind: text(':message-type') ?? '',
    name: text(':event-type') ?? text(':exception-type') ?? text(':error-code') ?? '',
    message: text(':error-message'),
    payload: bytes.subarray(from, end),
  }
}

function readHeaders(view: DataView): ReturnType<HeaderMarshaller['parse']> {
  try {
    return headersReader().parse(view)
  } catch (cause) {
    throw malformed('The headers of a message in the stream cannot be read.', cause)
  }
}

function malformed(message: string, cause?: unknown): GatewayError {
  return new GatewayError('upstream_malformed', message, { cause })
}
