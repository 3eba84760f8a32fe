import { afterAll, expect, test } from 'bun:test'

import { paramsOf } from '#pipeline/models.ts'
import { architectureOf } from '#prices/modalities.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// What the models endpoints add to what a provider says of its models.

const upstream = await startUpstream()
const gateway = await startGateway({
  config: {
    providers: {
      openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
    },
    prices: [{ model: 'in-house', input: 0.5, output: 1 }],
  },
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

const headers = { 'content-type': 'application/json' }
const get = async (path: string, more: Record<string, string> = {}): Promise<string> => {
  const response = await fetch(`${gateway.url}/openai/v1${path}`, { headers: more })
  expect(response.status).toBe(200)
  return await response.text()
}

test('a list: context length and prices where they are known, every other byte as it came', async () => {
  const known = (id: string, more = '') =>
    `{ "id": "${id}"${more}, "object":"model","created":1.0 }`
  const list = (...models: string[]) => `{"object":"list", "data":[${models.join(' ,')}]`
  const own = '{"context_length":5,"id":"gpt-4o-mini"}'
  upstream.reply({
    text: `${list(known('gpt-5'), known('mystery'), known('in-house'), own)}}`,
    headers,
  })
  const text = await get('/models?provider=openai')
  const sees = `"architecture":{"modality":"text+image->text","input_modalities":["text","image"],"output_modalities":["text"]}`
  const params = JSON.stringify(paramsOf(PROVIDERS.get('openai')!, 'gpt-5'))
  const gpt5 = `,"name":"GPT-5","context_length":400000,${sees},"pricing":{"prompt":"0.00000125","completion":"0.00001","input_cache_read":"0.000000125","web_search":"0.01"},"supported_parameters":${params}`
  const inHouse = `,"pricing":{"prompt":"0.0000005","completion":"0.000001"}`
  const [, ...models] = JSON.parse(text).data
  expect(text).toStartWith(
    list(
      known('openai/gpt-5', gpt5),
      known('openai/mystery'),
      known('openai/in-house', inHouse),
      '{"context_length":5,"id":"openai/gpt-4o-mini"',
    ).slice(0, -1),
  )
  // What the provider says itself is not said twice.
  expect(models[2]).toMatchObject({ context_length: 5, pricing: { prompt: '0.00000015' } })
  expect(text.match(/"context_length"/g)).toHaveLength(2)
})

test('what may be asked of a model, alone and in a list', async () => {
  const thinker = ['max_completion_tokens', 'reasoning_effort', 'tools', 'verbosity']
  const sampler = ['max_tokens', 'temperature', 'top_p', 'tools', 'seed']
  upstream.reply({ text: '{"id":"gpt-5","object":"model"}', headers })
  const model = JSON.parse(await get('/models/openai/gpt-5'))
  expect(model).toMatchObject({ id: 'openai/gpt-5', name: 'GPT-5', context_length: 400_000 })
  expect(model.supported_parameters).toEqual(expect.arrayContaining(thinker))
  expect(model.supported_parameters).not.toContain('own')

  const ids = ['gpt-5', 'gpt-4o', 'gpt-5.2', 'gpt-4o-transcribe', 'in-house']
  const own = { id: 'gpt-4.1', supported_parameters: ['what', 'it', 'says'] }
  const list = { object: 'list', data: [...ids.map((id) => ({ id })), own] }
  upstream.reply({ json: list })
  const { data } = JSON.parse(await get('/models?provider=openai'))
  const [gpt5, gpt4o, quiet, listener, inHouse, said] = data.map(
    ({ supported_parameters: params }: { supported_parameters?: string[] }) => params,
  )
  expect(gpt5).toEqual(model.supported_parameters)
  for (const param of ['temperature', 'max_tokens', 'stop', 'audio', 'top_k']) {
    expect(gpt5).not.toContain(param)
  }
  expect(gpt4o).toEqual(expect.arrayContaining(sampler))
  for (const param of ['reasoning_effort', 'verbosity']) expect(gpt4o).not.toContain(param)
  // It thinks only when it is told to.
  expect(quiet).toContain('temperature')
  // No chat, nothing that is known, and what the provider says itself.
  expect([listener, inHouse]).toEqual([undefined, undefined])
  expect(said).toEqual(own.supported_parameters)
})

test.each([
  [
    'anthropic',
    'claude-opus-4-8',
    ['reasoning_effort', 'tools', 'thinking'],
    ['temperature', 'seed'],
  ],
  ['anthropic', 'claude-3-haiku', ['temperature'], ['reasoning_effort']],
  ['gemini', 'gemini-2.0-flash', ['temperature', 'seed'], ['reasoning_effort', 'logit_bias']],
  ['gemini', 'gemini-2.5-pro', ['reasoning_effort'], ['presence_penalty', 'audio']],
  ['cohere', 'command-r', ['temperature'], ['reasoning_effort', 'logit_bias']],
  ['deepseek', 'deepseek-reasoner', ['max_tokens'], ['temperature', 'logit_bias']],
])('%s %s takes %p and not %p', (name, model, taken, lacking) => {
  const params = paramsOf(PROVIDERS.get(name)!, model)
  expect(params).toEqual(expect.arrayContaining(taken))
  for (const param of lacking) expect(params).not.toContain(param)
})

test('every provider can be asked about any model', () => {
  for (const provider of PROVIDERS.values()) {
    for (const model of ['mystery', '', 'a/b:c']) {
      const params = paramsOf(provider, model)
      expect([provider.name, params === undefined || params.includes('tools')]).toEqual([
        provider.name,
        true,
      ])
    }
  }
})

test('what a provider calls its context window is its context length, known to the list or not', async () => {
  const list =
    '{"object":"list","data":[{"id":"gpt-5","context_window":7},{"id":"x","context_window":9}]}'
  upstream.reply({ text: list, headers })
  const { data } = JSON.parse(await get('/models?provider=openai'))
  expect(data).toMatchObject([
    { id: 'openai/gpt-5', context_window: 7, context_length: 7, name: 'GPT-5' },
    { id: 'openai/x', context_window: 9, context_length: 9 },
  ])
})

test('what goes into a model and comes out of it, as far as its name tells', () => {
  const cases: [string, string | undefined][] = [
    ['gpt-4o', 'text+image->text'],
    ['gpt-4o-mini-2024-07-18', 'text+image->text'],
    ['chatgpt-4o-latest', 'text+image->text'],
    ['gpt-4.1-nano', 'text+image->text'],
    ['gpt-5-mini', 'text+image->text'],
    ['gpt-4o-audio-preview', 'text+audio->text+audio'],
    ['gpt-realtime-mini', 'text+image+audio->text+audio'],
    ['gpt-4o-realtime-preview', 'text+audio->text+audio'],
    ['gpt-5-image-mini', undefined],
    ['gpt-4o-mini-tts', 'text->audio'],
    ['gpt-4o-transcribe', 'audio->text'],
    ['gpt-4', 'text->text'],
    ['gpt-4-turbo-preview', undefined],
    ['gpt-3.5-turbo-0125', 'text->text'],
    ['o1-mini', 'text->text'],
    ['o3', 'text+image->text'],
    ['o3-mini', 'text->text'],
    ['dall-e-3', 'text->image'],
    ['text-embedding-3-small', 'text->embeddings'],
    ['claude-sonnet-4-5', 'text+image+file->text'],
    ['us.anthropic.claude-3-5-sonnet-20240620-v1:0', 'text+image+file->text'],
    ['publishers/google/models/gemini-2.5-pro', 'text+image+audio+video+file->text'],
    ['gemini-2.5-flash-image', 'text+image->text+image'],
    ['gemini-2.5-flash-preview-tts', 'text->audio'],
    ['gemini-2.5-flash-native-audio-preview', undefined],
    ['us.meta.llama3-2-11b-instruct-v1:0', 'text+image->text'],
    ['meta-llama/Llama-3.3-70B-Instruct', 'text->text'],
    ['grok-2-image-1212', undefined],
    ['somebody/gpt-4o', 'text+image->text'],
    ['mystery', undefined],
    ['codestral-embed-2505', 'text->embeddings'],
    ['cohere.embed-english-v3', 'text+image->embeddings'],
    ['embed-english-light-v2.0', 'text->embeddings'],
    ['gemini-2.5-computer-use-preview-10-2025', undefined],
    ['nvidia/llama-3.1-nemotron-nano-vl-8b-v1', undefined],
    ['my-gpt-4o', undefined],
    ['', undefined],
  ]
  const found = cases.map(([model]) => [model, architectureOf(model)?.modality])
  expect(found as typeof cases).toEqual(cases)
})

test('what the provider says of it itself stands, and a model without a price has it, too', async () => {
  upstream.reply({
    text: '{"object":"list","data":[{"id":"gpt-4o","architecture":{"modality":"own"}},{"id":"dall-e-3"}]}',
    headers,
  })
  const { data } = JSON.parse(await get('/models?provider=openai'))
  expect(data[0].architecture).toEqual({ modality: 'own' })
  expect(data[1]).toMatchObject({
    id: 'openai/dall-e-3',
    architecture: { modality: 'text->image' },
  })
})

test('nothing is added for those who want no extra fields', async () => {
  const text = '{"id":"gpt-5","object":"model"}'
  upstream.reply({ text, headers })
  expect(await get('/models/openai/gpt-5', { 'x-bf-extra-fields': 'false' })).toBe(
    text.replace('gpt-5', 'openai/gpt-5'),
  )
})
