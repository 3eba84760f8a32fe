import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { CHAT, chat, governanceRig, keyOf } from './rig.ts'
import type { GovernanceRig } from './rig.ts'

const governance = {
  virtual_keys: [
    {
      name: 'narrow',
      value: 'sk-bf-narrow',
      provider_configs: [
        {
          provider: 'openai',
          allowed_models: ['gpt-4o', 'text-embedding-3-small'],
          key_ids: ['dear'],
        },
      ],
    },
    {
      name: 'listed',
      value: 'sk-bf-listed',
      provider_configs: [{ provider: 'openai', allowed_models: ['gpt-4o'] }],
    },
    {
      name: 'not4o',
      value: 'sk-bf-not4o',
      provider_configs: [{ provider: 'openai', blacklisted_models: ['gpt-4o'] }],
    },
    {
      name: 'groq only',
      value: 'sk-bf-groq',
      provider_configs: [{ provider: 'groq' }],
    },
    {
      name: 'no key',
      value: 'sk-bf-nokey',
      provider_configs: [{ provider: 'openai', key_ids: [] }],
    },
    {
      name: 'all but',
      value: 'sk-bf-allbut',
      allow_all_providers: true,
      provider_configs: [{ provider: 'openai', allowed_models: [] }],
    },
  ],
}

const vk = (name: string) => ({ 'x-bf-vk': `sk-bf-${name}` })

let rig: GovernanceRig
beforeAll(async () => {
  rig = await governanceRig(governance, {
    providers: { mock: {} },
    client: { explain_endpoint: 'any' },
  })
})
afterAll(() => rig[Symbol.asyncDispose]())
beforeEach(() => {
  rig.openai.clear()
  rig.groq.clear()
})

const asked = (): number => rig.openai.requests.length + rig.groq.requests.length

describe('providers and models', () => {
  const rows: readonly (readonly [string, string, number, string | undefined])[] = [
    ['narrow', 'gpt-4o', 200, undefined],
    ['narrow', 'openai/gpt-4o', 200, undefined],
    ['narrow', 'openai/gpt-4o-2024-08-06', 200, undefined],
    ['narrow', 'openai/gpt-4o-mini', 403, 'model_blocked'],
    ['narrow', 'groq/llama-3.1-8b-instant', 403, 'provider_blocked'],
    ['narrow', 'mock/m', 403, 'provider_blocked'],
    ['narrow', 'cohere/command', 403, 'provider_blocked'],
    ['listed', 'openai/fast', 200, undefined],
    ['not4o', 'openai/gpt-4o', 403, 'model_blocked'],
    ['not4o', 'openai/gpt-4o-mini', 200, undefined],
    ['groq only', 'groq/anything', 200, undefined],
    ['groq only', 'gpt-4o', 403, 'provider_blocked'],
    ['no key', 'openai/gpt-4o', 400, 'no_key_for_model'],
    ['all but', 'openai/gpt-4o', 403, 'model_blocked'],
    ['all but', 'groq/llama-3.1-8b-instant', 200, undefined],
    ['all but', 'mock/m', 200, undefined],
  ]
  const values: Record<string, string> = {
    'groq only': 'groq',
    'no key': 'nokey',
    'all but': 'allbut',
  }
  for (const [name, model, status, type] of rows) {
    test(`'${name}' asks for ${model}: ${type ?? 'served'}; explained as it is`, async () => {
      const headers = vk(values[name] ?? name)
      const { status: got, body } = await rig.post(CHAT, chat({ model }), headers)
      expect(got).toBe(status)
      const explained = await rig.explain({ model }, headers)
      if (type === undefined) {
        expect(body.choices).toHaveLength(1)
        expect(explained.refused).toBeUndefined()
        return
      }
      expect(asked()).toBe(0)
      expect(body.error).toMatchObject({ code: type })
      expect(body.error.message).toContain(`'${name}'`)
      expect(explained).toMatchObject({ refused: true, status, error: { error: { code: type } } })
    })
  }

  test('an alias is no way to what is forbidden, where only some keys have it', async () => {
    // 'fast' is gpt-4o with one of the keys, and a model of that name with the other.
    for (let i = 0; i < 10; i++) {
      await rig.post(CHAT, chat({ model: 'openai/fast' }), vk('not4o'))
    }
    expect(rig.openai.requests).toHaveLength(10)
    for (const request of rig.openai.requests) expect(request.json().model).toBe('fast')
  })

  test('only its keys serve, and the others are said to be none of its own', async () => {
    for (let i = 0; i < 5; i++) await rig.post(CHAT, chat(), vk('narrow'))
    expect(rig.openai.requests.map(keyOf)).toEqual(Array(5).fill('sk-dear-0123456789'))
    const pinned = { ...vk('narrow'), 'x-bf-api-key': 'cheap' }
    const refused = await rig.post(CHAT, chat(), pinned)
    expect(refused.body.error).toMatchObject({ code: 'no_key_for_model' })
    expect(rig.openai.requests).toHaveLength(5)
    const { candidates } = await rig.explain({}, vk('narrow'))
    expect(candidates[0].keys).toEqual([
      expect.objectContaining({ name: 'dear', verdict: 'allowed' }),
      expect.objectContaining({ name: 'cheap', verdict: 'not for this virtual key' }),
    ])
  })

  test('a key that fails is not replaced by one that is not its own', async () => {
    rig.openai.reply([{ status: 401, json: { error: { message: 'no' } } }])
    expect((await rig.post(CHAT, chat(), vk('narrow'))).status).toBeGreaterThan(400)
    expect(rig.openai.requests.map(keyOf)).toEqual(['sk-dear-0123456789'])
  })
})

