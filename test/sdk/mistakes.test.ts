import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import type { Rig } from './rig.ts'
import { CLIENT_KEY, failureOf, json, startRig } from './rig.ts'

// What the gateway itself refuses: a 4xx in the envelope with the place of the mistake, and nothing sent on.

const model = 'openai/gpt-6-luna'
const user = { role: 'user', content: 'Hi' }

const form = (fields: Record<string, string | File>) => {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  return data
}

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig(() => ({
    groq: { keys: [{ name: 'groq', value: 'gsk-0123456789', models: ['*'], weight: 1 }] },
  }))
  client = rig.client()
})
afterAll(() => rig.stop())

interface Mistake {
  readonly what: string
  readonly path: string
  readonly body: object
  /** `error.param`, or null where no field is to blame. */
  readonly param: string | null
  readonly code?: string
}

const MISTAKES: Mistake[] = [
  {
    what: 'no model',
    path: '/chat/completions',
    body: { messages: [user] },
    param: 'model',
    code: 'missing_required_parameter',
  },
  {
    what: 'an empty model',
    path: '/chat/completions',
    body: { model: '', messages: [user] },
    param: 'model',
  },
  {
    what: 'a model that is a number',
    path: '/chat/completions',
    body: { model: 1, messages: [user] },
    param: 'model',
  },
  {
    what: 'a model with a line break',
    path: '/chat/completions',
    body: { model: 'a\r\nb', messages: [user] },
    param: 'model',
  },
  {
    what: 'a provider without a model',
    path: '/chat/completions',
    body: { model: 'openai/', messages: [user] },
    param: 'model',
  },
  {
    what: 'no messages',
    path: '/chat/completions',
    body: { model },
    param: 'messages',
    code: 'missing_required_parameter',
  },
  {
    what: 'messages that are a string',
    path: '/chat/completions',
    body: { model, messages: 'Hi' },
    param: 'messages',
  },
  {
    what: 'a message that is a string',
    path: '/chat/completions',
    body: { model, messages: ['Hi'] },
    param: 'messages[0]',
  },
  {
    what: 'a message without a role',
    path: '/chat/completions',
    body: { model, messages: [{ content: 'Hi' }] },
    param: 'messages[0].role',
  },
  {
    what: 'a temperature that is a word',
    path: '/chat/completions',
    body: { model, messages: [user], temperature: 'hot' },
    param: 'temperature',
  },
  {
    what: 'a stream that is a word',
    path: '/chat/completions',
    body: { model, messages: [user], stream: 'yes' },
    param: 'stream',
  },
  {
    what: 'an input that is a number',
    path: '/responses',
    body: { model, input: 1 },
    param: 'input',
  },
  {
    what: 'no input for embeddings',
    path: '/embeddings',
    body: { model },
    param: 'input',
    code: 'missing_required_parameter',
  },
  {
    what: 'dimensions that are a word',
    path: '/embeddings',
    body: { model, input: 'a', dimensions: 'many' },
    param: 'dimensions',
  },
  {
    what: 'no prompt for a picture',
    path: '/images/generations',
    body: { model },
    param: 'prompt',
  },
  {
    what: 'no input for speech',
    path: '/audio/speech',
    body: { model, voice: 'alloy' },
    param: 'input',
  },
  { what: 'no input for a moderation', path: '/moderations', body: {}, param: 'input' },
]

describe('a mistake in the body', () => {
  test.each(MISTAKES)('$path: $what', async ({ path, body, param, code }) => {
    rig.answers(json({ id: 'x' }))
    const failure = await failureOf(client.post(path, { body, __security: { bearerAuth: true } }))
    expect(failure).toBeInstanceOf(OpenAI.BadRequestError)
    expect(failure).toMatchObject({ param, type: 'invalid_request_error' })
    expect(failure.code).toBeString()
    if (code !== undefined) expect(failure.code).toBe(code)
    expect(failure.message.length).toBeGreaterThan(10)
    expect(failure.headers?.get('x-should-retry')).toBe('false')
    expect(rig.received).toEqual([])
  })

  test('a streamed call is refused with plain JSON', async () => {
    rig.answers(json({ id: 'x' }))
    const body = { model, messages: 'Hi', stream: true }
    const failure = await failureOf(client.post('/chat/completions', { body, stream: true }))
    expect(failure).toBeInstanceOf(OpenAI.BadRequestError)
    expect(failure.headers?.get('content-type')).toStartWith('application/json')
  })
})

