import { describe, expect, test } from 'bun:test'

import { ENDPOINTS, type KnownEndpoint } from '#core/endpoint.ts'
import { checkModel, checkRequest, compileChecker } from '#openai/check.ts'
import { FORM_FIELDS, OPTIONAL_BODIES, REQUEST_SCHEMAS } from '#openai/schemas.ts'

import { VALID } from './schemas-bodies.ts'

const endpoints = Object.keys(ENDPOINTS) as KnownEndpoint[]

describe('the tables cover the endpoints', () => {
  test.each(endpoints)('%s', (endpoint) => {
    const { body } = ENDPOINTS[endpoint]
    expect(REQUEST_SCHEMAS[endpoint] !== undefined).toBe(
      body === 'json' || body === 'json-or-multipart',
    )
    expect(FORM_FIELDS[endpoint] !== undefined).toBe(
      body === 'multipart' || body === 'json-or-multipart',
    )
    expect(VALID[endpoint] !== undefined).toBe(REQUEST_SCHEMAS[endpoint] !== undefined)
  })

  test('a model is demanded exactly where the endpoint needs one', () => {
    for (const endpoint of endpoints) {
      const required = ENDPOINTS[endpoint].model === 'required'
      const schema = REQUEST_SCHEMAS[endpoint]
      if (schema) {
        expect([endpoint, schema.required?.includes('model') ?? false]).toEqual([
          endpoint,
          required,
        ])
      }
      const form = FORM_FIELDS[endpoint]
      if (form) {
        expect([endpoint, form.some((field) => field.name === 'model' && field.required)]).toEqual([
          endpoint,
          required,
        ])
      }
    }
  })

  test('every field of a form is named once and described', () => {
    for (const fields of Object.values(FORM_FIELDS)) {
      expect(new Set(fields.map((field) => field.name)).size).toBe(fields.length)
      expect(fields.filter((field) => field.description === '')).toEqual([])
    }
  })

  test('every top-level field of a schema is described', () => {
    const bare = Object.entries(REQUEST_SCHEMAS).flatMap(([endpoint, schema]) =>
      Object.entries<{ description?: string }>(schema.properties)
        .filter(([, field]) => !field.description)
        .map(([name]) => `${endpoint}.${name}`),
    )
    expect(bare).toEqual([])
  })
})

describe('accepted', () => {
  test.each(Object.entries(VALID).flatMap(([name, bodies]) => bodies.map((body) => [name, body])))(
    '%s %j',
    (name, body) => {
      expect(checkRequest(name as KnownEndpoint, body)).toBeUndefined()
    },
  )

  test('an explicit null wherever a field may be absent', () => {
    for (const [endpoint, schema] of Object.entries(REQUEST_SCHEMAS)) {
      const body: Record<string, unknown> = { ...(VALID[endpoint as KnownEndpoint]?.[0] as object) }
      for (const name of Object.keys(schema.properties)) {
        if (!schema.required?.includes(name)) body[name] = null
      }
      expect([endpoint, checkRequest(endpoint as KnownEndpoint, body)]).toEqual([
        endpoint,
        undefined,
      ])
    }
  })

  test('no body at all only where the body is optional', () => {
    expect([...OPTIONAL_BODIES].toSorted()).toEqual([
      'batch_cancel',
      'responses_cancel',
      'upload_cancel',
    ])
    for (const endpoint of Object.keys(REQUEST_SCHEMAS) as KnownEndpoint[]) {
      expect([endpoint, checkRequest(endpoint, undefined) === undefined]).toEqual([
        endpoint,
        OPTIONAL_BODIES.has(endpoint),
      ])
    }
  })

  test('anything where there is no JSON body', () => {
    expect(checkRequest('list_models', undefined)).toBeUndefined()
    expect(checkRequest('transcription', { file: 1 })).toBeUndefined()
  })
})

const chat = { model: 'm', messages: [] }
const user = (content: unknown) => ({ ...chat, messages: [{ role: 'user', content }] })

function wrong(expected: string, got: string) {
  return (param: string) =>
    `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`
}

function missing(param: string) {
  return `Missing required parameter: '${param}'.`
}

