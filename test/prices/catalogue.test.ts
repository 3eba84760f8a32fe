import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// What the models endpoints add to what a provider says of its models.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    providers: {
      openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
    },
    prices: [{ model: 'in-house', input: 0.5, output: 1 }],
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

const headers = { 'content-type': 'application/json' }
const get = async (path: string, more: Record<string, string> = {}): Promise<string> => {
  const response = await fetch(`${gateway.url}/openai/v1${path}`, { headers: more })
  expect(response.status).toBe(200)
  return await response.text()
}

test('a list: context length and prices where they are known, every other byte as it came', async () => {
  const known = (id: string, more = '') =>
    `{ "id": "${id}"${more}, "object":"model","created":1.0 }`
  const list = (...models: string[]) => `{"object":"list", "data":[${models.join(' ,')}]`
  const own = '{"context_length":5,"id":"gpt-4o-mini"}'
  upstream.reply({
    text: `${list(known('gpt-5'), known('mystery'), known('in-house'), own)}}`,
    headers,
  })
  const text = await get('/models?provider=openai')
  const gpt5 = `,"name":"GPT-5","context_length":400000,"pricing":{"prompt":"0.00000125","completion":"0.00001","input_cache_read":"0.000000125","web_search":"0.01"}`
  const inHouse = `,"pricing":{"prompt":"0.0000005","completion":"0.000001"}`
  const [, ...models] = JSON.parse(text).data
  expect(text).toStartWith(
    list(
      known('openai/gpt-5', gpt5),
      known('openai/mystery'),
      known('openai/in-house', inHouse),
      '{"context_length":5,"id":"openai/gpt-4o-mini"',
    ).slice(0, -1),
  )
  // What the provider says itself is not said twice.
  expect(models[2]).toMatchObject({ context_length: 5, pricing: { prompt: '0.00000015' } })
  expect(text.match(/"context_length"/g)).toHaveLength(2)
})

test('one model: what may be asked of it as well', async () => {
  upstream.reply({ text: '{"id":"gpt-5","object":"model"}', headers })
  const model = JSON.parse(await get('/models/openai/gpt-5'))
  expect(model).toMatchObject({ id: 'openai/gpt-5', name: 'GPT-5', context_length: 400_000 })
  expect(model.supported_parameters ?? []).not.toContain('own')
})

test('what a provider calls its context window is its context length, known to the list or not', async () => {
  const list =
    '{"object":"list","data":[{"id":"gpt-5","context_window":7},{"id":"x","context_window":9}]}'
  upstream.reply({ text: list, headers })
  const { data } = JSON.parse(await get('/models?provider=openai'))
  expect(data).toMatchObject([
    { id: 'openai/gpt-5', context_window: 7, context_length: 7, name: 'GPT-5' },
    { id: 'openai/x', context_window: 9, context_length: 9 },
  ])
})

test('nothing is added for those who want no extra fields', async () => {
  const text = '{"id":"gpt-5","object":"model"}'
  upstream.reply({ text, headers })
  expect(await get('/models/openai/gpt-5', { 'x-bf-extra-fields': 'false' })).toBe(
    text.replace('gpt-5', 'openai/gpt-5'),
  )
})
