import { describe, expect, test } from 'bun:test'
import { networkInterfaces } from 'node:os'

import * as fc from 'fast-check'

import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { startRig } from '../pipeline/rig.ts'
import type { Rig } from '../pipeline/rig.ts'

// `POST /api/explain`: what would be done, nothing done, nothing given away.

const CHAT = { model: 'openai/gpt-x', messages: [{ role: 'user', content: 'hi' }] }
const path = '/v1/chat/completions'
const secret = 'sk-provider/very+secret-0123456789'

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/api/explain`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

async function explained({ gateway, upstream }: Rig, body: unknown): Promise<any> {
  const before = upstream.requests.length
  const response = await post(gateway.url, body)
  expect(response.status).toBe(200)
  expect(response.headers.get('x-request-id')).toBeString()
  expect(upstream.requests).toHaveLength(before)
  return response.json()
}

const requestOf = (explanation: any, candidate = 0): any =>
  explanation.candidates[candidate].prospects[0].request

const twoProviders = (client: object = {}): Promise<Rig> =>
  startRig({
    client,
    provider: {
      keys: [
        { name: 'a', value: `${secret}a`, models: ['*'], weight: 3 },
        { name: 'b', value: `${secret}b`, models: ['*'], weight: 1 },
        { name: 'off', value: `${secret}c`, models: ['*'], weight: 1, enabled: false },
      ],
    },
    network: { extra_headers: { 'X-Team-Pass': 'open-sesame-42' } },
    others: (base_url) => ({
      anthropic: {
        keys: [{ name: 'claude', value: `${secret}d` }],
        network_config: { base_url },
      },
    }),
  })

describe('an explanation', () => {
  test('has the candidates in order, their keys, and what each would be sent', async () => {
    await using rig = await twoProviders()
    const body = { ...CHAT, seed: 4, fallbacks: ['anthropic/claude-sonnet-4-5'] }
    const explanation = await explained(rig, { path, body })
    expect(explanation).toMatchObject({
      object: 'explanation',
      request_type: 'chat_completion',
      model_requested: 'openai/gpt-x',
      provider: 'openai',
      model: 'gpt-x',
      candidates: [
        {
          fallback_index: 0,
          provider: 'openai',
          keys: [
            { name: 'a', verdict: 'allowed', share: 0.75 },
            { name: 'b', verdict: 'allowed', share: 0.25 },
            { name: 'off', verdict: 'disabled' },
          ],
          prospects: [{ keys: ['a', 'b'], model: 'gpt-x' }],
        },
        {
          fallback_index: 1,
          provider: 'anthropic',
          model: 'claude-sonnet-4-5',
          prospects: [{ keys: ['claude'] }],
        },
      ],
    })
    expect(requestOf(explanation, 1)).toMatchObject({
      method: 'POST',
      url: `${rig.upstream.url}/v1/messages`,
      headers: { 'x-api-key': '[redacted]' },
      dropped_params: ['seed'],
    })
  })

  test('has the very request that a real call sends', async () => {
    await using rig = await twoProviders()
    // Written as no serialiser would, with a number that a parser would round.
    const body =
      '{ "model" : "openai/gpt-x","messages":[{"role":"user","content":"hi"}], "n":1.0, "seed":12345678901234567890 }'
    const headers = { 'openai-beta': 'x=1', 'x-bf-eh-x-extra': 'yes' }
    const described = `{"path":"${path}","headers":${JSON.stringify(headers)},"body":${body}}`
    const request = requestOf(await explained(rig, described))
    await (await rig.post('/chat/completions', body, { headers })).text()
    const [sent] = rig.upstream.requests
    expect(request.body).toBe(sent!.text())
    expect(request.url).toBe(`${rig.upstream.url}${sent!.path}`)
    for (const [name, value] of Object.entries<string>(request.headers)) {
      if (value !== '[redacted]') expect([name, sent!.headers.get(name)]).toEqual([name, value])
    }
    expect(request.headers).toMatchObject({ 'openai-beta': 'x=1', 'x-extra': 'yes' })
  })

  test('knows what this process has learnt of its targets', async () => {
    await using rig = await twoProviders()
    rig.upstream.reply({ status: 401, json: { error: { message: 'no', code: 'invalid_api_key' } } })
    await (await rig.post('/chat/completions', CHAT)).text()
    const refused = rig.upstream.requests[0]!.headers.get('authorization')!.at(-1)
    const { keys } = (await explained(rig, { path, body: CHAT })).candidates[0]
    const other = refused === 'a' ? 'b' : 'a'
    expect(keys[0]).toMatchObject({ name: other, share: 1 })
    const resting = keys.find(({ name }: { name: string }) => name === refused)
    expect(resting.verdict).toStartWith('auth, for another')
  })

  test('of a request that would be refused says so as the refusal would', async () => {
    await using rig = await twoProviders()
    for (const body of [{ ...CHAT, messages: 1 }, { ...CHAT, model: 'groq/x' }, { model: 'a' }]) {
      const explanation = await explained(rig, { path, body })
      const real = await rig.post('/chat/completions', body)
      const { extra_fields: _, event_id: __, ...envelope } = (await real.json()) as any
      expect(explanation).toMatchObject({ refused: true, status: real.status, error: envelope })
    }
  })

  test('says what a target would refuse, and what comes next', async () => {
    await using rig = await twoProviders()
    const body = { ...CHAT, model: 'anthropic/claude-sonnet-4-5', seed: 1 }
    const headers = { 'x-bf-strict': 'true' }
    const { candidates } = await explained(rig, { path, headers, body })
    expect(candidates[0].prospects[0].error).toMatchObject({
      param: 'seed',
      code: 'unsupported_parameter',
      class: 'unsupported',
      status: 400,
      next: 'next',
    })
  })

  test('shows no more of a body than 256 KB, and no half of a secret at its end', async () => {
    await using rig = await twoProviders()
    const whole = await explained(rig, { path, body: CHAT })
    const start = requestOf(whole).body.indexOf('hi')
    for (const before of [0, 10, 30]) {
      const padding = 'x'.repeat(256 * 1024 - start - before)
      const after = ' and more'.repeat(20)
      const content = `${padding}${secret}a${after}`
      const body = { ...CHAT, messages: [{ role: 'user', content }] }
      const request = requestOf(await explained(rig, { path, body }))
      expect(request).toMatchObject({ body_truncated: true })
      expect(request.body).toHaveLength(256 * 1024)
      expect(request.body.slice(start)).toBe(
        `${padding}[redacted]${after}`.slice(0, padding.length + before),
      )
    }
  })

  test('says how many requests a call takes, and when it takes none', async () => {
    const bedrock = { keys: [{ value: secret, bedrock_key_config: { region: 'us-east-1' } }] }
    await using rig = await startRig({
      others: (base_url) => ({
        bedrock,
        groq: { keys: [{ value: 'g' }], network_config: { base_url } },
      }),
    })
    const embeddings = await explained(rig, {
      path: '/v1/embeddings',
      body: { model: 'bedrock/amazon.titan-embed-text-v2:0', input: ['a', 'b', 'c'] },
    })
    expect(requestOf(embeddings)).toMatchObject({ requests: 3 })
    const count = await explained(rig, {
      path: '/v1/responses/input_tokens',
      body: { model: 'groq/llama', input: 'hi' },
    })
    expect(count.candidates[0].prospects[0].answered).toContain('counted here')
  })

  test('takes paths as clients send them, deployments and unknown routes too', async () => {
    await using rig = await twoProviders()
    const paths = ['/openai/v1/chat/completions', '/chat/completions', '/openai/chat/completions']
    for (const each of paths) {
      const explanation = await explained(rig, { path: each, body: CHAT })
      expect(requestOf(explanation).url).toBe(`${rig.upstream.url}/v1/chat/completions`)
    }
    const deployment = await explained(rig, {
      path: '/openai/openai/deployments/openai%2Fgpt-x/chat/completions?api-version=2024-10-21',
      body: CHAT,
    })
    expect(deployment.model).toBe('gpt-x')
    const unknown = await explained(rig, { method: 'PUT', path: '/v1/x/y?z=1', body: 'text' })
    expect(unknown.request_type).toBe('passthrough')
    expect(requestOf(unknown)).toMatchObject({ method: 'PUT', body: 'text' })
    expect(requestOf(unknown).url).toBe(`${rig.upstream.url}/v1/x/y?z=1`)
  })

  test('of every operation is an explanation, and nothing is sent', async () => {
    await using rig = await twoProviders()
    for (const facts of Object.values<EndpointFacts>(ENDPOINTS)) {
      const route = `/v1${facts.path.replaceAll(/\{[^}]*\}/g, 'x_1')}`
      const body = { ...CHAT, input: 'hi', prompt: 'hi', voice: 'alloy' }
      for (const provider of ['openai', 'anthropic', 'mock']) {
        const explanation = await explained(rig, {
          method: facts.method,
          path: `${route}?provider=${provider}`,
          ...(facts.body !== 'none' && { body }),
        })
        expect(explanation.object).toBe('explanation')
      }
    }
  })

  test('of the models of all providers has what each of them would be asked, with each key', async () => {
    await using rig = await twoProviders()
    for (const method of ['GET', 'HEAD']) {
      const explanation = await explained(rig, { method, path: '/v1/models' })
      expect(explanation).toMatchObject({ request_type: 'list_models', merged: true })
      expect(explanation.candidates).toMatchObject([
        { provider: 'openai', every_key: true, prospects: [{ keys: ['a', 'b'] }] },
        { provider: 'anthropic', every_key: true, prospects: [{ keys: ['claude'] }] },
      ])
      const shares = explanation.candidates[0].keys.map(({ share }: any) => share)
      expect(shares).toEqual([1, 1, undefined])
      expect(requestOf(explanation).url).toBe(`${rig.upstream.url}/v1/models`)
    }
  })

  test('of a HEAD is of what the provider is sent for it', async () => {
    await using rig = await twoProviders()
    const file = '/v1/files/file-1?provider=openai'
    const explanation = await explained(rig, { method: 'HEAD', path: file, body: 'no part of it' })
    const request = requestOf(explanation)
    expect(request).toMatchObject({ method: 'HEAD', url: `${rig.upstream.url}/v1/files/file-1` })
    expect(request.body ?? null).toBeNull()
    const headers = { 'x-bf-explain': 'true' }
    const url = `${rig.gateway.url}/openai${file}`
    rig.upstream.reply({ json: {} })
    const answer = await fetch(url, { method: 'HEAD', headers })
    expect(rig.upstream.requests.at(-1)!.method).toBe('HEAD')
    expect(answer.headers.get('x-bf-trace')).toContain('answered with status 200')
  })

  test('does not delete what the gateway keeps', async () => {
    await using rig = await twoProviders()
    rig.upstream.reply({
      json: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'claude-sonnet-4-5',
        content: [{ type: 'text', text: 'hello' }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 1, output_tokens: 1 },
      },
    })
    const made: any = await (
      await rig.post('/responses', { model: 'anthropic/claude-sonnet-4-5', input: 'hi' })
    ).json()
    const own = `/v1/responses/${made.id}`
    const deletion = await explained(rig, { method: 'DELETE', path: own })
    expect(JSON.stringify(deletion.trace)).toContain('own store')
    const still = await fetch(`${rig.gateway.url}/openai${own}`)
    expect([still.status, ((await still.json()) as any).id]).toEqual([200, made.id])
    const next = await explained(rig, {
      path: '/v1/responses',
      body: { model: 'anthropic/claude-sonnet-4-5', input: 'and?', previous_response_id: made.id },
    })
    expect(requestOf(next).body).toContain('hello')
  })

  test('fetches nothing for the request', async () => {
    await using rig = await twoProviders()
    await using pictures = await startUpstream()
    const url = `${pictures.url}/cat.png?sig=abcdef`
    const content = [{ type: 'image_url', image_url: { url } }]
    const model = 'bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0'
    const gateway = await startGateway({
      config: {
        providers: {
          bedrock: {
            keys: [{ name: 'aws', value: secret, bedrock_key_config: { region: 'us-east-1' } }],
          },
        },
      },
    })
    const response = await post(gateway.url, {
      path,
      body: { model, messages: [{ role: 'user', content }] },
    })
    const { request } = ((await response.json()) as any).candidates[0].prospects[0]
    await gateway.stop()
    expect(request.fetches).toEqual([`${pictures.url}/cat.png?sig=[redacted]`])
    expect(pictures.requests).toHaveLength(0)
    expect(rig.upstream.requests).toHaveLength(0)
  })
})

describe('no secret is shown', () => {
  test('of keys, headers, addresses and the caller', async () => {
    const config = {
      client: { allow_direct_keys: true },
      providers: {
        openai: {
          keys: [{ name: 'a', value: secret }],
          network_config: {
            base_url: 'https://llm.example.com/v1',
            extra_headers: {
              'X-Plain': 'open-sesame-42',
              'x-authorisation': 'Basic header-secret',
            },
          },
          proxy_config: { type: 'http', url: 'http://u:proxy-secret@proxy.example.com:3128' },
        },
        gemini: { keys: [{ name: 'g', value: secret }] },
        bedrock: {
          keys: [
            {
              name: 'aws',
              bedrock_key_config: {
                access_key: 'AKIAVERYSECRET000001',
                secret_key: 'aws-secret-key-0123456789',
                session_token: 'aws-session-token-0123',
                region: 'us-east-1',
              },
            },
          ],
        },
      },
    }
    const gateway = await startGateway({ config })
    try {
      const models = [
        'openai/gpt-x',
        'gemini/gemini-2.5-flash',
        'bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0',
      ]
      for (const model of models) {
        for (const headers of [{}, { authorization: 'Bearer callers-own-key-0123456789' }]) {
          const response = await post(gateway.url, {
            path,
            headers: headers as Record<string, string>,
            body: { ...CHAT, model, messages: [{ role: 'user', content: `my key is ${secret}` }] },
          })
          const text = await response.text()
          expect(JSON.parse(text).candidates[0].prospects[0].request.url).toStartWith('https://')
          // What is the provider's key, and not something the caller happens to know.
          const isKey = !model.startsWith('bedrock') && !('authorization' in headers)
          if (isKey) expect(text).not.toContain(secret)
          for (const hidden of [
            'open-sesame',
            'header-secret',
            'proxy-secret',
            'AKIAVERY',
            'aws-secret',
            'aws-session',
            'callers-own',
          ]) {
            expect([model, text.includes(hidden)]).toEqual([model, false])
          }
        }
      }
    } finally {
      await gateway.stop()
    }
  })
})

describe('who may ask', () => {
  const ask = (rig: Rig, headers: Record<string, string> = {}): Promise<Response> =>
    post(rig.gateway.url, { path, body: CHAT }, headers)

  test('is a program on this machine, and nobody behind a proxy', async () => {
    await using rig = await twoProviders()
    expect((await ask(rig)).status).toBe(200)
    const proxied: Record<string, string>[] = [
      { 'x-forwarded-for': '127.0.0.1' },
      { 'x-forwarded-for': '' },
      { forwarded: 'for=127.0.0.1' },
    ]
    for (const headers of proxied) {
      const response = await ask(rig, headers)
      const { error } = (await response.json()) as any
      expect([response.status, error.code]).toEqual([403, 'caller_forbidden'])
    }
  })

  test('is decided by where the connection comes from, and not by what it says', async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)?.address
    // A machine without a network has no other address to come from.
    if (outside === undefined || process.env['ASBRU_BINARY'] !== undefined) return
    const { startApp } = await import('../../src/app.ts')
    const { createLogger } = await import('#core/log.ts')
    const { app } = startApp({
      host: '0.0.0.0',
      port: 0,
      configPath: undefined,
      configText: undefined,
      env: {},
      log: createLogger({ level: 'error', style: 'json', write: () => true }),
    })
    try {
      const body = { path, body: { ...CHAT, model: 'mock/echo' } }
      const headers = { host: `localhost:${app!.port}` }
      expect((await post(`http://127.0.0.1:${app!.port}`, body)).status).toBe(200)
      expect((await post(`http://${outside}:${app!.port}`, body, headers)).status).toBe(403)
    } finally {
      await app!.stop()
    }
  })

  test('is anybody or nobody where the configuration says so', async () => {
    await using open = await twoProviders({ explain_endpoint: 'any' })
    expect((await ask(open, { 'x-forwarded-for': '1.2.3.4' })).status).toBe(200)
    await using closed = await twoProviders({ explain_endpoint: 'off' })
    expect((await ask(closed)).status).toBe(403)
  })
})