// prettier-ignore
const REFUSED: [KnownEndpoint, unknown, string, (param: string) => string][] = [
  ['chat_completion', { messages: [] }, 'model', missing],
  ['chat_completion', { model: 'm' }, 'messages', missing],
  ['chat_completion', { model: null, messages: [] }, 'model', wrong('a string', 'null')],
  ['chat_completion', { model: ['m'], messages: [] }, 'model', wrong('a string', 'an array')],
  ['chat_completion', { model: 'm', messages: 'hi' }, 'messages', wrong('an array of objects', 'a string')],
  ['chat_completion', { model: 'm', messages: null }, 'messages', wrong('an array of objects', 'null')],
  ['chat_completion', { model: 'm', messages: { 0: {} } }, 'messages', wrong('an array of objects', 'an object')],
  ['chat_completion', { model: 'm', messages: ['hi'] }, 'messages[0]', wrong('an object', 'a string')],
  ['chat_completion', { model: 'm', messages: [{ role: 'user' }, {}] }, 'messages[1].role', missing],
  ['chat_completion', { model: 'm', messages: [{ role: 1 }] }, 'messages[0].role', wrong('a string', 'an integer')],
  ['chat_completion', user(5), 'messages[0].content', wrong('one of a string or an array of objects', 'an integer')],
  ['chat_completion', user({ type: 'text' }), 'messages[0].content', wrong('one of a string or an array of objects', 'an object')],
  ['chat_completion', user(['hi']), 'messages[0].content[0]', wrong('an object', 'a string')],
  ['chat_completion', user([{ type: 'text', text: 'a' }, { text: 'b' }]), 'messages[0].content[1].type', missing],
  ['chat_completion', user([{ type: 'text', text: 1 }]), 'messages[0].content[0].text', wrong('a string', 'an integer')],
  ['chat_completion', user([{ type: 'image_url', image_url: {} }]), 'messages[0].content[0].image_url.url', missing],
  ['chat_completion', { ...chat, messages: [{ role: 'assistant', tool_calls: [{ function: {} }] }] }, 'messages[0].tool_calls[0].function.name', missing],
  ['chat_completion', { ...chat, temperature: '0.5' }, 'temperature', wrong('a number', 'a string')],
  ['chat_completion', { ...chat, temperature: JSON.parse('1e999') }, 'temperature', wrong('a number', 'a number out of range')],
  ['chat_completion', { ...chat, n: 1.5 }, 'n', wrong('an integer', 'a decimal number')],
  ['chat_completion', { ...chat, max_tokens: true }, 'max_tokens', wrong('an integer', 'a boolean')],
  ['chat_completion', { ...chat, stream: 'true' }, 'stream', wrong('a boolean', 'a string')],
  ['chat_completion', { ...chat, stream_options: [] }, 'stream_options', wrong('an object', 'an array')],
  ['chat_completion', { ...chat, stream_options: { include_usage: 1 } }, 'stream_options.include_usage', wrong('a boolean', 'an integer')],
  ['chat_completion', { ...chat, stop: 1 }, 'stop', wrong('one of a string or an array of strings', 'an integer')],
  ['chat_completion', { ...chat, stop: ['a', 1] }, 'stop[1]', wrong('a string', 'an integer')],
  ['chat_completion', { ...chat, tools: {} }, 'tools', wrong('an array of objects', 'an object')],
  ['chat_completion', { ...chat, tools: [{}] }, 'tools[0].type', missing],
  ['chat_completion', { ...chat, tools: [{ type: 'function', function: { parameters: {} } }] }, 'tools[0].function.name', missing],
  ['chat_completion', { ...chat, tool_choice: 1 }, 'tool_choice', wrong('one of a string or an object', 'an integer')],
  ['chat_completion', { ...chat, response_format: 'json' }, 'response_format', wrong('an object', 'a string')],
  ['chat_completion', { ...chat, response_format: {} }, 'response_format.type', missing],
  ['chat_completion', { ...chat, reasoning_effort: 3 }, 'reasoning_effort', wrong('a string', 'an integer')],
  ['chat_completion', { ...chat, metadata: 'x' }, 'metadata', wrong('an object', 'a string')],
  ['chat_completion', { ...chat, logit_bias: [] }, 'logit_bias', wrong('an object', 'an array')],
  ['chat_completion', { ...chat, fallbacks: 'a/b' }, 'fallbacks', wrong('an array of strings or objects', 'a string')],
  ['chat_completion', { ...chat, fallbacks: [{ model: 5 }] }, 'fallbacks[0].model', wrong('a string', 'an integer')],
  ['chat_update', {}, 'metadata', missing],
  ['chat_update', { metadata: [] }, 'metadata', wrong('an object', 'an array')],
  ['text_completion', { prompt: 'x' }, 'model', missing],
  ['text_completion', { model: 'm', prompt: ['x', 1] }, 'prompt[1]', wrong('a string', 'an integer')],
  ['responses', { model: 5 }, 'model', wrong('a string', 'an integer')],
  ['responses', { model: 'm', input: 5 }, 'input', wrong('one of a string or an array of objects', 'an integer')],
  ['responses', { model: 'm', input: ['x'] }, 'input[0]', wrong('an object', 'a string')],
  ['responses', { model: 'm', input: [{ role: 'user', content: [{}] }] }, 'input[0].content[0].type', missing],
  ['responses', { model: 'm', tools: [{ name: 'f' }] }, 'tools[0].type', missing],
  ['responses', { model: 'm', text: { format: {} } }, 'text.format.type', missing],
  ['count_tokens', { input: true }, 'input', wrong('one of a string or an array of objects', 'a boolean')],
  ['compaction', { input: 'x' }, 'model', missing],
  ['responses_cancel', { provider: 1 }, 'provider', wrong('a string', 'an integer')],
  ['embedding', { model: 'm' }, 'input', missing],
  ['embedding', { model: 'm', input: null }, 'input', wrong('one of a string, an array of strings, an array of integers or an array of arrays of integers', 'null')],
  ['embedding', { model: 'm', input: ['a', 1] }, 'input[1]', wrong('a string', 'an integer')],
  ['embedding', { model: 'm', input: [1, 2, 'x'] }, 'input[2]', wrong('an integer', 'a string')],
  ['embedding', { model: 'm', input: [[1, 2], [3, 'x']] }, 'input[1][1]', wrong('an integer', 'a string')],
  ['embedding', { model: 'm', input: [true] }, 'input[0]', wrong('one of a string, an integer or an array of integers', 'a boolean')],
  ['moderation', {}, 'input', missing],
  ['moderation', { input: [{ text: 'x' }] }, 'input[0].type', missing],
  ['speech', { model: 'm' }, 'input', missing],
  ['speech', { model: 'm', input: ['x'] }, 'input', wrong('a string', 'an array')],
  ['image_generation', { model: 'm' }, 'prompt', missing],
  ['image_generation', { prompt: 'x', n: 'two' }, 'n', wrong('an integer', 'a string')],
  ['image_edit', { images: [] }, 'prompt', missing],
  ['image_edit', { prompt: 'x', images: ['u'] }, 'images[0]', wrong('an object', 'a string')],
  ['upload_create', { filename: 'f', purpose: 'p', bytes: 1 }, 'mime_type', missing],
  ['upload_create', { filename: 'f', purpose: 'p', bytes: '1', mime_type: 'x/y' }, 'bytes', wrong('an integer', 'a string')],
  ['upload_complete', {}, 'part_ids', missing],
  ['upload_complete', { part_ids: [1] }, 'part_ids[0]', wrong('a string', 'an integer')],
  ['upload_cancel', { provider: 1 }, 'provider', wrong('a string', 'an integer')],
  ['batch_create', { input_file_id: 5 }, 'input_file_id', wrong('a string', 'an integer')],
  ['batch_create', { requests: [{ body: {} }] }, 'requests[0].custom_id', missing],
  ['batch_cancel', { provider: [] }, 'provider', wrong('a string', 'an array')],
  ['video_generation', { model: 'm' }, 'prompt', missing],
  ['video_remix', {}, 'prompt', missing],
  ['container_create', {}, 'name', missing],
  ['container_create', { name: 'n', file_ids: 'f' }, 'file_ids', wrong('an array of strings', 'a string')],
  ['container_file_create', {}, 'file_id', missing],
]

