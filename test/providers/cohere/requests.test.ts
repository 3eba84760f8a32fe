import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'
import { ask, fixture, post } from '../play.ts'
import { conversations, png } from './conversations.ts'

// What the vendor is sent, and what callers hear who ask for what it has not.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({
    config: {
      providers: {
        cohere: {
          keys: [{ value: 'co-key-of-the-tests' }],
          network_config: { base_url: `${upstream.url}/v2` },
        },
      },
    },
  })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const chat = (body: object, headers = {}) =>
  ask(gateway.url, '/chat/completions', { model: 'cohere/echo', messages: hi, ...body }, headers)
const user = (content: unknown) => ({ role: 'user', content })
const hi = [user('hi')]

test.each(Object.keys(conversations))('the request for %s is the golden one', async (name) => {
  const { seed, ...rest } = conversations[name]!
  const body = JSON.stringify({ model: 'cohere/echo', ...rest })
  // The number does not fit a double, and is written by hand for that reason.
  const text = seed === undefined ? body : `${body.slice(0, -1)},"seed":${String(seed)}}`
  const answer = await post(gateway.url, '/chat/completions', text)
  expect([answer.status, answer.headers.get('x-bf-dropped-params')]).toEqual([200, null])
  await answer.text()
  const [sent] = upstream.requests
  expect(`${sent!.method} ${sent!.path}`).toBe('POST /v2/chat')
  expect(sent!.headers.get('authorization')).toBe('Bearer co-key-of-the-tests')
  expect(`${sent!.text()}\n`).toBe(fixture(`cohere/golden/${name}.json`))
})

describe('what is left out is told', () => {
  const calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }]
  const tool = (more = {}) => ({ type: 'function', function: { name: 'f', ...more } })
  const marked = { type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }
  const table: readonly [string, object, string][] = [
    ['logit_bias', { logit_bias: { 1: 2 } }, 'logit_bias'],
    ['top_logprobs', { logprobs: true, top_logprobs: 2 }, 'top_logprobs'],
    ['parallel_tool_calls', { tools: [tool()], parallel_tool_calls: false }, 'parallel_tool_calls'],
    ['user and metadata', { user: 'u', metadata: { a: 'b' } }, 'user,metadata'],
    ['an unknown parameter', { frobnicate: 1 }, 'frobnicate'],
    ['a name', { messages: [{ ...user('hi'), name: 'Ann' }] }, 'messages[0].name'],
    ['a cache marker', { messages: [user([marked])] }, 'messages[0].content[0].cache_control'],
    [
      'strictness of one tool among several',
      { tools: [tool({ strict: true }), { type: 'function', function: { name: 'g' } }] },
      'tools[0].function.strict',
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
    [
      'citations of another vendor',
      {
        messages: [
          ...hi,
          {
            role: 'assistant',
            content: 'x',
            citations: [
              { start: 0, end: 1, text: 'x', sources: [] },
              { type: 'char_location', document_index: 0, cited_text: 'x' },
            ],
          },
          user('so?'),
        ],
      },
      'messages[1].citations',
    ],
    [
      'that a tool failed',
      {
        messages: [
          ...hi,
          { role: 'assistant', tool_calls: calls },
          { role: 'tool', tool_call_id: 'a', content: 'no', is_error: true },
        ],
      },
      'messages[2].is_error',
    ],
    [
      'members of calls and messages',
      {
        messages: [
          ...hi,
          {
            role: 'assistant',
            tool_calls: [{ ...calls[0], extra_content: { x: 1 } }],
            images: [1],
          },
          { role: 'tool', tool_call_id: 'a', content: 'no' },
        ],
      },
      'messages[1].images,messages[1].tool_calls[0].extra_content',
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

  test('thinking, of a model that has no thoughts', async () => {
    const body = { model: 'cohere/command-r-plus-08-2024', messages: hi, reasoning_effort: 'low' }
    const answer = await chat(body)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bf-dropped-params')).toBe('reasoning_effort')
    expect(upstream.requests[0]!.json()).not.toHaveProperty('thinking')
  })

  test('thoughts, of a model that has none, become its plan', async () => {
    const messages = [
      ...hi,
      { role: 'assistant', reasoning: 'I will ask.', tool_calls: calls },
      { role: 'tool', tool_call_id: 'a', content: '1' },
      { role: 'assistant', reasoning: 'Done.', content: 'One.' },
      user('so?'),
    ]
    const answer = await chat({ model: 'cohere/command-r-plus', messages })
    expect(answer.headers.get('x-bf-dropped-params')).toBe('messages[3].reasoning')
    const sent = upstream.requests[0]!.json().messages
    expect(sent[1].tool_plan).toBe('I will ask.')
    expect(sent[3]).toEqual({ role: 'assistant', content: 'One.' })
  })
})

describe('what cannot be had is refused', () => {
  const custom = { type: 'custom', custom: { name: 'f' } }
  const fn = { type: 'function', function: { name: 'f' } }
  const pdf = { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==' }
  const table: readonly [string, object, string][] = [
    ['several answers', { n: 2 }, 'n'],
    ['spoken answers', { modalities: ['text', 'audio'] }, 'modalities'],
    ['a penalty below zero', { frequency_penalty: -0.5 }, 'frequency_penalty'],
    ['a penalty above one', { presence_penalty: 1.5 }, 'presence_penalty'],
    ['free-text tools', { tools: [custom] }, 'tools[0].custom'],
    ['a tool that is not there', { tools: [fn], tool_choice: named('g') }, 'tool_choice'],
    [
      'a function that is not there',
      { functions: [{ name: 'f' }], function_call: { name: 'g' } },
      'function_call',
    ],
    ['a choice among no tools', { tool_choice: 'required' }, 'tool_choice'],
    ['an unknown effort', { reasoning_effort: 'utmost' }, 'reasoning_effort'],
    [
      'JSON together with tools',
      { tools: [fn], response_format: { type: 'json_object' } },
      'response_format',
    ],
    [
      'JSON together with documents',
      { documents: ['x'], response_format: { type: 'json_object' } },
      'response_format',
    ],
    ['sound', part({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }), 'type'],
    ['documents', part({ type: 'file', file: pdf }), 'type'],
    [
      'text that is none',
      part({ type: 'file', file: { file_data: 'data:text/plain;base64,/w==' } }),
      'file.file_data',
    ],
    [
      'images in a bucket',
      part({ type: 'image_url', image_url: { url: 'gs://a/b.png' } }),
      'image_url.url',
    ],
    [
      'results without calls',
      { messages: [...hi, { role: 'tool', tool_call_id: 'z', content: 'x' }] },
      'messages[1].tool_call_id',
    ],
    [
      'images of the model',
      {
        messages: [
          ...hi,
          {
            role: 'assistant',
            content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }],
          },
        ],
      },
      'messages[1].content[0].type',
    ],
  ]

  test.each(table)('%s', async (_name, body, param) => {
    const answer = await chat(body)
    expect(answer.status).toBe(400)
    const whole = ['type', 'file.file_data', 'image_url.url'].includes(param)
    expect(answer.json.error.param).toBe(whole ? `messages[0].content[0].${param}` : param)
    expect(upstream.requests).toHaveLength(0)
  })
})

