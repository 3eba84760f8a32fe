import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { APIError, OpenAI } from 'openai'

import {
  CHAT,
  chatChunk,
  contentOf,
  failure,
  PROVIDER_KEY,
  sse,
  startRig,
  strictStream,
  usageChunk,
} from './rig.ts'
import type { Rig } from './rig.ts'

// What a stream of each framing looks like to the caller, beyond ending well.

const events = [
  chatChunk('a'),
  chatChunk('b'),
  chatChunk('', { finish: 'stop' }),
  usageChunk,
  '[DONE]',
]
const extrasOf = (stream: { events: readonly { data: any }[] }): (object | undefined)[] =>
  stream.events.map(({ data }) => data.extra_fields)

describe('with the default settings', () => {
  let rig: Rig
  beforeEach(async () => void (rig = await startRig()))
  afterEach(() => rig[Symbol.asyncDispose]())

  test('the usage chunk is asked for, recorded, and kept from a caller who did not ask', async () => {
    rig.upstream.reply({ sse: events })
    const stream = await strictStream(await rig.chat())
    expect(rig.upstream.requests[0]!.json().stream_options).toEqual({ include_usage: true })
    expect(stream.events).toHaveLength(3)
    expect(stream.text).not.toContain('prompt_tokens')
    const { usage } = await rig.settled()
    expect(usage).toMatchObject({ inputTokens: 7, outputTokens: 3, totalTokens: 10 })
  })

  test('the usage chunk reaches a caller who asked, as the last chunk and with both names for cached tokens', async () => {
    const cached = usageChunk.replace(
      '"total_tokens":10',
      '"total_tokens":10,"prompt_tokens_details":{"cached_tokens":5}',
    )
    rig.upstream.reply({
      sse: [chatChunk('a'), chatChunk('', { finish: 'stop' }), cached, '[DONE]'],
    })
    const stream = await strictStream(await rig.chat({ stream_options: { include_usage: true } }))
    const last = stream.events.at(-1)!.data
    expect(last.choices).toEqual([])
    expect(last.usage.prompt_tokens_details).toEqual({ cached_tokens: 5, cached_read_tokens: 5 })
    expect(extrasOf(stream).map(Boolean)).toEqual([false, false, true])
  })

  test('usage in the chunk that finishes, or in every chunk, is recorded too', async () => {
    const withUsage = (chunk: string, tokens: number): string =>
      JSON.stringify({
        ...JSON.parse(chunk),
        usage: { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 },
      })
    rig.upstream.reply({
      sse: [
        withUsage(chatChunk('a'), 1),
        withUsage(chatChunk('', { finish: 'stop' }), 2),
        '[DONE]',
      ],
    })
    await strictStream(await rig.chat())
    expect((await rig.settled()).usage).toMatchObject({ outputTokens: 2 })
  })

  test('extra_fields are on the last chunk only, and say who served', async () => {
    rig.upstream.reply({ sse: events })
    const stream = await strictStream(await rig.chat())
    expect(extrasOf(stream)).toEqual([
      undefined,
      undefined,
      {
        request_type: 'chat_completion_stream',
        provider: 'openai',
        model_requested: 'openai/gpt-x',
        model_deployment: 'gpt-x',
        latency: expect.any(Number),
        chunk_index: 2,
      } as any,
    ])
  })

  test('without extra_fields the bytes are the bytes of the provider', async () => {
    const odd = [
      '{ "id" : "c", "choices":[{"index":0,"delta":{"content":"\\u0061"},"finish_reason":null}], "n": 1.0, "big":1152921504606846976 }',
      '{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x":[1e2,-0.0]}',
    ]
    rig.upstream.reply({ sse: [...odd, '[DONE]'] })
    const stream = await strictStream(
      await rig.chat({}, { headers: { 'x-bf-extra-fields': 'false' } }),
    )
    expect(stream.text).toBe(sse(...odd, '[DONE]'))
  })

  test('extra_fields are cut into the last chunk, whose other bytes stay', async () => {
    const last =
      '{ "id" : "c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x":[1e2,-0.0,1.0],"y":"}" }'
    rig.upstream.reply({ sse: [last, '[DONE]'] })
    const { text } = await strictStream(await rig.chat())
    expect(text.replace(/,"extra_fields":\{[^}]*\}/, '')).toBe(sse(last, '[DONE]'))
  })

  test('what a gateway behind us says in extra_fields stays, and is not doubled', async () => {
    const last =
      '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"extra_fields":{"provider":"inner"}}'
    rig.upstream.reply({ sse: [last, '[DONE]'] })
    expect((await strictStream(await rig.chat())).text).toBe(sse(last, '[DONE]'))
  })

  test('a stream that finished but lacks [DONE] gets it', async () => {
    rig.upstream.reply({ sse: events.slice(0, 3) })
    const stream = await strictStream(await rig.chat())
    expect(stream.end).toBe('done')
    expect((await rig.settled()).message).toBe('request served')
  })

  test('a stream that stops before its finish ends with an error in the envelope', async () => {
    rig.upstream.reply({ sse: events.slice(0, 2) })
    const stream = await strictStream(await rig.chat())
    expect(stream.end).toBe('error')
    expect(stream.events.at(-1)!.data).toMatchObject({
      is_bifrost_error: true,
      status_code: 502,
      error: { code: 'upstream_truncated', type: 'api_error', param: null },
      extra_fields: {
        provider: 'openai',
        model_requested: 'openai/gpt-x',
        request_type: 'chat_completion_stream',
      },
    })
    expect(contentOf(stream)).toBe('ab')
    expect(await rig.settled()).toMatchObject({ kind: 'upstream_truncated', level: 'error' })
  })

  test('with several choices, one of them unfinished is not a finish', async () => {
    const half = [chatChunk('a'), chatChunk('b', { index: 1 }), chatChunk('', { finish: 'stop' })]
    rig.upstream.reply([
      { sse: half },
      { sse: [...half, chatChunk('', { finish: 'stop', index: 1 })] },
    ])
    expect((await strictStream(await rig.chat({ n: 2 }))).end).toBe('error')
    const whole = await strictStream(await rig.chat({ n: 2 }))
    expect(whole.end).toBe('done')
    expect(extrasOf(whole).map(Boolean)).toEqual([false, false, false, true])
  })

  test('a chunk after the one that finished pushes it on: the held chunk is not lost', async () => {
    rig.upstream.reply({ sse: [chatChunk('', { finish: 'stop' }), chatChunk('late'), '[DONE]'] })
    const stream = await strictStream(await rig.chat())
    expect(stream.events).toHaveLength(2)
    expect(contentOf(stream)).toBe('late')
  })

  test.each([
    [
      'an object',
      '{"error":{"message":"slow down","type":"rate_limit_error","code":"429","param":null}}',
      429,
      'slow down',
    ],
    ['a string', '{"error":"no such thing"}', 502, 'no such thing'],
    ['a number for a status', '{"error":{"message":"busy","code":503}}', 503, 'busy'],
    ['nothing to say', '{"error":{}}', 502, 'The provider answered with HTTP status 502.'],
  ])('an error as the first event, %s, is an HTTP status', async (_, data, status, message) => {
    rig.upstream.reply({ sse: [data] })
    const { status: got, error, headers } = await failure(await rig.chat())
    expect([got, error.message]).toEqual([status, message])
    expect(headers.get('content-type')).toBe('application/json')
  })

  test('an end before any event is an HTTP status, too', async () => {
    rig.upstream.reply({ sse: ['[DONE]'] })
    const { status, error } = await failure(await rig.chat())
    expect([status, error.code]).toEqual([502, 'upstream_truncated'])
  })

  test('a stream that only says what was used has no words, and is none the worse for it', async () => {
    rig.upstream.reply({ sse: [usageChunk, '[DONE]'] })
    expect((await strictStream(await rig.chat())).text).toBe('data: [DONE]\n\n')
  })

  test('an error mid-stream makes the official SDK raise, with message and code', async () => {
    rig.upstream.reply({
      sse: [
        chatChunk('a'),
        '{"error":{"message":"overloaded","type":"server_error","code":"busy"}}',
        '[DONE]',
      ],
    })
    const client = new OpenAI({
      apiKey: 'dummy',
      baseURL: `${rig.gateway.url}/openai/v1`,
      maxRetries: 0,
    })
    const stream = await client.chat.completions.create({ ...(CHAT as any), stream: true })
    const seen: string[] = []
    const thrown = await (async () => {
      for await (const chunk of stream as any) seen.push(chunk.choices[0].delta.content)
    })().catch((error: unknown) => error)
    expect(seen).toEqual(['a'])
    expect(thrown).toBeInstanceOf(APIError)
    expect(thrown).toMatchObject({ code: 'busy', type: 'server_error' })
    expect(String(thrown)).toContain('overloaded')
  })

  test('an event that is no JSON ends the stream with an error', async () => {
    rig.upstream.reply({ sse: [chatChunk('a'), '{"id":"c","choices":[{"index":0', chatChunk('b')] })
    const stream = await strictStream(await rig.chat())
    expect(stream.events.map(({ data }) => data.error?.code)).toEqual([undefined, 'bad_gateway'])
  })

  test.each(['/responses', '/chat/completions'])(
    'the key is kept out of errors in a stream of %s',
    async (path) => {
      const error = { error: { message: `Incorrect key ${PROVIDER_KEY}`, type: 'x', code: null } }
      const escaped = JSON.stringify(error).replaceAll('/', '\\/')
      const first =
        path === '/responses' ? '{"type":"response.created","response":{}}' : chatChunk('a')
      rig.upstream.reply([{ sse: [JSON.stringify(error)] }, { sse: [first, escaped] }])
      const request = { ...CHAT, input: 'hi', stream: true }
      const early = await (await rig.post(path, request)).text()
      const late = await (await rig.post(path, request)).text()
      for (const text of [early, late]) {
        expect(text).toContain('Incorrect key [redacted]')
        expect(text).not.toContain('0123456789')
      }
      expect(JSON.stringify(rig.gateway.logs)).not.toContain(PROVIDER_KEY)
    },
  )

  test('a response that fails is an event of its own and not an error of ours', async () => {
    const failed =
      '{"type":"response.failed","sequence_number":1,"response":{"id":"r","status":"failed","error":{"code":"server_error","message":"no"},"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}}'
    rig.upstream.reply({
      sse: [
        'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{}}\n\n',
        `event: response.failed\ndata: ${failed}\n\n`,
      ],
    })
    const stream = await strictStream(
      await rig.post('/responses', { model: 'gpt-x', input: 'hi', stream: true }),
    )
    expect(stream.end).toBe('terminal')
    expect(stream.events.map(({ name }) => name)).toEqual(['response.created', 'response.failed'])
    expect((await rig.settled()).usage).toMatchObject({ outputTokens: 2 })
  })

  test('a response without its terminal event ends with an error event of a known type', async () => {
    const created =
      'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{}}\n\n'
    rig.upstream.reply([{ sse: [created] }, { sse: [created, '[DONE]'] }])
    for (let turn = 0; turn < 2; turn++) {
      const stream = await strictStream(
        await rig.post('/responses', { model: 'gpt-x', input: 'hi', stream: true }),
      )
      const last = stream.events.at(-1)!
      expect(last.name).toBe('error')
      expect(last.data).toMatchObject({
        type: 'error',
        code: 'upstream_truncated',
        sequence_number: 1,
        param: null,
      })
      expect(last.data.message).toBeString()
    }
  })

  test('other streams keep the end marker that their provider sent', async () => {
    rig.upstream.reply({
      sse: ['{"type":"speech.audio.delta","audio":"AA"}', '{"type":"speech.audio.done"}', '[DONE]'],
    })
    const text = await (
      await rig.post('/audio/speech', {
        model: 'tts',
        input: 'hi',
        voice: 'alloy',
        stream_format: 'sse',
      })
    ).text()
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(text).toContain('"extra_fields"')
  })

  test('streams of a provider with event types of its own end with the connection', async () => {
    rig.upstream.reply({ sse: ['{"type":"audio.chunk","audio":"AA"}', 'not json'] })
    const text = await (
      await rig.post('/audio/speech', {
        model: 'tts',
        input: 'hi',
        voice: 'alloy',
        stream_format: 'sse',
      })
    ).text()
    expect(text).toBe(sse('{"type":"audio.chunk","audio":"AA"}', 'not json'))
  })

  test('several results in one stream of images all pass', async () => {
    const one = (id: string): string => `{"type":"image_generation.completed","b64_json":"${id}"}`
    rig.upstream.reply({ sse: [one('A'), one('B')] })
    const text = await (
      await rig.post('/images/generations', { model: 'i', prompt: 'x', stream: true })
    ).text()
    expect(text).toContain('"b64_json":"A"}')
    expect(text).toMatch(/"b64_json":"B","extra_fields":\{/)
  })

  test('comments of the provider pass, events without data do not', async () => {
    rig.upstream.reply({
      chunks: [
        sse(chatChunk('a')),
        ': PROCESSING\n\nevent: ping\n\n',
        `retry: 5\n\n${sse(chatChunk('b'))}`,
        sse(chatChunk('', { finish: 'stop' }), '[DONE]'),
      ],
    })
    const stream = await strictStream(await rig.chat())
    expect(stream.comments).toBe(1)
    expect(stream.events).toHaveLength(3)
  })

  test.each([
    ['half an object', '{"id":"c","choices":[{"index":0\n\n'],
    ['no object', '"text"\n\n'],
    ['lines that do not add up', `${chatChunk('b')}\ndata: {"x":1}\n\n`],
  ])('an event mid-stream that is %s ends it, and never reaches the caller', async (_, data) => {
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({ chunks: [sse(chatChunk('a')), `data: ${data}`], gate: gate.promise })
    // The headers are here, so what follows takes the short way.
    const response = await rig.chat()
    gate.resolve()
    const stream = await strictStream(response)
    expect(stream.events.map(({ data: { error } }) => error?.code)).toEqual([
      undefined,
      'bad_gateway',
    ])
  })

  test('events in a row that look alike pass whole, odd ones among them do not', async () => {
    const gate = Promise.withResolvers<void>()
    const run = [`data: ${chatChunk('b')}\r\n\r\n`, `data: ${chatChunk('c')}\r\n\r\n`]
    const odd = `data: ${chatChunk('d')}\n\nevent: ping\n\n\n: note\n\ndata: ${chatChunk('', { finish: 'stop' })}\n\n`
    rig.upstream.reply({
      chunks: [sse(chatChunk('a')), run.join(''), odd],
      gate: [undefined, gate.promise, gate.promise],
    })
    const response = await rig.chat()
    gate.resolve()
    const stream = await strictStream(response)
    expect(stream.text).toContain(run.join(''))
    expect(contentOf(stream)).toBe('abcd')
    expect(stream.comments).toBe(1)
    expect(stream.events.at(-1)!.data.extra_fields.chunk_index).toBe(4)
  })

  test('a byte order mark is not passed on: something may stand before it', async () => {
    rig.upstream.reply({ chunks: [`\ufeff${sse(chatChunk('', { finish: 'stop' }), '[DONE]')}`] })
    const bytes = new Uint8Array(await (await rig.chat()).arrayBuffer())
    expect(String.fromCharCode(...bytes.subarray(0, 5))).toBe('data:')
  })

  test('the connection of a stream that ended is used again', async () => {
    rig.upstream.reply([{ sse: events }, { sse: events }])
    await strictStream(await rig.chat())
    await strictStream(await rig.chat())
    expect(rig.upstream.requests).toHaveLength(2)
  })
})

