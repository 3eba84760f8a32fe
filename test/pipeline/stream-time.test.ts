import { describe, expect, setDefaultTimeout, test } from 'bun:test'

import { GatewayError } from '#core/errors.ts'
import { Connection } from '#pipeline/connection.ts'
import { createInflight } from '#pipeline/inflight.ts'

import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import { CHAT, chatChunk, failure, sse, startRig, strictly, strictStream, until } from './rig.ts'

// Timers, held headers and keep-alives. Times are short where only one of them can run out and long where another must
// not be overtaken; every assertion is about what happened and not when.

setDefaultTimeout(30_000)

const never = new Promise<never>(() => undefined)
const finish = chatChunk('', { finish: 'stop' })

describe('each timer has its own error, as a status while that is possible', () => {
  test.each(['streams', 'does not stream'])('headers, when the call %s', async (kind) => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await startRig({
      baseUrl: raw.url,
      network: { response_headers_timeout_in_seconds: 0.2 },
    })
    const request = { ...CHAT, stream: kind === 'streams' }
    const { status, error, headers } = await failure(await rig.post('/chat/completions', request))
    expect([status, error.code, error.type]).toEqual([
      504,
      'upstream_headers_timeout',
      'timeout_error',
    ])
    expect(headers.get('x-should-retry')).toBeNull()
    await raw.closed
  })

  test('first token, with silence after the headers', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await startRig({
      baseUrl: raw.url,
      network: { first_token_timeout_in_seconds: 0.05 },
    })
    const { status, error } = await failure(await rig.chat())
    expect([status, error.code]).toEqual([504, 'upstream_first_token_timeout'])
    await raw.closed
  })

  test('first token, with comments instead of events', async () => {
    await using rig = await startRig({ network: { first_token_timeout_in_seconds: 0.5 } })
    rig.upstream.reply({
      chunks: [': wait\n\n', ': wait\n\n'],
      gate: [undefined, Bun.sleep(20), never],
    })
    expect((await failure(await rig.chat())).error.code).toBe('upstream_first_token_timeout')
    await rig.upstream.requests[0]!.closed
  })

  test('first token, after the headers had to go', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await startRig({
      baseUrl: raw.url,
      network: { first_token_timeout_in_seconds: 1.5 },
      client: { stream_header_hold_in_seconds: 0.02 },
    })
    const stream = await strictStream(await rig.chat())
    expect(stream.events.map(({ data }) => [data.error.code, data.status_code])).toEqual([
      ['upstream_first_token_timeout', 504],
    ])
  })

  test('idle, after the first event', async () => {
    await using rig = await startRig({ network: { stream_idle_timeout_in_seconds: 0.05 } })
    rig.upstream.reply({ sse: [chatChunk('a'), chatChunk('b')], gate: never })
    const stream = await strictStream(await rig.chat())
    expect(stream.events.map(({ data }) => data.error?.code)).toEqual([
      undefined,
      'upstream_idle_timeout',
    ])
    await rig.upstream.requests[0]!.closed
    expect(await rig.settled()).toMatchObject({ kind: 'idle_timeout', status: 504 })
  })

  test('idle, when only the formal end was missing, is a clean end', async () => {
    await using rig = await startRig({ network: { stream_idle_timeout_in_seconds: 0.05 } })
    // In one piece: a pause between the two would be a silence, too.
    rig.upstream.reply({
      headers: { 'content-type': 'text/event-stream' },
      chunks: [sse(chatChunk('a'), finish), ': wait\n\n'],
      gate: never,
    })
    expect((await strictStream(await rig.chat())).end).toBe('done')
  })

  test('total, of a call that does not stream', async () => {
    await using rig = await startRig({
      network: { default_request_timeout_in_seconds: 0.5, response_headers_timeout_in_seconds: 0 },
    })
    rig.upstream.reply({
      headers: { 'content-type': 'application/json' },
      chunks: ['{"id":', '"x"}'],
      gate: never,
    })
    const { status, error } = await failure(await rig.post('/chat/completions', CHAT))
    expect([status, error.code]).toEqual([504, 'upstream_timeout'])
    await rig.upstream.requests[0]!.closed
  })

  test('total, of a stream that never stops', async () => {
    await using rig = await startRig({ network: { stream_total_timeout_in_seconds: 1.5 } })
    const { readable, writable } = new TransformStream<string, string>()
    const writer = writable.getWriter()
    const writing = (async () => {
      for (;;) {
        await writer.write(sse(chatChunk('a')))
        await Bun.sleep(5)
      }
    })().catch(() => 'stopped')
    rig.upstream.reply(
      () =>
        new Response(readable.pipeThrough(new TextEncoderStream()), {
          headers: { 'content-type': 'text/event-stream' },
        }),
    )
    const stream = await strictStream(await rig.chat())
    expect(stream.events.at(-1)!.data.error.code).toBe('upstream_timeout')
    expect(stream.events.length).toBeGreaterThan(2)
    await rig.upstream.requests[0]!.closed
    writer.abort().catch(() => undefined)
    expect(await writing).toBe('stopped')
  })

  test('a switched-off timer does not run', async () => {
    await using rig = await startRig({
      network: {
        response_headers_timeout_in_seconds: 0,
        first_token_timeout_in_seconds: 0,
        connect_timeout_in_seconds: 0,
      },
    })
    rig.upstream.reply({ chunks: [sse(chatChunk('a'), finish, '[DONE]')], gate: [Bun.sleep(60)] })
    expect((await strictStream(await rig.chat())).end).toBe('done')
  })
})

