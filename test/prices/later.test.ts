import { afterAll, describe, expect, test } from 'bun:test'

import { Unfinished } from '#pipeline/later.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Batches and responses in the background: what they use is told by lookups, and counted once.

const upstream = await startUpstream()
afterAll(() => upstream.stop())

const openai = {
  keys: [{ name: 'main', value: 'k' }],
  network_config: { base_url: `${upstream.url}/v1` },
}

async function ask(
  gateway: TestGateway,
  method: string,
  path: string,
  reply: object,
  body?: object,
): Promise<void> {
  upstream.reply({ json: reply })
  const answer = await fetch(`${gateway.url}/openai/v1${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  expect(answer.status).toBe(200)
  await answer.text()
}

async function counted(gateway: TestGateway): Promise<[tokens: number, dollars: number]> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  const sum = (name: string) =>
    Array.from(text.matchAll(new RegExp(`^${name}\\{.*\\} (.*)$`, 'gm')), ([, value]) =>
      Number(value),
    ).reduce((a, b) => a + b, 0)
  return [sum('bifrost_input_tokens_total'), sum('bifrost_cost_total')]
}

const response = (status: string, usage: object | null) => ({
  ...{ id: 'resp_b', object: 'response', created_at: 1, model: 'gpt-4o', output: [] },
  ...{ background: true, status, usage },
})
const used = { input_tokens: 1000, output_tokens: 100, total_tokens: 1100 }

test('a response in the background', async () => {
  const gateway = await startGateway({ config: { providers: { openai } } })
  const look = (status: string, usage: object | null) =>
    ask(gateway, 'GET', '/responses/resp_b?provider=openai', response(status, usage))
  const body = { model: 'openai/gpt-4o', input: 'Hi', background: true }
  await ask(gateway, 'POST', '/responses', response('queued', null), body)
  await look('in_progress', null)
  expect(await counted(gateway)).toEqual([0, 0])
  await look('completed', used)
  await look('completed', used)
  // 1000 × 2.50 and 100 × 10.
  expect(await counted(gateway)).toEqual([1000, 0.0035])
  await gateway.stop()
})

describe('a batch', () => {
  const batch = (status: string, usage?: object) => ({
    ...{ id: 'batch_b', object: 'batch', endpoint: '/v1/chat/completions', model: 'gpt-4o' },
    ...{ input_file_id: 'f', status, usage },
  })
  const begin = { input_file_id: 'f', endpoint: '/v1/chat/completions', completion_window: '24h' }

  async function run(config: object): Promise<[tokens: number, dollars: number]> {
    const gateway = await startGateway({ config: { providers: { openai }, ...config } })
    await ask(gateway, 'POST', '/batches?provider=openai', batch('validating'), begin)
    const look = (status: string, usage?: object) =>
      ask(gateway, 'GET', '/batches/batch_b?provider=openai', batch(status, usage))
    await look('in_progress', { ...used, input_tokens: 500 })
    for (let i = 0; i < 3; i++) await look('completed', used)
    const found = await counted(gateway)
    await gateway.stop()
    return found
  }

  test('costs half', async () => expect(await run({})).toEqual([1000, 0.00175]))

  test('costs what the configuration says', async () => {
    const patch = { input_cost_per_token_batches: 1e-6, output_cost_per_token_batches: 0 }
    const override = { match_type: 'exact', pattern: 'gpt-4o', patch }
    expect(await run({ governance: { pricing_overrides: [override] } })).toEqual([1000, 0.001])
    const price = { model: 'gpt-4o', service_tier: 'batch', input: 3, output: 0 }
    expect(await run({ prices: [price] })).toEqual([1000, 0.003])
  })
})

test('what is begun and never looked at does not pile up', () => {
  const unfinished = new Unfinished(2)
  const work = (id: string, isDone = true) => ({ id, model: undefined, isDone })
  for (const id of ['a', 'b', 'c']) unfinished.begun('p', work(id, false))
  expect(unfinished.ended('p', work('a'))).toBe(false)
  expect(unfinished.ended('q', work('b'))).toBe(false)
  expect(unfinished.ended('p', work('b', false))).toBe(false)
  expect([unfinished.ended('p', work('b')), unfinished.ended('p', work('b'))]).toEqual([
    true,
    false,
  ])
})
