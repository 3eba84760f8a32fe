import { describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Key } from '#config/snapshot.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { drawKey } from '#pipeline/keys.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { CHAT, failure, PROVIDER_KEY, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Which key serves, where a call goes, and which headers travel with it.

const answer = { json: { id: 'x', choices: [] } }

/** The credential that a call is sent with. */
async function keyOf(
  rig: Rig,
  model: string,
  headers: Record<string, string> = {},
): Promise<string | undefined> {
  rig.upstream.clear()
  rig.upstream.reply(answer)
  const response = await rig.post('/chat/completions', { ...CHAT, model }, { headers })
  if (response.status !== 200) return (await failure(response)).error.code
  const header = rig.upstream.requests[0]!.headers.get('authorization')
  return header?.replace(/^Bearer /, '')
}

const key = (name: string, more: object = {}) => ({
  name,
  value: `sk-${name}`,
  models: ['*'],
  weight: 1,
  ...more,
})
const withKeys = (...keys: object[]) => startRig({ provider: { keys } })

describe('keys', () => {
  const drawn = (weights: number[]) => {
    const keys = weights.map((weight, index) => ({
      name: String(index),
      weight,
    })) as unknown as Key[]
    const counts = weights.map(() => 0)
    for (let step = 0; step < 1000; step++) counts[Number(drawKey(keys, step / 1000).name)]!++
    return counts
  }

  test.each([
    [
      [1, 1],
      [500, 500],
    ],
    [
      [0.7, 0.3],
      [700, 300],
    ],
    [
      [3, 0, 1],
      [750, 0, 250],
    ],
    [
      [0, 0],
      [500, 500],
    ],
    [
      [0, 5],
      [0, 1000],
    ],
    [[1], [1000]],
  ])('of weights %j are drawn in proportion', (weights, counts) => {
    const got = drawn(weights)
    // A draw that falls on a boundary may go either way by rounding.
    for (const [index, count] of counts.entries())
      expect(Math.abs(got[index]! - count)).toBeLessThanOrEqual(1)
  })

  test('serve the models they list, never one they refuse, and none when disabled', async () => {
    await using rig = await withKeys(
      key('a', { models: ['m1', 'm2'] }),
      key('b', { models: ['*'], blacklisted_models: ['m2', 'm3'] }),
      key('off', { models: ['m3'], enabled: false }),
    )
    expect(await keyOf(rig, 'm2')).toBe('sk-a')
    expect(await keyOf(rig, 'openai/m4')).toBe('sk-b')
    expect(await keyOf(rig, 'm3')).toBe('no_key_for_model')
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('know models under other names, in any case, after they were chosen', async () => {
    await using rig = await withKeys(
      key('a', { models: ['other'], aliases: { Fast: 'gpt-x-2026' } }),
      key('b', {
        models: ['*'],
        blacklisted_models: ['gpt-x-2026'],
        aliases: { fast: 'gpt-x-2026' },
      }),
    )
    expect(await keyOf(rig, 'openai/fast')).toBe('sk-a')
    expect(rig.upstream.requests[0]!.json().model).toBe('gpt-x-2026')
    const response = await rig.post('/chat/completions', { ...CHAT, model: 'FAST' })
    expect(response.headers.get('x-bifrost-resolved-model')).toBe('gpt-x-2026')
    expect(((await response.json()) as any).extra_fields).toMatchObject({
      model_requested: 'FAST',
      model_deployment: 'gpt-x-2026',
    })
  })

  test('can be pinned by id or by name, if they may serve the model', async () => {
    await using rig = await withKeys(
      key('a', { id: 'id-a' }),
      key('b', { id: 'id-b', models: ['m1'] }),
    )
    for (let turn = 0; turn < 5; turn++) {
      expect(await keyOf(rig, 'm1', { 'x-bf-api-key': 'b' })).toBe('sk-b')
      expect(await keyOf(rig, 'm1', { 'x-bf-api-key-id': 'id-b' })).toBe('sk-b')
      expect(await keyOf(rig, 'm1', { 'x-bf-api-key-id': 'id-a', 'x-bf-api-key': 'b' })).toBe(
        'sk-a',
      )
    }
    expect(await keyOf(rig, 'm2', { 'x-bf-api-key': 'b' })).toBe('no_key_for_model')
    expect(await keyOf(rig, 'm1', { 'x-bf-api-key': 'nobody' })).toBe('no_key_for_model')
  })

  test('marked for the batch API serve files and batches alone', async () => {
    await using rig = await withKeys(key('a'), key('b', { use_for_batch_api: true }))
    for (let turn = 0; turn < 5; turn++) {
      rig.upstream.clear()
      rig.upstream.reply({ json: { data: [] } })
      await (await fetch(`${rig.gateway.url}/openai/v1/files`)).text()
      expect(rig.upstream.requests[0]!.headers.get('authorization')).toBe('Bearer sk-b')
    }
  })
})

describe('keys of the caller', () => {
  test.each([
    [{ authorization: 'Bearer sk-own' }],
    [{ authorization: 'bearer  sk-own' }],
    [{ 'x-api-key': 'sk-own' }],
    [{ authorization: 'Bearer sk-bf-virtual', 'x-api-key': 'sk-own' }],
  ])('are sent when that is allowed: %j', async (headers) => {
    await using rig = await startRig({ client: { allow_direct_keys: true } })
    expect(await keyOf(rig, 'm', headers as Record<string, string>)).toBe('sk-own')
  })

  test.each([
    [{ authorization: 'Bearer sk-bf-1' }],
    [{ 'x-api-key': 'SK-BF-1' }],
    [{ authorization: 'Bearer ' }],
    [{}],
  ])('that are virtual, empty or absent leave it to the configured ones: %j', async (headers) => {
    await using rig = await startRig({ client: { allow_direct_keys: true } })
    expect(await keyOf(rig, 'm', headers as Record<string, string>)).toBe(PROVIDER_KEY)
  })

  test('are ignored when that is not allowed', async () => {
    await using rig = await startRig()
    expect(await keyOf(rig, 'm', { authorization: 'Bearer sk-own', 'x-api-key': 'sk-own' })).toBe(
      PROVIDER_KEY,
    )
    const { headers } = rig.upstream.requests[0]!
    expect(headers.get('x-api-key')).toBeNull()
  })

  test('come with the account they are used for, which configured keys do not', async () => {
    const account = { 'openai-organization': 'org', 'openai-project': 'proj' }
    await using open = await startRig({ client: { allow_direct_keys: true } })
    await keyOf(open, 'm', { authorization: 'Bearer sk-own', ...account })
    expect(open.upstream.requests[0]!.headers.get('openai-organization')).toBe('org')
    await keyOf(open, 'm', account)
    expect(open.upstream.requests[0]!.headers.get('openai-organization')).toBeNull()
  })

  test('work for a provider that has no key of its own', async () => {
    await using rig = await startRig({
      client: { allow_direct_keys: true },
      provider: { keys: [] },
    })
    expect(await keyOf(rig, 'm', { authorization: 'Bearer sk-own' })).toBe('sk-own')
    expect(await keyOf(rig, 'm')).toBe('no_key_for_model')
  })
})

describe('headers', () => {
  async function forwarded(
    client: object,
    headers: Record<string, string>,
    network: object = {},
  ): Promise<Headers> {
    await using rig = await startRig({ client, network })
    rig.upstream.reply(answer)
    await (await rig.post('/chat/completions', CHAT, { headers })).text()
    return rig.upstream.requests[0]!.headers
  }

  test('of the caller travel by name only', async () => {
    const got = await forwarded(
      {},
      {
        'openai-beta': 'x=v1',
        'openai-safety-identifier': 'user-1',
        'idempotency-key': 'i-1',
        'x-bf-eh-x-trace': 't-1',
        'x-bf-eh-authorization': 'Bearer stolen',
        'x-bf-eh-cookie': 'c=1',
        'x-bf-eh-host': 'evil',
        'x-bf-eh-': 'nothing',
        'x-bf-vk': 'sk-bf-1',
        cookie: 'session=1',
        authorization: 'Bearer sk-own',
        'x-forwarded-for': '10.0.0.1',
        'x-stainless-lang': 'js',
        'x-anything': '1',
      },
    )
    expect(Object.fromEntries(got)).toMatchObject({
      'openai-beta': 'x=v1',
      'openai-safety-identifier': 'user-1',
      'idempotency-key': 'i-1',
      'x-trace': 't-1',
      authorization: `Bearer ${PROVIDER_KEY}`,
    })
    expect(got.get('user-agent')).toStartWith('asbru/')
    for (const name of [
      'cookie',
      'x-bf-vk',
      'x-forwarded-for',
      'x-stainless-lang',
      'x-anything',
      'x-bf-eh-x-trace',
    ]) {
      expect([name, got.get(name)]).toEqual([name, null])
    }
  })

  test('of a part travel for what is downloaded, and for nothing else', async () => {
    await using rig = await startRig()
    const part = { range: 'bytes=2-3', 'if-range': 'Mon, 30 Nov 2026 10:00:00 GMT' }
    const of = { 'content-range': 'bytes 2-3/10', 'content-type': 'video/mp4' }
    const paths = [
      '/files/file-1/content',
      '/containers/c/files/f/content',
      '/videos/v/content',
      '/vector_stores/v/files/f/content',
    ]
    for (const path of paths) {
      rig.upstream.reply({ status: 206, headers: of, text: 'cd' })
      const answered = await fetch(`${rig.gateway.url}/openai/v1${path}`, { headers: part })
      expect([
        answered.status,
        answered.headers.get('content-range'),
        await answered.text(),
      ]).toEqual([206, of['content-range'], 'cd'])
      const { headers } = rig.upstream.requests.at(-1)!
      expect(['range', 'if-range', 'accept-encoding'].map((name) => headers.get(name))).toEqual([
        part.range,
        part['if-range'],
        'identity',
      ])
    }
    await (await fetch(`${rig.gateway.url}/openai/v1/files`, { headers: part })).text()
    expect(rig.upstream.requests.at(-1)!.headers.get('range')).toBeNull()
  })

  test('of the caller travel by allowlist, and a denied name wins', async () => {
    const filter = {
      header_filter_config: {
        allowlist: ['x-team-*', 'x-trace'],
        denylist: ['x-team-secret', 'openai-beta'],
      },
    }
    const got = await forwarded(filter, {
      'x-team-id': '1',
      'x-team-secret': '2',
      'x-bf-eh-x-trace': '3',
      'x-bf-eh-x-other': '4',
      'openai-beta': 'x',
      cookie: 'c',
    })
    expect(
      ['x-team-id', 'x-team-secret', 'x-trace', 'x-other', 'openai-beta', 'cookie'].map((name) =>
        got.get(name),
      ),
    ).toEqual(['1', null, '3', null, null, null])
  })

  test('that say how a body was sent do not travel, whatever is allowed', async () => {
    await using rig = await startRig({ client: { header_filter_config: { allowlist: ['*'] } } })
    rig.upstream.reply(answer)
    const response = await fetch(`${rig.gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', 'x-own': '1' },
      body: Bun.gzipSync(JSON.stringify(CHAT)),
    })
    expect(response.status).toBe(200)
    const [request] = rig.upstream.requests
    const { headers } = request!
    expect(headers.get('content-encoding')).toBeNull()
    expect(headers.get('x-own')).toBe('1')
    expect(request!.json().model).toBe('gpt-x')
  })

  test('that are configured are sent, once, in whatever case they are written', async () => {
    const got = await forwarded(
      {},
      { 'openai-beta': 'caller' },
      { extra_headers: { 'OpenAI-Beta': 'configured', 'X-Team': 'a' } },
    )
    expect([got.get('openai-beta'), got.get('x-team')]).toEqual(['configured', 'a'])
  })

  test.each([
    ['/v1/realtime/calls/rtc_1', '/v1/realtime/calls/rtc_1'],
    ['https://provider.example/x', null],
    ['//provider.example/x', null],
  ])('name what a realtime call became: %s', async (location, wanted) => {
    await using rig = await startRig()
    const headers = { 'content-type': 'application/sdp', location }
    rig.upstream.reply({ status: 201, text: 'v=0', headers })
    const response = await rig.post('/realtime/calls', { session: {} })
    expect([response.status, response.headers.get('location')]).toEqual([201, wanted])
    expect([response.headers.get('content-type'), await response.text()]).toEqual([
      'application/sdp',
      'v=0',
    ])
  })

  test('of the provider reach the caller, but not those about its own site', async () => {
    await using rig = await startRig()
    rig.upstream.reply([
      {
        ...answer,
        headers: {
          'x-ratelimit-remaining-requests': '59',
          'openai-processing-ms': '12',
          'x-request-id': 'req_upstream',
          'set-cookie': '__cf=1',
          'access-control-allow-origin': 'https://evil',
          'strict-transport-security': 'max-age=1',
          'x-bifrost-provider': 'liar',
          server: 'cloudflare',
        },
      },
      {
        status: 429,
        json: { error: { message: 'slow down' } },
        headers: { 'retry-after': '2', 'x-ratelimit-remaining-requests': '0' },
      },
    ])
    const { headers } = await rig.post('/chat/completions', CHAT, {
      headers: { 'x-request-id': 'mine-1' },
    })
    const names = [
      'x-ratelimit-remaining-requests',
      'openai-processing-ms',
      'x-upstream-request-id',
      'x-request-id',
      'x-bifrost-provider',
    ]
    expect(names.map((name) => headers.get(name))).toEqual([
      '59',
      '12',
      'req_upstream',
      'mine-1',
      'openai',
    ])
    for (const name of [
      'set-cookie',
      'access-control-allow-origin',
      'strict-transport-security',
      'server',
    ])
      expect([name, headers.get(name)]).toEqual([name, null])
    const refused = await rig.post('/chat/completions', CHAT)
    expect([
      refused.status,
      refused.headers.get('retry-after'),
      refused.headers.get('retry-after-ms'),
      refused.headers.get('x-ratelimit-remaining-requests'),
    ]).toEqual([429, '2', '2000', '0'])
  })
})

describe('addresses', () => {
  test.each(['', '/', '/v1', '/v1/'])(
    'a base URL that ends with "%s" leads to the same place',
    async (suffix) => {
      await using rig = await startRig()
      await using other = await startRig({ baseUrl: rig.upstream.url + suffix })
      rig.upstream.reply(answer)
      await (await other.post('/chat/completions', CHAT)).text()
      expect(rig.upstream.requests[0]!.path).toBe('/v1/chat/completions')
    },
  )

  const custom =
    (more: object, provider: object = {}) =>
    (url: string) => ({
      mine: {
        keys: [key('mine')],
        network_config: { base_url: `${url}/base` },
        custom_provider_config: { base_provider_type: 'openai', ...more },
        ...provider,
      },
    })
  const call = (rig: Rig, more: object = {}) =>
    rig.post('/chat/completions', { ...CHAT, model: 'mine/m', ...more })

  test('a custom provider is reached under its own paths', async () => {
    await using rig = await startRig({
      others: custom({
        request_path_overrides: { chat_completion: '/ask', embedding: 'http://localhost:1/full' },
      }),
    })
    rig.upstream.reply(answer)
    const body: any = await (await call(rig)).json()
    expect(rig.upstream.requests[0]!.path).toBe('/base/ask')
    expect(rig.upstream.requests[0]!.headers.get('authorization')).toBe('Bearer sk-mine')
    expect(body.extra_fields.provider).toBe('mine')
    expect(
      (await failure(await rig.post('/embeddings', { model: 'mine/e', input: 'x' }))).error.code,
    ).toBe('provider_unreachable')
  })

  test('a path override serves the stream of its operation as well', async () => {
    await using rig = await startRig({
      others: custom({
        request_path_overrides: {
          chat_completion: '/ask',
          chat_completion_stream: '/ask-stream',
          responses: '/r',
        },
      }),
    })
    for (const [path, body, wanted] of [
      ['/chat/completions', { stream: true }, '/base/ask-stream'],
      ['/responses', { stream: true, input: 'x' }, '/base/r'],
    ] as const) {
      rig.upstream.clear()
      rig.upstream.reply(answer)
      await (await rig.post(path, { ...CHAT, model: 'mine/m', ...body })).text()
      expect(rig.upstream.requests[0]!.path).toBe(wanted)
    }
  })

  test('a custom provider offers what it is allowed to, streams apart', async () => {
    await using rig = await startRig({
      others: custom({
        allowed_requests: {
          chat_completion: true,
          chat_completion_stream: false,
          embedding: false,
        },
      }),
    })
    rig.upstream.reply(answer)
    expect((await call(rig)).status).toBe(200)
    for (const response of [
      await call(rig, { stream: true }),
      await rig.post('/embeddings', { model: 'mine/e', input: 'x' }),
      await rig.post('/assistants?provider=mine', {}),
    ]) {
      expect((await failure(response)).error.code).toBe('unsupported_endpoint')
    }
    expect(rig.upstream.requests).toHaveLength(1)
  })

  test('a custom provider without a key is sent none', async () => {
    await using rig = await startRig({ others: custom({ is_key_less: true }, { keys: [] }) })
    rig.upstream.reply(answer)
    expect((await call(rig)).status).toBe(200)
    expect(rig.upstream.requests[0]!.headers.get('authorization')).toBeNull()
  })

  test('unknown routes go to the provider with its key, and count like any call', async () => {
    await using rig = await startRig()
    rig.upstream.reply({
      json: { object: 'assistant', n: 1 },
      headers: { 'x-ratelimit-limit': '3' },
    })
    const response = await rig.post('/assistants?limit=1', '{ "name":1.0 }')
    expect(await response.text()).toBe('{"object":"assistant","n":1}')
    const [request] = rig.upstream.requests
    expect([
      request!.path,
      request!.query,
      request!.text(),
      request!.headers.get('authorization'),
    ]).toEqual(['/v1/assistants', '?limit=1', '{ "name":1.0 }', `Bearer ${PROVIDER_KEY}`])
    expect((await rig.settled()).request_type).toBe('passthrough')
  })
})

test('a name that leads into a private network is not followed', async () => {
  const load = (base_url: string) =>
    loadConfig({
      text: JSON.stringify({
        providers: { openai: { keys: [key('a')], network_config: { base_url } } },
      }),
      path: 'config.json',
      env: {},
      vendors: VENDOR_FACTS,
      operations: OPERATION_NAMES,
      generation: 1,
      detected: [],
    })
  expect(load('http://10.0.0.1').snapshot).toBeUndefined()
})
