// A fake provider below HTTP: it says exactly the bytes a script tells it, which no HTTP server would.

import type { Socket } from 'bun'

/** One thing a script does on the connection. */
export type RawStep =
  /** Bytes as they are. */
  | string
  | Uint8Array
  /** The same bytes over and over, until the other side hangs up or `most` bytes were taken (64 MiB). */
  | { readonly forever: string; readonly most?: number }
  | { readonly wait: Promise<unknown> }
  /** `reset` drops the connection with what is unsent, `end` closes it in order. Without either it stays open for the next request. */
  | { readonly close: 'reset' | 'end' }

/** Steps for the request number `index` (from 0, over all connections), or the same for all. */
export type RawScript = readonly RawStep[] | ((index: number) => readonly RawStep[])

export interface RawOptions {
  /** When a script starts: with the connection, or when a whole request has arrived. */
  readonly on?: 'connect' | 'request'
}

/** A running fake provider. */
export interface RawUpstream extends AsyncDisposable {
  /** `http://localhost:PORT`, without a slash at the end. */
  readonly url: string
  /** What arrived, one text per request, head and body; connections that said nothing are not in it. */
  readonly requests: readonly string[]
  /** How many connections were opened. */
  readonly connections: number
  /** Resolves when `count` requests have arrived. */
  waitFor(count: number): Promise<readonly string[]>
  /** Resolves when the other side has closed a connection, or this one has. */
  readonly closed: Promise<void>
  stop(): Promise<void>
}

const head = 'HTTP/1.1 200 OK\r\n'
const eventStream = `${head}content-type: text/event-stream\r\n`
const hello =
  'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"},"finish_reason":null}]}\n\n'

/** The classic ways to misbehave. */
export const RAW = {
  resetBeforeHeaders: [{ close: 'reset' }],
  closeBeforeHeaders: [{ close: 'end' }],
  /** Half a status line, then gone. */
  cutInHeaders: ['HTTP/1.1 20', { close: 'end' }],
  resetAfterHeaders: [`${eventStream}transfer-encoding: chunked\r\n\r\n`, { close: 'reset' }],
  /** One chat event, then gone. */
  resetMidStream: [
    `${eventStream}transfer-encoding: chunked\r\n\r\n`,
    chunk(hello),
    { close: 'reset' },
  ],
  /** The body stops inside a chunk. */
  truncatedChunk: [
    `${eventStream}transfer-encoding: chunked\r\n\r\n`,
    chunk(hello).slice(0, 40),
    { close: 'end' },
  ],
  /** Whole chunks, but never the last one. */
  missingLastChunk: [
    `${eventStream}transfer-encoding: chunked\r\n\r\n`,
    chunk(hello),
    { close: 'end' },
  ],
  /** A chunk size that is not hexadecimal. */
  badChunkSize: [
    `${eventStream}transfer-encoding: chunked\r\n\r\n`,
    'zz\r\nhello\r\n',
    { close: 'end' },
  ],
  endlessHeaders: [head, { forever: `x-more: ${'y'.repeat(1000)}\r\n` }],
  endlessHeader: [`${head}x-more: `, { forever: 'y'.repeat(1000) }],
  garbage: ['\u0000\u0001 this is no HTTP at all\r\n\r\n', { close: 'end' }],
  /** Promises more than it sends. */
  shortBody: [
    `${head}content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"id":"x"`,
    { close: 'end' },
  ],
  /** Sends more than it promises. */
  longBody: [
    `${head}content-type: application/json\r\ncontent-length: 10\r\n\r\n{"id":"x"}HTTP/1.1 500 not an answer\r\n`,
    { close: 'end' },
  ],
  /** Takes the request and never says a word. */
  silent: [],
  /** Headers and then never a body. */
  headersOnly: [`${eventStream}transfer-encoding: chunked\r\n\r\n`],
} as const satisfies Record<string, readonly RawStep[]>

/** `text` as one chunk of a chunked body. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
}

/** An address that nobody listens on. */
export function refusedUrl(): string {
  const listener = Bun.listen({ hostname: 'localhost', port: 0, socket: { data() {} } })
  const url = `http://localhost:${listener.port}`
  listener.stop(true)
  return url
}

