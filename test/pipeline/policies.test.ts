import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { until } from './rig.ts'

// Breakers that the operator describes by headers of answers.

const policy = {
  name: 'nearly out',
  primary_provider: 'openai',
  fallback_provider: 'groq',
  fallback_model: 'llama',
  condition: { signals: [{ source: 'response_header', header_name: 'X-Left', header_value: '0' }] },
  default_cooldown: '1m',
}

let first: Upstream
let second: Upstream
let gateway: TestGateway | undefined

beforeEach(async () => {
  first = await startUpstream()
  second = await startUpstream()
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  await first.stop()
  await second.stop()
})

const configOf = (policies: readonly object[]) => ({
  circuit_breaker_config: { policies },
  providers: {
    openai: {
      keys: [
        { name: 'a', id: 'ida', value: 'ka', weight: 1 },
        { name: 'b', id: 'idb', value: 'kb', weight: 0 },
      ],
      network_config: { base_url: first.url },
    },
    groq: { keys: [{ name: 'g', value: 'kg' }], network_config: { base_url: second.url } },
  },
})

async function start(...policies: object[]): Promise<void> {
  gateway = await startGateway({ config: configOf(policies) })
}

const body = (more: object = {}) => ({
  model: 'openai/echo',
  messages: [{ role: 'user', content: 'hi' }],
  ...more,
})

async function ask(more: object = {}, headers: object = {}) {
  const response = await fetch(`${gateway!.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body(more)),
  })
  const json = (await response.json()) as any
  return {
    provider: response.headers.get('x-bifrost-provider'),
    model: response.headers.get('x-bifrost-resolved-model'),
    index: response.headers.get('x-bifrost-fallback-index'),
    status: response.status,
    trace: json.extra_fields?.trace,
  }
}

const answer = (headers: Record<string, string>) => ({ headers, json: { id: 'x', choices: [] } })
const served = async (more?: object) => (await ask(more)).provider

describe('a provider whose answer shows the sign', () => {
  test('comes after the one that is named for it', async () => {
    await start(policy)
    first.reply(answer({ 'x-left': '0' }))
    expect(await ask()).toMatchObject({ provider: 'openai', index: null })
    expect(await ask()).toMatchObject({ provider: 'groq', model: 'llama', index: '1' })
  })

  test('comes first again when the time is over', async () => {
    await start({ ...policy, default_cooldown: '1ms' })
    first.reply(answer({ 'x-left': '0' }))
    expect(await served()).toBe('openai')
    await until(async () => (await served()) === 'openai')
  })

  test('is told so by a refusal too, and still asked when the other fails', async () => {
    await start(policy)
    first.reply({ status: 429, headers: { 'x-left': '0' }, json: { error: { message: 'no' } } })
    await ask({}, { 'x-bf-api-key': 'a' })
    second.reply({ status: 500, json: { error: { message: 'down' } } })
    expect(await served()).toBe('openai')
    expect(second.requests).toHaveLength(1)
  })

  test('may say itself for how long', async () => {
    await start({ ...policy, cooldown_header: 'X-Wait-Ms' })
    first.reply(answer({ 'x-left': '0', 'x-wait-ms': '1' }))
    await ask()
    await until(async () => (await served()) === 'openai')
    first.reply(answer({ 'x-left': '0', 'x-wait-ms': 'soon' }))
    await ask()
    expect(await served()).toBe('groq')
  })

  test('is explained, before and with the call', async () => {
    await start(policy)
    first.reply(answer({ 'x-left': '0' }))
    const explained = { 'x-bf-explain': 'true' }
    expect(JSON.stringify((await ask({}, explained)).trace)).toContain("policy 'nearly out' holds")
    const description = { path: '/v1/chat/completions', body: body() }
    const response = await fetch(`${gateway!.url}/api/explain`, {
      method: 'POST',
      body: JSON.stringify(description),
    })
    const { candidates, trace } = (await response.json()) as any
    expect(candidates.map(({ provider }: any) => provider)).toEqual(['groq', 'openai'])
    expect(JSON.stringify(trace)).toContain("groq first: policy 'nearly out' holds")
  })
})

describe('what is passed over', () => {
  test('may be some of its keys', async () => {
    await start({ ...policy, primary_key_ids: ['ida'] })
    first.reply(answer({ 'x-left': '0' }))
    expect(await served()).toBe('openai')
    expect(await served()).toBe('openai')
    const keys = first.requests.map(({ headers }) => headers.get('authorization'))
    expect(keys).toEqual(['Bearer ka', 'Bearer kb'])
    // Another key's answer says nothing of that one.
    await gateway!.stop()
    await start({ ...policy, primary_key_ids: ['idb'] })
    first.reply(answer({ 'x-left': '0' }))
    await ask({}, { 'x-bf-api-key': 'a' })
    expect(await served()).toBe('openai')
  })

  test('may be one model', async () => {
    await start({ ...policy, primary_model: 'other', fallback_model: '' })
    first.reply(answer({ 'x-left': '0' }))
    await ask()
    expect(await served()).toBe('openai')
    first.reply(answer({ 'x-left': '0' }))
    await ask({ model: 'openai/other' })
    expect(await ask({ model: 'openai/other' })).toMatchObject({ provider: 'groq', model: 'other' })
    expect(await served()).toBe('openai')
  })
})

test.each([
  [{ operator: 'OR' }, { 'x-left': '0' }, 'groq'],
  [{ operator: 'AND' }, { 'x-left': '0' }, 'openai'],
  [{ operator: 'AND' }, { 'x-left': '0', 'x-state': 'Very TIRED now' }, 'groq'],
  [{ operator: 'OR' }, { 'x-state': 'tired' }, 'groq'],
  [{ operator: 'OR' }, { 'x-left': '00', 'x-state': 'awake' }, 'openai'],
])('%j: %j leads to %s', async (operator, headers, wanted) => {
  const signals = [
    { header_name: 'x-left', header_value: '0' },
    { header_name: 'x-state', header_contains: 'tired' },
  ]
  await start({ ...policy, condition: { ...operator, signals } })
  first.reply(answer(headers))
  await ask()
  expect(await served()).toBe(wanted)
})

test('a policy that is off, or leads nowhere, changes nothing', async () => {
  await start(
    { ...policy, name: 'off', enabled: false },
    { ...policy, name: 'nowhere', fallback_provider: 'cohere' },
  )
  first.reply(answer({ 'x-left': '0' }))
  await ask()
  expect(await served()).toBe('openai')
})

test('the configuration says what is wrong with a policy', () => {
  const { problems } = loadConfig({
    text: JSON.stringify(configOf([policy, { ...policy, primary_provider: 'opnai' }])),
    path: 'config.json',
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
  })
  expect(problems.map(({ pointer }) => pointer)).toEqual([
    '/circuit_breaker_config/policies/1/name',
    '/circuit_breaker_config/policies/1/primary_provider',
  ])
})
