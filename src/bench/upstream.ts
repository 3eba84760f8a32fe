// The provider behind both contenders: answers every chat request with the same bytes, at the least cost Bun allows.
// A word in the model name chooses the answer.

import type { Socket } from 'bun'

import { anthropicPath, messageEvents, wholeMessage } from './anthropic.ts'
import { createReader, feed, type Reader, type Sink } from './wire.ts'

/** What a fixed upstream has served; `GET /stats` answers it as JSON. */
export interface Stats {
  connections: number
  requests: number
  streams: number
  /** Streams that are open now. */
  open: number
}

/** Part of every unary answer, by which the load generator knows it. */
export const answerMark = 'chatcmpl-bench'

/** Events before the terminator: a role, the words, a finish. */
export const eventsPerStream = 100
export const eventsPerShortStream = 10

const pacedMs = 20
/** Before the first byte of a `bench-tail` stream: nearly always, and for the share of them that is slow. */
const usualMs = 10
export const tailMs = 500
export const tailShare = 0.05
const idleMs = 5000
/** Enough to see the model, `stream` and `stream_options`, without reading a megabyte of image. */
const inspectBytes = 64 * 1024

interface Connection {
  socket: Socket<Connection>
  reader: Reader
  /** The part of the request that decides the answer. */
  text: string
  wantsStats: boolean
  speech: Speech
  /** What the kernel did not take yet. */
  unsent: Buffer[]
  streaming: boolean
  timer: ReturnType<typeof setTimeout> | undefined
}

const unary = unaryAnswer()
const streamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
)
const oneWord = chunk(event({ delta: { content: ' benchmark' }, finish_reason: null }))
const role = chunk(event({ delta: { role: 'assistant', content: '' }, finish_reason: null }))
const finish = chunk(event({ delta: {}, finish_reason: 'stop' }))
const usage = chunk(
  `data: ${JSON.stringify({ ...frame(), choices: [], usage: usageOf(eventsPerStream) })}\n\n`,
)
const lastChunk = Buffer.from('0\r\n\r\n')
const done = Buffer.concat([chunk('data: [DONE]\n\n'), lastChunk])

/** The fixed answers in one dialect. */
interface Speech {
  readonly whole: Buffer
  readonly before: readonly Buffer[]
  /** Events that are no words, terminators and usage aside. */
  readonly others: number
  readonly word: Buffer
  /** What ends a stream; the request may ask for more of it. */
  readonly after: (request: string) => readonly Buffer[]
}

const openai: Speech = {
  whole: unary,
  before: [role],
  others: 2,
  word: oneWord,
  after: (request) =>
    request.includes('"include_usage":true') ? [finish, usage, done] : [finish, done],
}

const foreign = messageEvents('bench')
const foreignEnd = [...foreign.after.map(chunk), lastChunk]
const anthropic: Speech = {
  whole: jsonAnswer(wholeMessage('bench')),
  before: foreign.before.map(chunk),
  others: foreign.before.length + foreign.after.length,
  word: chunk(foreign.word),
  after: () => foreignEnd,
}

/** Listens on a free port of 127.0.0.1; `stop` drops every connection. */
export function startUpstream(): { url: string; stats: Stats; stop: () => void } {
  const stats: Stats = { connections: 0, requests: 0, streams: 0, open: 0 }
  const sink: Sink<Connection> = {
    head(connection, text) {
      connection.text = ''
      connection.wantsStats = text.startsWith('get /stats')
      connection.speech = text.startsWith(anthropicPath) ? anthropic : openai
    },
    body(connection, bytes, start, end) {
      const room = inspectBytes - connection.text.length
      if (room > 0) connection.text += bytes.toString('latin1', start, Math.min(end, start + room))
    },
    end(connection) {
      if (connection.wantsStats) {
        send(connection, jsonAnswer(JSON.stringify(stats)))
        return
      }
      stats.requests += 1
      if (connection.text.includes('"stream":true')) stream(connection, stats)
      else send(connection, connection.speech.whole)
    },
  }
  const listener = Bun.listen<Connection>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        stats.connections += 1
        // A delay of the upstream's making would be taken for one of the contender's.
        socket.setNoDelay(true)
        socket.data = {
          socket,
          reader: createReader(),
          text: '',
          wantsStats: false,
          speech: openai,
          unsent: [],
          streaming: false,
          timer: undefined,
        }
      },
      data(socket, bytes) {
        try {
          feed(socket.data.reader, bytes, sink, socket.data)
        } catch {
          // Not HTTP/1.1: the contender is told by a closed connection and the load generator counts it.
          socket.end()
        }
      },
      drain(socket) {
        const waiting = socket.data.unsent
        socket.data.unsent = []
        for (const bytes of waiting) send(socket.data, bytes)
      },
      close(socket) {
        endStream(socket.data, stats)
      },
      error(socket) {
        socket.end()
      },
    },
  })
  return {
    url: `http://127.0.0.1:${listener.port}`,
    stats,
    stop: () => listener.stop(true),
  }
}

function stream(connection: Connection, stats: Stats): void {
  stats.streams += 1
  stats.open += 1
  connection.streaming = true
  if (!connection.text.includes('bench-tail')) {
    begin(connection, stats)
    return
  }
  const waitMs = Math.random() < tailShare ? tailMs : usualMs
  connection.timer = setTimeout(() => begin(connection, stats), waitMs)
}

function begin(connection: Connection, stats: Stats): void {
  const { text } = connection
  const tail = text.includes('bench-tail')
  const short = tail || text.includes('bench-short')
  const { before, word, after, others } = connection.speech
  const ending = after(text)
  const words = (short ? eventsPerShortStream : eventsPerStream) - others
  send(connection, streamHead)
  for (const bytes of before) send(connection, bytes)
  if (text.includes('bench-idle')) {
    connection.timer = setInterval(() => send(connection, word), idleMs)
    return
  }
  if (tail || (!short && !text.includes('bench-paced'))) {
    for (let sent = 0; sent < words; sent += 1) send(connection, word)
    for (const bytes of ending) send(connection, bytes)
    endStream(connection, stats)
    return
  }
  let sent = 0
  connection.timer = setInterval(() => {
    if (sent < words) {
      sent += 1
      send(connection, word)
      return
    }
    endStream(connection, stats)
    for (const bytes of ending) send(connection, bytes)
  }, pacedMs)
}

function endStream(connection: Connection, stats: Stats): void {
  if (!connection.streaming) return
  clearInterval(connection.timer)
  connection.streaming = false
  stats.open -= 1
}

function send(connection: Connection, bytes: Buffer): void {
  if (connection.unsent.length > 0) {
    connection.unsent.push(bytes)
    return
  }
  const written = connection.socket.write(bytes)
  if (written >= 0 && written < bytes.length) connection.unsent.push(bytes.subarray(written))
}

function frame(): Record<string, unknown> {
  return {
    id: answerMark,
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'bench',
    system_fingerprint: 'fp_bench',
  }
}

function event(choice: Record<string, unknown>): string {
  return `data: ${JSON.stringify({ ...frame(), choices: [{ index: 0, ...choice, logprobs: null }] })}\n\n`
}

function chunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
}

function usageOf(completionTokens: number): Record<string, number> {
  return {
    prompt_tokens: 250,
    completion_tokens: completionTokens,
    total_tokens: 250 + completionTokens,
  }
}

function unaryAnswer(): Buffer {
  return jsonAnswer(
    JSON.stringify({
      id: answerMark,
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'bench',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'A fixed answer. '.repeat(17), refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: usageOf(70),
      system_fingerprint: 'fp_bench',
    }),
  )
}

function jsonAnswer(json: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  )
}
