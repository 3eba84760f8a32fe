import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// What is charged by what was asked for, since the answer counts no tokens.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    providers: {
      openai: {
        keys: [{ name: 'main', value: 'k' }],
        network_config: { base_url: `${upstream.url}/v1`, max_retries: 0 },
      },
    },
    prices: [
      { model: 'voice', character: 10 },
      { model: 'painter', image: 0.04 },
      { model: 'dots', pixel: 0.02 },
    ],
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

async function total(): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  return Array.from(text.matchAll(/^bifrost_cost_total\{.*\} (.*)$/gm), ([, value]) =>
    Number(value),
  ).reduce((a, b) => a + b, 0)
}

async function costs(path: string, body: object, reply: object): Promise<number> {
  const before = await total()
  upstream.reply(reply)
  const response = await fetch(`${gateway.url}/openai/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  await response.arrayBuffer()
  return Math.round((await total()) * 1e9 - before * 1e9) / 1e9
}

const sound = { text: 'sound', headers: { 'content-type': 'audio/mpeg' } }
const pictures = { json: { created: 1, data: [{ b64_json: 'AA==' }] } }

test('speech by its characters', async () => {
  const body = { model: 'openai/voice', voice: 'alloy', input: 'ab😀d' }
  expect(await costs('/audio/speech', body, sound)).toBe(0.00004)
})

test('pictures by their number or their pixels', async () => {
  const path = '/images/generations'
  const painter = { model: 'openai/painter', prompt: 'p' }
  expect(await costs(path, painter, pictures)).toBe(0.04)
  expect(await costs(path, { ...painter, n: 3 }, pictures)).toBe(0.12)
  const dots = { model: 'openai/dots', prompt: 'p', n: 2, size: '1000x500' }
  expect(await costs(path, dots, pictures)).toBe(0.02)
})

test('what failed, and what has no such price, costs nothing', async () => {
  const path = '/images/generations'
  const refusal = { status: 400, json: { error: { message: 'no' } } }
  expect(await costs(path, { model: 'openai/painter', prompt: 'p' }, refusal)).toBe(0)
  expect(await costs(path, { model: 'openai/dots', prompt: 'p' }, pictures)).toBe(0)
})