describe('a description that is none', () => {
  test.each([
    ['{', 'invalid_json'],
    ['[]', 'invalid_value'],
    ['{}', 'missing_required_parameter'],
    [{ path: 1 }, 'invalid_value'],
    [{ path: 'v1/x' }, 'invalid_value'],
    [{ path: '/v1/../../x' }, 'invalid_value'],
    [{ path: '/v1/ä' }, 'invalid_value'],
    [{ path, method: 'BREW' }, 'invalid_value'],
    [{ path, method: 'TRACE' }, 'invalid_value'],
    [{ path, headers: [] }, 'invalid_value'],
    [{ path, headers: { a: 'b\r\nc: d' } }, 'invalid_value'],
    [{ path, headers: { 'a b': 'c' } }, 'invalid_value'],
    [{ path, bdoy: {} }, 'invalid_value'],
    ['{"path":"/x","path":"/y"}', 'duplicate_key'],
  ])('%j is %s', async (body, code) => {
    await using rig = await twoProviders()
    const response = await post(rig.gateway.url, body)
    const { error } = (await response.json()) as any
    expect([response.status, error.code]).toEqual([400, code])
  })

  test('is larger than a request may be, or no JSON by its type', async () => {
    await using rig = await twoProviders({ max_request_body_size_mb: 0.001 })
    const large = { path, body: { ...CHAT, user: 'x'.repeat(5000) } }
    expect((await post(rig.gateway.url, large)).status).toBe(413)
    expect((await post(rig.gateway.url, '{}', { 'content-type': 'text/plain' })).status).toBe(415)
  })

  test('may be anything: it is refused or explained, and never an accident', async () => {
    await using rig = await twoProviders()
    const paths = [
      '/v1/chat/completions',
      '/v1/responses',
      '/v1/embeddings',
      '/v1/files',
      '/v1/x',
      '/',
    ]
    const word = fc.string({ unit: 'binary', maxLength: 20 })
    const description = fc.record(
      {
        path: fc.oneof(
          fc.constantFrom(...paths),
          word.map((text) => `/${text}`),
          fc.jsonValue(),
        ),
        method: fc.oneof(fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD'), fc.jsonValue()),
        headers: fc.oneof(fc.dictionary(word, word, { maxKeys: 3 }), fc.jsonValue()),
        body: fc.oneof(
          fc.record({
            model: fc.constantFrom('openai/x', 'anthropic/y'),
            messages: fc.jsonValue(),
          }),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(description, async (document) => {
        const response = await post(rig.gateway.url, document)
        const answer = (await response.json()) as any
        const what = [response.status, answer.object, answer.status, answer.error?.code]
        const isFine =
          response.status === 200 ? !(answer.status >= 500) : [400, 404].includes(response.status)
        expect([isFine, what]).toEqual([true, what])
      }),
      { numRuns: 300, seed: 20_261_121 },
    )
    expect(rig.upstream.requests).toHaveLength(0)
  })
})
