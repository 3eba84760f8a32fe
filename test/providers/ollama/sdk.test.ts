import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from 'openai'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'

// The `openai` SDK in front of the gateway, the vendor's dialect behind it.

let upstream: Upstream
let gateway: TestGateway
let client: OpenAI

beforeAll(async () => {
  upstream = await startUpstream()
  const network_config = { base_url: upstream.url }
  gateway = await startGateway({
    config: { providers: { ollama: { network_config } } },
  })
  client = new OpenAI({ apiKey: 'any', baseURL: `${gateway.url}/openai/v1`, maxRetries: 0 })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const user = (content: string) => ({ role: 'user' as const, content })
const messages = [user('over the rainbow bridge')]
const fn = (name: string, properties: Record<string, unknown> = {}) => ({
  type: 'function' as const,
  function: {
    name,
    parameters: { type: 'object', properties, required: Object.keys(properties) },
  },
})
const tools = [fn('weather', { city: { type: 'string' } }), fn('now')]

test('chat.completions.create gives text and usage', async () => {
  const answer = await client.chat.completions.create({ model: 'ollama/echo', messages })
  expect(answer.choices[0]!.message.content).toBe('over the rainbow bridge')
  expect(answer.usage!.total_tokens).toBeGreaterThan(0)
})

test('chat.completions.stream puts text, usage and finish reason together', async () => {
  const stream = client.chat.completions.stream({
    model: 'ollama/length',
    messages,
    max_completion_tokens: 2,
    stream_options: { include_usage: true },
  })
  const answer = await stream.finalChatCompletion()
  expect(answer.choices[0]!.message.content).toBe('over the')
  expect(answer.choices[0]!.finish_reason).toBe('length')
  expect(answer.usage!.prompt_tokens).toBeGreaterThan(0)
})

test('chat.completions.stream puts parallel calls together, one without arguments', async () => {
  const stream = client.chat.completions.stream({ model: 'ollama/tools', messages, tools })
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0]!
  expect(finish_reason).toBe('tool_calls')
  expect(
    (message.tool_calls ?? []).map((call) =>
      call.type === 'function' ? [call.function.name, call.function.arguments] : [],
    ),
  ).toEqual([
    ['weather', '{"city":"mock"}'],
    ['now', '{}'],
  ])
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

test('chat.completions.parse follows a schema', async () => {
  const answer = await client.chat.completions.parse({
    model: 'ollama/json',
    messages,
    response_format,
  })
  expect(answer.choices[0]!.message.parsed).toEqual({ title: 'mock', count: 0 })
  expect(upstream.requests[0]!.json().format).toEqual(schema)
})

test.each([true, false])('runTools replays calls and results (stream: %p)', async (stream) => {
  const asked: unknown[] = []
  const weather = {
    type: 'function' as const,
    function: {
      name: 'weather',
      description: 'Tells the weather.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      parse: (text: string) => JSON.parse(text) as object,
      function: (input: object) => {
        asked.push(input)
        return 'snow'
      },
    },
  }
  const params = { model: 'ollama/tools', messages, tools: [weather] }
  const text = stream
    ? await client.chat.completions.runTools({ ...params, stream: true }).finalContent()
    : await client.chat.completions.runTools(params).finalContent()
  expect(text).toBe('The tool says: snow')
  expect(asked).toEqual([{ city: 'mock' }])
  const [, assistant, result] = upstream.requests[1]!.json().messages
  expect(assistant.tool_calls).toHaveLength(1)
  expect(result).toEqual({
    role: 'tool',
    content: 'snow',
    tool_name: 'weather',
    tool_call_id: assistant.tool_calls[0].id,
  })
})

test('reasoning and calls are replayed on the next turn', async () => {
  const asking = { model: 'ollama/tools', tools, reasoning_effort: 'low' as const }
  const first = await client.chat.completions.create({ ...asking, messages })
  const said = first.choices[0]!.message
  const results = said.tool_calls!.map(({ id }) => ({
    role: 'tool' as const,
    tool_call_id: id,
    content: '7',
  }))
  const second = await client.chat.completions.create({
    ...asking,
    messages: [...messages, said, ...results],
  })
  expect(second.choices[0]!.message.content).toBe('The tool says: 7')
  const [, assistant] = upstream.requests[1]!.json().messages
  expect(assistant).toEqual({
    role: 'assistant',
    content: '',
    thinking: 'Let me think.',
    tool_calls: said.tool_calls!.map(({ id }, index) => ({
      id,
      function: {
        index,
        name: ['weather', 'now'][index],
        arguments: [{ city: 'mock' }, {}][index],
      },
    })),
  })
})

test('thinking is streamed as reasoning', async () => {
  const stream = await client.chat.completions.create({
    model: 'ollama/reason',
    messages,
    stream: true,
  })
  let reasoning = ''
  let text = ''
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta as { reasoning?: string; content?: string } | undefined
    reasoning += delta?.reasoning ?? ''
    text += delta?.content ?? ''
  }
  expect([reasoning, text]).toEqual([
    'The user said: over the rainbow bridge',
    messages[0]!.content,
  ])
})

test('embeddings come as base64 unless asked for otherwise, and are the same', async () => {
  const packed = await client.embeddings.create({ model: 'ollama/embed', input: ['a', 'b'] })
  const plain = await client.embeddings.create({
    model: 'ollama/embed',
    input: ['a', 'b'],
    encoding_format: 'float',
  })
  expect(packed.data).toHaveLength(2)
  packed.data.forEach(({ embedding }, at) => {
    expect(embedding).toHaveLength(8)
    embedding.forEach((value, i) => expect(value).toBeCloseTo(plain.data[at]!.embedding[i]!, 6))
  })
  expect(packed.usage.prompt_tokens).toBe(2)
})

test('transcriptions use the compatible surface', async () => {
  const file = new File(['RIFF'], 'a.wav')
  const answer = await client.audio.transcriptions.create({ model: 'ollama/whisper', file })
  expect(answer.text.length).toBeGreaterThan(0)
  expect(upstream.requests[0]!.path).toBe('/v1/audio/transcriptions')
})

test('models are listed', async () => {
  const { data } = await client.models.list()
  expect(data.map(({ id }) => id)).toContain('ollama/echo:latest')
})

test('responses.stream and responses.parse find what they insist on', async () => {
  const input = 'over the rainbow bridge'
  const format = { type: 'json_schema' as const, name: 'thing', strict: true, schema }
  const parsed = await client.responses.parse({ model: 'ollama/json', input, text: { format } })
  expect(parsed.output_parsed).toEqual({ title: 'mock', count: 0 })
  const stream = client.responses.stream({ model: 'ollama/reason', input })
  const kinds = new Set<string>()
  for await (const { type } of stream) kinds.add(type)
  const response = await stream.finalResponse()
  expect(response.output_text).toBe(input)
  expect(response.output.map(({ type }) => type)).toEqual(['reasoning', 'message'])
  expect(kinds).toContain('response.output_text.delta')
  expect(response.usage!.output_tokens).toBeGreaterThan(0)
})

describe('failures raise the class that fits', () => {
  test.each([
    [401, AuthenticationError],
    [403, PermissionDeniedError],
    [404, NotFoundError],
    [400, BadRequestError],
    [429, RateLimitError],
    [503, InternalServerError],
    [500, InternalServerError],
  ])('%d', async (status, expected) => {
    const asking = client.chat.completions.create({
      model: `ollama/echo!status=${status};retry-after=0`,
      messages,
    })
    expect(await asking.catch((thrown: unknown) => thrown)).toBeInstanceOf(expected)
  })

  test.each([
    ['error-event=2', /The server had an error/],
    ['no-done', /ended its stream/],
    ['malformed', /./],
  ])('in a stream with %s', async (fault, message) => {
    const stream = client.chat.completions.stream({ model: `ollama/echo!${fault}`, messages })
    const thrown = await stream.finalChatCompletion().catch((error: unknown) => error)
    expect(thrown).toBeInstanceOf(APIError)
    expect((thrown as Error).message).toMatch(message)
  })
})

test.each([
  ['tools', { tools }, 'tools'],
  ['thoughts', { reasoning_effort: 'low' as const }, 'reasoning_effort'],
])('a model without %s says so', async (_name, more, param) => {
  const asking = client.chat.completions.create({ model: 'ollama/plain', messages, ...more })
  const thrown = await asking.catch((error: unknown) => error)
  expect(thrown).toBeInstanceOf(BadRequestError)
  expect(thrown).toMatchObject({ param, code: 'unsupported_parameter' })
})

describe('the mock refuses what the server refuses', () => {
  const ok = { model: 'echo', stream: false, messages: [{ role: 'user', content: 'hi' }] }
  const said = (message: object) => ({ messages: [{ role: 'assistant', content: '', ...message }] })
  test.each<[string, object]>([
    ['no model', { model: '' }],
    ['the role developer', { messages: [{ role: 'developer', content: 'x' }] }],
    ['content in parts', { messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }],
    ['no content', { messages: [{ role: 'user' }] }],
    ['arguments as text', said({ tool_calls: [{ function: { name: 'f', arguments: '{}' } }] })],
    ['images by URL', { messages: [{ role: 'user', content: '', images: ['https://x/y.png'] }] }],
    ['images with a prefix', { messages: [{ ...ok.messages[0], images: ['data:x;base64,AA=='] }] }],
    ['a single stop', { options: { stop: 'END' } }],
    ['broken limits', { options: { num_predict: 1.5 } }],
    ['OpenAI’s format', { format: 7 }],
    ['unknown levels', { think: 'minimal' }],
    ['tools where there are none', { model: 'plain', tools: [tools[0]] }],
  ])('%s', async (_name, more) => {
    const response = await fetch(`${upstream.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify({ ...ok, ...more }),
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({ error: expect.any(String) })
  })

  test('and streams to whoever does not say otherwise', async () => {
    const { stream: _, ...body } = ok
    const response = await fetch(`${upstream.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    await response.text()
  })
})
