import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { RAW, refusedUrl, startRawUpstream } from '../helpers/upstream.ts'
import type { RawStep, Reply } from '../helpers/upstream.ts'
import {
  CHAT,
  chatChunk,
  failure,
  PROVIDER_KEY,
  sse,
  startRig,
  strictStream,
  until,
} from './rig.ts'
import type { Rig } from './rig.ts'

// Whatever a provider does, the caller gets an answer that says what happened and whose fault it was.

setDefaultTimeout(30_000)

type Outcome = readonly [status: number, code: string]

const reset: Outcome = [502, 'provider_connection_reset']
const bad: Outcome = [502, 'bad_gateway']
const json = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const IMAGE = { model: 'openai/image', prompt: 'a bridge' }
const answer = '{"id":"x","choices":[]}'

describe('below HTTP', () => {
  // `either`: a break may overtake what was sent before it, and then nothing of that has happened.
  const cases: [
    string,
    readonly RawStep[],
    Outcome | 'either',
    Outcome | 'mid-stream' | 'either',
  ][] = [
    ['a reset before the headers', RAW.resetBeforeHeaders, reset, reset],
    ['an end before the headers', RAW.closeBeforeHeaders, reset, reset],
    ['an end inside the headers', RAW.cutInHeaders, reset, reset],
    ['something that is no HTTP', RAW.garbage, bad, bad],
    ['headers without end', RAW.endlessHeaders, bad, bad],
    ['a header without end', RAW.endlessHeader, bad, bad],
    ['a reset after the headers', RAW.resetAfterHeaders, 'either', reset],
    ['a reset mid-stream', RAW.resetMidStream, 'either', 'either'],
    ['a last chunk that is missing', RAW.missingLastChunk, bad, 'either'],
    ['a chunk that is cut', RAW.truncatedChunk, bad, reset],
    ['a chunk size that is none', RAW.badChunkSize, bad, bad],
    ['less than it promised', RAW.shortBody, reset, reset],
    [
      'a reset mid-body',
      [`${json}content-length: 1000\r\n\r\n{"id":`, { close: 'reset' }],
      reset,
      reset,
    ],
    [
      'a chunked body that is cut',
      [`${json}transfer-encoding: chunked\r\n\r\n17\r\n{"id":"x","cho`, { close: 'end' }],
      reset,
      reset,
    ],
    ['a status that is none', ['HTTP/1.1 999 No\r\ncontent-length: 2\r\n\r\n{}'], bad, bad],
    [
      'gzip that is none',
      [
        `${json}content-encoding: gzip\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
        { close: 'end' },
      ],
      bad,
      bad,
    ],
  ]
  test.each(cases)('%s', async (_, script, unary, streamed) => {
    await using raw = await startRawUpstream(script)
    await using rig = await startRig({ baseUrl: raw.url })
    const got = await failure(await rig.post('/chat/completions', CHAT))
    if (unary === 'either') expect(got.status).toBe(502)
    else expect([got.status, got.error.code]).toEqual([...unary])
    expect(got.error.message).toStartWith("Provider 'openai' ")
    const response = await rig.chat()
    if (streamed === 'mid-stream' || (streamed === 'either' && response.status === 200)) {
      const stream = await strictStream(response)
      expect(stream.events.map(({ data }) => data.error?.code)).toEqual([undefined, reset[1]])
    } else {
      const { status, error } = await failure(response)
      expect([status, error.code]).toEqual(streamed === 'either' ? [...reset] : [...streamed])
    }
    expect((await fetch(`${rig.gateway.url}/health`)).status).toBe(200)
  })

  test('a reset after the caller has had the first event', async () => {
    const seen = Promise.withResolvers<void>()
    await using raw = await startRawUpstream([
      ...RAW.resetMidStream.slice(0, -1),
      { wait: seen.promise },
      { close: 'reset' },
    ])
    await using rig = await startRig({ baseUrl: raw.url })
    const response = await rig.chat()
    seen.resolve()
    const stream = await strictStream(response)
    expect(stream.events.map(({ data }) => data.error?.code)).toEqual([undefined, reset[1]])
  })

  test('a connection that is refused', async () => {
    await using rig = await startRig({ baseUrl: refusedUrl() })
    for (const response of [await rig.chat(), await rig.post('/chat/completions', CHAT)]) {
      const { status, error, body } = await failure(response)
      expect([status, error.code, body.is_bifrost_error]).toEqual([
        502,
        'provider_unreachable',
        true,
      ])
    }
  })

  test('no TLS where TLS is spoken to, which nothing was sent by', async () => {
    const plain = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end('HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n'))
    })
    await new Promise<void>((resolve) => plain.listen(0, 'localhost', resolve))
    const host = `localhost:${(plain.address() as AddressInfo).port}`
    const ways = [
      { baseUrl: `https://${host}` },
      // A proxy that opens no way.
      {
        baseUrl: 'https://localhost:9',
        provider: { proxy_config: { type: 'http', url: `http://${host}` } },
      },
    ]
    for (const way of ways) {
      await using rig = await startRig(way)
      for (const response of [await rig.chat(), await rig.post('/chat/completions', CHAT)]) {
        const { status, error } = await failure(response)
        expect([status, error.code]).toEqual([502, 'provider_unreachable'])
        expect(error.message).toStartWith("Provider 'openai' could not be reached (")
      }
    }
    plain.close()
  })

  test("its proxy's 407 is no answer of its own, which SDKs would take for one of theirs", async () => {
    await using raw = await startRawUpstream([
      'HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm="p"\r\ncontent-length: 5\r\n\r\nlogin',
    ])
    await using rig = await startRig({
      baseUrl: 'http://localhost:9',
      provider: { proxy_config: { type: 'http', url: raw.url } },
    })
    for (const response of [await rig.chat(), await rig.post('/images/generations', IMAGE)]) {
      const { status, error, headers } = await failure(response)
      expect([status, error.code]).toEqual([502, 'provider_unreachable'])
      expect(error.message).toBe(
        "Provider 'openai' could not be reached: the proxy on the way to it refused (HTTP status 407).",
      )
      expect(headers.get('proxy-authenticate')).toBeNull()
    }
  })

  test("more than it promised: the surplus is nobody's answer", async () => {
    await using raw = await startRawUpstream(RAW.longBody)
    await using rig = await startRig({ baseUrl: raw.url })
    expect((await rig.post('/chat/completions', CHAT)).status).toBe(200)
    expect((await rig.post('/chat/completions', CHAT)).status).toBe(200)
  })

  test('gzip is unpacked, whatever length it came with', async () => {
    await using rig = await startRig()
    const packed = Bun.gzipSync(answer)
    rig.upstream.reply([
      {
        chunks: [packed],
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      },
      {
        chunks: [Bun.gzipSync(sse(chatChunk('a'), chatChunk('', { finish: 'stop' }), '[DONE]'))],
        headers: { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' },
      },
    ])
    const response = await rig.post('/chat/completions', CHAT)
    expect(response.headers.get('content-encoding')).toBeNull()
    expect(await response.json()).toMatchObject({ id: 'x' })
    expect((await strictStream(await rig.chat())).events).toHaveLength(2)
  })
})

describe('with status 200', () => {
  let rig: Rig
  beforeEach(async () => void (rig = await startRig()))
  afterEach(() => rig[Symbol.asyncDispose]())

  const asJson = (text: string): Reply => ({
    text,
    headers: { 'content-type': 'application/json' },
  })
  const cases: [string, Reply, Outcome][] = [
    ['HTML', { text: '<!doctype html><p>Login', headers: { 'content-type': 'text/html' } }, bad],
    ['HTML called JSON', asJson('<html>'), bad],
    ['nothing', asJson(''), bad],
    ['only space', asJson(' \n'), bad],
    ['half a document', asJson('{"id":"x","choices":[{"ind'), bad],
    ['a large half', asJson(`{"id":"${'x'.repeat(300_000)}`), bad],
    ['a large document and more', asJson(`{"id":"${'x'.repeat(300_000)}"} {"b":1}`), bad],
    ['two documents', asJson('{"id":"x"}{"id":"y"}'), bad],
    ['null', asJson('null'), bad],
    ['a word', asJson('"ok"'), bad],
    ['status 204', { status: 204 }, bad],
    ['status 304', { status: 304 }, bad],
    ['a redirect', { status: 302, headers: { location: 'http://169.254.169.254/' } }, bad],
    ['a redirect that keeps the method', { status: 307, headers: { location: '/v1/other' } }, bad],
    [
      'an error object',
      asJson('{"error":{"message":"no","type":"t","code":"c","param":"p"}}'),
      [502, 'c'],
    ],
    [
      'an error object with a status for a code',
      asJson('{"error":{"message":"no","code":429}}'),
      [429, '429'],
    ],
    ['an error as text', asJson('{"error":"no"}'), [502, null as unknown as string]],
    [
      'an error in a list',
      asJson('[{"error":{"message":"no","code":400,"status":"INVALID_ARGUMENT"}}]'),
      [400, '400'],
    ],
    [
      'a flat error',
      asJson('{"object":"error","message":"no","type":"NotFoundError","code":404}'),
      [404, '404'],
    ],
    [
      'an error beside an id',
      asJson('{"id":"gen-1","error":{"message":"no","code":502}}'),
      [502, '502'],
    ],
    [
      'a large error',
      asJson(`{"error":{"message":"no","code":"c"},"x":"${'x'.repeat(300_000)}"}`),
      [502, 'c'],
    ],
  ]
  test.each(cases)('%s', async (name, reply, [status, code]) => {
    rig.upstream.reply([reply, reply])
    const isError = name.includes('error')
    for (const response of [await rig.post('/chat/completions', CHAT), await rig.chat()]) {
      const got = await failure(response)
      expect([got.status, got.error.code]).toEqual([status, code])
      expect(got.body.is_bifrost_error).toBe(!isError)
      if (isError) expect(got.error.message).toBe('no')
    }
    expect(rig.upstream.requests).toHaveLength(2)
  })

  test('JSON where a stream was asked for', async () => {
    rig.upstream.reply(asJson(answer))
    const { status, error } = await failure(await rig.chat())
    expect([status, error.code]).toEqual([...bad])
  })

  test('a stream whose content type is written in capitals is one', async () => {
    const text = sse(chatChunk('a'), chatChunk('', { finish: 'stop' }), '[DONE]')
    rig.upstream.reply({ text, headers: { 'content-type': 'Text/Event-Stream; charset=UTF-8' } })
    expect((await strictStream(await rig.chat())).events).toHaveLength(2)
  })

  test('a stream where none was asked for', async () => {
    rig.upstream.reply({ sse: [chatChunk('a')], gate: [undefined, new Promise(() => undefined)] })
    const { status, error } = await failure(await rig.post('/chat/completions', CHAT))
    expect([status, error.code]).toEqual([...bad])
    await rig.upstream.requests[0]!.closed
  })

  test('an error that belongs to the thing that is answered is no refusal', async () => {
    const text =
      '{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"no"}}'
    rig.upstream.reply(asJson(text))
    const response = await rig.post('/responses', { model: 'm', input: 'x' })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ status: 'failed' })
  })

  test('nothing, after a deletion', async () => {
    rig.upstream.reply({ status: 204 })
    const response = await fetch(`${rig.gateway.url}/openai/v1/files/f`, { method: 'DELETE' })
    expect([response.status, await response.text()]).toEqual([204, ''])
  })

  test('JSON with a byte order mark, or by another name, is JSON', async () => {
    rig.upstream.reply([
      asJson(`\ufeff${answer}`),
      { text: answer, headers: { 'content-type': 'text/plain' } },
      { text: answer, headers: { 'content-type': 'application/problem+json' } },
    ])
    for (let turn = 0; turn < 3; turn++) {
      expect(await (await rig.post('/chat/completions', CHAT)).json()).toMatchObject({ id: 'x' })
    }
  })
})

