// HTTP/1.1 messages off a raw socket, as they arrive. Only what the two ends of a benchmark need: one message at
// a time per connection, bodies with a length or in chunks. Cheaper than any client or server with features, so
// that the two ends take as little as possible of the core they share.

/** Where a connection is in its current message; `createReader()` makes one. */
export interface Reader {
  phase: 'head' | 'length' | 'size' | 'chunk' | 'chunk end' | 'trailer'
  /** Bytes of an unfinished head. */
  held: Buffer | undefined
  /** Bytes still to come of the body or of the current chunk. */
  remaining: number
  /** Bytes of the current size line or trailer line. */
  line: number
}

/** What is done with the parts of a message; `owner` is the connection they belong to. */
export interface Sink<T> {
  /** The head without its final blank line, lower case. */
  head: (owner: T, text: string) => void
  /** Payload only, without chunk framing. */
  body: (owner: T, bytes: Buffer, start: number, end: number) => void
  end: (owner: T) => void
}

const headLimitBytes = 64 * 1024
const lineFeed = 10
const carriageReturn = 13

/** A reader that expects the first byte of a message. */
export function createReader(): Reader {
  return { phase: 'head', held: undefined, remaining: 0, line: 0 }
}

/** Reads what has arrived and tells `sink`; throws on bytes that are not HTTP/1.1. */
export function feed<T>(reader: Reader, arrived: Buffer, sink: Sink<T>, owner: T): void {
  let bytes = arrived
  let at = 0
  if (reader.held !== undefined) {
    bytes = Buffer.concat([reader.held, arrived])
    reader.held = undefined
  }
  while (at < bytes.length) {
    switch (reader.phase) {
      case 'head': {
        const end = bytes.indexOf('\r\n\r\n', at)
        if (end < 0) {
          if (bytes.length - at > headLimitBytes) throw new Error('a head that does not end')
          reader.held = bytes.subarray(at)
          return
        }
        const text = bytes.toString('latin1', at, end).toLowerCase()
        at = end + 4
        const hasBody = begin(reader, text)
        sink.head(owner, text)
        if (!hasBody) finish(reader, sink, owner)
        break
      }
      case 'length':
      case 'chunk': {
        const end = Math.min(bytes.length, at + reader.remaining)
        sink.body(owner, bytes, at, end)
        reader.remaining -= end - at
        at = end
        if (reader.remaining > 0) return
        if (reader.phase === 'chunk') reader.phase = 'chunk end'
        else finish(reader, sink, owner)
        break
      }
      case 'size':
        at = readSize(reader, bytes, at)
        break
      case 'chunk end':
        if (bytes[at] === lineFeed) reader.phase = 'size'
        else if (bytes[at] !== carriageReturn) throw new Error('a chunk longer than it said')
        at += 1
        break
      case 'trailer':
        if (bytes[at] === lineFeed) {
          if (reader.line === 0) finish(reader, sink, owner)
          reader.line = 0
        } else if (bytes[at] !== carriageReturn) {
          reader.line += 1
        }
        at += 1
        break
    }
  }
}

/** The value of one header in a lower-case head, or undefined. */
export function headerOf(head: string, name: string): string | undefined {
  const start = head.indexOf(`\r\n${name}:`)
  if (start < 0) return undefined
  const from = start + name.length + 3
  const end = head.indexOf('\r\n', from)
  return head.slice(from, end < 0 ? undefined : end).trim()
}

/** Returns whether anything follows the head. */
function begin(reader: Reader, head: string): boolean {
  reader.line = 0
  if (headerOf(head, 'transfer-encoding') === 'chunked') {
    reader.phase = 'size'
    reader.remaining = 0
    return true
  }
  const length = Number(headerOf(head, 'content-length') ?? '0')
  if (!Number.isSafeInteger(length) || length < 0) throw new Error('a length that is no number')
  reader.phase = 'length'
  reader.remaining = length
  return length > 0
}

function readSize(reader: Reader, bytes: Buffer, start: number): number {
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (byte === lineFeed) {
      if (reader.line === 0) throw new Error('a chunk without a size')
      reader.phase = reader.remaining === 0 ? 'trailer' : 'chunk'
      reader.line = 0
      return at + 1
    }
    if (byte === carriageReturn) continue
    const digit = hexDigit(byte)
    if (digit < 0 || reader.line > 7) throw new Error('a chunk size that is no number')
    reader.remaining = reader.remaining * 16 + digit
    reader.line += 1
  }
  return bytes.length
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function finish<T>(reader: Reader, sink: Sink<T>, owner: T): void {
  reader.phase = 'head'
  reader.remaining = 0
  sink.end(owner)
}
