import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import type { RecordedRequest } from '../../helpers/upstream.ts'
import { ANSWER, KEY, startRig } from './rig.ts'

// Where calls of OpenAI's surface go at a resource, and that nothing else of them changes.

const golden = join(import.meta.dir, '../../fixtures/azure/golden')

/** What a golden file says about a request: everything that the service sees. */
function shown(request: RecordedRequest): object {
  const { method, path, query, headers } = request
  const sent = Object.fromEntries(
    ['api-key', 'authorization', 'content-type', 'x-api-key', 'anthropic-version'].flatMap(
      (name) => {
        const value = headers.get(name)
        return value === null ? [] : [[name, value]]
      },
    ),
  )
  return { method, target: path + query, headers: sent, body: request.text() }
}

async function expectGolden(name: string, request: RecordedRequest | undefined): Promise<void> {
  expect(request).toBeDefined()
  const { _source, ...wanted } = await Bun.file(join(golden, `${name}.json`)).json()
  expect(String(_source)).toContain('2026')
  expect(shown(request!)).toEqual(wanted)
}

/** With spacing, a number and a field that only survive where the bytes do. */
const written =
  '{ "model" : "azure/my-luna",\n  "messages": [{"role":"user","content":"Hi"}], "temperature": 1.0,  "seed": 12345678901234567890, "new_field": {"a" : [ ] } }'

describe('golden requests', () => {
  test('v1 is the default, and the body keeps its bytes', async () => {
    await using rig = await startRig()
    rig.upstream.reply(ANSWER)
    const response = await rig.send('/chat/completions', written)
    expect(response.status).toBe(200)
    await expectGolden('chat-v1', rig.upstream.requests[0])
  })

  test('a dated version puts the deployment into the path', async () => {
    await using rig = await startRig({ config: { api_version: '2024-10-21' } })
    rig.upstream.reply(ANSWER)
    expect((await rig.send('/chat/completions', written)).status).toBe(200)
    await expectGolden('chat-dated', rig.upstream.requests[0])
  })

  test('preview stays on the v1 paths', async () => {
    await using rig = await startRig({ config: { api_version: 'preview' } })
    rig.upstream.reply(ANSWER)
    expect((await rig.send('/chat/completions', written)).status).toBe(200)
    await expectGolden('chat-preview', rig.upstream.requests[0])
  })

  test('Claude is asked in its own dialect', async () => {
    await using rig = await startRig({ path: '/front' })
    rig.upstream.reply({ status: 401, json: { error: { code: '401', message: 'no' } } })
    await rig.chat('claude-sonnet-5', { max_tokens: 100 })
    await expectGolden('claude', rig.upstream.requests[0])
  })
})

describe('every operation has its path', () => {
  const rows: readonly [path: string, body: object | undefined, v1: string, dated: string][] = [
    [
      '/chat/completions',
      { model: 'azure/d', messages: [{ role: 'user', content: 'a' }] },
      '/openai/v1/chat/completions',
      '/openai/deployments/d/chat/completions',
    ],
    [
      '/completions',
      { model: 'azure/d', prompt: 'a' },
      '/openai/v1/completions',
      '/openai/deployments/d/completions',
    ],
    [
      '/embeddings',
      { model: 'azure/d', input: 'a' },
      '/openai/v1/embeddings',
      '/openai/deployments/d/embeddings',
    ],
    [
      '/audio/speech',
      { model: 'azure/d', input: 'a', voice: 'alloy' },
      '/openai/v1/audio/speech',
      '/openai/deployments/d/audio/speech',
    ],
    [
      '/images/generations',
      { model: 'azure/d', prompt: 'a' },
      '/openai/v1/images/generations',
      '/openai/deployments/d/images/generations',
    ],
    ['/responses', { model: 'azure/d', input: 'a' }, '/openai/v1/responses', '/openai/responses'],
    [
      '/responses/resp_1?provider=azure',
      undefined,
      '/openai/v1/responses/resp_1',
      '/openai/responses/resp_1',
    ],
    [
      '/files?provider=azure&purpose=batch',
      undefined,
      '/openai/v1/files?purpose=batch',
      '/openai/files?purpose=batch',
    ],
    ['/batches/b_1?provider=azure', undefined, '/openai/v1/batches/b_1', '/openai/batches/b_1'],
    ['/models?provider=azure', undefined, '/openai/v1/models', '/openai/models'],
    ['/videos?provider=azure', undefined, '/openai/v1/videos', '/openai/v1/videos'],
    [
      '/fine_tuning/jobs?provider=azure',
      undefined,
      '/openai/v1/fine_tuning/jobs',
      '/openai/v1/fine_tuning/jobs',
    ],
  ]

  test.each(['v1', '2025-04-01-preview'])('with version %s', async (version) => {
    await using rig = await startRig({ config: { api_version: version } })
    const wanted: string[] = []
    for (const [path, body, v1, dated] of rows) {
      rig.upstream.reply({ json: { id: 'x', object: 'list', data: [] } })
      await (await rig.send(path, body)).arrayBuffer()
      const to = version === 'v1' ? v1 : dated
      const isDated = version !== 'v1' && !to.startsWith('/openai/v1')
      wanted.push(isDated ? `${to}${to.includes('?') ? '&' : '?'}api-version=${version}` : to)
    }
    expect(rig.upstream.requests.map(({ path, query }) => path + query)).toEqual(wanted)
    expect(rig.upstream.requests.every(({ headers }) => headers.get('api-key') === KEY)).toBe(true)
  })

  test('forms name the deployment too', async () => {
    await using rig = await startRig({ config: { api_version: '2024-10-21' } })
    rig.upstream.reply({ json: { text: 'Hi' } })
    const form = new FormData()
    form.set('model', 'azure/my ears')
    form.set('file', new File(['sound'], 'a.mp3', { type: 'audio/mpeg' }))
    const url = `${rig.gateway.url}/openai/v1/audio/transcriptions`
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(200)
    expect(rig.upstream.requests[0]?.path).toBe(
      '/openai/deployments/my%20ears/audio/transcriptions',
    )
  })

  test.each([
    ['v1', '/chat/completions', '/v1/chat/completions'],
    ['v1', '/v1/responses', '/v1/responses'],
    ['2024-10-21', '/v1/chat/completions', '/chat/completions'],
    ['2024-10-21', '/chat/completions', '/chat/completions'],
  ])('a batch at %s for %s is for %s', async (api_version, given, wanted) => {
    await using rig = await startRig({ config: { api_version } })
    rig.upstream.reply({ json: { id: 'batch_1', object: 'batch' } })
    await rig.send('/batches?provider=azure', {
      input_file_id: 'file_1',
      endpoint: given,
      completion_window: '24h',
    })
    expect(rig.upstream.requests[0]?.json().endpoint).toBe(wanted)
  })

  test.each([
    ['/moderations', { model: 'azure/d', input: 'a' }],
    ['/embeddings', { model: 'azure/claude-haiku', input: 'a' }],
  ])('%s is refused where there is none', async (path, body) => {
    await using rig = await startRig()
    const response = await rig.send(path, body)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'unsupported_endpoint'])
    expect(rig.upstream.requests).toHaveLength(0)
  })
})