describe('a refusal', () => {
  let rig: Rig
  beforeEach(async () => void (rig = await startRig()))
  afterEach(() => rig[Symbol.asyncDispose]())

  const cases: [string, ReplyOf, object][] = [
    [
      "in OpenAI's form",
      [
        400,
        '{"error":{"message":"no","type":"invalid_request_error","param":"n","code":"bad_n","inner":{"x":1}}}',
      ],
      { message: 'no', type: 'invalid_request_error', param: 'n', code: 'bad_n', inner: { x: 1 } },
    ],
    [
      'as text',
      [401, '{"error":"bad key"}'],
      { message: 'bad key', type: 'authentication_error', param: null, code: null },
    ],
    [
      'flat',
      [422, '{"message":"no","code":1003,"type":"t"}'],
      { message: 'no', type: 't', code: '1003' },
    ],
    [
      'in a list',
      [400, '[{"error":{"message":"no","code":400}}]'],
      { message: 'no', code: '400', type: 'invalid_request_error' },
    ],
    [
      'of FastAPI',
      [422, '{"detail":[{"loc":["body","x"],"msg":"field required"}]}'],
      { message: '[{"loc":["body","x"],"msg":"field required"}]' },
    ],
    ['of FastAPI, plain', [404, '{"detail":"Not Found"}'], { message: 'Not Found' }],
    [
      'as HTML',
      [502, '<html><h1>Bad gateway</h1>'],
      { message: 'The provider answered with HTTP status 502.', type: 'api_error', code: null },
    ],
    ['as plain text', [429, 'slow down'], { message: 'slow down', type: 'rate_limit_error' }],
    [
      'without a word',
      [500, ''],
      { message: 'The provider answered with HTTP status 500.', type: 'api_error' },
    ],
    [
      'with a status of its own',
      [529, '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'],
      { message: 'busy', type: 'overloaded_error' },
    ],
  ]
  type ReplyOf = readonly [status: number, text: string]
  test.each(cases)(
    '%s keeps its status and becomes an OpenAI error',
    async (_, [status, text], error) => {
      rig.upstream.reply([
        { status, text },
        { status, text },
      ])
      for (const response of [await rig.post('/chat/completions', CHAT), await rig.chat()]) {
        const got = await failure(response)
        expect(got.status).toBe(status)
        expect(got.error).toMatchObject(error)
        expect(got.body).toMatchObject({
          is_bifrost_error: false,
          status_code: status,
          extra_fields: { provider: 'openai', model_requested: 'openai/gpt-x' },
        })
        expect(got.headers.get('content-type')).toBe('application/json')
      }
    },
  )

  test('that repeats the key does not pass it on, nor into the log', async () => {
    const said = JSON.stringify({
      error: {
        message: `Incorrect API key provided: ${PROVIDER_KEY}`,
        code: 'invalid_api_key',
        key: PROVIDER_KEY,
      },
    })
    rig.upstream.reply([
      { status: 401, text: said },
      { status: 401, text: said.replaceAll('/', '\\/') },
      { status: 200, text: said, headers: { 'content-type': 'application/json' } },
      { status: 401, text: `wrong ${PROVIDER_KEY}` },
    ])
    for (let turn = 0; turn < 4; turn++) {
      const text = await (await rig.post('/chat/completions', CHAT)).text()
      expect(text).toContain('[redacted]')
      expect(text).not.toContain('0123456789')
    }
    expect(JSON.stringify(rig.gateway.logs)).not.toContain('0123456789')
  })

  test.each(['g', 'key', 'error', 'EMPTY'])(
    'keeps its words where the key is the word %p, as people write who need none',
    async (value) => {
      const keys = [{ name: 'word', value, models: ['*'], weight: 1 }]
      await using own = await startRig({ provider: { keys } })
      const error = { message: `Missing key error: EMPTY prompt`, code: 'empty_prompt' }
      own.upstream.reply({ status: 400, json: { error } })
      expect(await (await own.post('/chat/completions', CHAT)).json()).toMatchObject({ error })
    },
  )

  test('of any length is read as far as it is of use', async () => {
    const line = 'x'.repeat(64 * 1024)
    let taken = 0
    rig.upstream.reply(
      () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              taken += line.length
              controller.enqueue(new TextEncoder().encode(line))
            },
          }),
          { status: 500 },
        ),
    )
    const { status, error } = await failure(await rig.post('/chat/completions', CHAT))
    expect([status, error.message]).toEqual([500, 'The provider answered with HTTP status 500.'])
    await rig.upstream.requests[0]!.closed
    expect(taken).toBeLessThan(256 * 1024 * 1024)
  })

  test('with a long message is cut', async () => {
    rig.upstream.reply({ status: 400, json: { error: { message: 'x'.repeat(100_000) } } })
    expect((await failure(await rig.post('/chat/completions', CHAT))).error.message).toHaveLength(
      4000,
    )
  })

  test('whose body breaks off keeps its status', async () => {
    await using raw = await startRawUpstream([
      'HTTP/1.1 429 Slow\r\nretry-after: 3\r\ncontent-length: 100\r\n\r\n{"error":',
      { close: 'end' },
    ])
    await using broken = await startRig({ baseUrl: raw.url })
    const { status, error, headers } = await failure(await broken.post('/chat/completions', CHAT))
    expect([status, error.type, headers.get('retry-after')]).toEqual([429, 'rate_limit_error', '3'])
  })

  test('for want of money is not worth a retry', async () => {
    rig.upstream.reply({
      status: 429,
      json: { error: { message: 'no', type: 'insufficient_quota', code: 'insufficient_quota' } },
    })
    expect(
      (await failure(await rig.post('/chat/completions', CHAT))).headers.get('x-should-retry'),
    ).toBe('false')
  })
})

