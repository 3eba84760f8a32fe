import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import OpenAI from 'openai'

import { FAULTS, parseFaults } from '#providers/mock/faults.ts'
import { createMock } from '#providers/mock/handler.ts'

import { startUpstream, type Upstream } from '../helpers/upstream.ts'

let upstream: Upstream

beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.stop())

const messages = [{ role: 'user', content: 'one two three' }]

/** The body as JSON that a test may look anywhere into. */
async function json(response: Response): Promise<any> {
  return response.json()
}

/** A chat request with faults in its header. */
function ask(fault: string, body: object = {}, init: RequestInit = {}): Promise<Response> {
  return fetch(`${upstream.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-mock-fault': fault },
    body: JSON.stringify({ model: 'echo', messages, ...body }),
    ...init,
  })
}

const streamed = { stream: true }

/** What has arrived of a body when `enough` says so, and a way to leave. */
async function readUntil(
  response: Response,
  enough: (text: string) => boolean,
): Promise<{ text: string; leave: () => Promise<void> }> {
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (!enough(text)) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`the body ended after: ${text}`)
    text += decoder.decode(value, { stream: true })
  }
  return { text, leave: () => reader.cancel() }
}

describe('the grammar', () => {
  test('reads every fault', () => {
    expect(parseFaults('')).toEqual({})
    expect(parseFaults('status = 429 ; retry-after=3;malformed')).toEqual({
      status: 429,
      retryAfter: 3,
      malformed: true,
    })
    const all = [...FAULTS].map(([name, { takes }]) => {
      if (takes === 'flag') return name
      return `${name}=${takes === 'word' ? 'some_code' : takes[1]}`
    })
    expect(Object.keys(parseFaults(all.join(';')))).toHaveLength(FAULTS.size)
  })

  test.each([
    ['statsu=429', "unknown fault 'statsu'"],
    ['status', "fault 'status' needs a value"],
    ['status=', "fault 'status' needs a value"],
    ['status=99', "fault 'status' needs a whole number from 300 to 599"],
    ['status=4e2', "fault 'status' needs a whole number from 300 to 599"],
    ['latency=-1', "fault 'latency' needs a whole number from 0 to 600000"],
    ['latency=999999999999', "fault 'latency' needs a whole number from 0 to 600000"],
    ['malformed=1', "fault 'malformed' takes no value"],
    ['cut=1;cut=2', "fault 'cut' stands twice"],
    ['code=a b', "fault 'code' needs a word"],
    ['cut=1;', "unknown fault ''"],
    ['constructor', "unknown fault 'constructor'"],
  ])('refuses %s', async (text, message) => {
    expect(() => parseFaults(text)).toThrow(message)
    const response = await ask(text)
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({
      error: {
        message,
        type: 'invalid_request_error',
        param: 'x-mock-fault',
        code: 'invalid_fault',
      },
    })
  })
})

test('status, code and retry-after, from header, model name and options', async () => {
  const client = new OpenAI({ apiKey: 'k', baseURL: upstream.url, maxRetries: 0 })
  const failing = await client.chat.completions
    .create({
      model: 'echo!status=429;retry-after=3;code=insufficient_quota',
      messages: [{ role: 'user', content: 'x' }],
    })
    .catch((error: unknown) => error)
  expect(failing).toMatchObject({ status: 429, code: 'insufficient_quota', type: 'requests' })
  expect((failing as InstanceType<typeof OpenAI.APIError>).headers!.get('retry-after')).toBe('3')

  const always = createMock({ faults: { status: 503 } })
  const own = (fault: Record<string, string>) =>
    always(new Request('http://localhost/models', { headers: fault }))
  expect((await own({})).status).toBe(503)
  expect((await own({ 'x-mock-fault': 'status=401' })).status).toBe(401)
})

test('html, an empty body, an error with status 200, broken JSON, gzip', async () => {
  const html = await ask('html')
  expect([html.status, html.headers.get('content-type')]).toEqual([200, 'text/html'])
  expect(await html.text()).toStartWith('<!doctype html>')
  expect((await ask('html;status=502')).status).toBe(502)
  expect(await (await ask('empty')).text()).toBe('')
  const error = await ask('error-body')
  expect([error.status, (await json(error)).error.type]).toEqual([200, 'server_error'])
  const broken = await (await ask('malformed')).text()
  expect(() => JSON.parse(broken)).toThrow()
  const zipped = await ask('gzip', {}, { decompress: false } as RequestInit)
  expect(zipped.headers.get('content-encoding')).toBe('gzip')
  const plain = Bun.gunzipSync(new Uint8Array(await zipped.arrayBuffer()))
  expect(JSON.parse(new TextDecoder().decode(plain)).object).toBe('chat.completion')
  expect((await json(await ask('gzip'))).object).toBe('chat.completion')
})

test('a stream without its end, without finish reasons, with a broken event', async () => {
  expect(await (await ask('', streamed)).text()).toEndWith('data: [DONE]\n\n')
  const open = await (await ask('no-done', streamed)).text()
  expect(open).not.toContain('[DONE]')
  expect(open).toContain('"finish_reason":"stop"')
  const unfinished = await (await ask('no-finish', streamed)).text()
  expect(unfinished).toEndWith('data: [DONE]\n\n')
  expect(unfinished).not.toContain('"finish_reason":"')
  const events = (await (await ask('malformed', streamed)).text()).split('\n\n')
  expect(() => JSON.parse(events[0]!.slice(6))).not.toThrow()
  expect(() => JSON.parse(events[1]!.slice(6))).toThrow()
})

test.each([0, 2])('event %i is an error and the last', async (at) => {
  const chat = (await (await ask(`error-event=${at}`, streamed)).text()).trimEnd().split('\n\n')
  expect(chat).toHaveLength(at + 1)
  expect(JSON.parse(chat[at]!.slice(6)).error).toMatchObject({ type: 'server_error' })

  const response = await fetch(`${upstream.url}/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: `echo!error-event=${at}`, input: 'x', stream: true }),
  })
  const responses = (await response.text()).trimEnd().split('\n\n')
  expect(responses).toHaveLength(at + 1)
  const [name, data] = responses[at]!.split('\n')
  expect(name).toBe('event: error')
  expect(JSON.parse(data!.slice(6))).toMatchObject({ type: 'error', sequence_number: at })
})

