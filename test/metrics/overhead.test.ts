import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Where the gateway's own time goes: the parts are the whole.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    metrics: { overhead_components: true },
    providers: {
      openai: {
        keys: [{ value: 'k' }],
        network_config: {
          ...{ base_url: `${upstream.url}/v1`, max_retries: 1 },
          ...{ retry_backoff_initial: 1, retry_backoff_max: 1 },
        },
      },
    },
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

const completion = {
  ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
}
const chunk = (more: object) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o', ...more })

async function ask(more: object = {}): Promise<void> {
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }] },
      ...more,
    }),
  })
  expect(response.status).toBe(200)
  await response.text()
}

test('of whole answers, streams and calls that were tried twice', async () => {
  upstream.reply([
    { json: completion },
    { status: 500, json: { error: { message: 'no' } } },
    { json: completion },
    {
      sse: [
        chunk({ choices: [{ index: 0, delta: { content: 'a' } }] }),
        chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
        '[DONE]',
      ],
    },
  ])
  await ask()
  await ask()
  await ask({ stream: true })
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  const sum = (name: string, label = '') =>
    Array.from(text.matchAll(new RegExp(`^${name}\\{.*${label}.*\\} (.*)$`, 'gm')), ([, value]) =>
      Number(value),
    ).reduce((a, b) => a + b, 0)
  const part = (name: string) =>
    sum('bifrost_overhead_component_microseconds_sum', `overhead_component="${name}"`)
  const parts = ['queue', 'routing', 'request', 'response', 'retry'].map(part)
  const whole = sum('bifrost_overhead_latency_microseconds_sum')
  const all = parts.reduce((a, b) => a + b)
  expect(Math.abs(all - whole)).toBeLessThan(1)
  // Nobody had to wait for a place.
  expect(part('queue')).toBe(0)
  for (const name of ['routing', 'request', 'response', 'retry']) {
    expect(part(name)).toBeGreaterThan(0)
  }
  expect(sum('bifrost_overhead_component_microseconds_count')).toBe(3 * 5)
})
