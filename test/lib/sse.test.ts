import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { createEventSplitter, createSseParser, formatEvent, SseOverflow } from '#lib/sse.ts'
import type { ServerEvent } from '#lib/sse.ts'

interface Heard {
  readonly events: ServerEvent[]
  readonly comments: string[]
}

function parse(pieces: readonly string[], maxEventBytes?: number): Heard & { pending: boolean } {
  const heard: Heard = { events: [], comments: [] }
  const parser = createSseParser({
    onEvent: (event) => heard.events.push(event),
    onComment: (text) => heard.comments.push(text),
    maxEventBytes,
  })
  for (const piece of pieces) parser.push(piece)
  const { pending } = parser
  parser.end()
  expect(parser.pending).toBe(false)
  return { ...heard, pending }
}

const event = (data: string, name?: string, id?: string): ServerEvent => ({ event: name, data, id })

/** The standard's algorithm in its plainest form: the whole text, line by line. */
function reference(text: string): Heard {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)
  // What stands behind the last line end is an unfinished line.
  lines.pop()
  const heard: Heard = { events: [], comments: [] }
  let fields: { name: string; value: string }[] = []
  for (const line of lines) {
    if (line === '') {
      const last = (name: string) => fields.findLast((field) => field.name === name)?.value
      const data = fields.filter(({ name }) => name === 'data').map(({ value }) => value)
      if (data.length > 0)
        heard.events.push(event(data.join('\n'), last('event') || undefined, last('id')))
      fields = []
      continue
    }
    const at = line.indexOf(':')
    const name = at === -1 ? line : line.slice(0, at)
    const value = at === -1 ? '' : line.slice(at + 1).replace(/^ /, '')
    if (at === 0) heard.comments.push(value)
    else if (name !== 'id' || !value.includes('\0')) fields.push({ name, value })
  }
  return heard
}

const token = fc.constantFrom(
  'data: {"a":1}',
  'data:',
  'data',
  'data:  two',
  'data:x:y',
  'dat',
  'datax: 1',
  ' data: 1',
  'DATA: 1',
  'event: ping',
  'event:',
  'event',
  'id: 7',
  'id',
  'id: a\0b',
  'retry: 10',
  ': comment',
  ':',
  'é狐😀',
  '\ufeff',
)
const lineEnd = fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n', '\n\r', '')
const streamText = fc
  .array(fc.tuple(token, lineEnd), { maxLength: 20 })
  .chain((lines) =>
    fc
      .constantFrom('', '\ufeff', '\n', '\r\n')
      .map((start) => start + lines.map(([line, end]) => line + end).join('')),
  )
const cuts = fc.array(fc.nat(400), { maxLength: 12 })

function cutAt<T extends { slice(start: number, end: number): T; readonly length: number }>(
  whole: T,
  at: readonly number[],
): T[] {
  const places = [0, ...at.map((place) => place % (whole.length + 1)), whole.length].toSorted(
    (a, b) => a - b,
  )
  return places.slice(1).map((place, index) => whole.slice(places[index] ?? 0, place))
}

/** Whole, character by character, and line by line with the ends split from the lines. */
const feedings = (text: string) => [
  [text],
  text.split(''),
  text.split(/(?<=\n)|(?<=\r)|(?=[\r\n])/),
]

const outcome = (pieces: readonly string[], limit: number) => {
  const events: ServerEvent[] = []
  const parser = createSseParser({ onEvent: (next) => events.push(next), maxEventBytes: limit })
  try {
    for (const piece of pieces) parser.push(piece)
  } catch (error) {
    expect(error).toBeInstanceOf(SseOverflow)
    return { events, overflow: true }
  }
  return { events, overflow: false }
}

