import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../../helpers/gateway.ts'
import { ask, fixture } from '../play.ts'
import { CLAUDE, conversations, png } from './conversations.ts'
import { keys, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// What the vendor is sent, and what callers hear who ask for what it has not.

let rig: Rig

beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig.stop())

const user = (content: unknown) => ({ role: 'user', content })
const hi = [user('hi')]
const chat = (body: object, headers = {}) =>
  ask(
    rig.gateway.url,
    '/chat/completions',
    { model: `bedrock/${CLAUDE}`, messages: hi, ...body },
    headers,
  )

test.each(Object.keys(conversations))('the request for %s is the golden one', async (name) => {
  const given = conversations[name]!
  const answer = await chat({ ...given, model: `bedrock/${given.model}` })
  expect([answer.status, answer.headers.get('x-bf-dropped-params')]).toEqual([200, null])
  const [sent] = rig.upstream.requests
  const operation = given['stream'] === true ? 'converse-stream' : 'converse'
  expect(`${sent!.method} ${sent!.path}`).toBe(
    `POST /model/${given.model.replaceAll(':', '%3A')}/${operation}`,
  )
  expect(sent!.headers.get('content-type')).toBe('application/json')
  expect(sent!.headers.get('authorization')).toStartWith('AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/')
  expect(`${sent!.text()}\n`).toBe(fixture(`bedrock/golden/${name}.json`))
})

describe('what is left out is told', () => {
  const llama = { model: 'bedrock/meta.llama3-1-8b-echo-v1:0' }
  const tool = (more = {}) => ({ type: 'function', function: { name: 'f', ...more } })
  const calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }]
  const marked = { type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }
  const image = { url: `data:image/png;base64,${png}`, detail: 'high' }
  const fable = { model: 'bedrock/anthropic.claude-fable-5-2-echo' }
  const nova = { model: 'bedrock/amazon.nova-2-lite-echo-v1:0' }
  const details = (format?: string) => ({
    messages: [
      ...hi,
      {
        role: 'assistant',
        content: 'x',
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 't', signature: 's', format },
        ],
      },
      user('so?'),
    ],
  })
  const table: readonly [string, object, string][] = [
    [
      'what the vendor has not',
      { seed: 1, logit_bias: { 1: 2 }, store: true },
      'seed,logit_bias,store',
    ],
    [
      'penalties',
      { frequency_penalty: 1, presence_penalty: 1 },
      'frequency_penalty,presence_penalty',
    ],
    ['an unknown parameter', { frobnicate: 1 }, 'frobnicate'],
    ['a name', { messages: [{ ...user('hi'), name: 'Ann' }] }, 'messages[0].name'],
    [
      'the detail of an image',
      { messages: [user([{ type: 'image_url', image_url: image }])] },
      'messages[0].content[0].image_url.detail',
    ],
    [
      'a cache marker',
      { ...llama, messages: [user([marked])] },
      'messages[0].content[0].cache_control',
    ],
    [
      'how long a cache lives',
      { messages: [user([{ ...marked, cache_control: { type: 'ephemeral', ttl: '7d' } }])] },
      'messages[0].content[0].cache_control.ttl',
    ],
    [
      'a tool’s cache marker',
      { ...nova, tools: [{ ...tool(), cache_control: {} }] },
      'tools[0].function.cache_control',
    ],
    [
      'that a tool must be called',
      { ...llama, tools: [tool()], tool_choice: 'required' },
      'tool_choice',
    ],
    [
      'that a thinker must call',
      { ...fable, tools: [tool()], tool_choice: 'required' },
      'tool_choice',
    ],
    [
      'one call at a time',
      { ...llama, tools: [tool()], parallel_tool_calls: false },
      'parallel_tool_calls',
    ],
    ['strictness', { ...llama, tools: [tool({ strict: true })] }, 'tools[0].function.strict'],
    [
      'sampling of thinkers',
      { ...fable, temperature: 0.5, top_p: 0.5, top_k: 3 },
      'temperature,top_p,top_k',
    ],
    ['one of two ways to sample', { temperature: 0.5, top_p: 0.5 }, 'top_p'],
    ['top_k', { ...llama, top_k: 3 }, 'top_k'],
    ['stops of white space', { stop: ['\n\n', 'END'] }, 'stop'],
    ['an effort', { ...llama, reasoning_effort: 'low' }, 'reasoning_effort'],
    ['a budget', { ...nova, reasoning: { max_tokens: 99 } }, 'reasoning.max_tokens'],
    ['a limit', { ...nova, reasoning_effort: 'high', max_tokens: 10 }, 'max_tokens'],
    ['the end user', { ...llama, user: 'u' }, 'user'],
    ['a service tier', { service_tier: 'scale' }, 'service_tier'],
    ['metadata', { metadata: { 'not ✓ allowed': 'x', ok: 'y' } }, 'metadata.not ✓ allowed'],
    [
      'what metadata has too much of',
      {
        metadata: Object.fromEntries(
          'constructor a b c d e f g h i j k l m n o p'.split(' ').map((key) => [key, 'x']),
        ),
      },
      'metadata.p',
    ],
    [
      'metadata that is there already',
      { metadata: { a: 'theirs' }, requestMetadata: { a: 'own' } },
      'metadata.a',
    ],
    ['thoughts of another vendor', details('other-v1'), 'messages[1].reasoning_details'],
    ['thoughts nobody signed for', details(), 'messages[1].reasoning_details'],
    [
      'thoughts a model refuses',
      { ...llama, ...details('anthropic-claude-v1') },
      'messages[1].reasoning_details',
    ],
    [
      'plain thoughts',
      { messages: [...hi, { role: 'assistant', content: 'x', reasoning: 'y' }, user('so?')] },
      'messages[1].reasoning',
    ],
    [
      'that a tool failed',
      {
        ...llama,
        tools: [tool()],
        messages: [
          ...hi,
          { role: 'assistant', tool_calls: calls },
          { role: 'tool', tool_call_id: 'a', content: 'no', is_error: true },
        ],
      },
      'messages[2].is_error',
    ],
    [
      'the form of arguments that are no object',
      {
        tools: [tool()],
        messages: [
          ...hi,
          {
            role: 'assistant',
            tool_calls: [{ ...calls[0], function: { name: 'f', arguments: '{"half' } }],
          },
          { role: 'tool', tool_call_id: 'a', content: 'no' },
        ],
      },
      'messages[1].tool_calls[0].function.arguments',
    ],
    [
      'strictness of a schema',
      {
        ...llama,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'a', strict: true, schema: {} },
        },
      },
      'response_format.json_schema.strict',
    ],
  ]

  test.each(table)('%s', async (_name, body, dropped) => {
    const answer = await chat(body)
    expect(answer.status).toBe(200)
    const listed = decodeURIComponent(answer.headers.get('x-bf-dropped-params') ?? '')
    expect(listed.replaceAll(', ', ',')).toBe(dropped)
    const strict = await chat(body, { 'x-bf-strict': 'true' })
    expect(strict.status).toBe(400)
    expect(strict.json.error.param).toBe(dropped.split(',')[0])
    expect(rig.upstream.requests).toHaveLength(1)
  })
})

