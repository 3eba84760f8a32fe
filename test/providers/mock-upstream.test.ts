import { afterAll, beforeAll, expect, test } from 'bun:test'

import OpenAI, { RateLimitError } from 'openai'

import { playback, startUpstream, type Upstream } from '../helpers/upstream.ts'

let upstream: Upstream
let client: OpenAI

beforeAll(async () => {
  upstream = await startUpstream()
  client = new OpenAI({ apiKey: 'k', baseURL: `${upstream.url}/v1`, maxRetries: 0 })
})
afterAll(() => upstream.stop())

test('requests are recorded as they came', async () => {
  upstream.clear()
  await fetch(`${upstream.url}/v1/chat/completions?a=%41&b`, {
    method: 'POST',
    headers: { 'x-seen': 'yes' },
    body: '{"model":"echo","messages":[{"role":"user","content":"1.0"}]}',
  })
  const [request] = await upstream.waitFor(1)
  expect(request).toMatchObject({
    method: 'POST',
    path: '/v1/chat/completions',
    query: '?a=%41&b',
  })
  expect(request!.headers.get('x-seen')).toBe('yes')
  expect(request!.text()).toContain('"content":"1.0"')
  expect(request!.json().model).toBe('echo')
})

function ask() {
  return client.chat.completions.create({
    model: 'echo',
    messages: [{ role: 'user', content: 'hi' }],
  })
}

test('queued replies come first, in order, then the mock', async () => {
  upstream.reply([
    { status: 429, json: { error: { message: 'slow down' } }, headers: { 'retry-after': '0' } },
    {
      chunks: playback('{"id":"x","choices":[]}', 'byte'),
      headers: { 'content-type': 'application/json' },
    },
    () => new Response('{"id":"y"}', { headers: { 'content-type': 'application/json' } }),
  ])
  expect(await ask().catch((error: unknown) => error)).toBeInstanceOf(RateLimitError)
  expect((await ask()).id).toBe('x')
  expect((await ask()).id).toBe('y')
  expect((await ask()).choices[0]!.message.content).toBe('hi')
})

test('a gate holds a stream after its first piece, and a client that leaves is seen', async () => {
  upstream.clear()
  const gate = Promise.withResolvers<void>()
  upstream.reply([
    { sse: ['{"n":1}', '{"n":2}'], gate: gate.promise },
    { sse: ['{"n":1}', '{"n":2}'], gate: new Promise(() => {}) },
  ])
  const first = await fetch(upstream.url)
  const reader = first.body!.getReader()
  const { value } = await reader.read()
  expect(new TextDecoder().decode(value)).toBe('data: {"n":1}\n\n')
  gate.resolve()
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: {"n":2}\n\n')
  expect((await reader.read()).done).toBe(true)

  const leaving = new AbortController()
  const second = await fetch(upstream.url, { signal: leaving.signal })
  await second.body!.getReader().read()
  leaving.abort()
  const [, left] = await upstream.waitFor(2)
  await left!.closed
})

test('a stream that breaks delivers what came before', async () => {
  const seen = Promise.withResolvers<void>()
  upstream.reply({ chunks: ['abc'], gate: [undefined, seen.promise], reset: true })
  const response = await fetch(upstream.url)
  const reader = response.body!.getReader()
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('abc')
  seen.resolve()
  expect(await reader.read().catch((error: unknown) => error)).toMatchObject({
    code: 'ECONNRESET',
  })
})

test('playback splits without loss', () => {
  const text = 'data: a\r\n\r\ndata: ü\n\nrest'
  for (const size of ['whole', 'line', 'byte', 3, 1000] as const) {
    expect(Buffer.concat(playback(text, size)).toString()).toBe(text)
  }
  expect(playback(text, 'line')).toHaveLength(5)
  expect(playback(text, 'byte')).toHaveLength(Buffer.byteLength(text))
})
