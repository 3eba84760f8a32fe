import { afterAll, beforeAll, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import { readConversation } from '#openai/conversation/read.ts'
import { countTokens } from '#openai/tokens.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// Tokens counted by the provider where it counts, and here where it does not.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  const provider = { keys: [{ value: 'k' }], network_config: { base_url: upstream.url } }
  gateway = await startGateway({
    config: {
      providers: {
        cerebras: provider,
        openai: provider,
        ollama: { network_config: { base_url: upstream.url } },
        limited: {
          ...provider,
          custom_provider_config: {
            base_provider_type: 'cerebras',
            allowed_requests: { chat_completion: true },
          },
        },
      },
    },
  })
})

afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

async function count(body: object) {
  const response = await fetch(`${gateway.url}/openai/v1/responses/input_tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const answer = (await response.json()) as any
  return {
    status: response.status,
    marked: response.headers.get('x-bf-tokens'),
    dropped: response.headers.get('x-bf-dropped-params'),
    body: answer,
    tokens: Number(answer.input_tokens),
  }
}

test('a provider that counts is asked, and its number is not marked', async () => {
  upstream.clear()
  const counted = await count({ model: 'openai/gpt-6', input: 'Hello there' })
  expect(counted).toMatchObject({ status: 200, marked: null })
  expect(counted.body).not.toHaveProperty('input_tokens_estimated')
  expect(upstream.requests[0]!.path).toBe('/v1/responses/input_tokens')
})

test.each(['cerebras/llama', 'ollama/llama'])('%s: counted here, and marked', async (model) => {
  upstream.clear()
  const counted = await count({ model, input: 'Hello there, how are you?' })
  expect(counted).toMatchObject({ status: 200, marked: 'estimated' })
  expect(counted.body).toMatchObject({
    object: 'response.input_tokens',
    input_tokens_estimated: true,
    extra_fields: { request_type: 'count_tokens', provider: model.split('/')[0]! },
  })
  // Seven words and signs, and what a message costs.
  expect(counted.tokens).toBe(13)
  expect(upstream.requests).toHaveLength(0)
})

test('the SDK reads it', async () => {
  const client = new OpenAI({ apiKey: 'x', baseURL: `${gateway.url}/openai`, maxRetries: 0 })
  const counted = await client.responses.inputTokens.count({ model: 'cerebras/x', input: 'Hi' })
  expect(counted.input_tokens).toBeGreaterThan(0)
})

test('everything that is sent counts', async () => {
  const model = 'cerebras/llama'
  const { tokens } = await count({ model, input: 'Hello' })
  const more: readonly object[] = [
    { input: 'Hello', instructions: 'Answer in Latin, always.' },
    {
      input: [
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'Salve!' },
      ],
    },
    {
      input: 'Hello',
      tools: [
        {
          type: 'function',
          name: 'weather',
          description: 'Tells the weather',
          parameters: { type: 'object', properties: { city: { type: 'string' } } },
        },
      ],
    },
    {
      input: [
        { role: 'user', content: 'Hello' },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{"a":1}' },
      ],
    },
    {
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Hello' },
            { type: 'input_image', image_url: 'data:image/png;base64,AAAA' },
          ],
        },
      ],
    },
  ]
  for (const body of more) {
    const counted = await count({ model, ...body })
    expect(counted.status).toBe(200)
    expect(counted.tokens).toBeGreaterThan(tokens)
  }
})

test('what was before counts too', async () => {
  const made = (await (
    await fetch(`${gateway.url}/openai/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'cerebras/llama', input: 'A long story. '.repeat(50) }),
    })
  ).json()) as { id: string }
  const alone = await count({ model: 'cerebras/llama', input: 'Go on' })
  const continued = await count({
    model: 'cerebras/llama',
    input: 'Go on',
    previous_response_id: made.id,
  })
  expect(continued.tokens).toBeGreaterThan(alone.tokens + 300)
  const unknown = await count({
    model: 'cerebras/llama',
    input: 'Go on',
    previous_response_id: 'resp_nothing',
  })
  expect(unknown).toMatchObject({
    status: 400,
    body: { error: { code: 'previous_response_not_found' } },
  })
})

test('what cannot be asked cannot be counted', async () => {
  const wrong = await count({
    model: 'cerebras/llama',
    input: [{ type: 'function_call_output', call_id: 'c', output: 'x' }],
  })
  expect(wrong).toMatchObject({ status: 400, body: { error: { param: 'input[0].call_id' } } })
  expect(await count({ model: 'limited/llama', input: 'x' })).toMatchObject({
    status: 400,
    body: { error: { code: 'unsupported_endpoint' } },
  })
})

test('what looks like a control token is text', async () => {
  const { status, tokens } = await count({ model: 'cerebras/x', input: '<|endoftext|>' })
  expect(status).toBe(200)
  expect(tokens).toBeGreaterThan(8)
})

const still = new AbortController().signal

function tokensOf(text: string, signal = still): Promise<number> {
  return countTokens(readConversation({ messages: [{ role: 'user', content: text }] }), signal)
}

// Each of these takes the tokenizer alone minutes or more: it works with the square of a word's length.
test.each([
  ['a'.repeat(300_000), 'one word'],
  ['你好'.repeat(100_000), 'a script without spaces'],
  [' '.repeat(300_000), 'nothing but spaces'],
  ['!'.repeat(300_000), 'one sign'],
  ['\n'.repeat(300_000), 'line ends'],
  ['é́'.repeat(100_000), 'combining marks'],
  ['👩‍👩‍👧'.repeat(20_000), 'joined emoji'],
])('a hostile text is counted: %#', async (text) => {
  const tokens = await tokensOf(text)
  expect(tokens).toBeGreaterThan(1000)
  expect(tokens).toBeLessThan(text.length * 3)
})

test('the number is the tokenizer’s own where words are words', async () => {
  const text = 'The quick brown fox jumps over the lazy dog, and nobody minds it. '.repeat(3000)
  const { countTokens: own } = await import('gpt-tokenizer/encoding/o200k_base')
  // What a message costs, and the places where the text is cut for being counted in slices.
  expect((await tokensOf(text)) - own(text)).toBeLessThan(20)
  expect((await tokensOf(text)) - own(text)).toBeGreaterThanOrEqual(6)
})

test('beyond eight million characters the rest is taken for the same', async () => {
  const text = 'word '.repeat(2_000_000)
  const tokens = await tokensOf(text)
  expect(Math.abs(tokens / 2_000_000 - 1)).toBeLessThan(0.05)
})

test('a caller who has left is not counted for', async () => {
  const gone = AbortSignal.abort()
  const counting = tokensOf('Hello', gone)
  expect(await counting.catch((thrown: unknown) => thrown)).toMatchObject({ kind: 'client_closed' })
})
