import { describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

import type { Reply } from '../helpers/upstream.ts'
import {
  CHAT,
  chatChunk,
  failure,
  sse,
  startRig,
  strictStream,
  until,
  untilIdle,
  usageChunk,
} from './rig.ts'
import type { Rig } from './rig.ts'

// Callers that leave, callers that do not read, queues, and shutdown: whatever happens, nothing stays behind.

const finish = chatChunk('', { finish: 'stop' })
const never = new Promise<never>(() => undefined)

async function places(rig: Rig): Promise<{ in_flight: number; waiting: number }> {
  const health: any = await (await fetch(`${rig.gateway.url}/health`)).json()
  return health.components
}

const isEmpty = (rig: Rig): Promise<void> => until(async () => (await places(rig)).in_flight === 0)
const areWaiting = (rig: Rig, count: number): Promise<void> =>
  until(async () => (await places(rig)).waiting === count)

describe('a caller who leaves', () => {
  test('mid-stream ends the upstream call; what was used by then is settled', async () => {
    await using rig = await startRig()
    const spent = JSON.stringify({
      ...JSON.parse(chatChunk('a')),
      usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
    })
    rig.upstream.reply({ sse: [chatChunk('b'), spent], gate: [undefined, undefined, never] })
    const controller = new AbortController()
    const response = await rig.chat({}, { signal: controller.signal })
    const reader = response.body!.getReader()
    await reader.read()
    controller.abort()
    await rig.upstream.requests[0]!.closed
    const line = await rig.settled()
    expect(line).toMatchObject({ kind: 'client_closed', level: 'debug' })
    expect(line.usage).toMatchObject({ inputTokens: 5, outputTokens: 1 })
    await isEmpty(rig)
    await untilIdle()
  })

  test.each([
    ['before the headers of a stream', { ...CHAT, stream: true }, { gate: never, text: '' }],
    ['before an answer', CHAT, { gate: never, text: '' }],
    [
      'while headers are held',
      { ...CHAT, stream: true },
      { chunks: [': wait\n\n'], gate: [undefined, never] },
    ],
    [
      'while an answer is read',
      CHAT,
      {
        headers: { 'content-type': 'application/json' },
        chunks: ['{"id":'],
        gate: [undefined, never],
      },
    ],
  ])('%s ends the upstream call', async (_, body, reply) => {
    await using rig = await startRig()
    rig.upstream.reply(reply)
    const controller = new AbortController()
    const answered = rig
      .post('/chat/completions', body, { signal: controller.signal })
      .catch((error: unknown) => error)
    const [request] = await rig.upstream.waitFor(1)
    controller.abort()
    expect(await answered).toBeInstanceOf(Error)
    await request!.closed
    expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
    await isEmpty(rig)
    await untilIdle()
  })

  test('in the middle of a file ends the download', async () => {
    await using rig = await startRig()
    rig.upstream.reply({
      headers: { 'content-type': 'application/octet-stream' },
      chunks: ['abc', 'def'],
      gate: never,
    })
    const controller = new AbortController()
    const response = await fetch(`${rig.gateway.url}/openai/v1/files/f/content`, {
      signal: controller.signal,
    })
    await response.body!.getReader().read()
    controller.abort()
    await rig.upstream.requests[0]!.closed
    expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
    await isEmpty(rig)
  })

  test('after [DONE] has been served', async () => {
    await using rig = await startRig()
    rig.upstream.reply({ sse: [finish, '[DONE]'], gate: [undefined, undefined, never] })
    const controller = new AbortController()
    const text = await (await rig.chat({}, { signal: controller.signal })).text()
    controller.abort()
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect((await rig.settled()).message).toBe('request served')
    // The provider keeps its connection open; the gateway gives up on it after a second.
    await rig.upstream.requests[0]!.closed
    await untilIdle()
  })

  test('a HEAD, whose body nobody reads, holds nothing', async () => {
    await using rig = await startRig()
    rig.upstream.reply({ headers: { 'content-type': 'text/plain' }, text: 'x' })
    const response = await fetch(`${rig.gateway.url}/openai/v1/anything`, { method: 'HEAD' })
    expect(response.status).toBe(200)
    await isEmpty(rig)
    await untilIdle()
  })
})

/** A caller that sends a request and then reads only when told to. */
async function slowCaller(rig: Rig, body: object): Promise<Socket> {
  const { hostname, port } = new URL(rig.gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => undefined)
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('connect', () => resolve())
  await promise
  socket.pause()
  const text = JSON.stringify(body)
  socket.write(
    `POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
  return socket
}

describe('a caller who does not read', () => {
  /** An upstream that never runs out, and counts what was taken from it. */
  function endless(rig: Rig, mostBytes: number): () => number {
    const event = new TextEncoder().encode(sse(chatChunk('x'.repeat(64 * 1024))))
    let taken = 0
    rig.upstream.reply(
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              if (taken >= mostBytes) {
                controller.enqueue(new TextEncoder().encode(sse(finish, '[DONE]')))
                controller.close()
                return
              }
              taken += event.length
              controller.enqueue(event)
              await Bun.sleep(0)
            },
          }),
          { headers: { 'content-type': 'text/event-stream' } },
        ),
    )
    return () => taken
  }
  const most = 256 * 1024 * 1024
  const bound = 64 * 1024 * 1024

  test('stops the provider being read, and does not run into the idle timer meanwhile', async () => {
    await using rig = await startRig({
      network: { stream_idle_timeout_in_seconds: 0.1 },
      client: { stream_keep_alive_in_seconds: 0.05 },
    })
    const taken = endless(rig, most)
    const socket = await slowCaller(rig, { ...CHAT, stream: true })
    await until(() => taken() > 1024 * 1024)
    // Several times the idle timer, during which nothing may happen that it could mind.
    await Bun.sleep(500)
    expect(taken()).toBeLessThan(bound)
    expect(rig.gateway.logs.filter(({ message }) => String(message).startsWith('request'))).toEqual(
      [],
    )
    socket.on('data', () => undefined)
    socket.resume()
    await until(() => taken() > bound)
    socket.destroy()
    expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
    await isEmpty(rig)
    await untilIdle()
  }, 20_000)

  test('and then leaves, frees the provider', async () => {
    await using rig = await startRig()
    const taken = endless(rig, most)
    const socket = await slowCaller(rig, { ...CHAT, stream: true })
    await until(() => taken() > 1024 * 1024)
    socket.destroy()
    await rig.upstream.requests[0]!.closed
    await isEmpty(rig)
    await untilIdle()
  }, 20_000)
})

describe('shutdown', () => {
  test('a stream that finishes inside the window finishes', async () => {
    await using rig = await startRig()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ sse: [chatChunk('a'), finish, usageChunk, '[DONE]'], gate: gate.promise })
    const response = await rig.chat()
    const drained = rig.gateway.drain()
    gate.resolve()
    expect((await strictStream(response)).end).toBe('done')
    await drained
  })

  test('one that does not ends with a well-formed error, and so does a call that waits', async () => {
    await using rig = await startRig({ client: { drain_timeout_in_seconds: 0.1 } })
    rig.upstream.reply([
      { sse: [chatChunk('a'), chatChunk('b')], gate: never },
      { gate: never, text: '' },
      {
        headers: { 'content-type': 'text/event-stream' },
        chunks: [': wait\n\n'],
        gate: [undefined, never],
      },
    ])
    const response = await rig.chat()
    const waiting = rig.post('/chat/completions', CHAT)
    await rig.upstream.waitFor(2)
    const held = rig.chat()
    await rig.upstream.waitFor(3)
    const drained = rig.gateway.drain()
    const stream = await strictStream(response)
    expect(stream.events.at(-1)!.data).toMatchObject({
      status_code: 503,
      error: { code: 'shutting_down', type: 'overloaded_error' },
    })
    for (const answer of [await waiting, await held]) {
      const { status, error } = await failure(answer)
      expect([status, error.code]).toEqual([503, 'shutting_down'])
    }
    await drained
    await untilIdle()
  })

  test('one gateway that shuts down leaves the streams of another alone', async () => {
    await using first = await startRig({ client: { drain_timeout_in_seconds: 0 } })
    await using second = await startRig()
    const gate = Promise.withResolvers<void>()
    second.upstream.reply({ sse: [chatChunk('a'), finish, '[DONE]'], gate: gate.promise })
    const response = await second.chat()
    await first.gateway.drain()
    gate.resolve()
    expect((await strictStream(response)).end).toBe('done')
  })

  test('new requests on open connections are refused with 503', async () => {
    await using rig = await startRig()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ sse: [chatChunk('a'), finish, '[DONE]'], gate: gate.promise })
    const { hostname, port } = new URL(rig.gateway.url)
    const idle = connect({ host: hostname, port: Number(port) })
    let said = ''
    idle.on('data', (bytes) => (said += String(bytes)))
    idle.on('error', () => undefined)
    idle.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => said.includes('"ok"'))
    const response = await rig.chat()
    const drained = rig.gateway.drain()
    await isDraining(rig.gateway.url)
    said = ''
    idle.write('GET /openai/v1/models HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => said.includes('shutting_down') || idle.closed)
    expect(said).toStartWith('HTTP/1.1 503')
    gate.resolve()
    expect((await strictStream(response)).end).toBe('done')
    await drained
    idle.destroy()
  })
})

/** A signal takes its time to arrive; the ready check says when it has. */
async function isDraining(url: string): Promise<void> {
  for (let status = 200; status !== 503;) {
    status = (await fetch(`${url}/health/ready`)).status
  }
}

describe('a provider that takes few calls at once', () => {
  const limits = (concurrency: number, buffer_size: number) => ({
    provider: { concurrency_and_buffer_size: { concurrency, buffer_size } },
  })
  const named = (user: string) => ({ ...CHAT, user })
  const answer = { json: { id: 'x', choices: [] } }

  test('lets the others wait, in order, and refuses beyond the queue', async () => {
    await using rig = await startRig(limits(1, 2))
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply([{ ...answer, gate: gate.promise }, answer, answer])
    const first = rig.post('/chat/completions', named('first'))
    await rig.upstream.waitFor(1)
    const second = rig.post('/chat/completions', named('second'))
    await areWaiting(rig, 1)
    const third = rig.post('/chat/completions', named('third'))
    await areWaiting(rig, 2)
    const { status, error } = await failure(await rig.post('/chat/completions', named('fourth')))
    expect([status, error.code, error.type]).toEqual([503, 'queue_full', 'overloaded_error'])
    expect((await places(rig)).in_flight).toBe(1)
    gate.resolve()
    expect([(await first).status, (await second).status, (await third).status]).toEqual([
      200, 200, 200,
    ])
    expect(rig.upstream.requests.map((request) => request.json().user)).toEqual([
      'first',
      'second',
      'third',
    ])
    await isEmpty(rig)
  })

  test('with drop_excess_requests nobody waits', async () => {
    await using rig = await startRig({ ...limits(1, 100), client: { drop_excess_requests: true } })
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...answer, gate: gate.promise })
    const first = rig.post('/chat/completions', CHAT)
    await rig.upstream.waitFor(1)
    expect((await failure(await rig.post('/chat/completions', CHAT))).error.code).toBe('queue_full')
    gate.resolve()
    expect((await first).status).toBe(200)
  })

  test('a caller who leaves the queue is never sent', async () => {
    await using rig = await startRig(limits(1, 5))
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply([{ ...answer, gate: gate.promise }, answer])
    const first = rig.post('/chat/completions', named('first'))
    await rig.upstream.waitFor(1)
    const controller = new AbortController()
    const leaving = rig
      .post('/chat/completions', named('leaving'), { signal: controller.signal })
      .catch(() => 'left')
    await areWaiting(rig, 1)
    const last = rig.post('/chat/completions', named('last'))
    await areWaiting(rig, 2)
    controller.abort()
    expect(await leaving).toBe('left')
    await rig.settled(({ kind }) => kind === 'client_closed')
    gate.resolve()
    await first
    await last
    expect(rig.upstream.requests.map((request) => request.json().user)).toEqual(['first', 'last'])
    await isEmpty(rig)
  })

  test('a place is held as long as the stream is open', async () => {
    await using rig = await startRig(limits(1, 5))
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply([{ sse: [chatChunk('a'), finish, '[DONE]'], gate: gate.promise }, answer])
    const stream = await rig.chat()
    const second = rig.post('/chat/completions', CHAT)
    await areWaiting(rig, 1)
    expect(rig.upstream.requests).toHaveLength(1)
    gate.resolve()
    await stream.text()
    expect((await second).status).toBe(200)
  })

  test('a place comes back after every kind of failure', async () => {
    await using rig = await startRig(limits(1, 0))
    const failures: Reply[] = [
      { status: 500, text: 'no' },
      { text: '<html>', headers: { 'content-type': 'text/html' } },
      { chunks: [sse(chatChunk('a'))], reset: true },
      { status: 302, headers: { location: '/' } },
      answer,
    ]
    for (const reply of failures) {
      rig.upstream.reply(reply)
      await (await rig.chat()).text().catch(() => undefined)
      await isEmpty(rig)
    }
    expect(rig.upstream.requests).toHaveLength(failures.length)
    await untilIdle()
  })
})