describe('createSseParser', () => {
  test.each<[string, ServerEvent[]]>([
    ['data: a\n\n', [event('a')]],
    ['data: a\r\n\r\n', [event('a')]],
    ['data: a\r\rdata: b\r\r', [event('a'), event('b')]],
    ['data: a\n\r\ndata: b\r\n\n', [event('a'), event('b')]],
    ['data: a\r\n\rdata: b\n\r', [event('a'), event('b')]],
    ['\ufeffdata: a\n\n', [event('a')]],
    ['data: \ufeffa\n\n\ufeffdata: b\n\n', [event('\ufeffa')]],
    ['data: a\ndata: b\ndata\ndata:\n\n', [event('a\nb\n\n')]],
    ['data:a\n\ndata:  a \n\n', [event('a'), event(' a ')]],
    ['data\n\n', [event('')]],
    ['data:\n\n', [event('')]],
    ['data: \n\n', [event('')]],
    ['event: ping\n\ndata: a\n\n', [event('a')]],
    ['event: x\nid: 1\ndata: a\n\ndata: b\n\n', [event('a', 'x', '1'), event('b')]],
    ['event: x\nevent: y\ndata: a\n\n', [event('a', 'y')]],
    ['event: x\nevent\ndata: a\n\n', [event('a')]],
    ['event:\ndata: a\n\n', [event('a')]],
    ['id\ndata: a\n\n', [event('a', undefined, '')]],
    ['id: a\0b\ndata: a\n\n', [event('a')]],
    ['retry: 5\nfoo: bar\ndat\ndatab: 1\nDATA: 2\n data: 3\ndata: a\n\n', [event('a')]],
    [': c\n\n:\ndata: a\n:d\n\n', [event('a')]],
    ['\n\r\n\r\n\n\ndata: a\n\n\n\n', [event('a')]],
    ['data: a\n\ndata: lost', [event('a')]],
    ['data: a\n\ndata: lost\n', [event('a')]],
    ['data: [DONE]\n', []],
    ['data: {"a":"\u2028\u0085\u000b"}\n\n', [event('{"a":"\u2028\u0085\u000b"}')]],
    ['', []],
  ])('%j', (text, events) => {
    for (const pieces of feedings(text)) expect(parse(pieces).events).toEqual(events)
    expect(reference(text).events).toEqual(events)
  })

  test('an event goes out with the byte that completes it, also when that is a CR', () => {
    const events: ServerEvent[] = []
    const parser = createSseParser({ onEvent: (next) => events.push(next) })
    parser.push('data: a\r\n\r')
    expect(events).toEqual([event('a')])
    expect(parser.pending).toBe(false)
    parser.push('\ndata: b\r')
    expect(parser.pending).toBe(true)
    parser.push('\n')
    expect(events).toHaveLength(1)
    parser.push('\r')
    expect(events).toEqual([event('a'), event('b')])
  })

  test('pending tells whether part of an event is held', () => {
    const parser = createSseParser({ onEvent() {} })
    const steps: [string, boolean][] = [
      ['\ufeff', false],
      ['d', true],
      ['ata: a\n', true],
      ['\n', false],
      [': comm', true],
      ['ent\n', false],
      ['event: x\n', true],
      ['\r', false],
      ['\n', false],
    ]
    for (const [text, pending] of steps) {
      parser.push(text)
      expect([text, parser.pending]).toEqual([text, pending])
    }
  })

  test('after end nothing of the unfinished event is left', () => {
    const events: ServerEvent[] = []
    const parser = createSseParser({ onEvent: (next) => events.push(next) })
    for (const unfinished of ['event: x\nid: 1\ndata: a\n', 'data: a', 'data: a\r']) {
      parser.push(unfinished)
      parser.end()
      parser.push('\ufeffdata: b\n\n')
      parser.end()
    }
    expect(events).toEqual([event('b'), event('b'), event('b')])
  })

  test('needs no listener for comments', () => {
    const parser = createSseParser({ onEvent() {} })
    expect(() => parser.push(': hello\n\n')).not.toThrow()
  })

  test('what a listener throws reaches the caller', () => {
    const parser = createSseParser({
      onEvent() {
        throw new Error('mine')
      },
    })
    expect(() => parser.push('data: a\n\n')).toThrow('mine')
  })

  test.each([
    ['one line', 'data: 345678901\n\n', 'data: 3456789012\n\n'],
    ['two lines', 'data:6\ndata:456\n\n', 'data:6\ndata:4567\n\n'],
    ['fields that are not kept', 'retry: 8\nfoo:56\n\n', 'retry: 8\nfoo:567\n\n'],
    ['an unfinished line', 'data: 345678901', 'data: 3456789012'],
    ['a comment', ':23456789012345\n', ':234567890123456\n'],
  ])('the limit holds for %s', (_, fits, tooLarge) => {
    for (const pieces of feedings(fits)) expect(() => parse(pieces, 15)).not.toThrow()
    for (const pieces of feedings(`data: a\n\n${fits}`))
      expect(() => parse(pieces, 15)).not.toThrow()
    for (const pieces of feedings(tooLarge)) expect(() => parse(pieces, 15)).toThrow(SseOverflow)
  })

  test('comments never add up to an event that is too large', () => {
    const { events, comments } = parse([': keep-alive\n'.repeat(1000), 'data: a\n\n'], 20)
    expect(comments).toHaveLength(1000)
    expect(events).toEqual([event('a')])
  })

  test('the limit is 16 MiB unless told', () => {
    const megabyte = 'x'.repeat(1024 * 1024)
    const parser = createSseParser({ onEvent() {} })
    for (let count = 0; count < 16; count++) parser.push(megabyte)
    expect(() => parser.push('x')).toThrow(SseOverflow)
    expect(parser.pending).toBe(false)
  })

  test('gets through large texts of any line end, and a large event in small pieces', () => {
    for (const end of ['\n', '\r', '\r\n']) {
      const { events } = parse([`data: a${end}${end}`.repeat(100_000)])
      expect(events).toHaveLength(100_000)
    }
    const pieces = ['data: ', ...Array.from({ length: 200_000 }, () => 'xyz'), '\n', '\n']
    expect(parse(pieces).events[0]?.data).toHaveLength(600_000)
  })

  test('any text gives the same events however it is cut', () => {
    fc.assert(
      fc.property(streamText, cuts, (text, places) => {
        const expected = reference(text)
        for (const pieces of [...feedings(text), cutAt(text, places)]) {
          const { events, comments } = parse(pieces)
          expect({ events, comments }).toEqual(expected)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('the limit is met or not however the text is cut', () => {
    fc.assert(
      fc.property(streamText, cuts, fc.nat(40), (text, places, limit) => {
        const whole = outcome([text], limit)
        expect(outcome(text.split(''), limit)).toEqual(whole)
        expect(outcome(cutAt(text, places), limit)).toEqual(whole)
      }),
      { numRuns: 500 },
    )
  })
})

describe('formatEvent', () => {
  test('writes what clients expect to the byte', () => {
    expect(formatEvent({ data: '[DONE]' })).toBe('data: [DONE]\n\n')
    expect(formatEvent({ event: 'error', data: '{}' })).toBe('event: error\ndata: {}\n\n')
    expect(formatEvent({ data: '' })).toBe('data: \n\n')
    expect(formatEvent({ data: 'a\nb\r\nc\r' })).toBe('data: a\ndata: b\ndata: c\ndata: \n\n')
  })

  test('never lets text break out of its field', () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.constantFrom('a', ' ', ':', '\n', '\r', '\r\n', 'data: x', '\n\n'))
          .map((parts) => parts.join('')),
        fc.option(fc.constantFrom('ping', 'x\ndata: y', 'x\r\n\r\n', 'a b'), { nil: undefined }),
        (data, name) => {
          const { events } = parse([formatEvent({ event: name, data })])
          expect(events).toEqual([
            event(data.replace(/\r\n|\r/g, '\n'), name?.replace(/\r\n|\r|\n/g, ' ')),
          ])
        },
      ),
    )
  })
})

function split(chunks: readonly Uint8Array[]): { pieces: Uint8Array[]; rest: Uint8Array } {
  const splitter = createEventSplitter()
  const pieces = chunks.flatMap((chunk) => splitter.push(chunk) ?? [])
  return { pieces, rest: splitter.rest ?? new Uint8Array(0) }
}

describe('createEventSplitter', () => {
  const encoder = new TextEncoder()
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const bytes = (text: string): Uint8Array => encoder.encode(text)
  const show = (piece: Uint8Array | undefined) => piece && decoder.decode(piece)

  test.each([
    ['data: a\n\n', 'data: a\n\n', ''],
    ['data: a\n\ndata: b\n\n', 'data: a\n\ndata: b\n\n', ''],
    ['data: a\n\ndata: b\n', 'data: a\n\n', 'data: b\n'],
    ['data: a\n\nd', 'data: a\n\n', 'd'],
    ['data: a\r\n\r\nd', 'data: a\r\n\r\n', 'd'],
    ['data: a\r\n\r', 'data: a\r\n\r', ''],
    ['data: a\r\rd', 'data: a\r\r', 'd'],
    ['data: a\n\r\nd', 'data: a\n\r\n', 'd'],
    ['data: a\r\n\nd', 'data: a\r\n\n', 'd'],
    ['data: a\n\rd', 'data: a\n\r', 'd'],
    ['data: a\r\r\nd', 'data: a\r\r\n', 'd'],
    [': c\n\n\n\nd', ': c\n\n\n\n', 'd'],
    ['\ndata: a', '\n', 'data: a'],
    ['\r\ndata: a', '\r\n', 'data: a'],
    ['data: a\r\ndata: b\r\n', undefined, 'data: a\r\ndata: b\r\n'],
    ['data: a', undefined, 'data: a'],
    ['', undefined, ''],
  ])('%j', (text, piece, rest) => {
    const splitter = createEventSplitter()
    expect(show(splitter.push(bytes(text)))).toBe(piece)
    expect(show(splitter.rest) ?? '').toBe(rest)
  })

  test('hands a chunk of whole events on without copying it', () => {
    const splitter = createEventSplitter()
    for (const text of ['data: a\n\n', 'data: b\r\n\r\n', ': c\r\r', '\n']) {
      const chunk = bytes(text)
      expect(splitter.push(chunk)).toBe(chunk)
      expect(splitter.rest).toBeUndefined()
    }
    const chunk = bytes('data: a\n\ndata: b')
    expect(splitter.push(chunk)?.buffer).toBe(chunk.buffer)
  })

  test('a boundary may be cut anywhere', () => {
    const splitter = createEventSplitter()
    const steps: [string, string | undefined][] = [
      ['data: a\r', undefined],
      ['\n', undefined],
      ['\r', 'data: a\r\n\r'],
      ['\n', '\n'],
      ['data: b\n', undefined],
      ['\ndata: c', 'data: b\n\n'],
      ['\r', undefined],
      ['\r', 'data: c\r\r'],
      ['', undefined],
      ['d', undefined],
      ['', undefined],
      ['\n', undefined],
      ['\r\n', 'd\n\r\n'],
    ]
    for (const [text, piece] of steps) expect(show(splitter.push(bytes(text)))).toBe(piece)
    expect(splitter.rest).toBeUndefined()
  })

  test('earlier pieces are not overwritten by later chunks', () => {
    const splitter = createEventSplitter()
    splitter.push(bytes('data: first'))
    const first = splitter.push(bytes('\n\ndata: second'))
    const second = splitter.push(bytes('\n\ndata: third'))
    splitter.push(bytes('\n\n'))
    expect([show(first), show(second)]).toEqual(['data: first\n\n', 'data: second\n\n'])
  })

  test('holds no more than the limit', () => {
    const splitter = createEventSplitter(10)
    expect(splitter.push(bytes('0123456789'))).toBeUndefined()
    expect(() => splitter.push(bytes('x'))).toThrow(SseOverflow)
    expect(splitter.rest).toBeUndefined()
    // Whole events are not held, whatever their size.
    expect(splitter.push(bytes(`${'x'.repeat(100)}\n\n0123456789`))).toHaveLength(102)
    expect(show(splitter.push(bytes('\n\n')))).toBe('0123456789\n\n')
    expect(() => splitter.push(bytes('\n\n0123456789x'))).toThrow(SseOverflow)
  })

  test('the limit is 16 MiB unless told', () => {
    const splitter = createEventSplitter()
    const megabyte = new Uint8Array(1024 * 1024).fill(120)
    for (let count = 0; count < 16; count++) splitter.push(megabyte)
    expect(splitter.rest).toHaveLength(16 * 1024 * 1024)
    expect(() => splitter.push(bytes('x'))).toThrow(SseOverflow)
  })

  test('a large event in tiny chunks is put together', () => {
    const splitter = createEventSplitter()
    const text = `data: ${Array.from({ length: 40_000 }, (_, index) => index).join()}`
    const early = Array.from(bytes(text)).filter((byte) => splitter.push(Uint8Array.of(byte)))
    expect(early).toHaveLength(0)
    expect(show(splitter.push(bytes('\n\ny'))) === `${text}\n\n`).toBe(true)
    expect(show(splitter.rest)).toBe('y')
  })

  test('pieces add up to the input, end with a blank line, and hold the same events', () => {
    fc.assert(
      fc.property(streamText, cuts, (text, places) => {
        const whole = bytes(text)
        const single = Array.from(whole, (byte) => Uint8Array.of(byte))
        const lines = text.split(/(?<=\n)/).map(bytes)
        for (const chunks of [[whole], single, lines, cutAt(whole, places)]) {
          const { pieces, rest } = split(chunks)
          expect(show(Buffer.concat([...pieces, rest]))).toBe(text)
          for (const piece of pieces) expect(show(piece)).toMatch(/(?:^|[\r\n])(?:\r\n|\r|\n)$/)
          // What is held contains no finished event: nothing waits that could have gone out.
          expect(show(rest)).not.toMatch(/^[\r\n]|\n[\r\n]|\r\r|\r\n\r/)
          const relayed = pieces.map((piece) => decoder.decode(piece))
          const { events, pending } = parse(relayed)
          expect(events).toEqual(reference(text).events)
          expect(pending).toBe(false)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