/** A reset may overtake the headers; then the answer is an error from the start. */
async function bodyOf(response: Response): Promise<string> {
  const bytes = await response.arrayBuffer().catch(() => undefined)
  return bytes && response.ok ? 'whole' : 'broken'
}

describe('bytes', () => {
  const download = (rig: Rig) => fetch(`${rig.gateway.url}/openai/v1/files/f/content`)

  test('pass as they are, with their type', async () => {
    await using rig = await startRig()
    const bytes = crypto.getRandomValues(new Uint8Array(60_000))
    rig.upstream.reply([
      { chunks: [bytes], headers: { 'content-type': 'image/png' } },
      { chunks: ['<p>'], headers: { 'content-type': 'text/html' } },
      { text: '{"n":1.0}', headers: { 'content-type': 'application/json' } },
    ])
    const response = await download(rig)
    expect(response.headers.get('content-type')).toBe('image/png')
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes)
    expect(await (await download(rig)).text()).toBe('<p>')
    expect(await (await download(rig)).text()).toBe('{"n":1.0}')
    expect(await rig.settled(({ request_type }) => request_type === 'file_content')).toMatchObject({
      message: 'request served',
    })
  })

  const cuts: [string, readonly RawStep[]][] = [
    [
      'chunked, by an end',
      [
        'HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n',
        { close: 'end' },
      ],
    ],
    [
      'chunked, by a reset',
      [
        'HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n',
        { close: 'reset' },
      ],
    ],
    [
      'with a length, by an end',
      [
        'HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nhello',
        { close: 'end' },
      ],
    ],
  ]
  test.each(cuts)(
    'that break off half-way (%s) break off for the caller, in silence',
    async (_, script) => {
      await using raw = await startRawUpstream(script)
      await using rig = await startRig({ baseUrl: raw.url })
      for (const call of [
        () => download(rig),
        () => rig.post('/audio/speech', { model: 'tts', input: 'x', voice: 'alloy' }),
      ]) {
        const outcome = await call().then(bodyOf, () => 'broken')
        expect(outcome).toBe('broken')
      }
      expect(await rig.settled()).toMatchObject({ kind: 'upstream_reset', level: 'error' })
    },
  )

  test('that stop coming break off by the idle timer', async () => {
    await using rig = await startRig({ network: { stream_idle_timeout_in_seconds: 0.05 } })
    rig.upstream.reply({
      chunks: ['abc', 'def'],
      headers: { 'content-type': 'audio/mpeg' },
      gate: new Promise(() => undefined),
    })
    const outcome = await download(rig).then(bodyOf, () => 'broken')
    expect(outcome).toBe('broken')
    expect(await rig.settled()).toMatchObject({ kind: 'idle_timeout' })
    await rig.upstream.requests[0]!.closed
  })

  test('may take longer than a call that answers at once', async () => {
    await using rig = await startRig({ network: { default_request_timeout_in_seconds: 1 } })
    const rest = Promise.withResolvers<void>()
    rig.upstream.reply([
      {
        chunks: ['abc', 'def'],
        headers: { 'content-type': 'audio/mpeg' },
        gate: rest.promise,
      },
      { gate: new Promise(() => undefined) },
    ])
    const bytes = await download(rig)
    // What was asked later and is late already shows that the time is over.
    expect((await failure(await rig.post('/chat/completions', CHAT))).status).toBe(504)
    rest.resolve()
    expect(await bytes.text()).toBe('abcdef')
  })

  test('of speech with status 200 and an error inside are an error', async () => {
    await using rig = await startRig()
    rig.upstream.reply({ json: { error: { message: 'no voice', code: 'v' } } })
    const { status, error } = await failure(
      await rig.post('/audio/speech', { model: 'tts', input: 'x', voice: 'alloy' }),
    )
    expect([status, error.code]).toEqual([502, 'v'])
  })

  test('of a transcription that are text stay text', async () => {
    await using rig = await startRig()
    rig.upstream.reply({
      text: '1\n00:00 --> 00:01\nhi\n',
      headers: { 'content-type': 'text/plain' },
    })
    const form = new FormData()
    form.set('model', 'whisper')
    form.set('file', new Blob(['x']), 'a.wav')
    const response = await fetch(`${rig.gateway.url}/openai/v1/audio/transcriptions`, {
      method: 'POST',
      body: form,
    })
    expect([response.headers.get('content-type'), await response.text()]).toEqual([
      'text/plain',
      '1\n00:00 --> 00:01\nhi\n',
    ])
  })
})

