import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// `usage.cost` in answers: only when asked, and no other byte changes.

const upstream = await startUpstream()
const provider = { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } }
const config = {
  client: { extra_fields: false },
  providers: {
    openai: provider,
    anthropic: { keys: [{ value: 'k' }], network_config: { base_url: upstream.url } },
  },
}
const quiet = await startGateway({ config })
const telling = await startGateway({
  config: { ...config, client: { extra_fields: false, usage_cost: true } },
})
afterAll(async () => {
  await Promise.all([quiet.stop(), telling.stop(), upstream.stop()])
})

const usage = `{ "prompt_tokens":1000,"completion_tokens" : 200, "total_tokens":1200\n}`
// 1000 × 2.50 and 200 × 10.
const cost =
  '{"input_tokens_cost":0.0025,"output_tokens_cost":0.002,"reasoning_tokens_cost":0,"citation_tokens_cost":0,"search_queries_cost":0,"request_cost":0,"total_cost":0.0045}'
const usageWithCost = `${usage.slice(0, -1)},"cost":${cost}}`

const json = { 'content-type': 'application/json' }
const whole = (counted: string, model = 'gpt-4o') =>
  `{"id":"c", "object":"chat.completion","created":1,"model":"${model}","usage":${counted}, "choices":[{"index":0,"message":{"role":"assistant","content":"\\u00e9 1.0"},"finish_reason":"stop"}]}`

async function ask(
  gateway: { url: string },
  path: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await fetch(`${gateway.url}/openai/v1${path}`, {
    method: 'POST',
    headers: { ...json, ...headers },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(200)
  return await response.text()
}

const messages = [{ role: 'user', content: 'Hi' }]
const chat = { model: 'openai/gpt-4o', messages }

test('a whole answer gets it by configuration, and is otherwise as it came', async () => {
  upstream.reply({ text: whole(usage), headers: json })
  expect(await ask(telling, '/chat/completions', chat)).toBe(whole(usageWithCost))
})

test('a header decides for one request', async () => {
  upstream.reply([
    { text: whole(usage), headers: json },
    { text: whole(usage), headers: json },
    { text: whole(usage), headers: json },
  ])
  const yes = { 'x-bf-usage-cost': 'true' }
  const no = { 'x-bf-usage-cost': 'false' }
  expect(await ask(quiet, '/chat/completions', chat)).toBe(whole(usage))
  expect(await ask(quiet, '/chat/completions', chat, yes)).toBe(whole(usageWithCost))
  expect(await ask(telling, '/chat/completions', chat, no)).toBe(whole(usage))
})

test('a cost that the provider wrote stays, and what has no price is marked', async () => {
  const own = `${usage.slice(0, -1)},"cost":0.25}`
  upstream.reply([
    { text: whole(own), headers: json },
    { text: whole(usage, 'mystery'), headers: json },
  ])
  expect(await ask(telling, '/chat/completions', chat)).toBe(whole(own))
  const mystery = { model: 'openai/mystery', messages }
  const marked = whole(`${usage.slice(0, -1)},"cost":null}`, 'mystery')
  expect(await ask(telling, '/chat/completions', mystery)).toBe(marked)
  upstream.reply({ text: whole(usage, 'mystery'), headers: json })
  expect(await ask(quiet, '/chat/completions', mystery)).toBe(whole(usage, 'mystery'))
})

test('the usage chunk of a stream gets it', async () => {
  const chunk = (more: string) => `{"id":"c","object":"chat.completion.chunk",${more}}`
  const first = chunk('"choices":[{"index":0,"delta":{"content":"a"}}]')
  const last = chunk('"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]')
  const counted = (counts: string) => chunk(`"choices":[],"usage":${counts.replace('\n', '')}`)
  upstream.reply({ sse: [first, last, counted(usage), '[DONE]'] })
  const text = await ask(telling, '/chat/completions', {
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
  })
  const events = [first, last, counted(usageWithCost), '[DONE]']
  expect(text).toBe(events.map((event) => `data: ${event}\n\n`).join(''))

  // Without a price it is marked there as well.
  upstream.reply({ sse: [first, last, counted(usage), '[DONE]'] })
  const options = { stream: true, stream_options: { include_usage: true } }
  const unpriced = { ...chat, ...options, model: 'openai/mystery' }
  expect(await ask(telling, '/chat/completions', unpriced)).toContain(',"cost":null}}\n\n')
})

test('the terminal event of a response gets it', async () => {
  const counts = '{"input_tokens":1000,"output_tokens":200,"total_tokens":1200}'
  const done = (counted: string) =>
    `event: response.completed\ndata: {"type":"response.completed","sequence_number":1,"response":{"id":"r","object":"response","usage":${counted},"status":"completed"}}\n\n`
  const created =
    'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"r"}}\n\n'
  upstream.reply({ sse: [created, done(counts)] })
  const body = { model: 'openai/gpt-4o', input: 'Hi', stream: true }
  expect(await ask(telling, '/responses', body)).toBe(
    created + done(`${counts.slice(0, -1)},"cost":${cost}}`),
  )
})

test('a translated answer gets it, cached input and its writes included', async () => {
  upstream.reply({
    json: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-5',
      content: [{ type: 'text', text: 'Hi' }],
      stop_reason: 'end_turn',
      usage: {
        input_tokens: 1000,
        cache_read_input_tokens: 5000,
        cache_creation_input_tokens: 500,
        cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 300 },
        output_tokens: 100,
      },
    },
  })
  const body = { model: 'anthropic/claude-sonnet-4-5', messages }
  const answer = JSON.parse(await ask(telling, '/chat/completions', body))
  expect(answer.usage.cost).toMatchObject({
    input_tokens_cost: 0.00705,
    output_tokens_cost: 0.0015,
    total_cost: 0.00855,
  })
})
