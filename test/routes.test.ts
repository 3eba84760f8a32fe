import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import { ENDPOINTS, requestType } from '#core/endpoint.ts'
import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import { composeRoutes } from '#http/compose.ts'
import { FORM_FIELDS, OPTIONAL_BODIES } from '#openai/schemas.ts'
import { createCredentials } from '#pipeline/credentials.ts'
import { createGates } from '#pipeline/gates.ts'
import { createHealth } from '#pipeline/health.ts'
import { createHedges } from '#pipeline/hedge.ts'
import { createInflight } from '#pipeline/inflight.ts'
import { createRecorder } from '#pipeline/record.ts'
import { createSessions } from '#pipeline/sessions.ts'
import { createDb } from '#store/db.ts'
import { createResponseStore } from '#store/responses.ts'

import { startGateway } from './helpers/gateway.ts'
import type { TestGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'
import type { RecordedRequest, Upstream } from './helpers/upstream.ts'
import { expectEnvelope, provider, PROVIDER_KEY } from './http/rig.ts'

// The routes, generated from the table of endpoints: each answers under every prefix, and reaches the right
// provider at the right path. `first` is provider `openai`, `second` a provider of another name.

const SECOND_KEY = 'sk-second-0123456789'

let first: Upstream
let second: Upstream
let gateway: TestGateway
beforeAll(async () => {
  first = await startUpstream()
  second = await startUpstream()
  gateway = await startGateway({
    config: {
      providers: {
        openai: provider(first.url, PROVIDER_KEY),
        second: {
          ...provider(second.url, SECOND_KEY),
          custom_provider_config: { base_provider_type: 'openai' },
        },
      },
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  await first.stop()
  await second.stop()
})

const prefixes = ['/openai', '/openai/v1', '/openai/openai', '/openai/openai/v1']
const endpoints = Object.entries<EndpointFacts>(ENDPOINTS).map(([name, facts]) => ({
  name: name as KnownEndpoint,
  ...facts,
}))
/** The list is merged from all providers and has tests of its own. */
const single = endpoints.filter(({ name }) => name !== 'list_models')

/** The least that passes each operation's schema, besides the model. */
const bodies: { readonly [E in KnownEndpoint]?: object } = {
  chat_completion: { messages: [{ role: 'user', content: 'Hi' }] },
  chat_update: { metadata: { a: 'b' } },
  text_completion: { prompt: 'Hi' },
  responses: { input: 'Hi' },
  count_tokens: { input: 'Hi' },
  compaction: { input: 'Hi' },
  embedding: { input: 'Hi' },
  moderation: { input: 'Hi' },
  speech: { input: 'Hi', voice: 'alloy' },
  image_generation: { prompt: 'Hi' },
  upload_create: { filename: 'a', purpose: 'batch', bytes: 1, mime_type: 'text/plain' },
  upload_complete: { part_ids: ['a'] },
  batch_create: { input_file_id: 'file_1', endpoint: '/v1/embeddings', completion_window: '24h' },
  video_generation: { prompt: 'Hi' },
  video_remix: { prompt: 'Hi' },
  container_create: { name: 'a' },
}

interface Choice {
  readonly model?: string
  readonly formProvider?: string
  readonly bodyProvider?: string
  readonly query?: string
  readonly headers?: Record<string, string>
}

function requestFor(name: KnownEndpoint, prefix: string, choice: Choice): [string, RequestInit] {
  const facts: EndpointFacts = ENDPOINTS[name]
  const path = facts.path.replace('{model...}', choice.model ?? 'm').replace(/\{\w+\}/g, 'id_1')
  const url = `${gateway.url}${prefix}${path}${choice.query ?? ''}`
  const { method } = facts
  const headers = { ...choice.headers }
  if (facts.body === 'none' || (OPTIONAL_BODIES.has(name) && !choice.bodyProvider)) {
    return [url, { method, headers }]
  }
  const model = facts.model === 'none' ? undefined : (choice.model ?? 'm')
  const fields = FORM_FIELDS[name]
  if (fields && bodies[name] === undefined) {
    const form = new FormData()
    for (const field of fields) {
      if (!field.required || field.name === 'model') continue
      form.append(field.name, field.type.startsWith('file') ? new File(['x'], 'x.bin') : 'Hi')
    }
    if (model !== undefined) form.append('model', model)
    if (choice.formProvider !== undefined) form.append('provider', choice.formProvider)
    return [url, { method, headers, body: form }]
  }
  const body = {
    ...bodies[name],
    ...(model !== undefined && { model }),
    ...(choice.bodyProvider !== undefined && { provider: choice.bodyProvider }),
  }
  return [
    url,
    {
      method,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    },
  ]
}

/** What a call was answered with and what was sent for it, and by whose key. */
async function send(name: KnownEndpoint, prefix: string, choice: Choice = {}) {
  first.clear()
  second.clear()
  for (const upstream of [first, second]) upstream.reply(() => Response.json({ id: 'x' }))
  const response = await fetch(...requestFor(name, prefix, choice))
  const text = await response.text()
  return { response, text, first: [...first.requests], second: [...second.requests] }
}

function expectSent(requests: readonly RecordedRequest[], name: KnownEndpoint, key: string): void {
  const facts: EndpointFacts = ENDPOINTS[name]
  const path = facts.path.replace('{model...}', 'm').replace(/\{\w+\}/g, 'id_1')
  expect(requests.map((request) => `${request.method} ${request.path}${request.query}`)).toEqual([
    `${facts.method} /v1${path}`,
  ])
  expect(requests[0]?.headers.get('authorization')).toBe(`Bearer ${key}`)
}

describe.each(prefixes)('under %s', (prefix) => {
  test.each(single)('$name: $method $path', async ({ name }) => {
    const sent = await send(name, prefix)
    expect(sent.text).toStartWith('{"id":')
    expect(sent.response.status).toBe(200)
    expect(sent.response.headers.get('x-bifrost-request-type')).toBe(requestType(name, false))
    expect(sent.response.headers.get('x-bifrost-provider')).toBe('openai')
    expectSent(sent.first, name, PROVIDER_KEY)
    expect(sent.second).toEqual([])
  })

  test('a slash at the end changes nothing', async () => {
    first.clear()
    await fetch(`${gateway.url}${prefix}/files/`)
    expect(first.requests.map(({ path }) => path)).toEqual(['/v1/files'])
  })
})

describe('a provider named by', () => {
  const modelled = single.filter(({ model, path }) => model !== 'none' || path.includes('{model'))
  test.each(modelled)('the prefix of the model: $name', async ({ name, path }) => {
    const model = path.includes('{model') ? 'second%2Fm' : 'second/m'
    const sent = await send(name, '/openai/v1', { model })
    expect(sent.response.status).toBe(200)
    expectSent(sent.second, name, SECOND_KEY)
    expect(sent.first).toEqual([])
    const body = sent.second[0]?.text() ?? ''
    if (body !== '') {
      expect(body).not.toContain('second/m')
      expect(body).toMatch(/"model":\s*"m"|name="model"\r\n\r\nm\r\n/)
    }
  })

  test.each(single)('?provider=: $name', async ({ name }) => {
    const sent = await send(name, '/openai/v1', { query: '?provider=second' })
    expectSent(sent.second, name, SECOND_KEY)
    expect(sent.first).toEqual([])
  })

  test.each(single)('x-model-provider: $name', async ({ name }) => {
    const sent = await send(name, '/openai', { headers: { 'x-model-provider': 'second' } })
    expectSent(sent.second, name, SECOND_KEY)
    expect(sent.second[0]?.headers.get('x-model-provider')).toBeNull()
    expect(sent.first).toEqual([])
  })

  test.each<KnownEndpoint>(['batch_create', 'batch_cancel', 'container_create', 'video_remix'])(
    'the body: %s',
    async (name) => {
      const sent = await send(name, '/openai/v1', { bodyProvider: 'second' })
      expectSent(sent.second, name, SECOND_KEY)
      expect(sent.second[0]?.json()).not.toHaveProperty('provider')
    },
  )

  test.each<KnownEndpoint>(['file_upload', 'upload_part', 'container_file_create'])(
    'the form: %s',
    async (name) => {
      const sent = await send(name, '/openai/v1', { formProvider: 'second' })
      expectSent(sent.second, name, SECOND_KEY)
      expect(sent.second[0]?.text()).not.toContain('name="provider"')
      expect(sent.second[0]?.text()).toContain('filename="x.bin"')
    },
  )

  test('x-bf-video-list-provider', async () => {
    const sent = await send('video_list', '/openai/v1', {
      headers: { 'x-bf-video-list-provider': 'second' },
    })
    expectSent(sent.second, 'video_list', SECOND_KEY)
  })

  test('the model wins over the query, the query over the header', async () => {
    const both = { query: '?provider=openai', headers: { 'x-model-provider': 'second' } }
    expect((await send('file_list', '/openai/v1', both)).first.length).toBe(1)
    expect(
      (await send('embedding', '/openai/v1', { ...both, model: 'second/m' })).second.length,
    ).toBe(1)
  })

  test('the rest of the query stays', async () => {
    first.clear()
    await fetch(`${gateway.url}/openai/v1/files?limit=2&provider=openai&after=a%2Fb&after=c`)
    expect(first.requests[0]?.query).toBe('?limit=2&after=a%2Fb&after=c')
  })
})

test('an unknown prefix stays in the model name', async () => {
  const sent = await send('chat_completion', '/openai/v1', { model: 'meta-llama/Llama-3.1-8B' })
  expect(sent.first[0]?.json()).toMatchObject({ model: 'meta-llama/Llama-3.1-8B' })
})

describe('an id of a video says whose it is', () => {
  const videos = single.filter(({ path }) => path.includes('{video_id}'))
  test.each(videos)('$name', async ({ name, method, path, body }) => {
    for (const separator of [':', '%3A', '%3a']) {
      first.clear()
      second.clear()
      second.reply(() => Response.json({ id: 'x' }))
      const response = await fetch(
        `${gateway.url}/openai/v1${path.replace('{video_id}', `video_1${separator}second`)}`,
        body === 'none'
          ? { method }
          : { method, body: '{"prompt":"Hi"}', headers: { 'content-type': 'application/json' } },
      )
      expect(response.status).toBe(200)
      expect(second.requests.map((request) => request.path)).toEqual([
        `/v1${path.replace('{video_id}', 'video_1')}`,
      ])
      expect(response.headers.get('x-bifrost-request-type')).toBe(name)
      expect(first.requests).toEqual([])
    }
  })

  test('which can be asked for by the id alone, as SDKs poll, page and remix', async () => {
    first.clear()
    second.clear()
    const client = new OpenAI({ baseURL: `${gateway.url}/openai/v1`, apiKey: 'k', maxRetries: 0 })
    const made = await client.videos.create({ model: 'second/sora-2', prompt: 'Hi' })
    expect(made.id).toMatch(/^video_\w+:second$/)
    expect((await client.videos.retrieve(made.id)).id).toBe(made.id)
    const remixed = await client.videos.remix(made.id, { prompt: 'Hat' })
    expect(remixed).toMatchObject({
      id: expect.stringMatching(/^video_\w+:second$/),
      remixed_from_video_id: made.id,
    })
    const listed: string[] = []
    const query = { limit: 1, order: 'asc' } as const
    const pages = client.videos.list(query, { headers: { 'x-bf-video-list-provider': 'second' } })
    for await (const { id } of pages) listed.push(id)
    expect(listed).toEqual([made.id, remixed.id])
    expect((await client.videos.delete(made.id)).id).toBe(made.id)
    expect(first.requests).toEqual([])
    expect(second.requests.map(({ path, query: asked }) => path + asked)).not.toContainEqual(
      expect.stringMatching(/second|%3A/),
    )
  })

  test('unless it is the usual one, whose ids stay as they are', async () => {
    first.clear()
    const url = `${gateway.url}/openai/v1/videos`
    const body = '{"model":"openai/sora-2","prompt":"Hi"}'
    const headers = { 'content-type': 'application/json' }
    const { id }: any = await (await fetch(url, { method: 'POST', body, headers })).json()
    expect(id).toMatch(/^video_\w+$/)
    const { data }: any = await (await fetch(url)).json()
    expect(data[0].id).toBe(id)
  })

  test('what is no provider belongs to the id', async () => {
    first.clear()
    await fetch(`${gateway.url}/openai/v1/videos/video_1:nobody`)
    expect(first.requests.map(({ path }) => path)).toEqual(['/v1/videos/video_1:nobody'])
  })
})

describe('a deployment path', () => {
  const deployments = '/openai/openai/deployments'
  const operations = single.filter(
    ({ name, model, method, path }) =>
      model !== 'none' &&
      method === 'POST' &&
      /^\/(?:chat|audio|images|completions|embeddings|responses)/.test(path) &&
      name !== 'compaction',
  )

  test.each(operations)('$path', async ({ name, path }) => {
    const [, init] = requestFor(name, '', { model: 'ignored' })
    for (const deployment of ['second/m', 'second%2Fm']) {
      first.clear()
      second.clear()
      second.reply(() => Response.json({ id: 'x' }))
      const response = await fetch(
        `${gateway.url}${deployments}/${deployment}${path}?api-version=2025-04-01-preview`,
        init,
      )
      expect(await response.text()).toStartWith('{"id"')
      expect(second.requests.map((request) => request.path + request.query)).toEqual([`/v1${path}`])
      expect(second.requests[0]?.text()).not.toContain('ignored')
      expect(second.requests[0]?.text()).toMatch(/"model":\s*"m"|name="model"\r\n\r\nm\r\n/)
      expect(first.requests).toEqual([])
    }
  })

  test('one segment is a deployment of Azure', async () => {
    const [, init] = requestFor('chat_completion', '', {})
    const response = await fetch(`${gateway.url}${deployments}/my-gpt/chat/completions`, init)
    const body = (await response.json()) as { error: { message: string } }
    expect(response.status).toBe(400)
    expect(body.error.message).toContain("'azure'")
  })
})

describe('models', () => {
  const list = async (
    url: string,
    query = '',
    headers: Record<string, string> = {},
  ): Promise<{ status: number; ids: string[] }> => {
    const response = await fetch(`${url}/openai/v1/models${query}`, { headers })
    const body = (await response.json()) as { object: string; data?: { id: string }[] }
    return { status: response.status, ids: body.data?.map(({ id }) => id) ?? [] }
  }
  const models = (...ids: string[]) => ({
    json: { object: 'list', data: ids.map((id) => ({ id, object: 'model', owned_by: 'x' })) },
  })
  const started = async (configured: object): Promise<TestGateway> =>
    startGateway({ config: { providers: configured } })
  const providers = (): object => ({
    openai: provider(first.url, PROVIDER_KEY),
    second: {
      ...provider(second.url, SECOND_KEY),
      custom_provider_config: { base_provider_type: 'openai' },
    },
  })

  test.each(prefixes)(
    '%s/models is every provider’s list, ids with their provider',
    async (prefix) => {
      const own = await started(providers())
      first.clear()
      second.clear()
      first.reply(models('gpt', 'ft:gpt/x'))
      second.reply(models('llama'))
      const response = await fetch(`${own.url}${prefix}/models`)
      expect(await response.json()).toMatchObject({
        object: 'list',
        data: [
          { id: 'openai/gpt', object: 'model', owned_by: 'x' },
          { id: 'openai/ft:gpt/x' },
          { id: 'second/llama' },
        ],
        extra_fields: { request_type: 'list_models' },
      })
      // Asked again, it is known.
      expect((await list(own.url)).ids.length).toBe(3)
      expect([first.requests.length, second.requests.length]).toEqual([1, 1])
      await own.stop()
    },
  )

  test('a provider that fails is left out; when all fail, the failure is told and not kept', async () => {
    const own = await started(providers())
    first.clear()
    second.clear()
    first.reply({ status: 401, json: { error: { message: 'no', type: 'x', code: 'y' } } })
    second.reply({ status: 503, text: 'busy' })
    expect((await list(own.url)).status).toBeGreaterThanOrEqual(400)
    first.reply({ status: 500, text: 'still no' })
    second.reply(models('llama'))
    expect(await list(own.url)).toEqual({ status: 200, ids: ['second/llama'] })
    await own.stop()
  })

  test('callers who ask at the same time share one question, whatever their headers say', async () => {
    const own = await started(providers())
    first.clear()
    second.clear()
    const release = Promise.withResolvers<void>()
    first.reply({ ...models('gpt'), gate: release.promise })
    second.reply(models('llama'))
    const asked = [
      list(own.url, '', { 'x-bf-eh-openai-organization': 'org-of-one-caller' }),
      list(own.url),
    ]
    const [request] = await first.waitFor(1)
    expect(request?.headers.get('openai-organization')).toBeNull()
    release.resolve()
    for (const { ids } of await Promise.all(asked))
      expect(ids).toEqual(['openai/gpt', 'second/llama'])
    expect(first.requests.length).toBe(1)
    await own.stop()
  })

  test.each<[string, string, Record<string, string>]>([
    ['?provider=', '?provider=second', {}],
    ['x-model-provider', '', { 'x-model-provider': 'second' }],
    ['x-bf-list-models-provider', '', { 'x-bf-list-models-provider': 'Second' }],
  ])('%s asks one', async (_, query, headers) => {
    first.clear()
    second.clear()
    second.reply(models('llama'))
    expect(await list(gateway.url, query, headers)).toEqual({ status: 200, ids: ['second/llama'] })
    expect(first.requests.length).toBe(0)
  })

  test('x-bf-list-models-provider: all asks all', async () => {
    const own = await started(providers())
    first.clear()
    second.clear()
    first.reply(models('gpt'))
    second.reply(models('llama'))
    const { ids } = await list(own.url, '', { 'x-bf-list-models-provider': 'all' })
    expect(ids).toEqual(['openai/gpt', 'second/llama'])
    await own.stop()
  })

  test('an unknown one is a 400', async () => {
    const response = await fetch(`${gateway.url}/openai/v1/models?provider=nobody`)
    expectEnvelope(
      { status: response.status, headers: response.headers, body: await response.json() },
      { requestType: 'list_models' },
    )
  })

  test.each(['GET', 'DELETE'])('%s one, its id plain or encoded', async (method) => {
    for (const id of ['second/ft:gpt:a', 'second%2Fft%3Agpt%3Aa', 'second%2fft:gpt:a']) {
      first.clear()
      second.clear()
      second.reply({ json: { id: 'ft:gpt:a', object: 'model' } })
      const response = await fetch(`${gateway.url}/openai/v1/models/${id}`, { method })
      expect(await response.json()).toMatchObject({ id: 'second/ft:gpt:a' })
      expect(second.requests.map((request) => `${request.method} ${request.path}`)).toEqual([
        `${method} /v1/models/ft%3Agpt%3Aa`,
      ])
    }
  })

  test('a model of an unknown prefix keeps its slash', async () => {
    first.clear()
    await fetch(`${gateway.url}/openai/v1/models/meta-llama/Llama-3.1-8B`)
    expect(first.requests.map(({ path }) => path)).toEqual(['/v1/models/meta-llama%2FLlama-3.1-8B'])
  })
})

describe('what the table does not know', () => {
  test.each(
    prefixes.flatMap((prefix) =>
      ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => ({ prefix, method })),
    ),
  )('travels unchanged: $method $prefix', async ({ prefix, method }) => {
    first.clear()
    first.reply({ status: 201, json: { ok: true }, headers: { 'x-ratelimit-limit-requests': '7' } })
    const bytes = new Uint8Array(Array.from({ length: 512 }, (_, i) => i % 256))
    const response = await fetch(
      `${gateway.url}${prefix}/vector_stores/vs_1/things?a=1&a=2&b=%2F+%20x&c`,
      {
        method,
        headers: {
          authorization: 'Bearer sk-of-the-caller',
          'x-api-key': 'sk-of-the-caller',
          'openai-beta': 'assistants=v2',
          'x-bf-vk': 'vk',
          cookie: 'a=b',
          ...(method !== 'GET' && { 'content-type': 'application/x-odd' }),
        },
        ...(method !== 'GET' && { body: bytes }),
      },
    )
    expect(response.status).toBe(201)
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('7')
    expect(response.headers.get('x-bifrost-request-type')).toBe('passthrough')
    expect(await response.json()).toMatchObject({ ok: true })
    const [sent] = first.requests
    expect(`${sent?.method} ${sent?.path}${sent?.query}`).toBe(
      `${method} /v1/vector_stores/vs_1/things?a=1&a=2&b=%2F+%20x&c`,
    )
    expect(sent?.headers.get('authorization')).toBe(`Bearer ${PROVIDER_KEY}`)
    expect(JSON.stringify(sent?.headers)).not.toContain('of-the-caller')
    expect(sent?.headers.get('openai-beta')).toBe('assistants=v2')
    expect(sent?.headers.get('cookie')).toBeNull()
    expect(sent?.headers.get('x-bf-vk')).toBeNull()
    if (method !== 'GET') {
      expect(sent?.headers.get('content-type')).toBe('application/x-odd')
      expect(Buffer.from(sent?.body ?? []).equals(Buffer.from(bytes))).toBeTrue()
    }
  })

  test('goes to the provider that it names', async () => {
    first.clear()
    second.clear()
    await fetch(`${gateway.url}/openai/v1/evals?provider=second&limit=1`)
    expect(first.requests).toEqual([])
    expect(second.requests.map(({ path, query }) => path + query)).toEqual(['/v1/evals?limit=1'])
  })

  test('is counted and logged like any other call', async () => {
    first.clear()
    const release = Promise.withResolvers<void>()
    first.reply({ json: {}, gate: release.promise })
    const answer = fetch(`${gateway.url}/openai/v1/conversations`, {
      headers: { 'x-request-id': 'passing-through' },
    })
    await first.waitFor(1)
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as {
      components: { in_flight: number }
    }
    expect(health.components.in_flight).toBe(1)
    release.resolve()
    await (await answer).text()
    const line = await gateway.logged(({ id }) => id === 'passing-through')
    expect(line).toMatchObject({ request_type: 'passthrough', provider: 'openai' })
  })

  test('a stream passes as it comes', async () => {
    first.clear()
    const release = Promise.withResolvers<void>()
    first.reply({ chunks: ['data: 1\n\n', 'data: 2\n\n'], gate: release.promise })
    const response = await fetch(`${gateway.url}/openai/v1/threads/t/runs`, { method: 'POST' })
    const reader = response.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: 1\n\n')
    release.resolve()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: 2\n\n')
  })

  test('a refusal is the provider’s own', async () => {
    first.clear()
    first.reply({
      status: 404,
      json: { error: { message: 'no such store', type: 'x', code: 'y', param: 'z' } },
    })
    const response = await fetch(`${gateway.url}/openai/v1/vector_stores/none`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({
      is_bifrost_error: false,
      error: { message: 'no such store', type: 'x', code: 'y', param: 'z' },
      extra_fields: { request_type: 'passthrough', provider: 'openai' },
    })
  })

  test('without the provider it is a 400 that names it', async () => {
    const own = await startGateway({})
    for (const method of ['GET', 'POST', 'DELETE']) {
      const response = await fetch(`${own.url}/openai/v1/vector_stores`, { method })
      const body = (await response.json()) as { error: { message: string } }
      expectEnvelope(
        { status: response.status, headers: response.headers, body },
        { requestType: 'passthrough' },
      )
      expect(body.error.message).toContain("'openai'")
    }
    await own.stop()
  })
})

/** Every route that is not an operation of the API. Whoever adds one says here that it may be open. */
const OPS = [
  'GET /',
  'GET /metrics',
  'GET /health',
  'GET /health/ready',
  'GET /health/live',
  'GET /api/version',
  'POST /api/explain',
  'GET /api/logs',
  'GET /api/logs/:id',
  'GET /api/logs/dropped',
  'GET /api/logs/export',
  'GET /api/logs/histogram',
  'GET /api/logs/stats',
  'DELETE /api/logs',
  'GET /api/logs/filterdata',
  'GET /api/logs/dashboard',
  'GET /api/logs/user-agent-mappings',
  'POST /api/logs/user-agent-mappings',
  'PUT /api/logs/user-agent-mappings/:id',
  'DELETE /api/logs/user-agent-mappings/:id',
  'GET /api/logs/rankings',
  'GET /api/logs/rankings/by-dimension',
  'GET /api/logs/sessions/:id',
  'GET /api/logs/sessions/:id/summary',
  'POST /api/logs/recalculate-cost',
  'GET /api/logs/recalculate-cost/status',
  'POST /api/logs/recalculate-cost/cancel',
  'GET /api/logs/histogram/models',
  'GET /api/logs/histogram/tokens',
  'GET /api/logs/histogram/tokens/by-provider',
  'GET /api/logs/histogram/tokens/by-dimension',
  'GET /api/logs/histogram/cost',
  'GET /api/logs/histogram/cost/by-provider',
  'GET /api/logs/histogram/cost/by-dimension',
  'GET /api/logs/histogram/latency',
  'GET /api/logs/histogram/latency/by-provider',
  'GET /api/logs/histogram/latency/by-dimension',
  'GET /api/logs/histogram/throughput',
  'GET /api/logs/histogram/throughput/by-provider',
  'GET /api/logs/histogram/throughput/by-dimension',
  'POST /api/logs/sql',
  'GET /api/webhooks',
  'GET /api/webhooks/:id',
  'GET /api/webhooks/:id/deliveries',
  'POST /api/webhooks/:id/test',
  'GET /api/webhooks/deliveries',
  'GET /api/webhooks/deliveries/:id',
  'POST /api/webhooks/deliveries/:id/redeliver',
  'GET /schema/config.json',
  'GET /docs',
  'GET /docs/start.js',
  'GET /docs/swagger-ui.css',
  'GET /docs/swagger-ui.js',
  'GET /docs/json',
]

/** Operations that the contract has below `/v1/async`, each with a way to poll. */
const JOBS =
  '/chat/completions /responses /completions /embeddings /audio/speech /audio/transcriptions ' +
  '/images/generations /images/edits /images/variations /rerank /ocr'
const OWN_JOBS = ['GET /jobs', 'GET /jobs/:id', 'GET /jobs/:id/stream', 'POST /jobs/:id/cancel']

test('no route is open that is not meant to be', () => {
  const log = { level: 'error', debug() {}, info() {}, warn() {}, error() {} } as const
  const services = {
    credentials: createCredentials(),
    gates: createGates(),
    sessions: createSessions(),
    hedges: createHedges(),
    health: createHealth(() => ({
      enabled: false,
      errorRate: 1,
      minFailures: 1,
      openMs: 0,
      maxOpenMs: 0,
    })),
    inflight: createInflight(),
    recorder: createRecorder(log),
    responses: createResponseStore(createDb({ path: undefined, log }), log),
  }
  const app = composeRoutes(
    {
      services,
      snapshot() {
        throw new Error('no request is made')
      },
      patient() {},
    },
    { draining: false },
  )
  const actual = app.routes.map(({ method, path }) => `${method} ${path}`)
  const operations = prefixes.flatMap((prefix) =>
    endpoints.map(({ method, path }) => {
      const pattern = path.replace(/\{\w+\.\.\.\}/g, '*').replace(/\{(\w+)\}/g, ':$1')
      return `${method} ${prefix}${pattern}`
    }),
  )
  const door = prefixes.flatMap((prefix) =>
    ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'].map((method) => `${method} ${prefix}/*`),
  )
  const jobs = [
    ...JOBS.split(' ').flatMap((path) => [`POST ${path}`, `GET ${path}/:id`]),
    ...OWN_JOBS,
  ].map((route) => route.replace(' ', ' /v1/async'))
  const expected = [
    ...operations,
    ...door,
    ...jobs,
    'POST /openai/openai/deployments/*',
    'POST /openai/deployments/*',
    ...OPS,
  ]
  expect(actual.toSorted()).toEqual(expected.toSorted())
})