describe('connecting', () => {
  const open = (totalMs = 0) =>
    new Connection(new AbortController().signal, totalMs, createInflight())
  const aborted = (connection: Connection): Promise<void> =>
    new Promise((resolve) => connection.signal.addEventListener('abort', () => resolve()))

  test('an address that nothing reaches is a connect timeout', async () => {
    const connection = open()
    connection.enterConnect(
      20,
      async () => false,
      () => undefined,
    )
    await aborted(connection)
    const error = connection.explain(undefined, 'openai')
    expect([error.kind, error.status, error.code]).toEqual([
      'connect_timeout',
      504,
      'upstream_connect_timeout',
    ])
    connection.close()
  })

  test('an address that is only slow to answer gets the time that headers have', async () => {
    const connection = open()
    connection.enterConnect(
      20,
      async () => true,
      () => connection.enter('headers_timeout', 20),
    )
    await aborted(connection)
    expect(connection.reason?.kind).toBe('headers_timeout')
    connection.close()
  })

  test('an answer that comes while the address is tried keeps the timers of its own phase', async () => {
    const probed = Promise.withResolvers<boolean>()
    const asked = Promise.withResolvers<void>()
    const connection = open()
    connection.enterConnect(
      20,
      () => {
        asked.resolve()
        return probed.promise
      },
      () => connection.enter('headers_timeout', 20),
    )
    await asked.promise
    connection.enter('idle_timeout', 0)
    probed.resolve(false)
    await Bun.sleep(0)
    expect(connection.reason).toBeUndefined()
    connection.enter('idle_timeout', 20)
    await aborted(connection)
    expect(connection.reason?.kind).toBe('idle_timeout')
    connection.close()
  })

  test('a total that runs out first is a total timeout', async () => {
    const connection = open(20)
    connection.enter('headers_timeout', 10_000)
    await aborted(connection)
    expect(connection.reason?.kind).toBe('total_timeout')
    connection.close()
  })

  test('what is under way is told of a shutdown, and what begins after it as well', () => {
    const inflight = createInflight()
    const first = new Connection(new AbortController().signal, 0, inflight)
    expect(inflight.size).toBe(1)
    inflight.endAll(new GatewayError('shutting_down', 'over'))
    const second = new Connection(new AbortController().signal, 0, inflight)
    expect([first.reason?.kind, second.reason?.kind]).toEqual(['shutting_down', 'shutting_down'])
    first.close()
    second.close()
    expect(inflight.size).toBe(0)
  })
})

describe('headers are held for the first meaningful event', () => {
  test('so an error after comments is still a status', async () => {
    await using rig = await startRig()
    rig.upstream.reply({
      chunks: [': wait\n\n', sse('{"error":{"message":"no","type":"server_error","code":"500"}}')],
      gate: Bun.sleep(30),
    })
    expect((await rig.chat()).status).toBe(500)
  })

  test('and go with a keep-alive when it takes too long', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await startRig({
      baseUrl: raw.url,
      client: { stream_header_hold_in_seconds: 0.05 },
    })
    const controller = new AbortController()
    const response = await rig.chat({}, { signal: controller.signal })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const { value } = await response.body!.getReader().read()
    expect(new TextDecoder().decode(value)).toBe(': keep-alive\n\n')
    controller.abort()
    await raw.closed
  })

  test('or are not held at all with 0', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await startRig({
      baseUrl: raw.url,
      client: { stream_header_hold_in_seconds: 0 },
    })
    const controller = new AbortController()
    expect((await rig.chat({}, { signal: controller.signal })).status).toBe(200)
    controller.abort()
    await raw.closed
  })

  test('an error after they have gone is an event', async () => {
    const gate = Promise.withResolvers<void>()
    await using rig = await startRig({ client: { stream_header_hold_in_seconds: 0.02 } })
    rig.upstream.reply({
      chunks: [': wait\n\n', sse('{"error":{"message":"no","code":"500"}}')],
      gate: gate.promise,
    })
    const response = await rig.chat()
    expect(response.status).toBe(200)
    gate.resolve()
    const stream = await strictStream(response)
    expect(stream.events.map(({ data }) => data.error.message)).toEqual(['no'])
  })

  test('an upstream that says nothing at all is an error', async () => {
    await using rig = await startRig()
    rig.upstream.reply([
      { headers: { 'content-type': 'text/event-stream' }, text: '' },
      { chunks: [': bye\n\n'] },
    ])
    for (let turn = 0; turn < 2; turn++) {
      expect((await failure(await rig.chat())).error.code).toBe('upstream_truncated')
    }
  })
})

test('silence is filled with comments, which no parser takes for an event', async () => {
  await using rig = await startRig({ client: { stream_keep_alive_in_seconds: 0.03 } })
  const gate = Promise.withResolvers<void>()
  rig.upstream.reply({ sse: [chatChunk('a'), finish, '[DONE]'], gate: gate.promise })
  const response = await rig.chat()
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true })
    if (text.split(': keep-alive\n\n').length === 4) gate.resolve()
  }
  const stream = strictly(text)
  expect(stream.comments).toBeGreaterThanOrEqual(3)
  expect(stream.events).toHaveLength(2)
})

test('a provider that can be reached and says nothing is late with its headers, not with connecting', async () => {
  // A listener that is alive and says nothing: its address can be reached, so it is the headers that are late.
  await using raw = await startRawUpstream(RAW.silent)
  await using rig = await startRig({
    baseUrl: raw.url,
    network: { connect_timeout_in_seconds: 0.1, response_headers_timeout_in_seconds: 1 },
  })
  expect((await failure(await rig.chat())).error.code).toBe('upstream_headers_timeout')
  await until(() => raw.connections > 1)
})