function named(name: string): object {
  return { type: 'function', function: { name } }
}

function part(value: object): object {
  return { messages: [user([value])] }
}

describe('embeddings', () => {
  test('are asked for as documents to search, unless the caller says otherwise', async () => {
    const body = { model: 'cohere/embed-v4.0', input: 'hi', dimensions: 16, user: 'u' }
    const answer = await ask(gateway.url, '/embeddings', body)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bf-dropped-params')).toBe('user')
    expect(answer.json.data[0].embedding).toHaveLength(16)
    await ask(gateway.url, '/embeddings', { ...body, input_type: 'search_query', truncate: 'END' })
    expect(upstream.requests.map((sent) => `${sent.text()}\n`).join('')).toBe(
      fixture('cohere/golden/embeddings.jsonl'),
    )
  })

  test('of more texts than the vendor takes come from several requests', async () => {
    const input = Array.from({ length: 200 }, (_, at) => `text ${at}`)
    const answer = await ask(gateway.url, '/embeddings', { model: 'cohere/embed', input })
    expect(answer.status).toBe(200)
    const sizes = upstream.requests.map((sent): number => sent.json().texts.length)
    expect(sizes.toSorted((a, b) => a - b)).toEqual([8, 96, 96])
    const one = await ask(gateway.url, '/embeddings', { model: 'cohere/embed', input: input[150] })
    expect(answer.json.data[150]).toEqual({ ...one.json.data[0], index: 150 })
    expect(answer.json.usage.prompt_tokens).toBeGreaterThan(200)
  })

  test('of token ids are refused', async () => {
    const answer = await ask(gateway.url, '/embeddings', { model: 'cohere/embed', input: [1, 2] })
    expect([answer.status, answer.json.error.param]).toEqual([400, 'input'])
  })

  test.each([{}, { embeddings: { int8: [[1]] } }, { embeddings: { float: [['x']] } }])(
    'that are none are a bad gateway: %j',
    async (json) => {
      upstream.reply({ json })
      const answer = await ask(gateway.url, '/embeddings', { model: 'cohere/embed', input: 'x' })
      expect([answer.status, answer.json.error.code]).toEqual([502, 'bad_gateway'])
    },
  )
})

describe('models', () => {
  test('are listed with what is known of them', async () => {
    upstream.reply({
      json: {
        models: [
          { name: 'command-a', endpoints: ['chat'], context_length: 256000, finetuned: false },
          { name: 'mine', endpoints: ['chat'], finetuned: true },
          'odd',
        ],
      },
    })
    const response = await fetch(`${gateway.url}/openai/v1/models`, {
      headers: { 'x-model-provider': 'cohere' },
    })
    const { data } = (await response.json()) as { data: { id: string }[] }
    expect(data.filter(({ id }) => id.startsWith('cohere/'))).toEqual([
      {
        id: 'cohere/command-a',
        object: 'model',
        created: 0,
        owned_by: 'cohere',
        context_length: 256000,
        endpoints: ['chat'],
        // From the catalogue, since the model's name is known there.
        name: 'Command A',
        pricing: expect.anything(),
        architecture: expect.anything(),
        supported_parameters: expect.arrayContaining(['tools', 'reasoning_effort']),
      },
      {
        id: 'cohere/mine',
        object: 'model',
        created: 0,
        owned_by: 'cohere',
        endpoints: ['chat'],
        finetuned: true,
      },
    ] as never)
    const [sent] = upstream.requests
    expect(sent!.path + sent!.query).toBe('/v1/models?page_size=1000')
  })

  test('are found one by one', async () => {
    upstream.reply({ json: { name: 'command-a', endpoints: ['chat'], context_length: 256000 } })
    const response = await fetch(`${gateway.url}/openai/v1/models/cohere/command-a`)
    expect(await response.json()).toMatchObject({ id: 'cohere/command-a', context_length: 256000 })
    expect(upstream.requests[0]!.path).toBe('/v1/models/command-a')
  })
})
