import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect } from 'node:net'

import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import type { ReplyParts } from '../helpers/upstream.ts'
import {
  CHAT,
  chatChunk,
  contentOf,
  sse,
  startRig,
  strictly,
  strictStream,
  until,
  untilIdle,
  USAGE,
  usageChunk,
} from './rig.ts'
import type { Rig, RigOptions } from './rig.ts'

// A stream whose provider says nothing yet, not even its headers: the caller's go ahead. That they are here, without an
// outcome, is what each test waits for before it lets the provider speak.

setDefaultTimeout(30_000)

const never = new Promise<never>(() => undefined)
const finish = chatChunk('', { finish: 'stop' })
const whole = (text: string): ReplyParts => ({
  sse: [chatChunk(text), finish, usageChunk, '[DONE]'],
})
const refusal = {
  status: 429,
  headers: { 'retry-after': '7', 'x-ratelimit-remaining-requests': '0' },
  json: { error: { message: 'too fast', type: 'requests', code: 'rate_limit_exceeded' } },
}

/** A gateway that holds headers for the shortest time, or for as long as `client` says. */
function start(options: RigOptions = {}): Promise<Rig> {
  return startRig({
    ...options,
    client: { stream_header_hold_in_seconds: 0.02, ...options.client },
  })
}

/** With what is known by then, and nothing that is not. */
function expectAhead({ status, headers }: Response): void {
  expect([status, headers.get('content-type'), headers.get('x-accel-buffering')]).toEqual([
    200,
    'text/event-stream; charset=utf-8',
    'no',
  ])
  expect(headers.get('x-request-id')).toBeString()
  expect(headers.get('x-bifrost-original-model')).toBeString()
  expect([headers.get('x-bifrost-provider'), headers.get('x-bifrost-resolved-model')]).toEqual([
    null,
    null,
  ])
}

/** The lines that say how calls were settled. */
const settlements = ({ gateway }: Rig): readonly Record<string, unknown>[] =>
  gateway.logs.filter(({ message }) => /^request (?:served|failed)/.test(String(message)))

describe('the headers go ahead', () => {
  test('with comments, and the events follow when they come', async () => {
    await using rig = await start({ client: { stream_keep_alive_in_seconds: 0.03 } })
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...whole('late'), gate: [gate.promise] })
    const response = await rig.chat({}, { headers: { 'x-request-id': 'of-the-caller' } })
    expectAhead(response)
    expect(response.headers.get('x-request-id')).toBe('of-the-caller')
    let text = ''
    for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
      text += bytes
      if (text.split(': keep-alive\n\n').length === 4) gate.resolve()
    }
    const stream = strictly(text)
    expect([stream.end, contentOf(stream)]).toEqual(['done', 'late'])
    expect(stream.comments).toBeGreaterThanOrEqual(3)
    const { message, usage, trace } = await rig.settled()
    expect([message, usage]).toMatchObject([
      'request served',
      { inputTokens: USAGE.prompt_tokens, outputTokens: USAGE.completion_tokens },
    ])
    expect(String(trace)).toContain('the headers go ahead')
    expect(settlements(rig)).toHaveLength(1)
    await untilIdle()
  })

  test('without further comments where these are switched off', async () => {
    await using rig = await start({ client: { stream_keep_alive_in_seconds: 0 } })
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...whole('late'), gate: [gate.promise] })
    const response = await rig.chat()
    gate.resolve()
    expect((await strictStream(response)).comments).toBe(1)
  })

  test('at once where they are not held at all', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await start({
      baseUrl: raw.url,
      client: { stream_header_hold_in_seconds: 0 },
    })
    const controller = new AbortController()
    expectAhead(await rig.chat({}, { signal: controller.signal }))
    controller.abort()
    await raw.closed
  })

  test('of a page that may call, too', async () => {
    await using rig = await start()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...whole('late'), gate: [gate.promise] })
    const origin = 'http://localhost:3000'
    const response = await rig.chat({}, { headers: { origin } })
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    gate.resolve()
    expect((await strictStream(response)).end).toBe('done')
  })

  test('of a call that waits for a place', async () => {
    await using rig = await start({
      provider: { concurrency_and_buffer_size: { concurrency: 1, buffer_size: 5 } },
    })
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply([{ ...whole('first'), gate: gate.promise }, whole('second')])
    const first = await rig.chat()
    const [second, leaving] = [new AbortController(), new AbortController()]
    const waiting = await rig.chat({}, { signal: second.signal })
    expectAhead(waiting)
    expectAhead(await rig.chat({}, { signal: leaving.signal }))
    leaving.abort()
    await rig.settled(({ kind }) => kind === 'client_closed')
    expect(rig.upstream.requests).toHaveLength(1)
    gate.resolve()
    expect(contentOf(await strictStream(first))).toBe('first')
    expect(contentOf(await strictStream(waiting))).toBe('second')
    expect(rig.upstream.requests).toHaveLength(2)
  })
})

