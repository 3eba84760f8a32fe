import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI, { AzureOpenAI } from 'openai'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startTokenServer } from '../helpers/token-server.ts'
import type { TokenServer } from '../helpers/token-server.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { serviceAccount } from './vertex/rig.ts'

// The official SDK in front of the gateway, and behind it every home that a dialect has in a cloud, each strict about
// its paths, credentials and fields.

let upstream: Upstream
let tokens: TokenServer
let gateway: TestGateway
let client: OpenAI
beforeAll(async () => {
  upstream = await startUpstream()
  tokens = startTokenServer()
  const endpoint = upstream.url
  const claude = (model_id: string) => ({ model_id, model_family: 'anthropic' })
  const network_config = { base_url: upstream.url }
  gateway = await startGateway({
    config: {
      providers: {
        azure: {
          keys: [
            {
              value: 'azure-key-0123456789',
              azure_key_config: { endpoint },
              aliases: {
                'dated-tools': { model_id: 'tools', api_version: '2024-10-21' },
                'dated-json': { model_id: 'json', api_version: '2024-10-21' },
                'dated-echo': { model_id: 'echo', api_version: '2024-10-21' },
                'claude-tools': claude('tools'),
                'claude-json': claude('json'),
                'claude-echo': claude('echo'),
              },
            },
          ],
        },
        vertex: {
          keys: [
            {
              vertex_key_config: {
                project_id: 'p',
                region: 'global',
                auth_credentials: JSON.stringify(serviceAccount(tokens.url)),
              },
            },
          ],
          network_config,
        },
      },
    },
  })
  client = new OpenAI({ apiKey: 'any', baseURL: `${gateway.url}/openai/v1`, maxRetries: 0 })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
  await tokens.stop()
})

const homes: readonly [name: string, prefix: string, path: string][] = [
  ['Azure, v1', 'azure/', '/openai/v1/chat/completions'],
  ['Azure, dated', 'azure/dated-', '/openai/deployments/'],
  ['Claude in Foundry', 'azure/claude-', '/anthropic/v1/messages'],
  ['Gemini in Vertex', 'vertex/gemini-3-flash-', '/publishers/google/models/gemini-3-flash-'],
  ['Claude in Vertex', 'vertex/anthropic/', '/publishers/anthropic/models/'],
  ['open models in Vertex', 'vertex/meta/', '/endpoints/openapi/chat/completions'],
]

const messages = [{ role: 'user' as const, content: 'over the rainbow bridge' }]
const properties = { city: { type: 'string' } }
const parameters = { type: 'object', properties, required: ['city'] }
const schema = {
  type: 'object',
  properties: { title: { type: 'string' }, count: { type: 'integer' } },
  required: ['title', 'count'],
  additionalProperties: false,
}

describe.each(homes)('%s', (_, prefix, path) => {
  test('text, streamed and whole', async () => {
    const model = prefix + 'echo'
    const whole = await client.chat.completions.create({ model, messages })
    const stream = client.chat.completions.stream({
      model,
      messages,
      stream_options: { include_usage: true },
    })
    const streamed = await stream.finalChatCompletion()
    for (const answer of [whole, streamed]) {
      expect(answer.choices[0]?.message.content).toBe('over the rainbow bridge')
      expect(answer.choices[0]?.finish_reason).toBe('stop')
      expect(answer.usage?.total_tokens).toBeGreaterThan(0)
    }
    expect(upstream.requests.every((request) => request.path.includes(path))).toBe(true)
  })

  test('responses, streamed', async () => {
    const stream = client.responses.stream({
      model: prefix + 'echo',
      input: 'over the rainbow bridge',
    })
    const response = await stream.finalResponse()
    expect(response.output_text).toBe('over the rainbow bridge')
    expect(response.usage?.total_tokens).toBeGreaterThan(0)
  })
})

// The mock's models go by bare names, which open models do not have: those only echo.
describe.each(homes.filter(([name]) => !name.startsWith('open')))('%s', (_, prefix) => {
  test('tools are run and their results replayed', async () => {
    const asked: unknown[] = []
    const runner = client.chat.completions.runTools({
      model: prefix + 'tools',
      messages,
      stream: true,
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'Tells the weather.',
            parameters,
            parse: (text: string) => JSON.parse(text) as object,
            function: (input: object) => {
              asked.push(input)
              return 'snow'
            },
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe('The tool says: snow')
    expect(asked).toEqual([{ city: 'mock' }])
  })

  test('a schema is followed', async () => {
    const answer = await client.chat.completions.parse({
      model: prefix + 'json',
      messages,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'thing', strict: true, schema },
      },
    })
    expect(answer.choices[0]?.message.parsed).toMatchObject({ title: 'mock', count: 0 })
  })
})

test('all calls to the project had one token', () => {
  expect(tokens.requests).toHaveLength(1)
})

test('embeddings', async () => {
  for (const model of ['text-embedding-005', 'gemini-embedding-001', 'gemini-embedding-2']) {
    const { data, usage } = await client.embeddings.create({
      model: `vertex/${model}`,
      input: ['a', 'b'],
      dimensions: 4,
    })
    expect(data.map(({ embedding }) => embedding.length)).toEqual([4, 4])
    const [first] = data
    expect(Math.hypot(...first!.embedding)).toBeCloseTo(1, 5)
    expect(usage.prompt_tokens).toBeGreaterThan(0)
  }
})

test('tokens are counted where the models can', async () => {
  for (const model of [
    'azure/claude-echo',
    'vertex/gemini-3-flash-echo',
    'vertex/anthropic/echo',
  ]) {
    const counted = await client.responses.inputTokens.count({ model, input: 'one two three' })
    expect(counted.input_tokens).toBeGreaterThan(0)
  }
})

test('a stored response of a deployment of Claude is continued', async () => {
  const model = 'azure/claude-echo'
  const first = await client.responses.create({ model, input: 'one' })
  const next = await client.responses.create({
    model,
    input: 'two',
    previous_response_id: first.id,
  })
  expect(next.output_text).toBe('two')
  const { messages: sent } = upstream.requests[1]!.json()
  expect(sent.map(({ role }: { role: string }) => role)).toEqual(['user', 'assistant', 'user'])
})

test('the Azure flavour of the SDK reaches both kinds of deployment', async () => {
  const azure = new AzureOpenAI({
    endpoint: `${gateway.url}/openai`,
    apiKey: 'any',
    apiVersion: '2024-10-21',
    maxRetries: 0,
  })
  for (const model of ['echo', 'dated-echo', 'claude-echo']) {
    const answer = await azure.chat.completions.create({ model, messages })
    expect(answer.choices[0]?.message.content).toBe('over the rainbow bridge')
  }
  expect(upstream.requests.map((request) => request.path + request.query)).toEqual([
    '/openai/v1/chat/completions',
    '/openai/deployments/echo/chat/completions?api-version=2024-10-21',
    '/anthropic/v1/messages',
  ])
})

test('refusals keep their meaning, whoever wrote them', async () => {
  for (const model of ['vertex/anthropic/missing', 'vertex/missing', 'azure/missing']) {
    const refused = await client.chat.completions.create({ model, messages }).catch((e) => e)
    expect([refused.status, refused.code]).toEqual([404, 'model_not_found'])
  }
})
