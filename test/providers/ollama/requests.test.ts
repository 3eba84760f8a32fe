import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { refusedUrl, startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'
import { ask, fixture, post } from '../play.ts'
import { conversations, png } from './conversations.ts'

// What the server is sent, and what callers hear who ask for what it has not.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  const network_config = { base_url: upstream.url, allow_private_network: true }
  gateway = await startGateway({ config: { providers: { ollama: { network_config } } } })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const user = (content: unknown) => ({ role: 'user', content })
const hi = [user('hi')]
const chat = (body: object, headers = {}) =>
  ask(gateway.url, '/chat/completions', { model: 'ollama/echo', messages: hi, ...body }, headers)

test.each(Object.keys(conversations))('the request for %s is the golden one', async (name) => {
  const { seed, ...rest } = conversations[name]!
  const body = JSON.stringify({ model: 'ollama/echo', ...rest })
  // The number does not fit a double, and is written by hand for that reason.
  const text = seed === undefined ? body : `${body.slice(0, -1)},"seed":${String(seed)}}`
  const answer = await post(gateway.url, '/chat/completions', text)
  expect([answer.status, answer.headers.get('x-bf-dropped-params')]).toEqual([200, null])
  await answer.text()
  const [sent] = upstream.requests
  expect(`${sent!.method} ${sent!.path}`).toBe('POST /api/chat')
  expect(sent!.headers.get('authorization')).toBeNull()
  expect(`${sent!.text()}\n`).toBe(fixture(`ollama/golden/${name}.json`))
})

describe('what is left out is told', () => {
  const calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }]
  const tool = (more = {}) => ({ type: 'function', function: { name: 'f', ...more } })
  const marked = { type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }
  const image = { url: `data:image/png;base64,${png}`, detail: 'high' }
  const replay = (given: object, result = {}) => ({
    messages: [
      ...hi,
      { role: 'assistant', tool_calls: [given] },
      { role: 'tool', tool_call_id: 'a', content: 'no', ...result },
    ],
  })
  const table: readonly [string, object, string][] = [
    ['logit_bias', { logit_bias: { 1: 2 } }, 'logit_bias'],
    ['parallel_tool_calls', { tools: [tool()], parallel_tool_calls: false }, 'parallel_tool_calls'],
    ['user and metadata', { user: 'u', metadata: { a: 'b' } }, 'user,metadata'],
    ['an unknown parameter', { frobnicate: 1 }, 'frobnicate'],
    ['that a tool must be called', { tools: [tool()], tool_choice: 'required' }, 'tool_choice'],
    ['alternatives to nothing', { top_logprobs: 2 }, 'top_logprobs'],
    [
      'that a function is called',
      { functions: [{ name: 'f' }], function_call: { name: 'f' } },
      'function_call',
    ],
    ['strictness', { tools: [tool({ strict: true })] }, 'tools[0].function.strict'],
    [
      'a budget of thoughts',
      { reasoning: { effort: 'low', max_tokens: 9 } },
      'reasoning.max_tokens',
    ],
    ['a name', { messages: [{ ...user('hi'), name: 'Ann' }] }, 'messages[0].name'],
    ['a cache marker', { messages: [user([marked])] }, 'messages[0].content[0].cache_control'],
    [
      'the detail of an image',
      { messages: [user([{ type: 'image_url', image_url: image }])] },
      'messages[0].content[0].image_url.detail',
    ],
    ['that a tool failed', replay(calls[0]!, { is_error: true }), 'messages[2].is_error'],
    [
      'members of calls',
      replay({ ...calls[0], extra_content: { x: 1 } }),
      'messages[1].tool_calls[0].extra_content',
    ],
    [
      'the form of arguments that are no object',
      replay({ ...calls[0], function: { name: 'f', arguments: '{"half' } }),
      'messages[1].tool_calls[0].function.arguments',
    ],
    [
      'thoughts of another vendor',
      {
        messages: [
          ...hi,
          {
            role: 'assistant',
            content: 'x',
            reasoning_details: [
              { type: 'reasoning.text', index: 0, text: 't', signature: 's', format: 'other-v1' },
              { type: 'reasoning.encrypted', index: 1, data: 'd' },
            ],
          },
          user('so?'),
        ],
      },
      'messages[1].reasoning_details',
    ],
  ]

  test.each(table)('%s', async (_name, body, dropped) => {
    const answer = await chat(body)
    expect(answer.status).toBe(200)
    const listed = answer.headers.get('x-bf-dropped-params')?.replaceAll(', ', ',')
    expect(listed).toBe(dropped)
    const strict = await chat(body, { 'x-bf-strict': 'true' })
    expect(strict.status).toBe(400)
    expect(strict.json.error.param).toBe(dropped.split(',')[0])
    expect(upstream.requests).toHaveLength(1)
  })

  test('thoughts of another vendor do not reach this one', async () => {
    const [, body] = table.find(([what]) => what === 'thoughts of another vendor')!
    await chat(body)
    expect(upstream.requests[0]!.json().messages[1]).toEqual({ role: 'assistant', content: 'x' })
  })

  test('a named tool is the only one offered', async () => {
    const named = { type: 'function', function: { name: 'g' } }
    const answer = await chat({ tools: [tool(), named], tool_choice: named })
    expect(answer.headers.get('x-bf-dropped-params')).toBe('tool_choice')
    const { tools } = upstream.requests[0]!.json()
    expect(tools.map((each: any) => each.function.name)).toEqual(['g'])
  })

  test('broken arguments are sent as the text they were', async () => {
    await chat(replay({ ...calls[0], function: { name: 'f', arguments: '{"half' } }))
    const [, { tool_calls }] = upstream.requests[0]!.json().messages
    expect(tool_calls[0].function.arguments).toEqual({ input: '{"half' })
  })
})

