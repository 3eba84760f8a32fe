import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI, { APIError } from 'openai'

import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// The `openai` SDK in front of the gateway, the vendor's dialect behind it, which refuses what the vendor refuses.

let rig: Rig
let client: OpenAI

beforeAll(async () => {
  rig = await startRig()
  client = new OpenAI({ apiKey: 'any', baseURL: `${rig.gateway.url}/openai/v1`, maxRetries: 0 })
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig.stop())

const claude = (behaviour: string) => `bedrock/eu.anthropic.claude-opus-4-6-${behaviour}-v1:0`
const haiku = (behaviour: string) => `bedrock/anthropic.claude-3-haiku-20240307-${behaviour}-v1:0`
const messages = [{ role: 'user' as const, content: 'over the rainbow bridge' }]
const fn = (name: string, properties: Record<string, unknown> = {}) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties, required: Object.keys(properties) } },
})
const tools = [fn('weather', { city: { type: 'string' } }), fn('now')]

test('create gives text and usage', async () => {
  const answer = await client.chat.completions.create({ model: claude('echo'), messages })
  expect(answer.choices[0]!.message.content).toBe('over the rainbow bridge')
  expect(answer.usage!.prompt_tokens).toBeGreaterThan(0)
})

test('stream puts text, usage and finish reason together', async () => {
  const stream = client.chat.completions.stream({
    model: claude('length'),
    messages,
    max_completion_tokens: 2,
    stream_options: { include_usage: true },
  })
  const answer = await stream.finalChatCompletion()
  expect(answer.choices[0]!.message.content).toBe('over the')
  expect(answer.choices[0]!.finish_reason).toBe('length')
  expect(answer.usage!.total_tokens).toBeGreaterThan(0)
})

test('stream puts parallel calls together, one without arguments', async () => {
  const stream = client.chat.completions.stream({ model: claude('tools'), messages, tools })
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0]!
  expect(finish_reason).toBe('tool_calls')
  const called = (message.tool_calls ?? []).map((call) =>
    call.type === 'function' ? [call.id, call.function.name, call.function.arguments] : [],
  )
  expect(called).toEqual([
    ['tooluse_mock_0', 'weather', '{"city":"mock"}'],
    ['tooluse_mock_1', 'now', '{}'],
  ])
})

test('what was refused is a content filter', async () => {
  const answer = await client.chat.completions.create({ model: claude('refuse'), messages })
  expect(answer.choices[0]!.finish_reason).toBe('content_filter')
})

const schema = {
  type: 'object',
  properties: { title: { type: 'string' }, count: { type: 'integer' } },
  required: ['title', 'count'],
  additionalProperties: false,
}
const response_format = {
  type: 'json_schema' as const,
  json_schema: { name: 'thing', strict: true, schema },
}

describe.each([
  ['by the vendor', claude('json')],
  ['by a tool', haiku('json')],
])('a schema kept %s', (_how, model) => {
  test('parse', async () => {
    const answer = await client.chat.completions.parse({ model, messages, response_format })
    const [choice] = answer.choices
    expect(choice!.message.parsed).toEqual({ title: 'mock', count: 0 })
    expect(choice!.finish_reason).toBe('stop')
    expect(choice!.message.tool_calls).toBeUndefined()
  })

  test('stream', async () => {
    const stream = client.chat.completions.stream({ model, messages, response_format })
    const { message } = (await stream.finalChatCompletion()).choices[0]!
    expect(message.parsed).toEqual({ title: 'mock', count: 0 })
  })
})

test.each([true, false])('runTools replays calls and results (stream: %p)', async (stream) => {
  const asked: unknown[] = []
  const weather = {
    type: 'function' as const,
    function: {
      name: 'weather',
      parameters: tools[0]!.function.parameters,
      parse: (text: string) => JSON.parse(text) as object,
      function: (input: object) => {
        asked.push(input)
        return 'snow'
      },
    },
  }
  const params = { model: claude('tools'), messages, tools: [weather] as never }
  const text = stream
    ? await client.chat.completions.runTools({ ...params, stream: true }).finalContent()
    : await client.chat.completions.runTools(params).finalContent()
  expect(text).toBe('The tool says: snow')
  expect(asked).toEqual([{ city: 'mock' }])
  const [, assistant, result] = rig.upstream.requests[1]!.json().messages
  expect(assistant.content[0].toolUse.toolUseId).toBe('tooluse_mock_0')
  expect(result.content).toEqual([
    { toolResult: { toolUseId: 'tooluse_mock_0', content: [{ text: 'snow' }] } },
  ])
})

test('thoughts come with signatures, and go back with the next turn', async () => {
  const asked = { role: 'user' as const, content: 'a secret' }
  const stream = await client.chat.completions.create({
    model: claude('reason'),
    messages: [asked],
    reasoning_effort: 'low',
    stream: true,
  })
  let content = ''
  const pieces: object[] = []
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta as
      { content?: string; reasoning_details?: object[] } | undefined
    content += delta?.content ?? ''
    pieces.push(...(delta?.reasoning_details ?? []))
  }
  expect(content).toBe('a secret')
  // The pieces as they came, which the mock takes only when they are put together to what it has signed.
  const assistant = { role: 'assistant' as const, content, reasoning_details: pieces }
  const next = await client.chat.completions
    .create({
      model: claude('reason'),
      messages: [asked, assistant, { role: 'user', content: 'and?' }],
      reasoning_effort: 'low',
    })
    .asResponse()
  expect([next.status, next.headers.get('x-bf-dropped-params')]).toEqual([200, null])
  const [, replayed] = rig.upstream.requests[1]!.json().messages
  expect(replayed.content.map((block: object) => Object.keys(block)[0])).toEqual([
    'reasoningContent',
    'reasoningContent',
    'text',
  ])
})

test('what was cached is counted', async () => {
  const answer = await client.chat.completions.create({
    model: claude('echo'),
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'long', cache_control: { type: 'ephemeral' } } as {
            type: 'text'
            text: string
          },
          { type: 'text', text: 'short' },
        ],
      },
    ],
  })
  const { prompt_tokens, prompt_tokens_details } = answer.usage!
  expect(prompt_tokens_details!.cached_tokens).toBeGreaterThan(0)
  expect(prompt_tokens).toBeGreaterThan(prompt_tokens_details!.cached_tokens!)
})

test('responses.stream and responses.parse', async () => {
  const streamed = await client.responses
    .stream({ model: claude('echo'), input: 'hello there' })
    .finalResponse()
  expect(streamed.output_text).toBe('hello there')
  const parsed = await client.responses.parse({
    model: claude('json'),
    input: 'a thing',
    text: { format: { type: 'json_schema', name: 'thing', strict: true, schema } },
  })
  expect(parsed.output_parsed).toEqual({ title: 'mock', count: 0 })
})

test.each([
  ['cut=150', 'upstream_truncated'],
  ['malformed', 'bad_gateway'],
  ['no-done', 'upstream_truncated'],
  ['error-event=1', 'server_error'],
])('a stream spoiled by %s raises', async (fault, code) => {
  const stream = client.chat.completions.stream({ model: `${claude('echo')}!${fault}`, messages })
  const error = await stream.finalChatCompletion().catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(APIError)
  expect(error).toMatchObject({ code })
})
