import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { loadConfig } from '#config/load.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { readUsage } from '#openai/usage.ts'
import type { Cost } from '#prices/cost.ts'
import { costJson } from '#prices/cost.ts'
import { PRICES_VERSION } from '#prices/data.ts'
import { priceOf } from '#prices/price.ts'
import { tierNamed } from '#prices/tiers.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

// The expected sums are worked out by hand from the vendors' price lists, in US dollars per million tokens.

function snapshotOf(config: object): Snapshot {
  const { snapshot, problems } = loadConfig({
    text: JSON.stringify(config),
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
  })
  if (!snapshot) throw new Error(JSON.stringify(problems))
  return snapshot
}

const keys = [{ value: 'k' }]
const own = (base: string, url: string) => ({
  keys,
  network_config: { base_url: url },
  custom_provider_config: { base_provider_type: base },
})
const providers = {
  ...{
    openai: { keys },
    anthropic: { keys },
    gemini: { keys },
    xai: { keys },
    openrouter: { keys },
  },
  ...{ perplexity: { keys }, groq: { keys }, deepseek: { keys } },
  mine: own('openai', 'http://127.0.0.1:1/v1'),
  other: own('openai', 'https://api.deepseek.com/v1'),
}
const plain = snapshotOf({ providers })
const noon = Date.parse('2026-11-21T12:00:00Z')

function cost(
  model: string,
  usage: object,
  options: { snapshot?: Snapshot; atMs?: number; endpoint?: string; serviceTier?: string } = {},
): Cost | undefined {
  const { snapshot = plain, atMs = noon, endpoint = 'chat_completion', serviceTier } = options
  const slash = model.indexOf('/')
  const settings = snapshot.providers.get(model.slice(0, slash))!
  const read = readUsage(usage)
  if (!read) throw new Error('no usage')
  const tier = tierNamed(serviceTier)
  return priceOf(
    { settings, models: [model.slice(slash + 1)], endpoint, atMs, serviceTier: tier },
    read,
    snapshot,
  )
}