describe('a form', () => {
  const sound = new File(['a'], 'a.mp3', { type: 'audio/mpeg' })

  test.each([
    ['/audio/transcriptions', 'without a model', form({ file: sound }), 'model'],
    ['/audio/transcriptions', 'without a file', form({ model }), 'file'],
    ['/audio/translations', 'without a file', form({ model }), 'file'],
    ['/files', 'without a file', form({ purpose: 'batch' }), 'file'],
    ['/files', 'without a purpose', form({ file: sound }), 'purpose'],
  ])('%s %s', async (path, _, body, param) => {
    rig.answers(json({ id: 'x' }))
    const response = await raw(path, body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param, type: 'invalid_request_error' } })
    expect(rig.received).toEqual([])
  })
})

describe('the envelope', () => {
  test.each([
    ['no JSON at all', 'not json'],
    ['half of it', '{"model":"openai/gpt-6-luna","messages":['],
    ['nothing', ''],
    ['an array', '[]'],
    ['a bare number', '1'],
    ['a null', 'null'],
    ['something after the end', '{"model":"openai/gpt-6-luna","messages":[]} {}'],
  ])('%s', async (_, body) => {
    rig.answers(json({ id: 'x' }))
    const response = await raw('/chat/completions', body)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toStartWith('application/json')
    expect(response.headers.get('x-request-id')).toBeString()
    expect(await response.json()).toMatchObject({
      is_bifrost_error: true,
      status_code: 400,
      error: {
        type: 'invalid_request_error',
        code: expect.any(String) as string,
        message: expect.any(String) as string,
      },
      extra_fields: { request_type: 'chat_completion' },
    })
    expect(rig.received).toEqual([])
  })

  test('param and code are always there', async () => {
    const { error } = (await (await raw('/chat/completions', '{')).json()) as { error: object }
    expect(Object.keys(error)).toEqual(expect.arrayContaining(['message', 'type', 'code', 'param']))
  })
})

describe('a provider that cannot', () => {
  test('an operation that a provider lacks is refused by name', async () => {
    rig.answers(json({ id: 'x' }))
    const failure = await failureOf(
      client.images.generate({ model: 'groq/painter', prompt: 'A cat' }),
    )
    expect(failure).toBeInstanceOf(OpenAI.BadRequestError)
    expect(failure).toMatchObject({ code: 'unsupported_endpoint', type: 'invalid_request_error' })
    expect(failure.message).toContain('groq')
    expect(rig.received).toEqual([])
  })

  test('a provider without a configuration is refused by name', async () => {
    rig.answers(json({ id: 'x' }))
    const failure = await failureOf(
      client.chat.completions.create({
        model: 'mistral/large',
        messages: [{ role: 'user', content: 'Hi' }],
      }),
    )
    expect(failure).toBeInstanceOf(OpenAI.BadRequestError)
    expect(failure.message).toContain('mistral')
    expect(rig.received).toEqual([])
  })

  test('an unknown prefix is part of the model name', async () => {
    rig.answers(json({ id: 'x', choices: [] }))
    await client.chat.completions.create({
      model: 'meta-llama/Llama-3.1-8B',
      messages: [{ role: 'user', content: 'Hi' }],
    })
    expect(rig.received[0]?.json()).toMatchObject({ model: 'meta-llama/Llama-3.1-8B' })
  })
})

function raw(path: string, body: string | FormData): Promise<Response> {
  const headers = { authorization: `Bearer ${CLIENT_KEY}` }
  return fetch(`${rig.url}/openai/v1${path}`, {
    method: 'POST',
    headers:
      typeof body === 'string' ? { ...headers, 'content-type': 'application/json' } : headers,
    body,
  })
}