describe('fallbacks', () => {
  test('of the caller are left out where the virtual key may not go', async () => {
    rig.openai.reply([{ status: 400, json: { error: { message: 'bad', code: 'content_filter' } } }])
    const body = chat({
      model: 'openai/gpt-4o',
      fallbacks: ['groq/m', 'openai/gpt-4o-mini', 'mock/m'],
    })
    const { status } = await rig.post(CHAT, body, vk('narrow'))
    expect(status).toBe(400)
    expect(rig.openai.requests).toHaveLength(1)
    expect(rig.groq.requests).toHaveLength(0)
    const { trace } = await rig.explain(body, vk('narrow'))
    const said = trace.map(({ what }: { what: string }) => what).join()
    expect(said).toContain("groq/m is no candidate: The virtual key 'narrow' may not use provider")
    expect(said).toContain('openai/gpt-4o-mini is no candidate')
  })

  test('do not stand in for what is forbidden itself', async () => {
    const body = chat({ model: 'groq/m', fallbacks: ['openai/gpt-4o'] })
    expect(await rig.post(CHAT, body, vk('narrow'))).toMatchObject({ status: 403 })
    expect(asked()).toBe(0)
  })
})

describe('there is no way around', () => {
  const send = (path: string, init: RequestInit) => fetch(rig.gateway.url + path, init)
  const raw = (body: string, type = 'application/json'): RequestInit => ({
    method: 'POST',
    headers: { ...vk('listed'), 'content-type': type },
    body,
  })
  const mini = JSON.stringify({ model: 'gpt-4o-mini', input: 'x', messages: [], prompt: 'x' })
  const form = (model: string): RequestInit => {
    const body = new FormData()
    body.append('model', model)
    body.append('file', new File(['x'], 'x.wav'))
    return { method: 'POST', headers: vk('listed'), body }
  }
  const session = (): RequestInit => {
    const body = new FormData()
    body.append('sdp', 'v=0')
    body.append('session', JSON.stringify({ type: 'realtime', model: 'gpt-realtime' }))
    return { method: 'POST', headers: vk('listed'), body }
  }
  const doors: readonly (readonly [string, () => Promise<Response>])[] = [
    ['chat', () => send(CHAT, raw(mini))],
    ['responses', () => send('/openai/v1/responses', raw('{"model":"gpt-4o-mini","input":"x"}'))],
    [
      'responses without a model',
      () => send('/openai/v1/responses', raw('{"prompt":{"id":"pmpt_1"},"input":"x"}')),
    ],
    ['embeddings', () => send('/openai/v1/embeddings', raw(mini))],
    ['a form', () => send('/openai/v1/audio/transcriptions', form('whisper-1'))],
    [
      'an image without a model',
      () => send('/openai/v1/images/generations', raw('{"prompt":"x"}')),
    ],
    ['a model by its path', () => send('/openai/v1/models/gpt-4o-mini', { headers: vk('listed') })],
    [
      'a batch of unseen requests',
      () =>
        send(
          '/openai/v1/batches',
          raw(
            '{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}',
          ),
        ),
    ],
    ['pass-through', () => send('/openai/v1/assistants', raw(mini))],
    [
      'pass-through, deeper',
      () => send('/openai/v1/evals', raw('{"data_source":{"runs":[{"model":"o3"}]}}')),
    ],
    [
      'pass-through, escaped',
      () => send('/openai/v1/assistants', raw('{"\\u006dodel":"gpt-4o-mini"}')),
    ],
    [
      'pass-through, twice',
      () => send('/openai/v1/assistants', raw('{"a":{"model":"o3","model":"gpt-4o"}}')),
    ],
    [
      'chat in another spelling',
      () =>
        send(
          CHAT,
          raw('{"model":"openai/gpt-4o","MODEL":"o3","messages":[{"role":"user","content":"x"}]}'),
        ),
    ],
    ['pass-through as another type', () => send('/openai/v1/assistants', raw(mini, 'text/plain'))],
    [
      'pass-through of what is no JSON',
      () => send('/openai/v1/assistants', raw('model=gpt-4o-mini', 'text/plain')),
    ],
    [
      'pass-through in the query',
      () => send('/openai/v1/things?model=gpt-4o-mini', { headers: vk('listed') }),
    ],
    [
      'pass-through in the path',
      () => send('/openai/v1/engines/gpt-4o-mini/completions', raw('{}')),
    ],
    ['pass-through as a form', () => send('/openai/v1/realtime/calls', session())],
    [
      'a form of two readings',
      () =>
        send(
          '/openai/v1/audio/transcriptions',
          raw(
            '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-4o-mini\r\n' +
              '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' +
              '--c\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-4o\r\n' +
              '--c\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nx\r\n--c--\r\n' +
              '--b--\r\n',
            'multipart/form-data; a="boundary=c"; boundary=b',
          ),
        ),
    ],
    [
      'pass-through as a form of two readings',
      () =>
        send(
          '/openai/v1/realtime/calls',
          raw(
            '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-4o\r\n' +
              '--b\r\ncontent-disposition: form-data; name = "model"\r\n\r\ngpt-4o-mini\r\n--b--\r\n',
            'multipart/form-data; boundary=b',
          ),
        ),
    ],
    [
      'pass-through with another method',
      () => send('/openai/v1/chat/completions', { ...raw(mini), method: 'PUT' }),
    ],
    [
      'a deployment',
      () =>
        send(
          '/openai/openai/deployments/openai%2Fgpt-4o-mini/chat/completions',
          raw('{"messages":[{"role":"user","content":"x"}]}'),
        ),
    ],
    [
      'another provider by header',
      () => send('/openai/v1/files', { headers: { ...vk('listed'), 'x-model-provider': 'groq' } }),
    ],
    [
      'another provider by query',
      () => send('/openai/v1/files?provider=groq', { headers: vk('listed') }),
    ],
    [
      'the models of another provider',
      () => send('/openai/v1/models?provider=groq', { headers: vk('listed') }),
    ],
  ]
  for (const [name, knock] of doors) {
    test(name, async () => {
      const answer = await knock()
      const { type } = (await answer.json()) as { type: string }
      expect([answer.status, type]).toEqual([
        403,
        expect.stringMatching(/^(?:model|provider)_blocked$/) as unknown as string,
      ])
      expect(asked()).toBe(0)
    })
  }

  test('what names a model that is allowed passes', async () => {
    const good = JSON.stringify({ model: 'openai/gpt-4o' })
    rig.openai.reply(Array.from({ length: 4 }, () => ({ json: { id: 'x' } })))
    expect((await send('/openai/v1/assistants', raw('{"model":"gpt-4o"}'))).status).toBe(200)
    expect((await send('/openai/v1/assistants', raw(good))).status).toBe(200)
    expect((await send('/openai/v1/threads', raw('{}'))).status).toBe(200)
    expect(
      (await send('/openai/v1/threads', { method: 'POST', headers: vk('listed') })).status,
    ).toBe(200)
    expect(rig.openai.requests).toHaveLength(4)
  })

  test('a job is run with what its virtual key may have', async () => {
    const { body } = await rig.post(
      '/v1/async/chat/completions',
      chat({ model: 'groq/m' }),
      vk('narrow'),
    )
    let job = await rig.get(`/v1/async/jobs/${body.id}`, vk('narrow'))
    while (job.body.status !== 'failed' && job.body.status !== 'completed') {
      await Bun.sleep(5)
      job = await rig.get(`/v1/async/jobs/${body.id}`, vk('narrow'))
    }
    expect(job.body).toMatchObject({
      status: 'failed',
      error: { error: { code: 'provider_blocked' } },
    })
    expect(asked()).toBe(0)
  })
})

test('the models of all providers are those of the providers that it may use', async () => {
  const { body } = await rig.get('/openai/v1/models', vk('groq'))
  const owners = new Set(body.data.map(({ id }: { id: string }) => id.split('/')[0]))
  expect([...owners]).toEqual(['groq'])
  const told = body.extra_fields.key_statuses.map(({ provider }: { provider: string }) => provider)
  expect(told).toEqual(['groq'])
  const all = await rig.get('/openai/v1/models')
  const known = new Set<string>(all.body.data.map(({ id }: { id: string }) => id.split('/')[0]))
  expect(known).toEqual(new Set(['groq', 'mock', 'openai']))
  // Neither is the list that another one gets.
  const again = await rig.get('/openai/v1/models', vk('groq'))
  expect(again.body.data).toEqual(body.data)
})

test('of a provider those that it may use', async () => {
  const json = {
    object: 'list',
    data: ['gpt-4o', 'gpt-4o-mini'].map((id) => ({ id, object: 'model' })),
  }
  rig.openai.reply([{ json }, { json }])
  const { body } = await rig.get('/openai/v1/models?provider=openai', vk('listed'))
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual(['openai/gpt-4o'])
})
