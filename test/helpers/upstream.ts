// A fake provider on a real socket. Tests queue the answers they want, and look at what arrived.

import { createMock, type Mock, type MockOptions } from '#providers/mock/handler.ts'

/** One request as it arrived. */
export interface RecordedRequest {
  readonly method: string
  /** Path as it came over the wire, without the query. */
  readonly path: string
  /** With its `?`, or empty. */
  readonly query: string
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
  text(): string
  json(): any
  /** Resolves when the connection went away before the answer was complete. */
  readonly closed: Promise<void>
}

/** One answer. A function sees the request; the rest is put together from the fields. */
export type Reply = ((request: Request) => Response | Promise<Response>) | ReplyParts

export interface ReplyParts {
  /** 200 when absent. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Body as JSON, with its content type. */
  readonly json?: unknown
  /** Body as it is. */
  readonly text?: string
  /** Complete events: a string without a blank line at its end gets `data: ` before it and the blank line after. */
  readonly sse?: readonly string[]
  /** Body in pieces, one write each. */
  readonly chunks?: readonly (Uint8Array | string)[]
  /**
   * Waited for before the answer starts, or with `chunks`/`sse` after the first piece (Bun sends headers together with
   * the first byte of the body, so a gate before it would also hold the headers). A list gates piece after piece, and what is
   * left of it the end.
   */
  readonly gate?: Promise<unknown> | readonly (Promise<unknown> | undefined)[]
  /** The connection breaks after the last piece (and the last gate) instead of ending. */
  readonly reset?: boolean
}

/** A running fake provider. */
export interface Upstream extends AsyncDisposable {
  /** `http://localhost:PORT`, without `/v1` and without a slash at the end. */
  readonly url: string
  readonly requests: readonly RecordedRequest[]
  /** Queues answers, first come first served; when none is left the built-in mock answers. */
  reply(next: Reply | readonly Reply[]): void
  /** Resolves with the first `count` requests, when they have arrived. */
  waitFor(count: number): Promise<readonly RecordedRequest[]>
  /** Forgets recorded requests and queued replies. */
  clear(): void
  stop(): Promise<void>
}

/** Starts a fake provider on a free port. */
export async function startUpstream(options: MockOptions = {}): Promise<Upstream> {
  const mock = createMock(options)
  const queue: Reply[] = []
  const requests: RecordedRequest[] = []
  const waiting = new Set<() => void>()

  const server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    idleTimeout: 0,
    development: false,
    maxRequestBodySize: 2 ** 30,
    async fetch(request) {
      const closed = Promise.withResolvers<void>()
      request.signal.addEventListener('abort', () => closed.resolve(), { once: true })
      const body = new Uint8Array(await request.arrayBuffer())
      requests.push(record(request, body, closed.promise))
      for (const check of waiting) check()
      const replayed = new Request(request.url, {
        method: request.method,
        headers: request.headers,
        signal: request.signal,
        ...(body.length === 0 ? {} : { body }),
      })
      return answer(queue.shift(), replayed, mock)
    },
    error: (error) => new Response(String(error), { status: 500 }),
  })

  return {
    url: `http://localhost:${server.port}`,
    requests,
    reply(next) {
      queue.push(...(Array.isArray(next) ? (next as readonly Reply[]) : [next as Reply]))
    },
    waitFor(count) {
      const { promise, resolve } = Promise.withResolvers<readonly RecordedRequest[]>()
      function check(): void {
        if (requests.length < count) return
        waiting.delete(check)
        resolve(requests.slice(0, count))
      }
      waiting.add(check)
      check()
      return promise
    },
    clear() {
      queue.length = 0
      requests.length = 0
    },
    stop: () => server.stop(true),
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}

function record(
  request: Request,
  body: Uint8Array<ArrayBuffer>,
  closed: Promise<void>,
): RecordedRequest {
  // `new URL` would normalise the path, and tests are about the very bytes.
  const [, target = '/'] = /^https?:\/\/[^/]*(.*)$/.exec(request.url) ?? []
  const mark = target.indexOf('?')
  const text = () => new TextDecoder().decode(body)
  return {
    method: request.method,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark),
    headers: new Headers(request.headers),
    body,
    text,
    json: () => JSON.parse(text()),
    closed,
  }
}

async function answer(reply: Reply | undefined, request: Request, mock: Mock): Promise<Response> {
  if (!reply) return mock(request)
  if (typeof reply === 'function') return reply(request)
  return assemble(reply)
}

async function assemble(parts: ReplyParts): Promise<Response> {
  const headers = new Headers(parts.headers)
  const fallback = (type: string) =>
    headers.has('content-type') || headers.set('content-type', type)
  const init = { status: parts.status ?? 200, headers }
  const pieces = parts.chunks ?? parts.sse?.map(framed)
  if (!pieces) {
    for (const gate of Array.isArray(parts.gate) ? parts.gate : [parts.gate]) await gate
    if (parts.text !== undefined) {
      fallback('text/plain')
      return new Response(parts.text, init)
    }
    if (parts.json === undefined) return new Response(null, init)
    fallback('application/json')
    return new Response(JSON.stringify(parts.json), init)
  }
  fallback('text/event-stream; charset=utf-8')
  return new Response(pieceByPiece(pieces, parts), init)
}

function framed(event: string): string {
  return /\r?\n\r?\n$/.test(event) ? event : `data: ${event}\n\n`
}

function pieceByPiece(
  pieces: readonly (Uint8Array | string)[],
  { gate, reset }: ReplyParts,
): ReadableStream {
  const gates: readonly (Promise<unknown> | undefined)[] = Array.isArray(gate)
    ? gate
    : [undefined, gate as Promise<unknown> | undefined]
  let next = 0
  return new ReadableStream({
    type: 'direct',
    async pull(controller: DirectController) {
      for (; next < pieces.length; next++) {
        await gates[next]
        await controller.write(pieces[next]!)
        await controller.flush()
      }
      for (const rest of gates.slice(pieces.length)) await rest
      if (reset) {
        // Bun drops what it has not written yet when a body fails; a turn of the event loop lets it out.
        await Bun.sleep(1)
        throw new Error('the test resets this connection')
      }
      controller.close()
    },
  } as unknown as Bun.DirectUnderlyingSource)
}

interface DirectController {
  write(piece: Uint8Array | string): number | Promise<number>
  flush(): number | Promise<number>
  close(): void
}

/** `bytes` as one piece, as lines (each with its line end), or in pieces of a size; together exactly `bytes`. */
export function playback(
  bytes: Uint8Array | string,
  pieceSize: number | 'whole' | 'line' | 'byte',
): Uint8Array[] {
  const all = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
  if (pieceSize === 'whole') return [all]
  const pieces: Uint8Array[] = []
  if (pieceSize === 'line') {
    for (let at = 0; at < all.length;) {
      const end = all.indexOf(10, at)
      const next = end === -1 ? all.length : end + 1
      pieces.push(all.subarray(at, next))
      at = next
    }
    return pieces
  }
  const size = pieceSize === 'byte' ? 1 : pieceSize
  for (let at = 0; at < all.length; at += size) pieces.push(all.subarray(at, at + size))
  return pieces
}

export { chunk, RAW, refusedUrl, startRawUpstream } from './raw.ts'
export type { RawOptions, RawScript, RawStep, RawUpstream } from './raw.ts'