describe('a failure after that is one event', () => {
  const chat = { ...CHAT, stream: true }
  test.each([
    ['/chat/completions', chat],
    ['/completions', { model: 'openai/gpt-x', prompt: 'hi', stream: true }],
    ['/responses', { model: 'openai/gpt-x', input: 'hi', stream: true }],
    ['/images/generations', { model: 'openai/gpt-image-1', prompt: 'hi', stream: true }],
  ])('of %s: a refusal', async (path, body) => {
    await using rig = await start()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...refusal, gate: gate.promise })
    const response = await rig.post(path, body)
    expectAhead(response)
    gate.resolve()
    const { events, end } = await strictStream(response)
    expect([end, events.length]).toEqual(['error', 1])
    expect(events[0]!.name).toBe(path === '/responses' ? 'error' : undefined)
    expect(events[0]!.data).toMatchObject({
      status_code: 429,
      is_bifrost_error: false,
      error: { message: 'too fast', code: 'rate_limit_exceeded' },
      extra_fields: { provider: 'openai' },
    })
    expect(await rig.settled()).toMatchObject({ kind: 'upstream_error', status: 429 })
    expect(settlements(rig)).toHaveLength(1)
    expect(rig.upstream.requests).toHaveLength(1)
    await untilIdle()
  })

  test.each<[string, ReplyParts, string]>([
    ['JSON that says so', { json: { error: { message: 'no', code: 'c', type: 't' } } }, 'c'],
    ['JSON where events were asked for', { json: { id: 'x', choices: [] } }, 'bad_gateway'],
    ['a page', { headers: { 'content-type': 'text/html' }, text: '<html>' }, 'bad_gateway'],
    ['an event that says so', { sse: ['{"error":{"message":"no","code":"c"}}'] }, 'c'],
    ['a stream of nothing', { chunks: [': wait\n\n'] }, 'upstream_truncated'],
  ])('where the provider answers with success and %s', async (_, reply, code) => {
    await using rig = await start()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({
      ...reply,
      gate: 'chunks' in reply || 'sse' in reply ? [gate.promise] : gate.promise,
    })
    const response = await rig.chat()
    expectAhead(response)
    gate.resolve()
    const { events } = await strictStream(response)
    expect(events.map(({ data }) => data.error.code)).toEqual([code])
    await rig.settled()
    expect(settlements(rig)).toHaveLength(1)
  })

  test('of a connection that breaks', async () => {
    const gate = Promise.withResolvers<void>()
    await using raw = await startRawUpstream([{ wait: gate.promise }, { close: 'reset' }])
    await using rig = await start({ baseUrl: raw.url })
    const response = await rig.chat()
    expectAhead(response)
    gate.resolve()
    const { events } = await strictStream(response)
    expect(events.map(({ data }) => data.error.code)).toEqual(['provider_connection_reset'])
  })

  test('of a timer of the provider, and of one of the caller', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await start({
      baseUrl: raw.url,
      network: { response_headers_timeout_in_seconds: 1 },
    })
    const headers = { 'x-bf-timeout-total': '500ms' }
    const codes = await Promise.all(
      [await rig.chat(), await rig.chat({}, { headers })].map(async (response) => {
        expectAhead(response)
        const { events } = await strictStream(response)
        return events.map(({ data }) => data.error.code)
      }),
    )
    expect(codes).toEqual([['upstream_headers_timeout'], ['upstream_timeout']])
  })
})