describe('refused', () => {
  test.each(REFUSED)('%s %j: %s', (endpoint, body, param, message) => {
    expect(checkRequest(endpoint, body)).toEqual({
      param,
      message: message(param),
      code: message === missing ? 'missing_required_parameter' : 'invalid_type',
    })
  })

  test('every endpoint with a schema is in the table above', () => {
    const tried = new Set(REFUSED.map(([endpoint]) => endpoint))
    expect((Object.keys(REQUEST_SCHEMAS) as KnownEndpoint[]).filter((e) => !tried.has(e))).toEqual(
      [],
    )
  })

  test.each([
    [[], 'an array'],
    [null, 'null'],
    ['{}', 'a string'],
    [5, 'an integer'],
    [undefined, 'nothing'],
  ])('a body that is no object: %j', (body, got) => {
    for (const endpoint of Object.keys(REQUEST_SCHEMAS) as KnownEndpoint[]) {
      if (body === undefined && OPTIONAL_BODIES.has(endpoint)) continue
      expect(checkRequest(endpoint, body)).toEqual({
        param: undefined,
        message: `Invalid type for the request body: expected an object, but got ${got} instead.`,
        code: 'invalid_type',
      })
    }
  })

  test('null does not stand for the other forms in what was expected', () => {
    expect(checkRequest('chat_completion', { ...chat, user: 1 })?.message).not.toContain('null')
  })
})