describe('deployments', () => {
  test('an alias may be at another resource, of another version and of a known model', async () => {
    await using rig = await startRig({
      keys: (url) => [
        {
          value: KEY,
          azure_key_config: {
            endpoint: `${url}/first/openai/v1/`,
            deployments: { old: 'dep-old' },
          },
          aliases: {
            Smart: {
              model_id: 'dep-smart',
              endpoint: `${url}/second`,
              api_version: '2024-10-21',
              model_name: 'gpt-5-mini',
            },
          },
        },
      ],
    })
    rig.upstream.reply([ANSWER, ANSWER, ANSWER])
    const smart = await rig.chat('SMART', { max_tokens: 5, top_k: 3 })
    expect(smart.headers.get('x-bf-dropped-params')).toBe('top_k')
    await rig.chat('old', { max_tokens: 5 })
    await rig.chat('plain', { max_tokens: 5 })
    expect(rig.upstream.requests.map(({ path, query }) => path + query)).toEqual([
      '/second/openai/deployments/dep-smart/chat/completions?api-version=2024-10-21',
      '/first/openai/v1/chat/completions',
      '/first/openai/v1/chat/completions',
    ])
    const [first, second, third] = rig.upstream.requests.map((request) => request.json())
    expect(first).toMatchObject({ model: 'dep-smart', max_tokens: 5 })
    expect('top_k' in first).toBe(false)
    expect(second).toMatchObject({ model: 'dep-old', max_tokens: 5 })
    expect(third).toMatchObject({ model: 'plain', max_tokens: 5 })
  })

  test('are the list of models, and nobody is asked', async () => {
    await using rig = await startRig({
      key: { models: ['my-luna'], aliases: { fast: 'dep-fast', Asked: { model_id: 'claude-x' } } },
    })
    const list: any = await (await rig.send('/models')).json()
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual([
      'azure/my-luna',
      'azure/fast',
      'azure/asked',
    ])
    const one = await rig.send('/models/azure%2Fmy-luna')
    expect(await one.json()).toMatchObject({ id: 'azure/my-luna', object: 'model' })
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('a provider of one’s own may be such a resource, with paths of its own', async () => {
    await using rig = await startRig({
      others: (url) => ({
        front: {
          keys: [{ value: KEY, azure_key_config: { endpoint: `${url}/apim` } }],
          network_config: { base_url: url },
          custom_provider_config: {
            base_provider_type: 'azure',
            request_path_overrides: { embedding: '/vectors' },
          },
        },
      }),
    })
    rig.upstream.reply([ANSWER, { json: { object: 'list', data: [] } }])
    await rig.send('/chat/completions', {
      model: 'front/d',
      messages: [{ role: 'user', content: 'a' }],
    })
    await rig.send('/embeddings', { model: 'front/d', input: 'a' })
    expect(rig.upstream.requests.map(({ path }) => path)).toEqual([
      '/apim/openai/v1/chat/completions',
      '/apim/vectors',
    ])
    expect(rig.upstream.requests.every(({ headers }) => headers.get('api-key') === KEY)).toBe(true)
  })

  test('what a version must look like is said', async () => {
    await using rig = await startRig({ config: { api_version: 'latest-ish' } })
    const response = await rig.chat('d')
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'provider_not_configured'])
    expect(error.message).toContain("'2024-10-21'")
  })
})