test('what goes wrong is not printed beside the log', async () => {
  await using raw = await startRawUpstream([
    'HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nhello',
    { close: 'end' },
  ])
  const config = {
    providers: {
      openai: {
        keys: [{ name: 'k', value: 'sk', models: ['*'], weight: 1 }],
        network_config: { base_url: raw.url },
      },
    },
  }
  const path = join(mkdtempSync(join(tmpdir(), 'asbru-')), 'config.json')
  await Bun.write(path, JSON.stringify(config))
  const child = Bun.spawn(
    [
      process.execPath,
      'src/main.ts',
      'serve',
      '--port',
      '0',
      '--config',
      path,
      '--app-dir',
      join(path, '..'),
      '--log-style',
      'json',
    ],
    { stdout: 'pipe', stderr: 'pipe', env: { PATH: process.env['PATH'] } },
  )
  let out = ''
  const reading = (async () => {
    for await (const chunk of child.stdout) out += new TextDecoder().decode(chunk)
  })()
  await until(() => /"url":"[^"]+"/.test(out) || child.exitCode !== null)
  const url = /"url":"([^"]+)"/.exec(out)![1]!
  for (let turn = 0; turn < 3; turn++) {
    await fetch(`${url}/openai/v1/files/f/content`)
      .then((response) => response.text())
      .catch(() => undefined)
  }
  await until(() => out.split('request failed').length === 4)
  child.kill('SIGTERM')
  await child.exited
  await reading
  expect(await new Response(child.stderr).text()).toBe('')
})
