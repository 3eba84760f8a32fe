// Server-sent events, read two ways: as events for translation, and as bytes cut at event boundaries for relays
// that must not change a byte.

/** One dispatched event. */
export interface ServerEvent {
  /** The event's own `event` field; undefined when absent or empty. */
  readonly event: string | undefined
  /** All `data` lines joined by a newline; may be empty. */
  readonly data: string
  /** The event's own `id` field; it is not carried over to later events. */
  readonly id: string | undefined
}

export interface SseParserOptions {
  readonly onEvent: (event: ServerEvent) => void
  /** Called with the text after the colon, one leading space removed. */
  readonly onComment?: ((text: string) => void) | undefined
  /** What one event's lines may add up to, in UTF-16 units of decoded text. */
  readonly maxEventBytes?: number | undefined
}

export interface SseParser {
  /**
   * Takes the next piece of decoded text, cut anywhere. Throws SseOverflow, or what a callback throws; the rest of
   * the piece is then lost.
   */
  readonly push: (text: string) => void
  /** Forgets an unfinished event, as the standard demands, and is ready for another stream. */
  readonly end: () => void
  /** Part of an event has come and its blank line has not. */
  readonly pending: boolean
}

/** Whether a content type is that of server-sent events. Media types are the same in any case (RFC 9110, 8.3.1). */
export function isEventStream(contentType: string): boolean {
  return /^text\/event-stream\b/i.test(contentType)
}

export interface EventSplitter {
  /**
   * The longest run of whole events in what is held plus `chunk`, or undefined while the first is unfinished. It is
   * `chunk` itself when nothing was held and it ends with an event. Throws SseOverflow when too much has to be held.
   */
  readonly push: (chunk: Uint8Array) => Uint8Array | undefined
  /** Bytes of the unfinished event, valid until the next push; undefined when there are none. */
  readonly rest: Uint8Array | undefined
}

/** A single event grew beyond the allowed size. */
export class SseOverflow extends Error {
  override readonly name = 'SseOverflow'
  readonly maxEventBytes: number

  constructor(maxEventBytes: number) {
    super(`a server-sent event is larger than ${maxEventBytes} bytes`)
    this.maxEventBytes = maxEventBytes
  }
}

const defaultMaxEventBytes = 16 * 1024 * 1024
/** First size of a splitter's buffer, and the size from which it is given back once its event is complete. */
const smallestHold = 1024
const largestKept = 64 * 1024
const lf = 0x0a
const cr = 0x0d
const space = 0x20
const colon = 0x3a
const byteOrderMark = 0xfeff
const lineBreak = /\r\n|\r|\n/g

/**
 * A parser after the WHATWG standard: lines end with LF, CR or CRLF, an event ends at a blank line and is dispatched
 * if it had a `data` line, `retry` and unknown fields are ignored, one byte order mark at the start is skipped.
 */
export function createSseParser(options: SseParserOptions): SseParser {
  const { onEvent, onComment, maxEventBytes = defaultMaxEventBytes } = options
  let started = false
  let afterCr = false
  /** Start of a line whose end has not come. It stays a rope until then, so tiny pieces cost no copying. */
  let partial = ''
  let event = ''
  let id: string | undefined
  const data: string[] = []
  /** Total of the lines of the current event so far, comments aside: they are not kept. */
  let size = 0

  function reset(): void {
    event = ''
    id = undefined
    data.length = 0
    size = 0
  }

  function dispatch(): void {
    if (data.length === 0) {
      reset()
      return
    }
    const [first = ''] = data
    const dispatched = {
      event: event === '' ? undefined : event,
      data: data.length === 1 ? first : data.join('\n'),
      id,
    }
    reset()
    onEvent(dispatched)
  }

  function checkSize(length: number): void {
    if (size + length <= maxEventBytes) return
    partial = ''
    reset()
    throw new SseOverflow(maxEventBytes)
  }

  /** `[start, end)` of `text` is one line; `text` itself may hold many, and slicing only values keeps that cheap. */
  function readLine(text: string, start: number, end: number): void {
    if (start === end) {
      dispatch()
      return
    }
    checkSize(end - start)
    if (text.charCodeAt(start) === colon) {
      onComment?.(text.slice(skipOneSpace(text, start + 1), end))
      return
    }
    size += end - start + 1
    if (text.startsWith('data:', start)) {
      data.push(text.slice(skipOneSpace(text, start + 5), end))
    } else if (text.startsWith('event:', start)) {
      event = text.slice(skipOneSpace(text, start + 6), end)
    } else if (text.startsWith('id:', start)) {
      const value = text.slice(skipOneSpace(text, start + 3), end)
      if (!value.includes('\0')) id = value
    } else {
      // A line without a colon is a field with an empty value.
      const name = text.slice(start, end)
      if (name === 'data') data.push('')
      else if (name === 'event') event = ''
      else if (name === 'id') id = ''
    }
  }

  return {
    push(text) {
      if (text === '') return
      let at = 0
      if (!started) {
        started = true
        if (text.charCodeAt(0) === byteOrderMark) at = 1
      }
      if (afterCr) {
        afterCr = false
        if (text.charCodeAt(0) === lf) at = 1
      }
      // Each search resumes where its last hit was passed, so a text with only one kind of line end is read once.
      let nextLf = text.indexOf('\n', at)
      let nextCr = text.indexOf('\r', at)
      for (;;) {
        if (nextLf !== -1 && nextLf < at) nextLf = text.indexOf('\n', at)
        if (nextCr !== -1 && nextCr < at) nextCr = text.indexOf('\r', at)
        const end = nextCr === -1 || (nextLf !== -1 && nextLf < nextCr) ? nextLf : nextCr
        if (end === -1) break
        if (partial === '') {
          readLine(text, at, end)
        } else {
          const line = partial + text.slice(at, end)
          partial = ''
          readLine(line, 0, line.length)
        }
        at = end + 1
        if (end === nextCr) {
          if (at === text.length) afterCr = true
          else if (text.charCodeAt(at) === lf) at++
        }
      }
      if (at < text.length) {
        partial += text.slice(at)
        checkSize(partial.length)
      }
    },
    end() {
      started = false
      afterCr = false
      partial = ''
      reset()
    },
    get pending() {
      return partial !== '' || size > 0
    },
  }
}

