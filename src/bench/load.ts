// The client: N keep-alive connections over raw sockets, each sending its next request when its last answer is
// complete and checked. An answer that is not what the upstream sent is an error, however fast it came.

import type { Socket } from 'bun'

import { bodyOf, type Job, type LoadResult } from './job.ts'
import { answerMark } from './upstream.ts'
import { createReader, feed, type Reader, type Sink } from './wire.ts'

interface Connection {
  socket: Socket<Connection> | undefined
  reader: Reader
  busy: boolean
  /** What the kernel did not take yet of the request. */
  unsent: Buffer | undefined
  startedAt: number
  firstAt: number
  status: number
  closes: boolean
  /** Enough of a refused answer to say why. */
  refusal: string
  marked: boolean
  lastByte: number
  events: number
  atLineStart: boolean
  /** The last bytes of the payload, where the terminator must be. */
  tail: string
}

const terminator = 'data: [DONE]\n\n'
const mark = Buffer.from(answerMark)
const closingBrace = 125
const lineFeed = 10
const letterD = 100

/** A running job; `done` never rejects: whatever goes wrong is counted. */
export interface Running {
  done: Promise<LoadResult>
  /** Ends a `hold`; nothing for the other kinds. */
  release: () => void
}

/** Starts a job; `onHeld` is told how many streams of a `hold` stand. */
export function startLoad(job: Job, onHeld: (held: number) => void = () => {}): Running {
  const target = new URL(job.url)
  const request = requestBytes(job, target)
  const streams = job.kind !== 'unary'
  const latencies = new Float64Array(job.requests)
  const firsts = new Float64Array(streams ? job.requests : 0)
  const connections: Connection[] = []
  const { promise, resolve } = Promise.withResolvers<LoadResult>()
  let issued = 0
  let ok = 0
  let errors = 0
  let events = 0
  let standing = 0
  let announced = false
  let firstError: string | undefined
  let ended = false
  const startedAt = performance.now()
  const deadline = setTimeout(() => {
    firstError ??= `${job.requests - ok - errors} of ${job.requests} unfinished after ${job.timeoutMs} ms`
    errors = job.requests - ok
    end()
  }, job.timeoutMs)

  const sink: Sink<Connection> = {
    head(connection, text) {
      connection.status = Number(text.slice(9, 12))
      connection.closes = text.includes('\r\nconnection: close')
    },
    body(connection, bytes, start, stop) {
      if (connection.status !== 200) {
        connection.refusal = (connection.refusal + bytes.toString('latin1', start, stop)).slice(
          0,
          300,
        )
      } else if (streams) {
        scan(connection, bytes, start, stop)
        if (connection.firstAt === 0 && connection.events > 0) first(connection)
      } else {
        if (!connection.marked) {
          const found = bytes.indexOf(mark, start)
          connection.marked = found >= 0 && found < stop
        }
        connection.lastByte = bytes[stop - 1] ?? 0
      }
    },
    end(connection) {
      connection.busy = false
      const problem = verdict(connection)
      if (problem === undefined) {
        if (streams) firsts[ok] = (connection.firstAt - connection.startedAt) * 1000
        latencies[ok] = (performance.now() - connection.startedAt) * 1000
        events += connection.events
        ok += 1
        settle()
      } else {
        fail(problem, connection)
      }
      if (connection.closes) return
      if (job.pauseMs === undefined) next(connection)
      else setTimeout(() => next(connection), job.pauseMs)
    },
  }

  function verdict(connection: Connection): string | undefined {
    if (connection.status !== 200) return `status ${connection.status}: ${connection.refusal}`
    if (job.kind === 'hold') return 'a stream that should have stayed open ended'
    if (streams)
      return connection.tail === terminator ? undefined : `a stream ended with ${connection.tail}`
    if (!connection.marked) return 'an answer without the mark of the upstream'
    return connection.lastByte === closingBrace ? undefined : 'an answer that is not a whole object'
  }

  function first(connection: Connection): void {
    connection.firstAt = performance.now()
    if (job.kind !== 'hold') return
    firsts[standing] = (connection.firstAt - connection.startedAt) * 1000
    standing += 1
    announce()
  }

  function fail(problem: string, connection?: Connection): void {
    if (ended) return
    firstError ??= problem
    errors += 1
    if (job.kind === 'hold') {
      // The stream stood before it failed: it must not count twice.
      if (connection !== undefined && connection.firstAt > 0) standing -= 1
      announce()
    }
    settle()
  }

  function announce(): void {
    if (announced || standing + errors < job.requests) return
    announced = true
    onHeld(standing)
  }

  function settle(): void {
    if (ok + errors >= job.requests && (job.kind !== 'hold' || standing === 0)) end()
  }

  function end(): void {
    if (ended) return
    ended = true
    clearTimeout(deadline)
    for (const connection of connections) connection.socket?.end()
    const done = latencies.subarray(0, ok).toSorted()
    const opened = firsts.subarray(0, ok).toSorted()
    resolve({
      ok,
      errors,
      firstError,
      perSecond: (ok * 1000) / (performance.now() - startedAt),
      p50Us: percentile(done, 0.5),
      p99Us: percentile(done, 0.99),
      firstP50Us: percentile(opened, 0.5),
      firstP99Us: percentile(opened, 0.99),
      events,
    })
  }

  /** Sends the next request, over a new connection when there is none. */
  function next(connection: Connection): void {
    if (ended || issued >= job.requests) return
    issued += 1
    restart(connection)
    if (connection.socket === undefined) void connect(connection)
    else write(connection, request)
  }

  async function connect(connection: Connection): Promise<void> {
    try {
      await Bun.connect<Connection>({
        hostname: target.hostname,
        port: Number(target.port),
        data: connection,
        socket: handlers,
      })
    } catch (error) {
      connection.busy = false
      fail(`cannot connect: ${error instanceof Error ? error.message : String(error)}`)
      next(connection)
    }
  }

  const handlers = {
    open(socket: Socket<Connection>) {
      socket.data.socket = socket
      socket.setNoDelay(true)
      socket.data.reader = createReader()
      socket.data.startedAt = performance.now()
      write(socket.data, request)
    },
    data(socket: Socket<Connection>, bytes: Buffer) {
      try {
        feed(socket.data.reader, bytes, sink, socket.data)
      } catch (error) {
        socket.data.busy = false
        fail(error instanceof Error ? error.message : String(error), socket.data)
        socket.end()
      }
    },
    drain(socket: Socket<Connection>) {
      const rest = socket.data.unsent
      socket.data.unsent = undefined
      if (rest !== undefined) write(socket.data, rest)
    },
    close(socket: Socket<Connection>) {
      const connection = socket.data
      connection.socket = undefined
      if (connection.busy && !ended) {
        connection.busy = false
        fail('the connection closed before the answer was complete', connection)
      }
      next(connection)
    },
    // A close follows and counts what is lost.
    error() {},
  }

  for (let index = 0; index < Math.min(job.concurrency, job.requests); index += 1) {
    const connection = createConnection()
    connections.push(connection)
    if (job.spreadMs === 0) next(connection)
    else setTimeout(() => next(connection), (index * job.spreadMs) / job.concurrency)
  }

  return {
    done: promise,
    release() {
      if (job.kind !== 'hold' || ended) return
      ok = standing
      end()
    },
  }
}

