import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { AuthenticationError, PermissionDeniedError } from 'openai'

import { CHAT, chat, governanceRig, keyOf } from './rig.ts'
import type { GovernanceRig } from './rig.ts'

const VK = 'sk-bf-known-0123456789'
const PLAIN = 'team-a-0123456789'
const governance = {
  virtual_keys: [
    { id: 'vk-known', name: 'known', value: VK, allow_all_providers: true },
    { id: 'vk-plain', name: 'plain', value: PLAIN, allow_all_providers: true },
    { name: 'off', value: 'sk-bf-off', allow_all_providers: true, is_active: false },
    {
      name: 'old',
      value: 'sk-bf-old',
      allow_all_providers: true,
      expires_at: '2020-01-01T00:00:00Z',
    },
  ],
}

const handshake = {
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

describe('with virtual keys that are optional', () => {
  let rig: GovernanceRig
  beforeAll(async () => {
    rig = await governanceRig(governance)
  })
  afterAll(() => rig[Symbol.asyncDispose]())
  beforeEach(() => rig.openai.clear())

  const carriers: readonly (readonly [string, Record<string, string>])[] = [
    ['x-bf-vk', { 'x-bf-vk': VK }],
    ['x-bf-vk with any value', { 'x-bf-vk': PLAIN }],
    ['authorization', bearer(VK)],
    ['authorization in another spelling', { authorization: `bearer   ${VK}` }],
    ['authorization with a virtual key that does not look like one', bearer(PLAIN)],
    ['x-api-key', { 'x-api-key': VK }],
    ['x-goog-api-key', { 'x-goog-api-key': VK }],
    ['api-key', { 'api-key': VK }],
    ['x-bf-vk before all others', { 'x-bf-vk': VK, ...bearer('sk-bf-nobody') }],
    ['a key of no meaning before it', { ...bearer('dummy-key'), 'x-api-key': VK }],
    ['none at all', {}],
    ['a key of no meaning', bearer('dummy-key')],
    ['an empty one', { 'x-bf-vk': '', ...bearer('') }],
  ]
  for (const [name, headers] of carriers) {
    test(`${name} is served, and none of it travels on`, async () => {
      expect(await rig.post(CHAT, chat(), headers)).toMatchObject({ status: 200 })
      const [sent] = rig.openai.requests
      expect(keyOf(sent!)).toMatch(/^sk-(?:cheap|dear)-0123456789$/)
      const all = JSON.stringify([...sent!.headers]) + sent!.query + sent!.text()
      expect(all).not.toContain(VK)
      expect(all).not.toContain(PLAIN)
      expect(all).not.toContain('dummy-key')
      expect(sent!.headers.has('x-bf-vk')).toBe(false)
    })
  }

  const refusals: readonly (readonly [string, Record<string, string>, number, string])[] = [
    ['an unknown one', { 'x-bf-vk': 'vk_12345' }, 401, 'virtual_key_not_found'],
    ['an unknown bearer', bearer('sk-bf-nobody'), 401, 'virtual_key_not_found'],
    ['an unknown one in capitals', bearer('SK-BF-NOBODY'), 401, 'virtual_key_not_found'],
    ['one in another case', bearer(VK.toUpperCase()), 401, 'virtual_key_not_found'],
    [
      'an unknown one before a known one',
      { ...bearer('sk-bf-x'), 'x-api-key': VK },
      401,
      'virtual_key_not_found',
    ],
    ['one that is switched off', bearer('sk-bf-off'), 403, 'virtual_key_blocked'],
    ['one that has expired', bearer('sk-bf-old'), 403, 'virtual_key_blocked'],
  ]
  const doors: readonly (readonly [string, (headers: Record<string, string>) => Promise<any>])[] = [
    ['chat', (headers) => rig.post(CHAT, chat(), headers)],
    [
      'responses',
      (headers) => rig.post('/openai/v1/responses', { model: 'm', input: 'x' }, headers),
    ],
    [
      'a deployment',
      (headers) => rig.post('/openai/openai/deployments/d/chat/completions', chat(), headers),
    ],
    ['models', (headers) => rig.get('/openai/v1/models', headers)],
    ['files', (headers) => rig.get('/openai/v1/files', headers)],
    ['pass-through', (headers) => rig.post('/openai/v1/assistants', { model: 'm' }, headers)],
    ['a stored response', (headers) => rig.get('/openai/v1/responses/resp_1', headers)],
    ['a job', (headers) => rig.post(CHAT, chat(), { ...headers, 'x-bf-async': 'true' })],
    [
      'a poll',
      (headers) => rig.post(CHAT, {}, { ...headers, 'x-bf-async-id': crypto.randomUUID() }),
    ],
    ['the list of jobs', (headers) => rig.get('/v1/async/jobs', headers)],
    ['an explanation', (headers) => rig.explain({}, headers)],
  ]
  for (const [name, headers, status, type] of refusals) {
    test(`${name} is refused at every door, and nobody is asked`, async () => {
      for (const [door, knock] of doors) {
        const { status: got, body } = await knock(headers).then((answer) =>
          'refused' in answer ? { status: answer.status, body: answer.error } : answer,
        )
        expect([door, got]).toEqual([door, status])
        expect(body).toMatchObject({
          type,
          is_bifrost_error: true,
          status_code: status,
          error: { type, code: type, message: expect.any(String) },
        })
        const value = Object.values(headers)[0]!.replace('Bearer ', '')
        expect(JSON.stringify(body)).not.toContain(value)
      }
      expect(rig.openai.requests).toHaveLength(0)
      expect(rig.groq.requests).toHaveLength(0)
    })
  }

  test('a refusal names the key that is switched off or has expired', async () => {
    const off = await rig.post(CHAT, chat(), bearer('sk-bf-off'))
    expect(off.body.error.message).toBe("The virtual key 'off' is inactive.")
    expect(off.headers.get('x-should-retry')).toBe('false')
    const old = await rig.post(CHAT, chat(), bearer('sk-bf-old'))
    expect(old.body.error.message).toBe("The virtual key 'old' has expired.")
  })

  test('OpenAI’s client says which kind of error it is', async () => {
    const ask = async (key: string) =>
      await rig.client(key).chat.completions.create({ model: 'gpt-4o', messages: [] as never })
    const refusal = (key: string) => ask(key).catch((thrown: unknown) => thrown)
    expect(await refusal('sk-bf-nobody')).toBeInstanceOf(AuthenticationError)
    expect(await refusal('sk-bf-off')).toBeInstanceOf(PermissionDeniedError)
  })

  test('a WebSocket is opened with a virtual key, or not at all', async () => {
    const attempt = async (key: string): Promise<number> => {
      const protocols = `realtime, openai-insecure-api-key.${key}`
      const headers = { ...handshake, 'sec-websocket-protocol': protocols }
      return (await rig.get('/openai/v1/realtime?model=gpt-4o', headers)).status
    }
    expect(await attempt('sk-bf-nobody')).toBe(401)
    expect(await attempt('sk-bf-off')).toBe(403)
    expect(rig.openai.requests).toHaveLength(0)
  })
})

describe('with virtual keys that are required', () => {
  for (const name of ['enforce_auth_on_inference', 'enforce_governance_header']) {
    test(`${name}: who has none is refused, who has one is served`, async () => {
      await using rig = await governanceRig(governance, { client: { [name]: true } })
      const without: Record<string, string>[] = [{}, bearer('dummy-key'), { 'x-bf-vk': '' }]
      for (const headers of without) {
        const { status, body } = await rig.post(CHAT, chat(), headers)
        expect(status).toBe(401)
        expect(body).toMatchObject({ type: 'virtual_key_required', is_bifrost_error: true })
        expect(body.error.message).toContain('x-bf-vk')
      }
      expect(rig.openai.requests).toHaveLength(0)
      expect((await rig.post(CHAT, chat(), bearer(VK))).status).toBe(200)
      const said = await rig.client(VK).chat.completions.create({
        model: 'gpt-4o',
        messages: [{ role: 'user', content: 'Hello' }],
      })
      expect(said.choices[0]!.message.content).toBeString()
    })
  }

  test('what the configuration requires comes first', async () => {
    await using rig = await governanceRig(governance, {
      client: { enforce_auth_on_inference: true, required_headers: ['x-tenant'] },
    })
    expect((await rig.post(CHAT, chat())).body.error.code).toBe('header_required')
  })
})

describe('with keys of their own', () => {
  test('a virtual key says who calls, and their own key is what is sent', async () => {
    await using rig = await governanceRig(governance, { client: { allow_direct_keys: true } })
    const own = 'sk-own-0123456789'
    const pairs: readonly Record<string, string>[] = [
      { 'x-bf-vk': VK, ...bearer(own) },
      { 'x-api-key': VK, ...bearer(own) },
      { ...bearer(VK), 'x-api-key': own },
      { ...bearer(PLAIN), 'x-api-key': own },
    ]
    for (const headers of pairs) {
      rig.openai.clear()
      expect((await rig.post(CHAT, chat(), headers)).status).toBe(200)
      expect(keyOf(rig.openai.requests[0]!)).toBe(own)
    }
    rig.openai.clear()
    // A virtual key is not taken for a key of the caller's own, whatever it looks like.
    expect((await rig.post(CHAT, chat(), bearer(PLAIN))).status).toBe(200)
    expect(keyOf(rig.openai.requests[0]!)).toMatch(/^sk-(?:cheap|dear)/)
  })
})

test('where nothing is said of virtual keys, what callers send as one means nothing', async () => {
  await using rig = await governanceRig(undefined)
  for (const headers of [{ 'x-bf-vk': 'vk_12345' }, bearer('sk-bf-anything')]) {
    expect((await rig.post(CHAT, chat(), headers)).status).toBe(200)
  }
  expect(rig.openai.requests).toHaveLength(2)
})
