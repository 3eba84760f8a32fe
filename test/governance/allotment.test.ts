import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import type { Grant } from '#config/virtual-key.ts'
import { drawGrant } from '#pipeline/allotment.ts'

import { CHAT, chat, governanceRig } from './rig.ts'
import type { GovernanceRig } from './rig.ts'

const pool = (...weights: readonly number[]): readonly Grant[] =>
  weights.map((weight, i) => ({ provider: String(i), weight }) as Grant)

test('a provider is drawn by weight, evenly when there is none', () => {
  const draws: readonly (readonly [readonly number[], number, string])[] = [
    [[1], 0.99, '0'],
    [[8, 2], 0, '0'],
    [[8, 2], 0.79, '0'],
    [[8, 2], 0.8, '1'],
    [[8, 2], 0.999_999, '1'],
    [[1, 0], 0.999_999, '0'],
    [[0, 0], 0.49, '0'],
    [[0, 0], 0.5, '1'],
    [[0.1, 0.2, 0.7], 0.31, '2'],
  ]
  for (const [weights, random, provider] of draws) {
    expect([weights, random, drawGrant(pool(...weights), random).provider]).toEqual([
      weights,
      random,
      provider,
    ])
  }
})

const governance = {
  virtual_keys: [
    {
      name: 'both',
      value: 'sk-bf-both',
      provider_configs: [
        { provider: 'openai', weight: 3, allowed_models: ['*'] },
        { provider: 'groq', weight: 1, allowed_models: ['gpt-4o'] },
        { provider: 'mock' },
      ],
    },
    {
      name: 'groq first',
      value: 'sk-bf-groq',
      provider_configs: [
        { provider: 'groq', weight: 1 },
        { provider: 'openai', weight: 0 },
      ],
    },
    {
      name: 'catalogue',
      value: 'sk-bf-catalogue',
      provider_configs: [
        { provider: 'openai', weight: 1 },
        { provider: 'groq', weight: 1000 },
        { provider: 'cohere', weight: 1000 },
      ],
    },
    { name: 'none', value: 'sk-bf-none', provider_configs: [{ provider: 'openai' }] },
  ],
}

const vk = (name: string) => ({ 'x-bf-vk': `sk-bf-${name}` })

let rig: GovernanceRig
beforeAll(async () => {
  rig = await governanceRig(governance, { providers: { mock: {} } })
})
afterAll(() => rig[Symbol.asyncDispose]())
beforeEach(() => {
  rig.openai.clear()
  rig.groq.clear()
})

const said = (trace: { what: string }[]): string => trace.map(({ what }) => what).join('\n')

describe('calls that name no provider', () => {
  test('are shared out by weight', async () => {
    for (let batch = 0; batch < 8; batch++) {
      await Promise.all(Array.from({ length: 50 }, () => rig.post(CHAT, chat(), vk('both'))))
    }
    expect(rig.openai.requests.length + rig.groq.requests.length).toBe(400)
    // Three in four, within six standard deviations.
    expect(Math.abs(rig.openai.requests.length - 300)).toBeLessThan(52)
  })

  test('have the other providers behind them, the heaviest first', async () => {
    const { candidates, trace } = await rig.explain({}, vk('both'))
    const providers = candidates.map(({ provider }: { provider: string }) => provider)
    expect(providers.toSorted()).toEqual(['groq', 'openai'])
    expect(said(trace)).toMatch(/virtual key 'both' leads to (?:openai|groq), drawn from 2/)
    const drawn = trace.find(({ targets }: { targets?: object }) => targets)
    expect(drawn.targets).toEqual([
      { provider: 'openai', share: 0.75 },
      { provider: 'groq', share: 0.25 },
    ])
  })

  test('are served by another provider of the virtual key when the first fails', async () => {
    rig.groq.reply([{ status: 503, json: { error: { message: 'busy' } } }])
    const answer = await rig.post(CHAT, chat({ model: 'm' }), vk('groq'))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bifrost-provider')).toBe('openai')
    expect(answer.headers.get('x-bifrost-fallback-index')).toBe('1')
    expect(rig.openai.requests[0]!.json().model).toBe('m')
  })

  test('go only where the model is allowed', async () => {
    for (let i = 0; i < 20; i++) await rig.post(CHAT, chat({ model: 'm' }), vk('both'))
    expect(rig.openai.requests).toHaveLength(20)
    const { trace } = await rig.explain({ model: 'm' }, vk('both'))
    expect(said(trace)).toContain("groq is left out: The virtual key 'both' may not use the model")
    expect(said(trace)).toContain('leads to openai, the only one that can serve')
  })

  test('go where the model is known to be, whatever the weights', async () => {
    for (let i = 0; i < 20; i++) await rig.post(CHAT, chat(), vk('catalogue'))
    expect(rig.openai.requests).toHaveLength(20)
    const { trace } = await rig.explain({}, vk('catalogue'))
    expect(said(trace)).toContain('groq is left out: it is not known to have the model')
    expect(said(trace)).toContain("cohere is left out: Provider 'cohere' is not configured")
    await rig.post(CHAT, chat({ model: 'llama-3.1-8b-instant' }), vk('catalogue'))
    expect(rig.groq.requests).toHaveLength(1)
  })

  test('keep the fallbacks that the caller named', async () => {
    const body = chat({ fallbacks: ['mock/own'] })
    const { candidates } = await rig.explain(body, vk('both'))
    expect(candidates.slice(1)).toMatchObject([{ provider: 'mock', model: 'own' }])
  })

  test('stay with one provider for as long as a session lasts', async () => {
    for (const session of ['a', 'b', 'c', 'd', 'e', 'f']) {
      rig.openai.clear()
      rig.groq.clear()
      const headers = { ...vk('both'), 'x-bf-session-id': session }
      for (let i = 0; i < 5; i++) await rig.post(CHAT, chat(), headers)
      expect([0, 5]).toContain(rig.openai.requests.length)
    }
  })

  test('may be named by a form', async () => {
    const body = new FormData()
    body.append('model', 'whisper-large-v3')
    body.append('file', new File(['x'], 'x.wav'))
    const path = `${rig.gateway.url}/openai/v1/audio/transcriptions`
    await fetch(path, { method: 'POST', headers: vk('groq'), body })
    expect(rig.groq.requests).toHaveLength(1)
  })
})

