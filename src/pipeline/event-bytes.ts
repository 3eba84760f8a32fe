import { locate } from '#lib/json.ts'
import { mirrorCachedTokens } from '#openai/usage.ts'

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

/** The bytes as Latin-1: one character per byte, so that offsets in it are offsets in the bytes. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** How many events end in `view`. */
export function countEvents(view: string): number {
  let count = 0
  for (let at = view.indexOf('\n\n'); at !== -1; at = view.indexOf('\n\n', at + 2)) count++
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
  for (const line of decoder.decode(bytes).split(/\r\n|\n|\r/)) {
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

const closingBrace = 0x7d

/** The event with `extra_fields` cut in before the closing brace of its data. */
export function withFields(bytes: Uint8Array, extraFieldsJson: string): Uint8Array {
  const close = bytes.lastIndexOf(closingBrace)
  if (close === -1) return bytes
  return concat(bytes, close, close, `,"extra_fields":${extraFieldsJson}`)
}

/** The event with Bifrost's names for cached tokens beside OpenAI's. */
export function withMirroredUsage(bytes: Uint8Array): Uint8Array {
  const text = decoder.decode(bytes)
  const open = text.indexOf('{')
  const span = open === -1 ? undefined : locate(text.slice(open), ['usage'])
  if (!span) return bytes
  const start = open + span.start
  const end = open + span.end
  const mirrored = mirrorCachedTokens(text.slice(start, end))
  return encoder.encode(text.slice(0, start) + mirrored + text.slice(end))
}

function concat(bytes: Uint8Array, start: number, end: number, text: string): Uint8Array {
  return Buffer.concat([bytes.subarray(0, start), encoder.encode(text), bytes.subarray(end)])
}
