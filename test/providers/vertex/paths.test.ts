import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { loadConfig } from '#config/load.ts'
import type { Call } from '#core/call.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'
import { vertexProvider } from '#providers/vertex/index.ts'
import { modelUrl } from '#providers/vertex/place.ts'

import type { RecordedRequest, Reply } from '../../helpers/upstream.ts'
import type { RigOptions } from './rig.ts'
import { CLAUDE_ANSWER, GEMINI_ANSWER, OPEN_ANSWER, shown, startRig } from './rig.ts'

// Where calls go in a project and what they say there, to the byte.

const golden = join(import.meta.dir, '../../fixtures/vertex/golden')

async function expectGolden(name: string, request: RecordedRequest | undefined): Promise<void> {
  expect(request).toBeDefined()
  const { _source, ...wanted } = await Bun.file(join(golden, `${name}.json`)).json()
  expect(String(_source)).toContain('2026')
  expect(shown(request!)).toEqual(wanted)
}

const asked = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
  ],
  max_completion_tokens: 100,
}

/** No stream that a test could read: only the request counts. */
const refused: Reply = { status: 400, json: { error: { code: 400, message: 'no', status: 'X' } } }

const rows: readonly [
  name: string,
  model: string,
  reply: Reply,
  more: object,
  options?: RigOptions,
][] = [
  ['gemini', 'gemini-2.5-flash', GEMINI_ANSWER, { user: 'Team A', metadata: { job: 'j1' } }],
  ['gemini-stream', 'google/gemini-2.5-flash', refused, { stream: true, service_tier: 'flex' }],
  ['gemini-tuned', '1234567890', GEMINI_ANSWER, {}, { config: { project_number: '4711' } }],
  ['claude', 'claude-sonnet-4-5@20250929', CLAUDE_ANSWER, { temperature: 0.5 }],
  ['claude-stream', 'anthropic/claude-sonnet-4-5', refused, { stream: true }],
  ['open', 'meta/llama-4-maverick-17b-128e-instruct-maas', OPEN_ANSWER, {}],
  ['open-stream', 'deepseek-ai/deepseek-v3.2-maas', refused, { stream: true }],
  ['mistral', 'mistral-small-2503', OPEN_ANSWER, { seed: 7 }],
  ['mistral-stream', 'mistralai/codestral-2', refused, { stream: true }],
  [
    'express',
    'gemini-2.5-flash',
    GEMINI_ANSWER,
    {},
    { config: null, key: { value: 'AQ.express-key-0123456789' } },
  ],
  [
    'api-key-in-a-project',
    'gemini-2.5-flash',
    GEMINI_ANSWER,
    {},
    { key: { value: 'AIza-key-0123456789' } },
  ],
]

// With fewer values than parameters the last one would be taken for a callback.
test.each(rows.map(([name, ...row]) => [name, row] as const))('golden: %s', async (name, row) => {
  const [model, reply, more, options] = row
  await using rig = await startRig(options)
  rig.upstream.reply(reply)
  const response = await rig.chat(model, { ...asked, ...more })
  if (reply !== refused) {
    const answer: any = await response.json()
    expect(answer.choices?.[0]?.message.content).toBe('Hello')
  }
  expect(rig.upstream.requests).toHaveLength(1)
  await expectGolden(name, rig.upstream.requests[0])
})

test.each(['mistral', 'ministral', 'mixtral', 'codestral', 'magistral', 'devstral', 'pixtral'])(
  "a model named %s is known to be Mistral's",
  async (name) => {
    await using rig = await startRig()
    rig.upstream.reply(OPEN_ANSWER)
    expect((await rig.chat(`${name}-medium-1`)).status).toBe(200)
    expect(rig.upstream.requests[0]!.path).toEndWith(
      `/publishers/mistralai/models/${name}-medium-1:rawPredict`,
    )
  },
)

describe('counting', () => {
  test.each([
    ['gemini-2.5-flash', { totalTokens: 12 }, 'count-gemini'],
    ['claude-sonnet-4-5', { input_tokens: 12 }, 'count-claude'],
  ])('%s', async (model, answer, name) => {
    await using rig = await startRig()
    rig.upstream.reply({ json: answer })
    const counted: any = await (
      await rig.send('/responses/input_tokens', { model: `vertex/${model}`, input: 'Hi' })
    ).json()
    expect(counted.input_tokens).toBe(12)
    await expectGolden(name, rig.upstream.requests[0])
  })
})