describe('list prices', () => {
  test('plain tokens', () => {
    // gpt-4o: 2.50 in, 10 out.
    expect(cost('openai/gpt-4o', { prompt_tokens: 1000, completion_tokens: 200 })).toEqual({
      ...{ input: 0.0025, output: 0.002, reasoning: 0, citation: 0, search: 0, request: 0 },
      ...{ total: 0.0045, source: 'list' },
    })
  })

  test('OpenAI: cached input and reasoning', () => {
    // gpt-5: 1.25 in, 0.125 cached, 10 out. 600 × 1.25 + 400 × 0.125 = 800; 60 × 10 and 40 × 10.
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 100,
      prompt_tokens_details: { cached_tokens: 400 },
      completion_tokens_details: { reasoning_tokens: 40 },
    }
    expect(cost('openai/gpt-5', usage)).toMatchObject({
      input: 0.0008,
      output: 0.0006,
      reasoning: 0.0004,
      total: 0.0018,
    })
  })

  test('Anthropic: reads and writes of five minutes and of an hour', () => {
    // Sonnet 4.5: 3 in, 0.30 read, 3.75 written, 6 written for an hour, 15 out.
    // 1000 × 3 + 5000 × 0.3 + 200 × 3.75 + 300 × 6 = 7050; 100 × 15 = 1500.
    const usage = {
      prompt_tokens: 6500,
      completion_tokens: 100,
      prompt_tokens_details: { cached_tokens: 5000, cache_write_tokens: 500 },
      cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 300 },
    }
    expect(cost('anthropic/claude-sonnet-4-5-20250929', usage)).toMatchObject({
      input: 0.00705,
      output: 0.0015,
      total: 0.00855,
    })
  })

  test('Anthropic: searches are charged by the number', () => {
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 0,
      server_tool_use: { web_search_requests: 3 },
    }
    expect(cost('anthropic/claude-sonnet-4-5', usage)).toMatchObject({
      search: 0.03,
      total: 0.033,
    })
  })

  test.each([
    // Up to 200,000 tokens 1.25 and 10; above, everything costs 2.50 and 15.
    [200_000, 0.25, 0.01],
    [200_001, 0.5000025, 0.015],
  ])('Gemini: a long input changes the tier, at %d', (prompt, input, output) => {
    const usage = { prompt_tokens: prompt, completion_tokens: 1000 }
    expect(cost('gemini/gemini-2.5-pro', usage)).toMatchObject({ input, output })
  })

  test('Gemini: audio has a price of its own', () => {
    // 2.5 Flash: 0.30 text, 1.00 audio, 2.50 out.
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 0,
      prompt_tokens_details: { audio_tokens: 400 },
    }
    expect(cost('gemini/gemini-2.5-flash', usage)?.total).toBe(0.00058)
  })

  test('reasoning that is counted beside the output is charged as well', () => {
    const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 150 }
    const beside = cost('openai/gpt-5', {
      ...usage,
      completion_tokens_details: { reasoning_tokens: 40 },
    })
    expect(beside).toMatchObject({ output: 0.0001, reasoning: 0.0004 })
  })

  test('a price that changed: the day of the call decides', () => {
    const usage = { prompt_tokens: 1_000_000, completion_tokens: 0 }
    expect(cost('openai/o3', usage, { atMs: Date.parse('2025-06-09') })?.total).toBe(10)
    expect(cost('openai/o3', usage, { atMs: Date.parse('2025-06-10') })?.total).toBe(2)
  })

  test('what the provider itself charges wins', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 10, cost: 0.5 }
    expect(cost('openrouter/openai/gpt-4o', usage)).toMatchObject({
      total: 0.5,
      source: 'provider',
    })
  })

  test('a provider of one’s own is known by its address, not by its dialect', () => {
    const usage = { prompt_tokens: 1000, completion_tokens: 10 }
    expect(cost('mine/gpt-4o', usage)).toBeUndefined()
    expect(cost('other/deepseek-chat', usage)?.total).toBeGreaterThan(0)
  })
})

describe('unpriced', () => {
  test.each(['openai/a-model-of-tomorrow', 'mine/llama', 'openai/__proto__', 'openai/'])(
    '%s has no cost, which is not 0',
    (model) => {
      expect(cost(model, { prompt_tokens: 10, completion_tokens: 10 })).toBeUndefined()
    },
  )

  test('what has no price for one of its units has none as a whole', () => {
    const snapshot = snapshotOf({ providers, prices: [{ model: 'half', input: 1 }] })
    const usage = { prompt_tokens: 10, completion_tokens: 0 }
    expect(cost('mine/half', usage, { snapshot })?.total).toBe(0.00001)
    expect(cost('mine/half', { ...usage, completion_tokens: 1 }, { snapshot })).toBeUndefined()
  })
})

