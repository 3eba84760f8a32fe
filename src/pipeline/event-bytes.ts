import type { StreamFraming } from '#core/endpoint.ts'
import { locate } from '#lib/json.ts'
import { mirrorCachedTokens } from '#openai/usage.ts'
import type { Usage } from '#openai/usage.ts'

import { withCost } from './costs.ts'
import type { Pricing } from './costs.ts'

// Server-sent events as slices of the bytes they came in.

export interface EventSlice {
  /** With its closing blank line. */
  readonly bytes: Uint8Array
  readonly name: string | undefined
  /** The data lines joined; undefined when there is none. */
  readonly data: string | undefined
  /** Nothing but comment lines. */
  readonly isComment: boolean
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()
const blankLine = /(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))/g
const lineBreak = /\r\n|\n|\r/

/** The bytes as Latin-1: one character per byte, so that offsets in it are offsets in the bytes. */
export function latin1(bytes: Uint8Array): string {
  // To make a buffer of them would give each chunk that comes in a memory of its own.
  return Buffer.prototype.toString.call(bytes, 'latin1')
}

/** Without the byte order mark that only the very start of a stream may have. */
export function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

/**
 * How many events `view` holds, or -1 unless every one of them is in the usual form: an optional `event` line, one
 * `data` line that holds an object, one kind of line end. A run that has passed this may be forwarded unread.
 */
export function countPlainEvents(view: string): number {
  const end = view.endsWith('\r\n\r\n') ? '\r\n' : '\n'
  const blank = end + end
  if (end === '\n' ? view.includes('\r') : view.includes('\n\n')) return -1
  let count = 0
  for (let at = 0; at < view.length;) {
    const close = view.indexOf(blank, at)
    if (close === -1 || view.charCodeAt(close - 1) !== closingBrace) return -1
    const data = view.startsWith('event:', at) ? view.indexOf(end, at) + end.length : at
    if (!view.startsWith('data: {', data) && !view.startsWith('data:{', data)) return -1
    // Another line in the same event would begin before its end.
    if (view.indexOf(end, data) !== close) return -1
    at = close + blank.length
    count++
  }
  return count
}

/** The complete events in `bytes`, in order. */
export function* eventsIn(bytes: Uint8Array, view: string): Generator<EventSlice> {
  let start = 0
  for (const match of view.matchAll(blankLine)) {
    const end = match.index + match[0].length
    if (match.index > start) yield slice(bytes.subarray(start, end))
    start = end
  }
}

function slice(bytes: Uint8Array): EventSlice {
  let name: string | undefined
  let data: string | undefined
  let isComment = true
  for (const line of decoder.decode(bytes).split(lineBreak)) {
    if (line === '' || line.startsWith(':')) continue
    isComment = false
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    if (field === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (field === 'event') name = value
  }
  return { bytes, name, data, isComment }
}

const openingBrace = 0x7b
const closingBrace = 0x7d

/** The event with `extra_fields` cut in before the closing brace of its data, which must be a JSON object. */
export function withFields(event: EventSlice, extraFieldsJson: string): Uint8Array {
  if (hasFields(event)) return event.bytes
  const { bytes } = hasSimpleData(event) ? event : simplified(event)
  const close = bytes.lastIndexOf(closingBrace)
  const comma = isEmptyUpTo(bytes, close) ? '' : ','
  const addition = encoder.encode(`${comma}"extra_fields":${extraFieldsJson}`)
  return Buffer.concat([bytes.subarray(0, close), addition, bytes.subarray(close)])
}

const inResponse = ['response', 'usage']
const onTop = ['usage']

/** The event with what callers look for in its usage: all names of cached tokens and, if `price` is there, the cost. */
export function withCounts(
  event: EventSlice,
  framing: StreamFraming,
  usage: Usage | undefined,
  price: Pricing | undefined,
): EventSlice {
  const path = framing === 'responses' ? inResponse : onTop
  const mirrored = withMirroredUsage(event, path)
  if (!usage || !price) return mirrored
  const simple = hasSimpleData(mirrored) ? mirrored : simplified(mirrored)
  const text = decoder.decode(simple.bytes)
  const open = text.indexOf('{')
  const priced = withCost(text.slice(open), path, price(usage))
  return { ...simple, bytes: encoder.encode(text.slice(0, open) + priced) }
}

/** The event with Bifrost's names for cached tokens beside OpenAI's, in the usage at `path`. */
function withMirroredUsage(event: EventSlice, path: readonly string[]): EventSlice {
  if (!event.data?.includes('"cached_tokens"') && !event.data?.includes('"cache_write_tokens"')) {
    return event
  }
  const simple = hasSimpleData(event) ? event : simplified(event)
  const text = decoder.decode(simple.bytes)
  const open = text.indexOf('{')
  const span = locate(text.slice(open), path)
  if (!span) return event
  const start = open + span.start
  const end = open + span.end
  const mirrored = mirrorCachedTokens(text.slice(start, end))
  return { ...simple, bytes: encoder.encode(text.slice(0, start) + mirrored + text.slice(end)) }
}

/** A gateway behind us has said it already; a second one of the same name would hide it. */
function hasFields({ data = '' }: EventSlice): boolean {
  if (!data.includes('"extra_fields"')) return false
  return 'extra_fields' in (JSON.parse(data) as object)
}

/** One data line, and it is the last: then the last brace of the bytes is the one that closes the data. */
function hasSimpleData({ bytes, data }: EventSlice): boolean {
  if (data === undefined || data.includes('\n')) return false
  let last = bytes.length - 1
  while (last > 0 && (bytes[last] === 0x0a || bytes[last] === 0x0d)) last--
  if (bytes[last] !== closingBrace) return false
  const view = latin1(bytes.subarray(0, last + 1))
  const lineStart = Math.max(view.lastIndexOf('\n'), view.lastIndexOf('\r')) + 1
  return view.startsWith('data:', lineStart)
}

/** The same event written as simply as it can be. Line breaks between JSON tokens are only space. */
function simplified({ name, data = '', isComment }: EventSlice): EventSlice {
  const line = data.trim().replaceAll('\n', ' ')
  const text = `${name === undefined ? '' : `event: ${name}\n`}data: ${line}\n\n`
  return { bytes: encoder.encode(text), name, data: line, isComment }
}

/** Nothing but space stands between the brace before `close` and it. */
function isEmptyUpTo(bytes: Uint8Array, close: number): boolean {
  let at = close - 1
  while (at >= 0 && (bytes[at] === 0x20 || bytes[at] === 0x09)) at--
  return bytes[at] === openingBrace
}
