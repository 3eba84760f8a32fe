import { afterAll, describe, expect, test } from 'bun:test'

import { readResponseUsage } from '#openai/usage.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Searches of the web in the Responses API are no part of its usage, and cost.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    client: { usage_cost: true },
    providers: {
      openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
    },
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

const call = (more: object) => ({ type: 'web_search_call', status: 'completed', ...more })
const output = [
  call({ action: { type: 'search', query: 'a' } }),
  call({ action: { type: 'open_page', url: 'https://b.example' } }),
  call({}),
  call({ status: 'failed', action: { type: 'search' } }),
  { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'So' }] },
]
const response = (items: object[]) => ({
  ...{ id: 'resp', object: 'response', created_at: 1, model: 'gpt-5', status: 'completed' },
  output: items,
  usage: { input_tokens: 1000, output_tokens: 100, total_tokens: 1100 },
})
// gpt-5: 1000 × 1.25 and 100 × 10 per million, two searches at 10 per thousand.
const cost = { search_queries_cost: 0.02, total_cost: 0.02225 }

const ask = async (body: object): Promise<string> => {
  const answer = await fetch(`${gateway.url}/openai/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openai/gpt-5', input: 'Hi', ...body }),
  })
  expect(answer.status).toBe(200)
  return await answer.text()
}

describe('are charged', () => {
  test('in a whole answer', async () => {
    upstream.reply({ json: response(output) })
    expect(JSON.parse(await ask({})).usage.cost).toMatchObject(cost)
  })

  test('in a stream', async () => {
    const event = (type: string, more: object) => JSON.stringify({ type, ...more })
    upstream.reply({
      sse: [
        event('response.created', { response: { ...response([]), status: 'in_progress' } }),
        event('response.completed', { response: response(output) }),
      ],
    })
    const text = await ask({ stream: true })
    const [last] = text
      .split('\n')
      .filter((line) => line.includes('"response.completed"'))
      .slice(-1)
    expect(JSON.parse(last!.replace('data: ', '')).response.usage.cost).toMatchObject(cost)
  })

  test('and nothing is, where there are none', async () => {
    upstream.reply({ json: response(output.slice(4)) })
    expect(JSON.parse(await ask({})).usage.cost).toMatchObject({
      search_queries_cost: 0,
      total_cost: 0.00225,
    })
  })
})

test('an answer of any shape is read', () => {
  for (const strange of [undefined, null, 1, [], { usage: 1 }, { usage: {}, output: 1 }]) {
    expect(readResponseUsage(strange)).toBeUndefined()
  }
  const usage = { input_tokens: 1, output_tokens: 1 }
  const items = [null, 1, 'a', [], { type: 1 }, { type: 'web_search_call', action: null }]
  expect(readResponseUsage({ usage, output: items })?.webSearches).toBe(1)
  expect(
    readResponseUsage({ usage: { ...usage, num_search_queries: 7 }, output })?.webSearches,
  ).toBe(7)
})
