import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { pdf, weather } from './conversations.ts'
import { question, type Rig, startRig } from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const call = (id: string, name = 'get_weather', written = '{}') => ({
  id,
  type: 'function',
  function: { name, arguments: written },
})
const calls = (...ids: string[]) => ({
  role: 'assistant',
  content: null,
  tool_calls: ids.map((id) => call(id)),
})
const result = (id: string, content: unknown = 'ok') => ({
  role: 'tool',
  tool_call_id: id,
  content,
})
const part = (...content: object[]) => ({ messages: [{ role: 'user', content }] })
const schema = (inner: object) => ({
  model: 'claude-opus-4-8',
  response_format: { type: 'json_schema', json_schema: { name: 'x', schema: inner } },
})

/** What is answered with a 400 that names the place, and never reaches the vendor. */
const refused: Readonly<Record<string, readonly [param: string, request: object]>> = {
  'a result without calls': ['messages[1].tool_call_id', { messages: [question, result('a')] }],
  'a result for another id': [
    'messages[2].tool_call_id',
    { messages: [question, calls('a'), result('b')] },
  ],
  'a call without its result': [
    'messages[1].tool_calls[1].id',
    { messages: [question, calls('a', 'b'), result('a'), question] },
  ],
  'a call at the end': ['messages[1].tool_calls[0].id', { messages: [question, calls('a')] }],
  'a result that comes too late': [
    'messages[1].tool_calls[0].id',
    { messages: [question, calls('a'), { role: 'assistant', content: 'x' }, result('a')] },
  ],
  'a second result': [
    'messages[3].tool_call_id',
    { messages: [question, calls('a'), result('a'), result('a')] },
  ],
  'two calls with one id': [
    'messages[1].tool_calls[1].id',
    { messages: [question, calls('a', 'a'), result('a')] },
  ],
  audio: [
    'messages[0].content[0]',
    part({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }),
  ],
  'a picture of an unknown type': [
    'messages[0].content[0]',
    part({ type: 'image_url', image_url: { url: 'data:image/bmp;base64,AAAA' } }),
  ],
  'a picture that is no URL': [
    'messages[0].content[0].image_url.url',
    part({ type: 'image_url', image_url: { url: 'picture.png' } }),
  ],
  'a picture in a bucket': [
    'messages[0].content[0]',
    part({ type: 'image_url', image_url: { url: 'gs://bucket/a.png' } }),
  ],
  'a document of an unknown type': [
    'messages[0].content[0]',
    part({ type: 'file', file: { file_data: `data:application/zip;base64,${pdf}` } }),
  ],
  'an unknown part': ['messages[0].content[0].type', part({ type: 'smell' })],
  'a picture said by the assistant': [
    'messages[1].content[0]',
    {
      messages: [
        question,
        {
          role: 'assistant',
          content: [{ type: 'image_url', image_url: { url: 'https://a.example/b.png' } }],
        },
      ],
    },
  ],
  'a document of another kind whose data does not name it': [
    'messages[0].content[0]',
    {
      messages: [
        {
          role: 'user',
          content: [{ type: 'file', file: { filename: 'a.docx', file_data: 'UEsDBBQA' } }],
        },
      ],
    },
  ],
  'an answer begun for a model that does not go on with it': [
    'messages[1]',
    { model: 'claude-opus-4-8', messages: [question, { role: 'assistant', content: 'Once' }] },
  ],
  'nothing but emptiness': ['messages', { messages: [{ role: 'user', content: ' ' }] }],
  'several answers': ['n', { n: 2 }],
  'spoken answers': ['modalities', { modalities: ['text', 'audio'], audio: { voice: 'x' } }],
  'an unknown effort': ['reasoning_effort', { reasoning_effort: 'heroic' }],
  'a choice of a tool that is not there': [
    'tool_choice',
    { tools: [weather], tool_choice: { type: 'function', function: { name: 'other' } } },
  ],
  'a demand without tools': ['tool_choice', { tool_choice: 'required' }],
  'arguments that are no object': [
    'tools[0].function.parameters.type',
    { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'array' } } }] },
  ],
  'a grammar': [
    'tools[0].custom.format',
    {
      tools: [{ type: 'custom', custom: { name: 'f', format: { type: 'grammar', grammar: {} } } }],
    },
  ],
  'a recursive schema': [
    'response_format.json_schema.schema',
    schema({ type: 'object', properties: { next: { $ref: '#' } } }),
  ],
  'a schema elsewhere': [
    'response_format.json_schema.schema',
    schema({ $ref: 'https://schemas.example/person.json' }),
  ],
  'a reference to nothing': ['response_format.json_schema.schema', schema({ $ref: '#/$defs/x' })],
  'a bottomless schema': [
    'response_format.json_schema.schema',
    schema(Array.from({ length: 400 }).reduce<object>((items) => ({ type: 'array', items }), {})),
  ],
}

describe('a 400 with the place', () => {
  for (const [name, [param, request]] of Object.entries(refused)) {
    test(name, async () => {
      rig.upstream.clear()
      const { status, json } = await rig.ask(request)
      expect(json.error).toMatchObject({ param, type: 'invalid_request_error' })
      expect(status).toBe(400)
      expect(rig.upstream.requests).toHaveLength(0)
    })
  }
})