test('cut ends the body early, with reset it breaks off', async () => {
  for (const body of [{}, streamed]) {
    const cut = await ask('cut=30', body)
    expect([cut.status, (await cut.text()).length]).toEqual([200, 30])
    const reset = await ask('cut=30;reset', body)
    expect(reset.status).toBe(200)
    const broken = await reset.text().catch((error: unknown) => error)
    expect(broken).toMatchObject({ code: 'ECONNRESET' })
  }
  expect(await ask('reset').catch((error: unknown) => error)).toMatchObject({ code: 'ECONNRESET' })
})

test('without a socket between, exactly the bytes before the break arrive', async () => {
  const response = await createMock()(
    new Request('http://localhost/models', { headers: { 'x-mock-fault': 'cut=10;reset' } }),
  )
  const reader = response.body!.getReader()
  expect((await reader.read()).value).toHaveLength(10)
  expect(await reader.read().catch((error: unknown) => error)).toBeInstanceOf(Error)
})

test.each([
  ['an answer', {}, (text: string) => text.startsWith('{"id":"chatcmpl-')],
  ['a stream', streamed, (text: string) => text.includes('"finish_reason":"stop"')],
])('never-end keeps %s open until the client leaves', async (_, body, enough) => {
  upstream.clear()
  const { text, leave } = await readUntil(await ask('never-end', body), enough)
  expect(text).not.toContain('[DONE]')
  await leave()
  const [request] = await upstream.waitFor(1)
  await request!.closed
})

