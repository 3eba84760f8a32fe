import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI from 'openai'

import { models } from '#providers/bedrock/models.ts'
import type { Target } from '#providers/provider.ts'

import { ask } from '../play.ts'
import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Embeddings, models, and the counting of tokens.

let rig: Rig
let client: OpenAI

beforeAll(async () => {
  rig = await startRig()
  client = new OpenAI({ apiKey: 'any', baseURL: `${rig.gateway.url}/openai/v1`, maxRetries: 0 })
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig.stop())

describe('embeddings', () => {
  const table: readonly [string, object, object[]][] = [
    [
      'amazon.titan-embed-text-v2:0',
      { dimensions: 256, normalize: true },
      [
        { inputText: 'one', dimensions: 256, normalize: true },
        { inputText: 'two', dimensions: 256, normalize: true },
      ],
    ],
    ['amazon.titan-embed-text-v1', {}, [{ inputText: 'one' }, { inputText: 'two' }]],
    [
      'amazon.titan-embed-image-v1',
      { dimensions: 384 },
      [
        { inputText: 'one', embeddingConfig: { outputEmbeddingLength: 384 } },
        { inputText: 'two', embeddingConfig: { outputEmbeddingLength: 384 } },
      ],
    ],
    [
      'cohere.embed-english-v3',
      { truncate: 'END' },
      [
        {
          texts: ['one', 'two'],
          input_type: 'search_document',
          truncate: 'END',
          embedding_types: ['float'],
        },
      ],
    ],
    [
      'us.cohere.embed-v4:0',
      { dimensions: 512, input_type: 'search_query' },
      [
        {
          texts: ['one', 'two'],
          input_type: 'search_query',
          embedding_types: ['float'],
          output_dimension: 512,
        },
      ],
    ],
    [
      'amazon.nova-2-multimodal-embeddings-v1:0',
      { dimensions: 1024 },
      ['one', 'two'].map((value) => ({
        taskType: 'SINGLE_EMBEDDING',
        singleEmbeddingParams: {
          embeddingPurpose: 'GENERIC_INDEX',
          embeddingDimension: 1024,
          text: { truncationMode: 'END', value },
        },
      })),
    ],
  ]

  test.each(table)('%s', async (model, more, bodies) => {
    const input = ['one', 'two']
    const answer = await client.embeddings.create({ model: `bedrock/${model}`, input, ...more })
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1])
    expect(answer.data[0]!.embedding).not.toEqual(answer.data[1]!.embedding)
    const { dimensions } = more as { dimensions?: number }
    if (dimensions !== undefined) expect(answer.data[0]!.embedding).toHaveLength(dimensions)
    expect(answer.usage.prompt_tokens).toBe(2)
    const sent = rig.upstream.requests.map((request) => request.json())
    expect(sent.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))).toEqual(
      bodies,
    )
    expect(rig.upstream.requests[0]!.path).toBe(`/model/${encodeURIComponent(model)}/invoke`)
  })

  test('by the hundred keep their order', async () => {
    const input = Array.from({ length: 100 }, (_, i) => `text ${i}`)
    const create = (texts: string[]) =>
      client.embeddings.create({ model: 'bedrock/cohere.embed-english-v3', input: texts })
    const all = await create(input)
    expect(rig.upstream.requests).toHaveLength(2)
    const [last] = (await create(['text 99'])).data
    expect(all.data[99]!.embedding).toEqual(last!.embedding)
  })

  test('what a model has no word for is told', async () => {
    const body = { model: 'bedrock/cohere.embed-english-v3', input: 'x', dimensions: 9, user: 'u' }
    const { status, headers } = await ask(rig.gateway.url, '/embeddings', body)
    expect([status, headers.get('x-bf-dropped-params')]).toEqual([200, 'dimensions,user'])
  })

  test.each([
    ['token ids', { model: 'bedrock/cohere.embed-v4:0', input: [1, 2] }, 'input'],
    ['a model that does not embed', { model: 'bedrock/meta.llama3-1-8b', input: 'x' }, 'model'],
  ])('%s are a clear 400', async (_name, body, param) => {
    const { status, json } = await ask(rig.gateway.url, '/embeddings', body)
    expect([status, json.error.param]).toEqual([400, param])
  })

  test.each([[{}], [[]], [{ embedding: 'x' }], [{ embeddings: [{ embedding: ['a'] }] }]])(
    '%j for an answer is a bad gateway',
    async (json) => {
      rig.upstream.reply({ json })
      const body = { model: 'bedrock/amazon.titan-embed-text-v2:0', input: 'x' }
      const answer = await ask(rig.gateway.url, '/embeddings', body)
      expect([answer.status, answer.json.error.code]).toEqual([502, 'bad_gateway'])
    },
  )
})

describe('models', () => {
  test('are listed as the vendor has them', async () => {
    const page = await client.models.list()
    const claude = page.data.find(({ id }) => id === 'bedrock/anthropic.claude-opus-4-6-v1')
    expect(claude).toMatchObject({ owned_by: 'Anthropic', needs_inference_profile: true })
    const nova = page.data.find(({ id }) => id === 'bedrock/amazon.nova-lite-v1:0')
    expect(nova).not.toHaveProperty('needs_inference_profile')
  })

  test.each(['amazon.nova-lite-v1:0', 'us.amazon.nova-lite-v1:0'])('%s alone', async (id) => {
    const model = await client.models.retrieve(`bedrock/${id}`)
    expect(model).toMatchObject({ object: 'model', owned_by: 'Amazon' })
    expect(rig.upstream.requests[0]!.path).toBe('/foundation-models/amazon.nova-lite-v1%3A0')
  })

  test('are asked for at the host of the control plane', () => {
    const target = (region: string) =>
      ({
        settings: { name: 'bedrock', network: {}, ambient: {} },
        key: { vendor: { bedrock_key_config: { region } } },
      }) as unknown as Target
    expect(models.request(target('eu-west-3')).url).toBe(
      'https://bedrock.eu-west-3.amazonaws.com/foundation-models',
    )
    expect(models.request(target('cn-north-1')).url).toBe(
      'https://bedrock.cn-north-1.amazonaws.com.cn/foundation-models',
    )
  })
})

test('tokens are counted by the vendor', async () => {
  const body = {
    model: 'bedrock/us.anthropic.claude-opus-4-6-v1',
    input: 'How long am I?',
    instructions: 'Count.',
  }
  const { status, json } = await ask(rig.gateway.url, '/responses/input_tokens', body)
  expect(status).toBe(200)
  expect(json).toMatchObject({ object: 'response.input_tokens', input_tokens: expect.any(Number) })
  const [sent] = rig.upstream.requests
  expect(sent!.path).toBe('/model/us.anthropic.claude-opus-4-6-v1/count-tokens')
  expect(sent!.json()).toEqual({
    input: {
      converse: {
        messages: [{ role: 'user', content: [{ text: 'How long am I?' }] }],
        system: [{ text: 'Count.' }],
      },
    },
  })
})