describe('calls that say where they go', () => {
  const named: readonly (readonly [string, object, Record<string, string>])[] = [
    ['by the model', { model: 'openai/m' }, {}],
    ['by a header', { model: 'm' }, { 'x-model-provider': 'openai' }],
    ['by the body', { model: 'm', provider: 'openai' }, {}],
  ]
  for (const [how, body, headers] of named) {
    test(`${how} go there, and have nothing behind them`, async () => {
      const { candidates } = await rig.explain(body, { ...vk('groq'), ...headers })
      expect(candidates).toMatchObject([{ provider: 'openai', model: 'm' }])
      await rig.post(CHAT, chat(body), { ...vk('groq'), ...headers })
      expect(rig.openai.requests).toHaveLength(1)
    })
  }

  test('a virtual key without weights leaves the choice as it is', async () => {
    const { candidates } = await rig.explain({ model: 'm' }, vk('none'))
    expect(candidates).toMatchObject([{ provider: 'openai' }])
  })

  test('without a virtual key nothing is shared out', async () => {
    const { candidates } = await rig.explain({})
    expect(candidates).toMatchObject([{ provider: 'openai' }])
  })
})

test('a key that the caller named is looked for among all providers of the virtual key', async () => {
  for (const name of ['dear', 'third']) {
    const headers = { ...vk('groq'), 'x-bf-api-key': name }
    const { candidates } = await rig.explain({ model: 'm' }, headers)
    expect(candidates).toHaveLength(1)
    const [allowed] = candidates[0].keys
    expect(allowed).toMatchObject({ name, verdict: 'allowed', share: 1 })
  }
})

test('a key of the caller’s own stays with its provider', async () => {
  await using own = await governanceRig(governance, { client: { allow_direct_keys: true } })
  const headers = { ...vk('groq'), authorization: 'Bearer sk-own-0123456789' }
  await own.post(CHAT, chat({ model: 'm' }), headers)
  expect(own.openai.requests).toHaveLength(1)
  expect(own.groq.requests).toHaveLength(0)
})

test('a routing rule decides before the virtual key, and may not lead where that may not go', async () => {
  const to = (name: string, model: string, provider: string) => ({
    name,
    cel_expression: `model == "${model}"`,
    targets: [{ provider, model: 'm' }],
  })
  const routing_rules = [to('near', 'near', 'openai'), to('far', 'far', 'mock')]
  await using rules = await governanceRig(
    { ...governance, routing_rules },
    { providers: { mock: {} } },
  )
  const near = await rules.explain({ model: 'near' }, vk('groq'))
  expect(near.candidates).toMatchObject([{ provider: 'openai', model: 'm' }])
  expect(said(near.trace)).not.toContain('virtual key')
  const far = await rules.post(CHAT, chat({ model: 'far' }), vk('groq'))
  expect(far.body.error).toMatchObject({ code: 'provider_blocked' })
})

test('what is about one thing of one provider is asked there', async () => {
  const { candidates } = await rig
    .post('/api/explain', { path: '/v1/models/m', method: 'GET', headers: vk('groq') })
    .then(({ body }) => body)
  expect(candidates).toMatchObject([{ provider: 'openai' }])
})