describe('meanwhile the call goes on as ever', () => {
  const groq = (base_url: string): Record<string, object> => ({
    groq: { keys: [{ value: 'k' }], network_config: { base_url } },
  })

  test('is tried again, and then elsewhere', async () => {
    await using rig = await start({
      others: groq,
      network: { max_retries: 1, retry_backoff_initial: 1, retry_backoff_max: 2 },
    })
    const gate = Promise.withResolvers<void>()
    const trouble = { status: 500, json: { error: { message: 'no', type: 'server_error' } } }
    rig.upstream.reply([{ ...trouble, gate: gate.promise }, trouble, whole('of the other')])
    const response = await rig.chat({ fallbacks: ['groq/m'] })
    expectAhead(response)
    gate.resolve()
    const stream = await strictStream(response)
    expect([stream.end, contentOf(stream)]).toEqual(['done', 'of the other'])
    expect(stream.events.at(-1)!.data.extra_fields.provider).toBe('groq')
    expect(rig.upstream.requests).toHaveLength(3)
    expect(await rig.settled()).toMatchObject({ message: 'request served' })
  })

  test('elsewhere also when a provider has sent headers and never an event', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await start({
      baseUrl: raw.url,
      network: { first_token_timeout_in_seconds: 0.5 },
      others: groq,
    })
    rig.upstream.reply(whole('of the other'))
    const response = await rig.chat({ fallbacks: ['groq/m'] })
    expectAhead(response)
    expect(contentOf(await strictStream(response))).toBe('of the other')
    await raw.closed
  })

  test('and is continued by another when it breaks', async () => {
    await using rig = await start({ others: groq })
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply([{ sse: [chatChunk('half ')], gate: [gate.promise] }, whole('and half')])
    const headers = { 'x-bf-rescue': 'true' }
    const response = await rig.chat({ fallbacks: ['groq/m'] }, { headers })
    expectAhead(response)
    gate.resolve()
    const stream = await strictStream(response)
    expect([stream.end, contentOf(stream)]).toEqual(['done', 'half and half'])
    await rig.settled()
    expect(settlements(rig)).toHaveLength(1)
  })

  test('given a second candidate where it is hedged', async () => {
    await using rig = await start({
      others: groq,
      client: { hedging: { min_delay_in_seconds: 0.2, min_samples: 1, max_share: 1 } },
    })
    const gate = Promise.withResolvers<void>()
    const second = { ...whole('fast'), gate: [gate.promise] }
    rig.upstream.reply([whole('known'), () => never, second])
    await strictStream(await rig.chat())
    const headers = { 'x-bf-hedge': 'true' }
    const response = await rig.chat({ fallbacks: ['groq/m'] }, { headers })
    expectAhead(response)
    gate.resolve()
    expect(contentOf(await strictStream(response))).toBe('fast')
    await rig.upstream.requests[1]!.closed
    await until(() => settlements(rig).length === 2)
    await untilIdle()
  })

  test('until the caller leaves, and the provider is left at once', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await start({ baseUrl: raw.url, network: { max_retries: 3 } })
    const controller = new AbortController()
    expectAhead(await rig.chat({}, { signal: controller.signal }))
    controller.abort()
    await raw.closed
    expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
    expect([settlements(rig).length, raw.requests.length]).toEqual([1, 1])
    await untilIdle()
  })

  test('and a caller who does not read stops the provider being read', async () => {
    await using rig = await start()
    const gate = Promise.withResolvers<void>()
    const event = sse(chatChunk('x'.repeat(64 * 1024)))
    const [most, bound] = [256 * 1024 * 1024, 64 * 1024 * 1024]
    let taken = 0
    rig.upstream.reply(async () => {
      await gate.promise
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (taken >= most) return controller.close()
          taken += event.length
          controller.enqueue(new TextEncoder().encode(event))
          await Bun.sleep(0)
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    })
    const { hostname, port } = new URL(rig.gateway.url)
    const socket = connect({ host: hostname, port: Number(port) })
    socket.on('error', () => undefined)
    const text = JSON.stringify({ ...CHAT, stream: true })
    socket.write(
      `POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    )
    const ahead = Promise.withResolvers<string>()
    socket.once('data', (bytes) => {
      socket.pause()
      ahead.resolve(String(bytes))
    })
    expect(await ahead.promise).toContain('HTTP/1.1 200')
    gate.resolve()
    // It stops when what is on the way between the three is full.
    let [before, still] = [-1, 0]
    await until(() => {
      still = taken > 1024 * 1024 && taken === before ? still + 1 : 0
      before = taken
      return still === 40
    })
    expect(taken).toBeLessThan(bound)
    socket.destroy()
    await rig.upstream.requests[0]!.closed
    expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
    await untilIdle()
  })
})

describe('at a shutdown', () => {
  test('a stream that begins inside the window finishes', async () => {
    await using rig = await start()
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ ...whole('late'), gate: [gate.promise] })
    const response = await rig.chat()
    expectAhead(response)
    const drained = rig.gateway.drain()
    gate.resolve()
    expect(contentOf(await strictStream(response))).toBe('late')
    await drained
  })

  test('one that does not ends with one event, whatever it waits for', async () => {
    const busy = { concurrency_and_buffer_size: { concurrency: 1, buffer_size: 5 } }
    await using rig = await start({
      client: { drain_timeout_in_seconds: 0.1 },
      provider: busy,
      others: (base_url) => ({
        groq: {
          keys: [{ value: 'k' }],
          network_config: { base_url, max_retries: 1 },
        },
      }),
    })
    const asked = async (model: string): Promise<Response> => {
      const response = await rig.chat({ model })
      expectAhead(response)
      return response
    }
    rig.upstream.reply(() => never)
    const silent = await asked('openai/gpt-x')
    const queued = await asked('openai/gpt-x')
    // It is to be tried again, much later.
    rig.upstream.reply({ status: 503, headers: { 'retry-after': '20' }, json: { error: {} } })
    const paused = await asked('groq/m')
    const drained = rig.gateway.drain()
    for (const response of [silent, queued, paused]) {
      const { events } = await strictStream(response)
      expect(events.map(({ data }) => [data.status_code, data.error.code])).toEqual([
        [503, 'shutting_down'],
      ])
    }
    await drained
    expect(settlements(rig).map(({ kind }) => kind)).toEqual(Array(3).fill('shutting_down'))
    await untilIdle()
  })
})