describe('model names', () => {
  const accepted = [
    'm',
    'openai/gpt-4o',
    'meta-llama/Llama-3.1-8B',
    'ft:gpt:a::b',
    'modèle 模型',
    'm'.repeat(512),
  ]
  const refused: [string, string][] = [
    ['', 'it must not be empty'],
    ['m'.repeat(513), 'it must not be longer than 512 characters, but has 513'],
    ...['\r', '\n', '\0', '\t', '\u001f', '\u007f'].flatMap((control): [string, string][] => [
      [`m${control}x`, 'control characters are not allowed'],
      [`m${control}`, 'control characters are not allowed'],
      [control, 'control characters are not allowed'],
    ]),
  ]
  const named = (Object.keys(REQUEST_SCHEMAS) as KnownEndpoint[]).filter(
    (endpoint) => REQUEST_SCHEMAS[endpoint]?.properties.model !== undefined,
  )

  test.each(named)('%s', (endpoint) => {
    const body = VALID[endpoint]?.[0] as object
    for (const model of accepted) {
      expect(checkRequest(endpoint, { ...body, model })).toBeUndefined()
    }
    for (const [model, reason] of refused) {
      expect(checkRequest(endpoint, { ...body, model })).toEqual({
        param: 'model',
        message: `Invalid value for 'model': ${reason}.`,
        code: 'invalid_value',
      })
    }
  })

  test('outside a JSON body', () => {
    for (const model of accepted) expect(checkModel(model)).toBeUndefined()
    for (const [model] of refused) {
      expect(checkModel(model)).toMatchObject({ param: 'model', code: 'invalid_value' })
    }
    expect(checkModel(undefined)).toMatchObject({
      param: 'model',
      code: 'missing_required_parameter',
    })
    expect(checkModel(5)).toMatchObject({ param: 'model', code: 'invalid_type' })
  })

  test('a fallback may be empty but not hostile', () => {
    expect(checkRequest('chat_completion', { ...chat, fallbacks: ['', 'a/b'] })).toBeUndefined()
    expect(checkRequest('chat_completion', { ...chat, fallbacks: ['a/b', 'a\nb'] })).toEqual({
      param: 'fallbacks[1]',
      message: "Invalid value for 'fallbacks[1]': control characters are not allowed.",
      code: 'invalid_value',
    })
  })
})

describe('large bodies', () => {
  test('the fault of the last of 100,000 messages is found', () => {
    const messages: unknown[] = Array.from({ length: 100_000 }, () => ({
      role: 'user',
      content: [{ type: 'text', text: 'hi' }],
    }))
    expect(checkRequest('chat_completion', { model: 'm', messages })).toBeUndefined()
    messages[99_999] = { role: 'user', content: [{ text: 'hi' }] }
    expect(checkRequest('chat_completion', { model: 'm', messages })?.param).toBe(
      'messages[99999].content[0].type',
    )
  })

  test('the first fault ends the walk', () => {
    let touched = 0
    const messages = Array.from({ length: 1000 }, () => ({
      get role() {
        touched += 1
        return 5
      },
    }))
    expect(checkRequest('chat_completion', { model: 'm', messages })?.param).toBe(
      'messages[0].role',
    )
    expect(touched).toBeLessThan(5)
  })

  test('tool parameters are never walked, however deep', () => {
    let parameters: unknown = {}
    for (let depth = 0; depth < 20_000; depth++) parameters = { items: parameters }
    const tools = [{ type: 'function', function: { name: 'f', parameters } }]
    expect(checkRequest('chat_completion', { ...chat, tools })).toBeUndefined()
    expect(checkRequest('chat_completion', { ...chat, tools, n: 'x' })?.param).toBe('n')
  })
})

test('compiling changes no answer', () => {
  const bad = { ...chat, messages: [{ role: 5 }] }
  const before = checkRequest('chat_completion', bad)
  expect(before?.param).toBe('messages[0].role')
  compileChecker('chat_completion')
  expect(checkRequest('chat_completion', chat)).toBeUndefined()
  expect(checkRequest('chat_completion', bad)).toEqual(before)
})