test('delays: nothing before them, everything after, and leaving ends them', async () => {
  const paced = await ask('latency=1;first-token-delay=1;chunk-delay=1', streamed)
  const text = await paced.text()
  expect(text).toStartWith(': waiting\n\ndata: {')
  expect(text).toEndWith('data: [DONE]\n\n')

  // In process the signal is the caller's own, so what it ends can be seen without a clock.
  const mock = createMock()
  const leaving = new AbortController()
  const late = mock(
    new Request('http://localhost/models', {
      headers: { 'x-mock-fault': 'latency=600000' },
      signal: leaving.signal,
    }),
  ).catch((error: unknown) => error)
  const held = await mock(
    new Request('http://localhost/chat/completions', {
      method: 'POST',
      headers: { 'x-mock-fault': 'first-token-delay=600000' },
      body: JSON.stringify({ model: 'echo', messages, stream: true }),
      signal: leaving.signal,
    }),
  )
  const reader = held.body!.getReader()
  await reader.read()
  const next = reader.read().catch((error: unknown) => error)
  leaving.abort()
  expect(await late).toMatchObject({ name: 'AbortError' })
  expect(await next).toMatchObject({ name: 'AbortError' })
})

test('chunks and size shape the text', async () => {
  const unary = await json(await ask('size=8192'))
  expect(unary.choices[0].message.content).toHaveLength(8192)
  for (const [fault, length] of [
    ['chunks=200;size=8192', 8192],
    ['chunks=200', undefined],
  ] as const) {
    const events = (await (await ask(fault, streamed)).text()).trimEnd().split('\n\n').slice(0, -1)
    const pieces = events.flatMap(
      (event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? [],
    )
    expect(pieces.slice(1)).toHaveLength(200)
    if (length !== undefined) expect(pieces.join('')).toHaveLength(length)
  }
})

async function post(path: string, body: string): Promise<readonly [number, any]> {
  const response = await fetch(`${upstream.url}/v1${path}`, { method: 'POST', body })
  return [response.status, (await json(response)).error]
}

test('light validation, in the shape of the API', async () => {
  for (const [path, body, status, expected] of [
    [
      '/chat/completions',
      '{"model":"echo"}',
      400,
      { param: 'messages', code: 'missing_required_parameter' },
    ],
    [
      '/chat/completions',
      '{"model":"echo","messages":[]}',
      400,
      { param: 'messages', code: 'invalid_value' },
    ],
    ['/chat/completions', '{"messages":[]}', 400, { param: 'model' }],
    ['/chat/completions', '{"model":"missing","messages":[]}', 404, { code: 'model_not_found' }],
    ['/chat/completions', '{"model":', 400, { code: 'invalid_json' }],
    ['/chat/completions', '[]', 400, { message: 'The body must be a JSON object.' }],
    ['/responses', '{"model":"echo"}', 400, { param: 'input' }],
    ['/embeddings', '{"model":"embed"}', 400, { param: 'input' }],
    [
      '/nothing/here',
      '{}',
      404,
      { code: 'unknown_url', message: 'Invalid URL (POST /v1/nothing/here)' },
    ],
    ['/files', 'no form', 400, { type: 'invalid_request_error' }],
  ] as const) {
    const [got, error] = await post(path, body)
    expect([path, body, got]).toEqual([path, body, status])
    expect(error).toMatchObject({ type: 'invalid_request_error', ...expected })
  }
})

test('a schema that grows without end is cut short', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const node = {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { $ref: '#' }])),
    required: names,
  }
  const answer = await ask('', {
    model: 'json',
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: node } },
  })
  expect((await json(answer)).choices[0].finish_reason).toBe('stop')
})

test('memory is bounded: the oldest is forgotten, the too big refused', async () => {
  const mock = createMock({ maxItems: 2, maxBytes: 1000 })
  async function upload(size: number): Promise<{ id?: string; error?: { code: string } }> {
    const form = new FormData()
    form.set('purpose', 'assistants')
    form.set('file', new File(['x'.repeat(size)], 'x'))
    const response = await mock(
      new Request('http://localhost/files', { method: 'POST', body: form }),
    )
    return json(response)
  }
  const list = async () => json(await mock(new Request('http://localhost/files?order=asc')))
  const [, second, third] = [await upload(1), await upload(1), await upload(1)]
  expect((await list()).data).toMatchObject([{ id: second.id }, { id: third.id }])
  expect((await upload(1001)).error!.code).toBe('request_too_large')
  const fourth = await upload(1000)
  expect((await list()).data).toMatchObject([{ id: fourth.id }])
})