describe('names', () => {
  const names = snapshotOf({
    providers: {
      bedrock: { keys: [{ value: 'k', bedrock_key_config: { region: 'us-east-1' } }] },
      vertex: {
        keys: [{ value: 'k', vertex_key_config: { project_id: 'p', region: 'us-east5' } }],
      },
      azure: {
        keys: [{ value: 'k', azure_key_config: { endpoint: 'https://a.openai.azure.com' } }],
      },
      ...providers,
      ...{ together: { keys }, cohere: { keys }, mistral: { keys }, cerebras: { keys } },
    },
  })
  const million = { prompt_tokens: 1000, completion_tokens: 1000 }

  // US dollars for a million input tokens and a million output tokens.
  test.each([
    ['bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0', 3.3, 16.5],
    [
      'bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0',
      ...([3.3, 16.5] as const),
    ],
    ['bedrock/amazon.nova-pro-v1:0', 0.8, 3.2],
    ['vertex/claude-sonnet-4-5@20250929', 3, 15],
    ['vertex/publishers/google/models/gemini-2.5-flash', 0.3, 2.5],
    ['azure/gpt-5-mini', 0.25, 2],
    ['azure/claude-sonnet-4-5', 3, 15],
    ['groq/openai/gpt-oss-120b', 0.15, 0.6],
    ['xai/grok-4', 3, 15],
    ['mistral/mistral-large-latest', 2, 6],
    ['cohere/command-a-03-2025', 2.5, 10],
    ['openai/ft:gpt-4o-2024-08-06:org::id', 3.75, 15],
  ])('%s', (model, input, output) => {
    const found = cost(model, million, { snapshot: names })
    expect([found?.input, found?.output]).toEqual([input / 1000, output / 1000])
  })

  test('a transcription is charged by its length', () => {
    const usage = { type: 'duration', seconds: 1800 }
    expect(cost('openai/whisper-1', usage, { endpoint: 'transcription' })?.total).toBe(0.18)
  })

  test('what is cached for an hour is not charged like what is cached for minutes', () => {
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 0,
      prompt_tokens_details: { cache_write_tokens: 1000 },
    }
    const hour = { ...usage, cache_creation: { ephemeral_1h_input_tokens: 1 } }
    const model = 'vertex/claude-sonnet-4-5@20250929'
    expect(cost(model, usage, { snapshot: names })?.total).toBe(0.00375)
    expect(cost(model, hour, { snapshot: names })).toBeUndefined()
  })
})