function skipOneSpace(text: string, at: number): number {
  return text.charCodeAt(at) === space ? at + 1 : at
}

/** One event as text, blank line included. Line breaks within `data` become further `data` lines, those in `event` spaces. */
export function formatEvent(event: { event?: string; data: string }): string {
  const { data } = event
  const lines =
    data.includes('\n') || data.includes('\r') ? data.replace(lineBreak, '\ndata: ') : data
  return event.event === undefined
    ? `data: ${lines}\n\n`
    : `event: ${event.event.replace(lineBreak, ' ')}\ndata: ${lines}\n\n`
}

/** Cuts a byte stream after whole events. What is held never exceeds `maxEventBytes` (16 MiB unless told). */
export function createEventSplitter(maxEventBytes = defaultMaxEventBytes): EventSplitter {
  /** Grows by doubling, so that an event in many small chunks is not copied for each of them. */
  let held = new Uint8Array(0)
  let heldLength = 0

  function hold(bytes: Uint8Array): void {
    const length = heldLength + bytes.length
    if (length > maxEventBytes) {
      held = new Uint8Array(0)
      heldLength = 0
      throw new SseOverflow(maxEventBytes)
    }
    if (length > held.length) {
      const larger = new Uint8Array(Math.max(length, 2 * held.length, smallestHold))
      larger.set(held.subarray(0, heldLength))
      held = larger
    }
    held.set(bytes, heldLength)
    heldLength = length
  }

  /** The byte at `at`, negative in what is held; before everything stands the end of the previous event. */
  function byteAt(chunk: Uint8Array, at: number): number {
    return (at < 0 ? held[heldLength + at] : chunk[at]) ?? lf
  }

  /** Whether the line that ends just before `end` is blank. */
  function isBoundary(chunk: Uint8Array, end: number): boolean {
    const last = byteAt(chunk, end - 1)
    if (!isLineEnd(last)) return false
    const before = byteAt(chunk, end - 2)
    return isLineEnd(last === lf && before === cr ? byteAt(chunk, end - 3) : before)
  }

  return {
    push(chunk) {
      let end = chunk.length
      while (end > 0 && !isBoundary(chunk, end)) end--
      if (end === 0) {
        hold(chunk)
        return undefined
      }
      let whole = end === chunk.length ? chunk : chunk.subarray(0, end)
      if (heldLength > 0) {
        const joined = new Uint8Array(heldLength + end)
        joined.set(held.subarray(0, heldLength))
        joined.set(whole, heldLength)
        whole = joined
        heldLength = 0
        if (held.length > largestKept) held = new Uint8Array(0)
      }
      if (end < chunk.length) hold(chunk.subarray(end))
      return whole
    },
    get rest() {
      return heldLength === 0 ? undefined : held.subarray(0, heldLength)
    },
  }
}

function isLineEnd(byte: number): boolean {
  return byte === lf || byte === cr
}
