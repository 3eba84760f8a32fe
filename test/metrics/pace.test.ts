import { afterAll, expect, test } from 'bun:test'

import { INTER_TOKEN_SECONDS } from '#metrics/histogram.ts'
import { Pace } from '#pipeline/pace.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { scrape, sum } from './read.ts'

// `bifrost_stream_inter_token_latency_seconds`: each gap between the events of each stream.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    providers: {
      openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
    },
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

test('gaps by bucket; what comes in one piece has nothing between', () => {
  const pace = new Pace(1000)
  pace.noted(1003, 2)
  // Nothing new.
  pace.noted(1100, 2)
  pace.noted(1203, 6)
  pace.noted(31_203, 7)
  const { bounds } = INTER_TOKEN_SECONDS
  const found = [...pace.counts].flatMap((count, i) => (count > 0 ? [[bounds[i], count]] : []))
  expect(found).toEqual([
    [0.001, 3],
    [0.005, 1],
    [0.25, 1],
    [undefined, 1],
  ])
  expect([pace.count, pace.sum]).toEqual([6, 30.203])
})

const name = 'bifrost_stream_inter_token_latency_seconds'
const chunk = (more: object) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o', ...more })
const chunks = [
  ...['a', 'b', 'c'].map((content) => chunk({ choices: [{ index: 0, delta: { content } }] })),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 40, total_tokens: 41 } }),
  '[DONE]',
]

const ask = (body: object) =>
  fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }], stream: true },
      ...body,
    }),
  })

test('as many as there are events after the first, whatever the usage says', async () => {
  upstream.reply([{ sse: chunks }, { sse: chunks }])
  // Who asks for the usage gets one event more.
  await (await ask({ stream_options: { include_usage: true } })).text()
  expect(sum(await scrape(gateway), `${name}_count`)).toBe(4)
  await (await ask({})).text()
  const samples = await scrape(gateway)
  expect(sum(samples, `${name}_count`)).toBe(7)
  expect(sum(samples, `${name}_bucket`, { le: '+Inf' })).toBe(7)
})