describe('what cannot be had is refused', () => {
  const fn = { type: 'function', function: { name: 'f' } }
  const at = (place: string) => `messages[0].content[0].${place}`
  const pdf = { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==' }
  const part = (value: object) => ({ messages: [user([value])] })
  const table: readonly [string, object, string][] = [
    ['several answers', { n: 2 }, 'n'],
    ['spoken answers', { modalities: ['text', 'audio'] }, 'modalities'],
    ['free-text tools', { tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'tools[0].custom'],
    [
      'a tool that is not there',
      { tools: [fn], tool_choice: { type: 'function', function: { name: 'g' } } },
      'tool_choice',
    ],
    ['an unknown effort', { reasoning_effort: 'utmost' }, 'reasoning_effort'],
    ['documents', part({ type: 'file', file: pdf }), at('type')],
    [
      'images in a bucket',
      part({ type: 'image_url', image_url: { url: 'gs://a/b.png' } }),
      at('image_url.url'),
    ],
    ['uploaded files', part({ type: 'file', file: { file_id: 'file-1' } }), at('type')],
    [
      'results without calls',
      { messages: [...hi, { role: 'tool', tool_call_id: 'z', content: 'x' }] },
      'messages[1].tool_call_id',
    ],
  ]

  test.each(table)('%s', async (_name, body, param) => {
    const answer = await chat(body)
    expect(answer.status).toBe(400)
    expect(answer.json.error.param).toBe(param)
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('images by URL', () => {
  const shown = (url: string) => ({
    messages: [user([{ type: 'image_url', image_url: { url } }])],
  })
  let pictures: ReturnType<typeof Bun.serve>
  beforeAll(() => {
    pictures = Bun.serve({
      port: 0,
      hostname: 'localhost',
      fetch: ({ url }) =>
        url.endsWith('/cat.png')
          ? new Response(Buffer.from(png, 'base64'), { headers: { 'content-type': 'image/png' } })
          : new Response('hello', { headers: { 'content-type': 'text/plain' } }),
    })
  })
  afterAll(() => pictures.stop(true))

  test('are fetched, and travel with the request', async () => {
    const answer = await chat(shown(`${pictures.url.origin}/cat.png`))
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]!.json().messages[0].images).toEqual([png])
  })

  test('that show no image are refused', async () => {
    const answer = await chat(shown(`${pictures.url.origin}/cat.txt`))
    expect(answer.status).toBe(400)
    expect(answer.json.error.param).toBe('messages[0].content[0].image_url.url')
    expect(upstream.requests).toHaveLength(0)
  })

  test('of text files are fetched as well', async () => {
    const file = { file_url: `${pictures.url.origin}/notes.txt`, filename: 'notes.txt' }
    const answer = await chat({ messages: [user([{ type: 'file', file }])] })
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]!.json().messages[0].content).toBe('notes.txt:\nhello')
  })

  test('on this machine are not fetched unless that is allowed', async () => {
    const network_config = { base_url: upstream.url }
    const careful = await startGateway({ config: { providers: { ollama: { network_config } } } })
    const body = { model: 'ollama/echo', ...shown(`${pictures.url.origin}/cat.png`) }
    const answer = await ask(careful.url, '/chat/completions', body)
    await careful.stop()
    expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_image_url'])
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('the address', () => {
  const asked = async (config: object): Promise<void> => {
    const other = await startGateway({ config: { providers: { ollama: config } } })
    const answers = await Promise.all([
      ask(other.url, '/chat/completions', { model: 'ollama/echo', messages: hi }),
      ask(other.url, '/completions', { model: 'ollama/echo', prompt: 'hi' }),
    ])
    await other.stop()
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(upstream.requests.map(({ path }) => path).toSorted()).toEqual([
      '/api/chat',
      '/v1/completions',
    ])
  }

  test('may end with /v1', () => asked({ network_config: { base_url: `${upstream.url}/v1` } }))

  test('may be of a key, which may have a value for the cloud', async () => {
    await asked({
      keys: [{ value: 'cloud-key', ollama_key_config: { url: upstream.url } }],
      network_config: { base_url: refusedUrl() },
    })
    for (const { headers } of upstream.requests) {
      expect(headers.get('authorization')).toBe('Bearer cloud-key')
    }
  })
})

test('text completions use the compatible surface, and tell what it ignores', async () => {
  const body = { model: 'ollama/echo', prompt: 'hi there', user: 'u', max_tokens: 5 }
  const answer = await ask(gateway.url, '/completions', body)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-bf-dropped-params')).toBe('user')
  expect(answer.json.object).toBe('text_completion')
})

describe('embeddings', () => {
  test('are asked for in one request', async () => {
    const body = { model: 'ollama/embed-v4.0', input: 'hi', dimensions: 16, user: 'u' }
    const answer = await ask(gateway.url, '/embeddings', body)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bf-dropped-params')).toBe('user')
    expect(answer.json.data[0].embedding).toHaveLength(16)
    expect(answer.json.usage.prompt_tokens).toBe(1)
    const more = { truncate: false, keep_alive: '10m', num_ctx: 512 }
    await ask(gateway.url, '/embeddings', { ...body, input: ['a', 'b'], ...more })
    expect(upstream.requests.map((sent) => `${sent.text()}\n`).join('')).toBe(
      fixture('ollama/golden/embeddings.jsonl'),
    )
  })

  test.each([{}, { embeddings: 'x' }, { embeddings: [['x']] }])(
    'that are none are a bad gateway: %j',
    async (json) => {
      upstream.reply({ json })
      const answer = await ask(gateway.url, '/embeddings', { model: 'ollama/embed', input: 'x' })
      expect([answer.status, answer.json.error.code]).toEqual([502, 'bad_gateway'])
    },
  )
})

describe('models', () => {
  test('are listed with what is known of them', async () => {
    const response = await fetch(`${gateway.url}/openai/v1/models`)
    const { data } = (await response.json()) as { data: { id: string }[] }
    expect(data.find(({ id }) => id === 'ollama/echo:latest') as unknown).toEqual({
      id: 'ollama/echo:latest',
      object: 'model',
      created: Date.parse('2026-10-05T08:15:30+02:00') / 1000,
      owned_by: 'library',
      family: 'mock',
      parameter_size: '8.0B',
      quantization_level: 'Q4_K_M',
      size: 1000,
    })
  })

  test('are shown one by one, with their window', async () => {
    const response = await fetch(`${gateway.url}/openai/v1/models/ollama/qwen3:8b`)
    expect(await response.json()).toMatchObject({
      id: 'ollama/qwen3:8b',
      object: 'model',
      owned_by: 'library',
      context_length: 131_072,
      capabilities: ['completion', 'tools', 'thinking'],
    })
    const [sent] = upstream.requests
    expect([sent!.method, sent!.path, sent!.text()]).toEqual([
      'POST',
      '/api/show',
      '{"model":"qwen3:8b"}',
    ])
  })
})
