import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// What was done once is counted once, however often it is looked at.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    providers: {
      openai: {
        keys: [{ name: 'main', value: 'k' }],
        network_config: { base_url: `${upstream.url}/v1` },
      },
    },
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

const response = {
  ...{ id: 'resp_1', object: 'response', created_at: 1, model: 'gpt-4o', status: 'completed' },
  output: [],
  usage: { input_tokens: 100, output_tokens: 10, total_tokens: 110 },
}

async function ask(method: string, path: string, body?: object): Promise<void> {
  upstream.reply({ json: response })
  const answer = await fetch(`${gateway.url}/openai/v1${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  expect(answer.status).toBe(200)
  // The caller is told in any case.
  expect(JSON.parse(await answer.text()).usage).toMatchObject(response.usage)
}

test('lookups use nothing', async () => {
  await ask('POST', '/responses', { model: 'openai/gpt-4o', input: 'Hi' })
  await ask('GET', '/responses/resp_1?provider=openai')
  await ask('GET', '/responses/resp_1?provider=openai')
  await ask('GET', '/batches/batch_1?provider=openai')
  await ask('POST', '/batches/batch_1/cancel?provider=openai')
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  const total = (name: string) =>
    Array.from(text.matchAll(new RegExp(`^${name}\\{.*\\} (.*)$`, 'gm')), ([, value]) =>
      Number(value),
    )
  expect(total('bifrost_input_tokens_total')).toEqual([100])
  expect(total('bifrost_output_tokens_total')).toEqual([10])
  expect(total('bifrost_cost_total')).toEqual([0.00035])
  expect(total('asbru_unpriced_requests_total')).toEqual([])
  expect(total('bifrost_success_requests_total').reduce((a, b) => a + b)).toBe(5)
})