describe('embeddings', () => {
  const predictions = (...values: number[][]): Reply => ({
    json: {
      predictions: values.map((vector) => ({
        embeddings: { values: vector, statistics: { token_count: 2, truncated: false } },
      })),
    },
  })

  test('many texts are one prediction', async () => {
    await using rig = await startRig()
    rig.upstream.reply(predictions([1, 0], [0, 1]))
    const answer: any = await (
      await rig.send('/embeddings', {
        model: 'vertex/text-embedding-005',
        input: ['a', 'b'],
        encoding_format: 'float',
        task_type: 'RETRIEVAL_QUERY',
      })
    ).json()
    expect(answer.data.map(({ embedding }: any) => embedding)).toEqual([
      [1, 0],
      [0, 1],
    ])
    expect(answer.usage).toMatchObject({ prompt_tokens: 4, total_tokens: 4 })
    await expectGolden('embed-predict', rig.upstream.requests[0])
  })

  test('a model that takes one text gets one at a time', async () => {
    await using rig = await startRig()
    rig.upstream.reply([predictions([1, 0]), predictions([1, 0]), predictions([1, 0])])
    const answer: any = await (
      await rig.send('/embeddings', {
        model: 'vertex/gemini-embedding-001',
        input: ['a', 'b', 'c'],
        encoding_format: 'float',
      })
    ).json()
    expect(answer.data.map(({ index }: any) => index)).toEqual([0, 1, 2])
    expect(answer.usage.prompt_tokens).toBe(6)
    expect(rig.upstream.requests.map((request) => request.json().instances.length)).toEqual([
      1, 1, 1,
    ])
    expect(rig.tokens.requests).toHaveLength(1)
  })

  test('the newer ones embed content, and shortened vectors have length one', async () => {
    await using rig = await startRig()
    rig.upstream.reply({
      json: { embedding: { values: [3, 4] }, usageMetadata: { promptTokenCount: 5 } },
    })
    const answer: any = await (
      await rig.send('/embeddings', {
        model: 'vertex/gemini-embedding-2',
        input: 'a',
        dimensions: 2,
        encoding_format: 'float',
      })
    ).json()
    expect(answer.data[0].embedding).toEqual([0.6, 0.8])
    expect(answer.usage.prompt_tokens).toBe(5)
    await expectGolden('embed-content', rig.upstream.requests[0])
  })

  test.each([[{}], [{ predictions: 1 }], [{ predictions: [{}] }], [{ predictions: [null] }], [[]]])(
    'an answer that is none (%j) is the provider’s fault',
    async (json) => {
      await using rig = await startRig({ network: { max_retries: 0 } })
      rig.upstream.reply(Array.from({ length: 5 }, () => ({ json })))
      const response = await rig.send('/embeddings', {
        model: 'vertex/text-embedding-005',
        input: 'a',
      })
      expect(response.status).toBe(502)
    },
  )
})

describe('hosts', () => {
  /** Nothing is sent: the address alone counts. */
  function place(region: string, alias: object = {}): string {
    const { snapshot } = loadConfig({
      text: JSON.stringify({
        providers: {
          vertex: {
            keys: [
              {
                aliases: { fast: { model_id: 'gemini-2.5-flash', ...alias } },
                vertex_key_config: { project_id: 'p:1', region },
              },
            ],
          },
        },
      }),
      env: {},
      vendors: VENDOR_FACTS,
      operations: OPERATION_NAMES,
      generation: 1,
    })
    const settings = snapshot!.providers.get('vertex')!
    const [key] = settings.keys
    const target = { provider: vertexProvider, settings, key, model: 'gemini-2.5-flash' }
    return modelUrl({ model: 'FAST' } as Call, target, ':generateContent')
  }

  const tail = 'publishers/google/models/gemini-2.5-flash:generateContent'
  test.each([
    [
      'europe-west4',
      {},
      `https://europe-west4-aiplatform.googleapis.com/v1/projects/p%3A1/locations/europe-west4/${tail}`,
    ],
    ['global', {}, `https://aiplatform.googleapis.com/v1/projects/p%3A1/locations/global/${tail}`],
    ['us', {}, `https://aiplatform.us.rep.googleapis.com/v1/projects/p%3A1/locations/us/${tail}`],
    ['eu', {}, `https://aiplatform.eu.rep.googleapis.com/v1/projects/p%3A1/locations/eu/${tail}`],
    [
      'global',
      { region: 'us-east5', project_id: 'other', api_version: 'v1beta1' },
      `https://us-east5-aiplatform.googleapis.com/v1beta1/projects/other/locations/us-east5/${tail}`,
    ],
  ])('%s %j', (region, alias, wanted) => {
    expect(place(region, alias)).toBe(wanted)
  })

  test.each(['evil.example.com/', 'us east', 'EU', 'a.b', '..'])(
    'no host is made of %s',
    (region) => {
      expect(() => place(region)).toThrow('region')
    },
  )
})

describe('refused', () => {
  test.each([
    ['/embeddings', { model: 'vertex/claude-haiku', input: 'a' }],
    ['/embeddings', { model: 'vertex/meta/llama', input: 'a' }],
    ['/responses/input_tokens', { model: 'vertex/meta/llama', input: 'a' }],
  ])('%s of %j', async (path, body) => {
    await using rig = await startRig()
    const response = await rig.send(path, body)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'unsupported_endpoint'])
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('Claude is not in express mode', async () => {
    await using rig = await startRig({ config: null, key: { value: 'AQ.k-0123456789' } })
    const response = await rig.chat('claude-sonnet-4-5')
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'no_key_for_model'])
  })
})

describe('models', () => {
  test('are those of the configuration', async () => {
    await using rig = await startRig({
      key: { aliases: { fast: 'gemini-2.5-flash' }, models: ['claude-sonnet-5'] },
    })
    const list: any = await (await rig.send('/models')).json()
    expect(list.data.map(({ id }: any) => id)).toEqual(['vertex/claude-sonnet-5', 'vertex/fast'])
    const one: any = await (await rig.send('/models/vertex%2Ffast')).json()
    expect(one.id).toBe('vertex/fast')
    expect([rig.upstream.requests.length, rig.tokens.requests.length]).toEqual([0, 0])
  })

  test('are the usual ones where it names none', async () => {
    await using rig = await startRig()
    const list: any = await (await rig.send('/models?provider=vertex')).json()
    expect(list.data.map(({ id }: any) => id)).toContain('vertex/gemini-2.5-pro')
    expect((await rig.send('/models/vertex%2Fnone-such')).status).toBe(404)
  })
})
