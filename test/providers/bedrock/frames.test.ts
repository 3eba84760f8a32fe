import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { frameReader } from '#providers/bedrock/frames.ts'
import type { EventMessage } from '#providers/bedrock/frames.ts'
import { frame } from '#providers/mock/bedrock-frames.ts'

import { playback } from '../../helpers/upstream.ts'
import { joined, message, messagesOf, recordedBytes, streamOf } from './streams.ts'

// The binary framing, against streams of the vendor's own library.

interface Read {
  readonly messages: (Omit<EventMessage, 'payload'> & { payload: string })[]
  readonly ended: boolean
}

function readAll(pieces: readonly Uint8Array[]): Read {
  const messages: Read['messages'] = []
  let ended = false
  const reader = frameReader(
    ({ payload, ...rest }) => messages.push({ ...rest, payload: Buffer.from(payload).toString() }),
    () => {
      ended = true
    },
  )
  for (const piece of pieces) reader.push(piece)
  reader.end()
  return { messages, ended }
}

const bytes = recordedBytes('thinking-tools')
const whole = readAll([bytes])

test('the recorded bytes are the recorded messages', () => {
  expect(whole.ended).toBe(true)
  expect(whole.messages).toHaveLength(messagesOf('thinking-tools').length)
  expect(whole.messages[0]).toEqual({
    kind: 'event',
    name: 'messageStart',
    message: undefined,
    payload: '{"p":"abcdefghijklmno","role":"assistant"}',
  })
  expect(Buffer.from(bytes).equals(streamOf('thinking-tools'))).toBe(true)
})

test('a stream may be cut at every byte', () => {
  for (let at = 0; at <= bytes.length; at++) {
    const read = readAll([bytes.subarray(0, at), bytes.subarray(at)])
    if (!Bun.deepEquals(read, whole)) throw new Error(`cut at ${at} it is read differently`)
  }
  expect(readAll(playback(bytes, 'byte'))).toEqual(whole)
})

test('a stream that stops inside a message has no end', () => {
  const ends = new Set<number>()
  let sum = 0
  for (const each of messagesOf('thinking-tools')) ends.add((sum += each.length))
  for (let at = 1; at <= bytes.length; at++) {
    const { ended } = readAll([bytes.subarray(0, at)])
    if (ended !== ends.has(at)) throw new Error(`stopped at ${at} it says ${String(ended)}`)
  }
})

const messages = fc.array(
  fc.record({
    name: fc.stringMatching(/^[a-z]\w{0,20}$/),
    payload: fc.dictionary(fc.string(), fc.string({ unit: 'binary' }), { maxKeys: 4 }),
  }),
  { maxLength: 8 },
)

test('what was written is read, however it is cut', () => {
  fc.assert(
    fc.property(messages, fc.array(fc.nat(2000), { maxLength: 8 }), (written, cuts) => {
      const stream = joined(written.map(({ name, payload }) => message(name, payload)))
      const places = [...new Set(cuts.map((cut) => Math.min(cut, stream.length)))].toSorted(
        (a, b) => a - b,
      )
      const pieces = [0, ...places].map((from, i) =>
        stream.subarray(from, places[i] ?? stream.length),
      )
      const read = readAll(pieces)
      expect(read.ended).toBe(true)
      expect(
        read.messages.map(({ name, payload }) => ({ name, payload: JSON.parse(payload) })),
      ).toEqual(written.map(({ name, payload }) => ({ name, payload })))
    }),
  )
})

function malformed(pieces: readonly Uint8Array[]): void {
  expect(() => readAll(pieces)).toThrow(expect.objectContaining({ kind: 'upstream_malformed' }))
}

test('a wrong bit anywhere is noticed', () => {
  const good = message('contentBlockDelta', { delta: { text: 'x' } })
  for (let at = 0; at < good.length; at++) {
    const bad = new Uint8Array(good)
    bad[at] = bad[at]! ^ (1 << (at % 8))
    malformed([bad])
    malformed(playback(bad, 'byte'))
  }
})

/** A prelude whose checksum is right. */
function prelude(total: number, headers: number): Uint8Array {
  const made = new Uint8Array(12)
  const view = new DataView(made.buffer)
  view.setUint32(0, total)
  view.setUint32(4, headers)
  view.setUint32(8, Bun.hash.crc32(made.subarray(0, 8)))
  return made
}

describe('lengths that no message has are refused at once', () => {
  test.each([
    ['a giant', 0xffff_ffff, 0],
    ['a payload over 24 MiB', 24 * 1024 * 1024 + 17, 0],
    ['headers over 128 KiB', 1024 * 1024, 128 * 1024 + 1],
    ['headers longer than the message', 100, 90],
    ['nothing at all', 0, 0],
    ['less than its own frame', 15, 0],
  ])('%s', (_name, total, headers) => {
    malformed([prelude(total, headers)])
    malformed(playback(prelude(total, headers), 'byte'))
  })
})

test('room is taken for what has come, and not for what was announced', () => {
  const before = process.memoryUsage().arrayBuffers
  const readers = Array.from({ length: 200 }, () => {
    const reader = frameReader(
      () => undefined,
      () => undefined,
    )
    reader.push(prelude(24 * 1024 * 1024, 0))
    return reader
  })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(24 * 1024 * 1024)
  expect(readers).toHaveLength(200)
})

test('a large message is read in small pieces', () => {
  const text = 'x'.repeat(3 * 1024 * 1024)
  const read = readAll(playback(message('big', { text }), 4096))
  expect(JSON.parse(read.messages[0]!.payload)).toEqual({ text })
})

test('headers of all types are understood, and broken ones are not', () => {
  const types = [
    [0],
    [1],
    [2, 7],
    [3, 0, 7],
    [4, 0, 0, 0, 7],
    [5, 0, 0, 0, 0, 0, 0, 0, 7],
    [6, 0, 2, 1, 2],
    [8, 0, 0, 0, 0, 0, 0, 0, 7],
    [9, ...Array.from({ length: 16 }, (_, i) => i)],
  ]
  const name = Buffer.from('x')
  const headers = types.flatMap((value) => [1, ...name, ...value])
  expect(readAll([withHeaders(headers)]).messages).toEqual([
    { kind: '', name: '', message: undefined, payload: '' },
  ])
  malformed([withHeaders([1, 120, 10])])
  malformed([withHeaders([200, 120])])
  malformed([withHeaders([1, 120, 7, 255, 255, 65])])
})

function withHeaders(headers: readonly number[]): Uint8Array {
  const made = new Uint8Array(16 + headers.length)
  made.set(prelude(made.length, headers.length))
  made.set(headers, 12)
  const view = new DataView(made.buffer)
  view.setUint32(made.length - 4, Bun.hash.crc32(made.subarray(0, -4)))
  return made
}

test('the mock writes what the vendor’s library writes', () => {
  const headers = {
    ':event-type': 'metadata',
    ':content-type': 'application/json',
    ':message-type': 'event',
  }
  expect(Buffer.from(frame(headers, { a: 'ü' })).equals(message('metadata', { a: 'ü' }))).toBe(true)
})