test('with "all", every chunk has extra_fields with its own index', async () => {
  await using rig = await startRig({ client: { stream_extra_fields: 'all' } })
  const odd = [
    '{}',
    `${chatChunk('a').replace('"choices"', '\ndata: "choices"')}\n: tail }`,
    chatChunk('', { finish: 'stop' }),
  ]
  rig.upstream.reply({ sse: [...odd, usageChunk, '[DONE]'] })
  const stream = await strictStream(await rig.chat())
  expect(extrasOf(stream).map((extra: any) => extra.chunk_index)).toEqual([0, 1, 2])
  rig.upstream.reply({ sse: [chatChunk('a'), chatChunk('b'), chatChunk('', { finish: 'stop' })] })
  const off = await strictStream(await rig.chat({}, { headers: { 'x-bf-extra-fields': 'false' } }))
  expect(extrasOf(off).some(Boolean)).toBe(false)
})

test('with extra_fields off, no chunk has them', async () => {
  await using rig = await startRig({ client: { extra_fields: false } })
  rig.upstream.reply({ sse: events })
  expect(extrasOf(await strictStream(await rig.chat())).some(Boolean)).toBe(false)
})

test('the raw request is shown on the last chunk when that is configured', async () => {
  await using rig = await startRig({ provider: { send_back_raw_request: true } })
  rig.upstream.reply({ sse: events })
  const extra: any = extrasOf(await strictStream(await rig.chat())).at(-1)
  expect(extra.raw_request).toEqual(rig.upstream.requests[0]!.json())
})
