import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// Keys that are asked in an order, and not by the dice.

let upstream: Upstream
let gateway: TestGateway

const refusal = (status: number, code: string) => ({
  status,
  json: { error: { message: 'no', type: 'x', code } },
})
const unknown = refusal(404, 'not_found')
const badKey = refusal(401, 'invalid_api_key')
const keysSent = () =>
  upstream.requests.map(({ headers }) => headers.get('authorization')?.replace('Bearer ', ''))

async function start(keys: object[], client: object = {}, more: object = {}): Promise<void> {
  gateway = await startGateway({
    config: {
      client,
      providers: { openai: { keys, network_config: { base_url: upstream.url }, ...more } },
    },
  })
}

beforeEach(async () => {
  upstream = await startUpstream()
})
afterEach(async () => {
  await gateway.stop()
  await upstream.stop()
})

describe('what belongs to an account', () => {
  // Neither in the order of the configuration nor of the weights.
  const keys = [
    { name: 'b', id: 'b', value: 'kb', weight: 1 },
    { name: 'c', id: 'c', value: 'kc', weight: 100 },
    { name: 'a', id: 'a', value: 'ka', weight: 0 },
  ]
  const send = async (method: string, path: string, headers: object = {}): Promise<number> => {
    const init = { method, headers: { 'content-type': 'application/json', ...headers } }
    const response = await fetch(`${gateway.url}/openai/v1${path}`, init)
    await response.text()
    return response.status
  }

  test.each([
    ['GET', '/files/f'],
    ['GET', '/files/f/content'],
    ['DELETE', '/files/f'],
    ['GET', '/batches/b'],
    ['POST', '/batches/b/cancel'],
    ['GET', '/containers/c'],
    ['DELETE', '/containers/c/files/f'],
    ['GET', '/videos/v'],
    ['GET', '/files'],
    ['GET', '/batches'],
  ])('is looked for in the order of the ids: %s %s', async (method, path) => {
    await start(keys)
    upstream.reply([unknown, badKey, { json: { object: 'x', id: 'f' } }])
    expect(await send(method, path)).toBe(200)
    expect(keysSent()).toEqual(['ka', 'kb', 'kc'])
  })

  test('is asked of the first alone when that knows it, and is not there when nobody does', async () => {
    await start(keys)
    upstream.reply({ json: { object: 'file', id: 'f' } })
    expect(await send('GET', '/files/f')).toBe(200)
    expect(keysSent()).toEqual(['ka'])
    upstream.reply([unknown, unknown, unknown])
    expect(await send('GET', '/files/f')).toBe(404)
    expect(keysSent()).toEqual(['ka', 'ka', 'kb', 'kc'])
  })

  test('is asked of no other key when the request is wrong', async () => {
    await start(keys)
    upstream.reply(refusal(400, 'invalid_value'))
    expect(await send('GET', '/files/f')).toBe(400)
    expect(keysSent()).toEqual(['ka'])
  })

  test('is asked of the keys for the batch API alone, and no session changes that', async () => {
    const marked = keys.map((key) => ({ ...key, use_for_batch_api: key.id !== 'a' }))
    await start(marked)
    upstream.reply([{ json: {} }, { json: {} }, unknown, { json: {} }])
    const session = { 'x-bf-session-id': 's' }
    for (let n = 0; n < 3; n++) await send('GET', '/files/f', session)
    expect(keysSent()).toEqual(['kb', 'kb', 'kb', 'kc'])
  })

  test('is made with one key, drawn by weight', async () => {
    await start(keys)
    upstream.reply([unknown, unknown])
    const form = new FormData()
    form.append('purpose', 'batch')
    form.append('file', new File(['{}'], 'f.jsonl'))
    const url = `${gateway.url}/openai/v1/files`
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(404)
    expect(keysSent()).not.toContain('ka')
    expect(upstream.requests).toHaveLength(1)
  })

  test('is explained like that', async () => {
    await start(keys)
    const description = { method: 'GET', path: '/v1/files/f' }
    const answer = await fetch(`${gateway.url}/api/explain`, {
      method: 'POST',
      body: JSON.stringify(description),
    })
    const { candidates } = (await answer.json()) as any
    expect(candidates[0].keys[0]).toMatchObject({ name: 'a', share: 1 })
    upstream.reply({ json: {} })
    const headers = { 'x-bf-explain': 'true' }
    const real = await fetch(`${gateway.url}/openai/v1/files/f`, { headers })
    const { extra_fields } = (await real.json()) as any
    const said = extra_fields.trace.find(({ step }: any) => step === 'key')
    expect(said).toMatchObject({ key: 'a', why: 'the next by id' })
  })
})

describe('where the cheapest is wanted, and a model is another one with another key', () => {
  const alias = (name: string, model: string, weight: number) => ({
    name,
    value: `k${name}`,
    weight,
    aliases: { model },
  })
  const ask = async (): Promise<void> => {
    const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'openai/model',
        messages: [{ role: 'user', content: 'hi' }],
      }),
    })
    await response.text()
  }
  const keys = [
    alias('dear', 'gpt-4o', 100),
    alias('cheap', 'gpt-4o-mini', 1),
    alias('unknown', 'nobody-knows-it', 100),
    alias('same', 'gpt-4o-mini', 0),
  ]

  test('the cheapest is asked first, and the others when it fails', async () => {
    await start(keys, { load_balancing: 'cost' })
    upstream.reply([{ json: {} }, { json: {} }, badKey, badKey, badKey])
    for (let n = 0; n < 3; n++) await ask()
    expect(keysSent()).toEqual(['kcheap', 'kcheap', 'kcheap', 'ksame', 'kdear', 'kunknown'])
  })

  test('nothing but the weight counts otherwise', async () => {
    await start(keys)
    for (let n = 0; n < 30; n++) await ask()
    expect(keysSent()).toContain('kdear')
    expect(keysSent()).toContain('kunknown')
  })

  test('it is explained like that', async () => {
    await start(keys, { load_balancing: 'cost' })
    const body = { model: 'openai/model', messages: [{ role: 'user', content: 'hi' }] }
    const answer = await fetch(`${gateway.url}/api/explain`, {
      method: 'POST',
      body: JSON.stringify({ path: '/v1/chat/completions', body }),
    })
    const { candidates } = (await answer.json()) as any
    const shares = candidates[0].keys.map(({ name, share }: any) => [name, share])
    expect(shares.slice(0, 2)).toEqual([
      ['cheap', 1],
      ['same', 0],
    ])
  })
})

test('a candidate counts as cheap as its cheapest key', async () => {
  gateway = await startGateway({
    config: {
      client: { load_balancing: 'cost' },
      providers: {
        openai: {
          keys: [{ value: 'ko', models: ['*'] }],
          network_config: { base_url: upstream.url },
        },
        groq: {
          keys: [
            { value: 'dear', aliases: { m: 'openai/gpt-oss-120b' } },
            { value: 'cheap', aliases: { m: 'llama-3.1-8b-instant' } },
          ],
          network_config: { base_url: upstream.url },
        },
      },
    },
  })
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'openai/gpt-4.1-nano',
      messages: [{ role: 'user', content: 'hi' }],
      fallbacks: ['groq/m'],
    }),
  })
  await response.text()
  expect(response.headers.get('x-bifrost-resolved-model')).toBe('llama-3.1-8b-instant')
})