/** The value below which `share` of the sorted times lie; 0 when there are none. */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

function requestBytes(job: Job, target: URL): Buffer {
  const body = Buffer.from(bodyOf(job))
  const head =
    `POST ${target.pathname} HTTP/1.1\r\nhost: ${target.host}\r\ncontent-type: application/json\r\n` +
    `authorization: Bearer sk-bench\r\naccept: */*\r\nuser-agent: bench\r\ncontent-length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

function createConnection(): Connection {
  return {
    socket: undefined,
    reader: createReader(),
    busy: false,
    unsent: undefined,
    startedAt: 0,
    firstAt: 0,
    status: 0,
    closes: false,
    refusal: '',
    marked: false,
    lastByte: 0,
    events: 0,
    atLineStart: true,
    tail: '',
  }
}

function restart(connection: Connection): void {
  connection.busy = true
  connection.startedAt = performance.now()
  connection.firstAt = 0
  connection.status = 0
  connection.closes = false
  connection.refusal = ''
  connection.marked = false
  connection.lastByte = 0
  connection.events = 0
  connection.atLineStart = true
  connection.tail = ''
}

function write(connection: Connection, bytes: Buffer): void {
  const written = connection.socket?.write(bytes) ?? 0
  if (written < bytes.length) connection.unsent = bytes.subarray(Math.max(0, written))
}

/** Counts lines that begin with `d` (comments do not), across any cut of the payload. */
function scan(connection: Connection, bytes: Buffer, start: number, stop: number): void {
  let at = start
  while (at < stop) {
    if (connection.atLineStart) {
      if (bytes[at] === letterD) connection.events += 1
      connection.atLineStart = false
    }
    const newline = bytes.indexOf(lineFeed, at)
    if (newline < 0 || newline >= stop) break
    connection.atLineStart = true
    at = newline + 1
  }
  const length = terminator.length
  connection.tail =
    stop - start >= length
      ? bytes.toString('latin1', stop - length, stop)
      : (connection.tail + bytes.toString('latin1', start, stop)).slice(-length)
}
