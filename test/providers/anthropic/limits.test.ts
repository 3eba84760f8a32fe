import { afterAll, beforeAll, expect, test } from 'bun:test'

import { startGateway, type TestGateway } from '../../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../../helpers/upstream.ts'

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  const keys = [{ value: 'k' }]
  gateway = await startGateway({
    config: { providers: { anthropic: { keys, network_config: { base_url: upstream.url } } } },
  })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const headers = {
  'anthropic-ratelimit-requests-limit': '50',
  'anthropic-ratelimit-requests-remaining': '0',
  'anthropic-ratelimit-tokens-reset': '2020-01-01T00:00:00Z',
}
const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 1, output_tokens: 1 },
}
const refusal = { type: 'error', error: { type: 'rate_limit_error', message: 'slow down' } }

test.each([
  ['an answer', { json: message, headers }, 200],
  ['a refusal', { json: refusal, headers, status: 429 }, 429],
] as const)('%s says its limits under OpenAI’s names', async (_, reply, status) => {
  upstream.reply(reply)
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'anthropic/claude-sonnet-4-5',
      messages: [{ role: 'user', content: 'hi' }],
    }),
  })
  await response.text()
  expect(response.status).toBe(status)
  expect(response.headers.get('x-ratelimit-limit-requests')).toBe('50')
  expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0')
  expect(response.headers.get('x-ratelimit-reset-tokens')).toBe('0s')
  expect(response.headers.get('anthropic-ratelimit-requests-limit')).toBe('50')
})