const foreign = [
  { type: 'reasoning.text', index: 0, text: 'Hm', signature: 'x', format: 'google-gemini-v1' },
  { type: 'reasoning.text', index: 1, text: 'Hm', format: 'anthropic-claude-v1' },
]
const thoughtful = (more: object) => [
  question,
  { role: 'assistant', content: 'Yes', ...more },
  question,
]

/** What is left out and declared; with `x-bf-strict` it is a 400. */
const dropped: Readonly<Record<string, readonly [places: readonly string[], request: object]>> = {
  'signatures of others': [
    ['messages[1].reasoning_details'],
    { messages: thoughtful({ reasoning_details: foreign }) },
  ],
  'thoughts without a signature': [
    ['messages[1].reasoning'],
    { messages: thoughtful({ reasoning: 'Hm' }) },
  ],
  'content of another provider': [
    ['messages[1].provider_content'],
    { messages: thoughtful({ provider_content: [{ type: 'executable_code' }] }) },
  ],
  'what others keep with their calls and answers': [
    ['messages[1].audio', 'messages[1].tool_calls[0].extra_content'],
    {
      messages: [
        question,
        {
          role: 'assistant',
          audio: { id: 'audio_1' },
          tool_calls: [{ ...call('a'), extra_content: { google: { thought_signature: 'x' } } }],
        },
        result('a'),
      ],
    },
  ],
  'a marker on nothing': [
    ['messages[0].content[1].cache_control'],
    part(
      { type: 'text', text: 'x' },
      { type: 'text', text: ' ', cache_control: { type: 'ephemeral' } },
    ),
  ],
  names: [['messages[0].name'], { messages: [{ ...question, name: 'Ada' }] }],
  'sampling on a model without it': [
    ['temperature', 'top_k', 'top_p'],
    { temperature: 0.5, top_p: 0.9, top_k: 5 },
  ],
  'a demand on a model that always thinks': [
    ['tool_choice'],
    { tools: [weather], tool_choice: 'required' },
  ],
  'what the vendor does not know': [
    ['frequency_penalty', 'logit_bias', 'logprobs', 'seed', 'store', 'verbosity'],
    {
      frequency_penalty: 1,
      logit_bias: { 5: 1 },
      logprobs: true,
      seed: 5,
      store: true,
      verbosity: 'low',
    },
  ],
  'thinking, where a call is demanded': [
    ['reasoning_effort'],
    {
      model: 'claude-opus-4-6',
      tools: [weather],
      tool_choice: 'required',
      reasoning_effort: 'high',
    },
  ],
  'thinking, where a loop began without': [
    ['reasoning_effort'],
    {
      model: 'claude-haiku-4-5',
      messages: [question, calls('a'), result('a')],
      tools: [weather],
      reasoning_effort: 'high',
    },
  ],
  'strictness of a model without it': [
    ['tools[0].function.strict'],
    {
      model: 'claude-3-7-sonnet',
      tools: [{ type: 'function', function: { ...weather.function, strict: true } }],
    },
  ],
  'strictness that cannot be had': [
    ['tools[0].function.strict'],
    {
      model: 'claude-opus-4-8',
      tools: [
        {
          type: 'function',
          function: {
            name: 'f',
            strict: true,
            parameters: { type: 'object', properties: { a: { $ref: '#' } } },
          },
        },
      ],
    },
  ],
  'the detail of a picture': [
    ['messages[0].content[0].image_url.detail'],
    part(
      { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'high' } },
      { type: 'text', text: 'x' },
    ),
  ],
  'metadata and tiers': [
    ['metadata', 'service_tier'],
    { metadata: { a: 'b' }, service_tier: 'flex' },
  ],
}

describe('left out and declared', () => {
  for (const [name, [places, request]] of Object.entries(dropped)) {
    test(name, async () => {
      const lenient = await rig.ask(request)
      expect(lenient.json.error).toBeUndefined()
      expect(lenient.dropped.toSorted()).toEqual([...places])
      rig.upstream.clear()
      const strict = await rig.ask(request, { 'x-bf-strict': 'true' })
      expect(strict.status).toBe(400)
      expect(places).toContain(strict.json.error.param)
      expect(rig.upstream.requests).toHaveLength(0)
    })
  }
})

