// A client below `fetch`: it sends exactly the bytes it is told, also those that no HTTP library would.

import type { Socket } from 'bun'

export interface RawAnswer {
  /** 0 when the connection was closed without an answer. */
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  json(): any
}

/** A connection whose bytes are the test's own. */
export interface RawConnection {
  send(bytes: string | Uint8Array): void
  /** What has arrived so far, as Latin-1. */
  readonly received: string
  /** Resolves when `received` holds `text`; rejects when the connection is closed first. */
  until(text: string): Promise<void>
  /** Resolves with everything that arrived, once the other side has closed. */
  readonly closed: Promise<string>
  /** Drops the connection with whatever is unsent. */
  drop(): void
}

/** Opens a connection to `url`, an origin such as `http://127.0.0.1:8080`. */
export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const closed = Promise.withResolvers<string>()
  const waiting = new Set<() => void>()
  let received = ''
  let isClosed = false
  let unsent: Buffer = Buffer.alloc(0)
  const flush = (socket: Socket): void => {
    while (unsent.length > 0) {
      const taken = socket.write(unsent)
      if (taken <= 0) return
      unsent = unsent.subarray(taken)
    }
  }
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      drain: flush,
      data(_, bytes) {
        received += Buffer.from(bytes).toString('latin1')
        for (const check of waiting) check()
      },
      close() {
        isClosed = true
        for (const check of waiting) check()
        closed.resolve(received)
      },
      error() {
        // A broken connection closes too, which is what tests wait for.
      },
    },
  })
  return {
    get received() {
      return received
    },
    send(bytes) {
      unsent = Buffer.concat([unsent, typeof bytes === 'string' ? latin1(bytes) : bytes])
      flush(socket)
    },
    until(text) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const check = (): void => {
        if (received.includes(text)) resolve()
        else if (isClosed) reject(new Error(`closed after: ${received.slice(0, 500)}`))
        else return
        waiting.delete(check)
      }
      waiting.add(check)
      check()
      return promise
    },
    closed: closed.promise,
    drop: () => socket.terminate(),
  }
}

/** Sends one request's bytes and reads until the other side closes; ask it to with `connection: close`. */
export async function exchange(url: string, bytes: string | Uint8Array): Promise<RawAnswer> {
  const connection = await openRaw(url)
  connection.send(bytes)
  return parseAnswer(await connection.closed)
}

/** The head of a request that asks for the connection to be closed after the answer. */
export function head(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const lines = Object.entries({ host: 'localhost', connection: 'close', ...headers })
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

/** A whole `POST` as bytes. */
export function post(
  path: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const start = head('POST', path, { ...headers, 'content-length': String(bytes.length) })
  return Buffer.concat([latin1(start), bytes])
}

/** Reads the first answer in what a connection sent. */
export function parseAnswer(received: string): RawAnswer {
  const end = received.indexOf('\r\n\r\n')
  const [first = '', ...lines] = received.slice(0, Math.max(end, 0)).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const body = end === -1 ? '' : Buffer.from(received.slice(end + 4), 'latin1').toString('utf8')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0)
  return { status, headers, body, json: () => JSON.parse(body) }
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