describe('a clear 400 names the place', () => {
  const call = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } })
  const answer = (...ids: string[]) => ({
    role: 'assistant',
    content: null,
    tool_calls: ids.map(call),
  })
  const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: 'x' })
  const part = (given: object) => ({ messages: [user([given])] })
  const dataFile = (type: string, filename: string) =>
    part({ type: 'file', file: { filename, file_data: `data:${type};base64,AAAA` } })
  const tool = (parameters: object) => ({
    tools: [{ type: 'function', function: { name: 'f', parameters } }],
  })
  const table: readonly [string, object, string][] = [
    ['several answers', { n: 2 }, 'n'],
    ['spoken answers', { modalities: ['text', 'audio'] }, 'modalities'],
    ['nobody speaks', { messages: [{ role: 'system', content: 'Be brief.' }] }, 'messages'],
    ['only blanks', { messages: [user('  ')] }, 'messages'],
    [
      'the model speaks first',
      { messages: [{ role: 'assistant', content: 'Hi.' }, ...hi] },
      'messages[0]',
    ],
    [
      'a call without its result',
      { messages: [...hi, answer('a', 'b'), result('a')] },
      'messages[1].tool_calls[1]',
    ],
    [
      'a call that nothing follows',
      { messages: [...hi, answer('a')] },
      'messages[1].tool_calls[0]',
    ],
    [
      'a result too late',
      { messages: [...hi, answer('a'), result('a'), answer('b'), result('b'), result('a')] },
      'messages[5].tool_call_id',
    ],
    [
      'two results',
      { messages: [...hi, answer('a'), result('a'), result('a')] },
      'messages[3].tool_call_id',
    ],
    [
      'two calls alike',
      { messages: [...hi, answer('a', 'a'), result('a')] },
      'messages[1].tool_calls[1].id',
    ],
    ['a result without a call', { messages: [...hi, result('z')] }, 'messages[1].tool_call_id'],
    [
      'an image of another kind',
      part({ type: 'image_url', image_url: { url: 'data:image/tiff;base64,AAAA' } }),
      'messages[0].content[0]',
    ],
    [
      'audio',
      part({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }),
      'messages[0].content[0]',
    ],
    [
      'an uploaded file',
      part({ type: 'file', file: { file_id: 'file-1' } }),
      'messages[0].content[0]',
    ],
    ['a document of another kind', dataFile('application/zip', 'a.zip'), 'messages[0].content[0]'],
    [
      'a cloud’s own URL',
      part({ type: 'image_url', image_url: { url: 'gs://b/a.png' } }),
      'messages[0].content[0]',
    ],
    [
      'a private URL',
      part({ type: 'image_url', image_url: { url: 'http://169.254.169.254/latest/a.png' } }),
      'messages[0].content[0].image_url.url',
    ],
    ['arguments that are no object', tool({ type: 'array' }), 'tools[0].function.parameters.type'],
    ['a choice of nothing', { tool_choice: 'required' }, 'tool_choice'],
    [
      'a choice that is not there',
      { ...tool({}), tool_choice: { type: 'function', function: { name: 'g' } } },
      'tool_choice',
    ],
    ['an effort that is none', { reasoning_effort: 'gigantic' }, 'reasoning_effort'],
    [
      'a recursive schema',
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'a', schema: { type: 'object', properties: { a: { $ref: '#' } } } },
        },
      },
      'response_format.json_schema.schema',
    ],
    ['a model that is a path', { model: 'bedrock/..' }, 'model'],
    [
      'an ARN of nowhere',
      { model: 'bedrock/arn:aws:bedrock:evil.example/x:1:inference-profile/a' },
      'model',
    ],
  ]

  test.each(table)('%s', async (_name, body, param) => {
    const { status, json } = await chat(body)
    expect([status, json.error.param]).toEqual([400, param])
    expect(rig.upstream.requests).toHaveLength(0)
  })
})