interface Connection {
  received: Buffer
  /** Bytes that the kernel would not take yet. */
  resume: (() => void) | undefined
  open: boolean
  busy: boolean
}

/** Starts a fake provider that plays `script` for every request. */
export async function startRawUpstream(
  script: RawScript,
  { on = 'request' }: RawOptions = {},
): Promise<RawUpstream> {
  const requests: string[] = []
  const waiting = new Set<() => void>()
  const closed = Promise.withResolvers<void>()
  let connections = 0
  let played = 0

  async function next(socket: Socket<Connection>): Promise<void> {
    const steps = typeof script === 'function' ? script(played) : script
    played++
    socket.data.busy = true
    await play(socket, steps)
    socket.data.busy = false
    if (on === 'request') take(socket)
  }

  function take(socket: Socket<Connection>): void {
    if (socket.data.busy) return
    const length = requestLength(socket.data.received)
    if (length === undefined) return
    requests.push(socket.data.received.subarray(0, length).toString('latin1'))
    socket.data.received = socket.data.received.subarray(length)
    for (const check of waiting) check()
    void next(socket)
  }

  const listener = Bun.listen<Connection>({
    hostname: 'localhost',
    port: 0,
    socket: {
      open(socket) {
        connections++
        socket.data = { received: Buffer.alloc(0), resume: undefined, open: true, busy: false }
        if (on === 'connect') void next(socket)
      },
      data(socket, bytes) {
        socket.data.received = Buffer.concat([socket.data.received, bytes])
        if (on === 'request') take(socket)
      },
      drain: (socket) => socket.data.resume?.(),
      close(socket) {
        socket.data.open = false
        socket.data.resume?.()
        closed.resolve()
      },
      error() {
        // A connection that breaks is what these tests are about; `close` follows.
      },
    },
  })

  return {
    url: `http://localhost:${listener.port}`,
    requests,
    get connections() {
      return connections
    },
    closed: closed.promise,
    waitFor(count) {
      const { promise, resolve } = Promise.withResolvers<readonly string[]>()
      function check(): void {
        if (requests.length < count) return
        waiting.delete(check)
        resolve(requests.slice(0, count))
      }
      waiting.add(check)
      check()
      return promise
    },
    stop: async () => listener.stop(true),
    [Symbol.asyncDispose]: async () => listener.stop(true),
  }
}

async function play(socket: Socket<Connection>, steps: readonly RawStep[]): Promise<void> {
  for (const step of steps) {
    if (!socket.data.open) return
    if (typeof step === 'string' || step instanceof Uint8Array) {
      await write(socket, Buffer.from(step as string))
    } else if ('forever' in step) {
      const bytes = Buffer.from(step.forever)
      const most = step.most ?? 2 ** 26
      for (let sent = 0; sent < most && socket.data.open; sent += bytes.length) {
        await write(socket, bytes)
      }
    } else if ('wait' in step) {
      await step.wait
    } else if (step.close === 'reset') {
      socket.terminate()
    } else {
      socket.end()
    }
  }
}

/** Resolves when the kernel has taken all of `bytes`, or the connection is gone. */
async function write(socket: Socket<Connection>, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length && socket.data.open;) {
    at += Math.max(0, socket.write(bytes.subarray(at)))
    if (at === bytes.length) return
    const { promise, resolve } = Promise.withResolvers<void>()
    socket.data.resume = resolve
    await promise
    socket.data.resume = undefined
  }
}

/** Length of the first whole request in `bytes`; undefined while it is incomplete. */
function requestLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const start = end + 4
  const fields = bytes.toString('latin1', 0, end).toLowerCase()
  if (/\r\ntransfer-encoding: *chunked/.test(fields)) {
    const last = bytes.indexOf('0\r\n\r\n', start)
    return last === -1 ? undefined : last + 5
  }
  const length = start + Number(/\r\ncontent-length: *(\d+)/.exec(fields)?.[1] ?? 0)
  return bytes.length < length ? undefined : length
}