describe('carried in another form', () => {
  test('ids and names in a foreign alphabet', async () => {
    const sent = await rig.sent({
      model: 'claude-haiku-4-5',
      messages: [
        question,
        { role: 'assistant', tool_calls: [call('a:1', 'x.y'), call('a.1', 'x_y')] },
        result('a.1', 'second'),
        result('a:1', 'first'),
        question,
        { role: 'assistant', tool_calls: [call('a.1', 'x_y')] },
        result('a.1', 'third'),
      ],
      tools: ['x.y', 'x_y', 'x-y'].map((name) => ({ type: 'function', function: { name } })),
    })
    const { messages, tools } = sent.json()
    expect(tools.map(({ name }: any) => name)).toEqual(['x_y_2', 'x_y', 'x-y'])
    expect(messages[1].content).toMatchObject([
      { id: 'a_1', name: 'x_y_2' },
      { id: 'a_1_2', name: 'x_y' },
    ])
    expect(messages[2].content).toMatchObject([
      { tool_use_id: 'a_1', content: 'first' },
      { tool_use_id: 'a_1_2', content: 'second' },
      { type: 'text' },
    ])
    expect(messages[3].content).toMatchObject([{ id: 'a_1_3' }])
  })

  test('a tool is called by the name that the caller gave it', async () => {
    const tools = ['x.y', 'x_y'].map((name) => ({ type: 'function', function: { name } }))
    for (const stream of [false, true]) {
      const { text } = await rig.ask({ model: 'claude-haiku-4-5-tools', tools, stream })
      expect(text).toContain('"name":"x.y"')
      expect(text).toContain('"name":"x_y"')
      expect(text).not.toContain('x_y_2')
    }
  })

  test('custom tools take and give free text', async () => {
    const tools = [{ type: 'custom', custom: { name: 'sh', description: 'Runs a command' } }]
    for (const stream of [false, true]) {
      const { text } = await rig.ask({ model: 'claude-haiku-4-5-tools', tools, stream })
      expect(text).toContain('"type":"custom"')
      expect(text).toContain('"input":"mock"')
    }
    const past = { id: 'c', type: 'custom', custom: { name: 'sh', input: 'ls' } }
    const sent = await rig.sent({
      model: 'claude-haiku-4-5',
      messages: [question, { role: 'assistant', tool_calls: [past] }, result('c', 'a.txt')],
      tools,
    })
    expect(sent.json().messages[1].content[0].input).toEqual({ input: 'ls' })
  })

  test('what the model wrote instead of JSON', async () => {
    const broken = { role: 'assistant', tool_calls: [call('a', 'f', '{"a":')] }
    const sent = await rig.sent({ messages: [question, broken, result('a')] })
    expect(sent.json().messages[1].content[0].input).toEqual({ _raw: '{"a":' })
  })

  test('the deprecated form of calls', async () => {
    const sent = await rig.sent({
      model: 'claude-haiku-4-5',
      messages: [
        question,
        { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":1}' } },
        { role: 'function', name: 'f', content: 'ok' },
      ],
      functions: [{ name: 'f', parameters: { type: 'object', properties: {} } }],
      function_call: { name: 'f' },
    })
    const body = sent.json()
    const [{ id }] = body.messages[1].content
    expect(body.messages[2].content).toEqual([
      { type: 'tool_result', tool_use_id: id, content: 'ok' },
    ])
    expect(body.tool_choice).toEqual({ type: 'tool', name: 'f' })
  })

  test('failed results, and results of several parts', async () => {
    const sent = await rig.sent({
      messages: [
        question,
        calls('a', 'b'),
        { ...result('a', 'no'), is_error: true },
        result('b', [
          { type: 'text', text: 'see' },
          { type: 'image_url', image_url: { url: 'https://a.example/b.png' } },
        ]),
      ],
    })
    expect(sent.json().messages[2].content).toEqual([
      { type: 'tool_result', tool_use_id: 'a', content: 'no', is_error: true },
      {
        type: 'tool_result',
        tool_use_id: 'b',
        content: [
          { type: 'text', text: 'see' },
          { type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } },
        ],
      },
    ])
  })

  test('instructions between calls and results come after the results', async () => {
    const messages = [question, calls('a'), { role: 'developer', content: 'Hurry.' }, result('a')]
    const modern = await rig.sent({ model: 'claude-opus-4-8', messages })
    expect(modern.json().messages.map(({ role }: any) => role)).toEqual([
      'user',
      'assistant',
      'user',
      'system',
    ])
    const older = await rig.sent({ model: 'claude-haiku-4-5', messages })
    expect(older.json().system).toEqual([{ type: 'text', text: 'Hurry.' }])
  })

  test('instructions that no user message stands beside are said by the user', async () => {
    const messages = [
      question,
      { role: 'assistant', content: 'Hello' },
      { role: 'system', content: 'Say goodbye.' },
    ]
    for (const model of ['claude-opus-4-8', 'claude-haiku-4-5', 'claude-opus-4-7']) {
      const { messages: sent, system } = (await rig.sent({ model, messages })).json()
      expect(sent.at(-1)).toEqual({
        role: 'user',
        content: [{ type: 'text', text: 'Say goodbye.' }],
      })
      expect(system).toBeUndefined()
    }
  })

  test('JSON of any form is asked for in words', async () => {
    const sent = await rig.sent({ response_format: { type: 'json_object' } })
    expect(sent.json().system[0].text).toContain('JSON')
  })

  test('a begun answer, without white space at its end', async () => {
    const begun = { role: 'assistant', content: 'Once upon ' }
    const sent = await rig.sent({ model: 'claude-3-7-sonnet', messages: [question, begun] })
    expect(sent.json().messages[1].content[0].text).toBe('Once upon')
  })
})