test('a signature of somebody else is the vendor’s 400', async () => {
  const detail = {
    type: 'reasoning.text',
    index: 0,
    text: 'x',
    signature: 'forged',
    format: 'anthropic-claude-v1',
  }
  const { status, json } = await chat({
    messages: [
      ...hi,
      { role: 'assistant', content: 'x', reasoning_details: [detail] },
      user('so?'),
    ],
  })
  expect([status, json.error.code]).toEqual([400, 'ValidationException'])
})

test('pictures by URL are fetched and sent', async () => {
  using server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch: () =>
      new Response(Buffer.from(png, 'base64'), {
        headers: { 'content-type': 'application/octet-stream' },
      }),
  })
  const network_config = { base_url: rig.upstream.url, allow_private_network: true }
  const gateway = await startGateway({
    config: { providers: { bedrock: { keys: [{ bedrock_key_config: keys }], network_config } } },
  })
  const url = `http://localhost:${server.port}/cat`
  const answer = await ask(gateway.url, '/chat/completions', {
    model: `bedrock/${CLAUDE}`,
    messages: [
      user([
        { type: 'text', text: 'What?' },
        { type: 'image_url', image_url: { url } },
      ]),
    ],
  })
  await gateway.stop()
  expect(answer.status).toBe(200)
  expect(rig.upstream.requests[0]!.json().messages[0].content[1]).toEqual({
    image: { format: 'png', source: { bytes: png } },
  })
})

describe('names of tools and ids that the vendor refuses', () => {
  const name = 'weather.of the/world'
  const given = {
    model: 'bedrock/anthropic.claude-opus-4-6-tools',
    tools: [
      { type: 'function', function: { name } },
      { type: 'function', function: { name: 'weather_of_the_world' } },
    ],
  }

  test.each([true, false])('travel in another form and come back (stream: %p)', async (stream) => {
    const { text } = await chat({ ...given, stream })
    const { toolConfig } = rig.upstream.requests[0]!.json()
    const sent = toolConfig.tools.map(({ toolSpec }: any) => toolSpec.name)
    expect(sent).toEqual(['weather_of_the_world_2', 'weather_of_the_world'])
    expect(text).toContain(`"name":"${name}"`)
    expect(text).toContain('"name":"weather_of_the_world"')
  })
})

test.each([true, false])('a tool of free text gets its text (stream: %p)', async (stream) => {
  const { text } = await chat({
    model: 'bedrock/anthropic.claude-opus-4-6-tools',
    stream,
    tools: [{ type: 'custom', custom: { name: 'shell' } }],
  })
  expect(text).toContain('"type":"custom"')
  expect(text).toContain('"input":"mock"')
})