describe('overrides', () => {
  const snapshot = snapshotOf({
    providers,
    prices: [
      { model: 'gpt-4o', input: 1 },
      { provider: 'mine', model: '*', input: 7, output: 7 },
      { provider: 'mine', model: 'llama*', input: 2, output: 4, from: '2026-01-01' },
      { provider: 'mine', model: 'llama*', input: 3, output: 6, from: '2026-07-01' },
      {
        provider: 'mine',
        model: 'llama-tiny',
        input: 0,
        output: 0,
        until: '2026-12-01T00:00:00+01:00',
      },
      {
        provider: 'mine',
        model: 'tiers',
        output: 0,
        input: { base: 1, tiers: [{ above: 100, rate: 2 }] },
      },
    ],
  })
  const million = { prompt_tokens: 1_000_000, completion_tokens: 1_000_000 }
  const total = (model: string, at: string) =>
    cost(model, million, { snapshot, atMs: Date.parse(at) })?.total

  test('change only what they name', () => {
    expect(total('openai/gpt-4o', '2026-11-21')).toBe(1 + 10)
  })

  test('each from its own day on', () => {
    expect(total('mine/llama-3', '2025-12-31T23:59:59Z')).toBe(14)
    expect(total('mine/llama-3', '2026-01-01')).toBe(6)
    expect(total('mine/llama-3', '2026-06-30T23:59:59Z')).toBe(6)
    expect(total('mine/llama-3', '2026-07-01')).toBe(9)
  })

  test('a whole name comes before its beginning, until it ends; free is a price', () => {
    expect(total('mine/llama-tiny', '2026-11-21')).toBe(0)
    expect(total('mine/llama-tiny', '2026-11-30T23:00:00Z')).toBe(9)
  })

  test('service tiers have prices of their own, or none', () => {
    const tiers = snapshotOf({
      providers,
      prices: [{ model: 'gpt-5*', service_tier: 'flex', input: 0.625, output: 5 }],
      governance: {
        pricing_overrides: [
          {
            match_type: 'exact',
            pattern: 'gpt-5',
            patch: { input_cost_per_token_priority: 2.5e-6, output_cost_per_token_priority: 2e-5 },
          },
        ],
      },
    })
    const of = (serviceTier: string, model = 'openai/gpt-5', by = tiers) =>
      cost(model, million, { snapshot: by, serviceTier })?.total
    expect([of('default'), of('auto')]).toEqual([11.25, 11.25])
    expect([of('flex'), of('priority')]).toEqual([5.625, 22.5])
    expect([of('flex', 'openai/gpt-5', plain), of('priority', 'openai/gpt-4o')]).toEqual([
      undefined,
      undefined,
    ])
    expect(of('flex', 'mine/gpt-5')).toBe(5.625)
    // It speaks OpenAI’s API, tiers included.
    expect(of('flex', 'other/deepseek-chat', plain)).toBeUndefined()
    // What was bought ahead has its price in a contract.
    expect(of('scale', 'openai/gpt-5')).toBeUndefined()
    // Groq's tiers cost the same.
    expect(of('flex', 'groq/llama-3.3-70b-versatile')).toBe(1.38)
  })

  test('tiers by the input', () => {
    const of = (prompt: number) =>
      cost('mine/tiers', { prompt_tokens: prompt, completion_tokens: 0 }, { snapshot })?.total
    expect([of(100), of(101)]).toEqual([0.0001, 0.000202])
  })

  test('in Bifrost’s form', () => {
    const patch = {
      input_cost_per_token: 0.000003,
      input_cost_per_token_above_200k_tokens: 0.000006,
      output_cost_per_token: 0.000015,
      cache_read_input_token_cost: 3e-7,
    }
    const common = { match_type: 'wildcard', pattern: 'llama*', id: 'a', name: 'a' }
    const governed = snapshotOf({
      providers,
      governance: {
        pricing_overrides: [
          {
            ...common,
            scope: 'global',
            request_types: ['chat_completion'],
            pricing_patch: JSON.stringify(patch),
          },
          {
            ...common,
            scope: 'provider',
            provider: 'mine',
            match_type: 'exact',
            pattern: 'llama',
            patch: { input_cost_per_token: 0.000001, output_cost_per_token: 0 },
          },
        ],
      },
    })
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 100,
      prompt_tokens_details: { cached_tokens: 500 },
    }
    const of = (model: string, endpoint: string, prompt = 1000) =>
      cost(model, { ...usage, prompt_tokens: prompt }, { snapshot: governed, endpoint })?.total
    expect(of('mine/llama-3', 'chat_completion')).toBe(0.0015 + 0.00015 + 0.0015)
    expect(of('mine/llama-3', 'chat_completion', 200_500)).toBe(1.2 + 0.00015 + 0.0015)
    expect(of('mine/llama-3', 'embedding')).toBeUndefined()
    expect(of('mine/llama', 'embedding')).toBe(0.001)
    expect(governed.warnings.join()).not.toContain('pricing_overrides')
  })

  test.each([
    [{ prices: [{ model: 'a', from: '2026-02-01', until: '2026-01-01' }] }, 'is not after'],
    [{ prices: [{ model: 'a', from: '2026-13-41' }] }, 'is no date'],
    [{ prices: [{ model: 'a', from: '2026-02-29' }] }, 'is no date'],
    [{ prices: [{ model: 'a', until: '2026-11-31T00:00:00+02:00' }] }, 'is no date'],
    [{ prices: [{ model: 'a', input: -1 }] }, 'input'],
    [{ prices: [{ model: 'a', inputs: 1 }] }, 'did you mean'],
    [
      { governance: { pricing_overrides: [{ pattern: 'a', pricing_patch: '[' }] } },
      'no JSON object',
    ],
  ])('%j is refused', (config, message) => {
    expect(() => snapshotOf(config)).toThrow(new RegExp(message, 'i'))
  })
})

test('usage.cost in the seeds’ flat form', () => {
  const found = cost('openai/gpt-4o', { prompt_tokens: 1000, completion_tokens: 200 })
  expect(costJson(found!)).toBe(
    '{"input_tokens_cost":0.0025,"output_tokens_cost":0.002,"reasoning_tokens_cost":0,"citation_tokens_cost":0,"search_queries_cost":0,"request_cost":0,"total_cost":0.0045}',
  )
})

test('the version that is shown is the one that is installed', async () => {
  const path = join(import.meta.dir, '../../node_modules/@pydantic/genai-prices/package.json')
  expect((await Bun.file(path).json()).version).toBe(PRICES_VERSION)
})
