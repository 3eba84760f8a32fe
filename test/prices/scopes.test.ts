import { describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { readUsage } from '#openai/usage.ts'
import { costOfRow } from '#pipeline/reprice.ts'
import { costBy } from '#prices/cost.ts'
import { priceOf } from '#prices/price.ts'
import type { Work } from '#prices/price.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

// Bifrost's overrides: whom they concern, and which of several counts.

type Override = Record<string, unknown>

const load = (overrides: readonly Override[]) =>
  loadConfig({
    text: JSON.stringify({
      providers: {
        openai: {
          keys: [
            { id: 'k1', value: 'a' },
            { id: 'k2', value: 'b' },
          ],
        },
        groq: { keys: [{ id: 'k3', value: 'c' }] },
        anthropic: { keys: [{ id: 'k4', value: 'd' }] },
      },
      governance: { pricing_overrides: overrides },
    }),
    ...{ env: {}, vendors: VENDOR_FACTS, operations: OPERATION_NAMES, generation: 1 },
  })

function snapshotOf(overrides: readonly Override[]): Snapshot {
  const { snapshot, problems } = load(overrides)
  if (!snapshot) throw new Error(JSON.stringify(problems))
  return snapshot
}

/** A price for everything; what a million input tokens cost shows which one it was. */
const everything = (rate: number, more: Override): Override => ({
  ...{ match_type: 'wildcard', pattern: '*', request_types: ['chat_completion'] },
  pricing_patch: JSON.stringify({ input_cost_per_token: rate / 1e6, output_cost_per_token: 0 }),
  ...more,
})

const million = readUsage({ prompt_tokens: 1_000_000, completion_tokens: 0 })!

function dollars(snapshot: Snapshot, more: Partial<Work> & { provider?: string; model?: string }) {
  const { provider = 'openai', model = 'gpt-x', ...rest } = more
  const settings = snapshot.providers.get(provider)!
  const work = { settings, models: [model], endpoint: 'chat_completion', atMs: 0, ...rest }
  return priceOf(work, million, snapshot)?.total
}

// From the one for all to the one for fewest, in an order that gives nothing away.
const scoped = [
  everything(4, { scope: 'virtual_key', virtual_key_id: 'vk' }),
  everything(1, { scope: 'global' }),
  everything(6, {
    scope: 'virtual_key_provider_key',
    ...{ virtual_key_id: 'vk', provider_id: 'openai', provider_key_id: 'k1' },
  }),
  everything(2, { scope: 'provider', provider_id: 'OpenAI' }),
  everything(5, { scope: 'virtual_key_provider', virtual_key_id: 'vk', provider_id: 'openai' }),
  everything(3, { scope: 'provider_key', provider_key_id: 'k1' }),
]

describe('who it is for', () => {
  test.each([
    ['nobody in particular', { provider: 'groq', keyId: 'k3' }, 1],
    ['a provider', { keyId: 'k2' }, 2],
    ['a key of it', { keyId: 'k1' }, 3],
    ['a virtual key', { provider: 'groq', keyId: 'k3', virtualKeyId: 'vk' }, 4],
    ['a virtual key at a provider', { keyId: 'k2', virtualKeyId: 'vk' }, 5],
    ['a virtual key with one key there', { keyId: 'k1', virtualKeyId: 'vk' }, 6],
    ['another virtual key', { keyId: 'k1', virtualKeyId: 'other' }, 3],
  ])('%s', (_, work, expected) => {
    expect(dollars(snapshotOf(scoped), work)).toBe(expected)
    expect(dollars(snapshotOf(scoped.toReversed()), work)).toBe(expected)
  })

  test('whom it is for counts more than how well the name fits', () => {
    const snapshot = snapshotOf([
      everything(1, { scope: 'virtual_key', virtual_key_id: 'vk' }),
      everything(2, { match_type: 'exact', pattern: 'gpt-x' }),
      everything(3, { pattern: 'gpt*' }),
      everything(4, { pattern: 'gpt-x*' }),
    ])
    expect(dollars(snapshot, { virtualKeyId: 'vk' })).toBe(1)
    const both = snapshotOf([scoped.at(-1)!, scoped[0]!])
    expect(dollars(both, { virtualKeyId: 'vk', keyId: 'k1' })).toBe(4)
    expect(dollars(snapshot, {})).toBe(2)
    expect(dollars(snapshot, { model: 'gpt-x2' })).toBe(4)
    expect(dollars(snapshot, { model: 'gpt-4.9' })).toBe(3)
  })

  test('a new price for an old call is the price for those it was made for', () => {
    const row = (keyId: string | null, virtualKeyId: string | null) => ({
      ...{ n: 1, atMs: 0, object: 'chat_completion', provider: 'openai', model: 'openai/gpt-x' },
      ...{ modelUsed: 'gpt-x', cost: null, usage: '{"prompt_tokens":1000000}' },
      keyId,
      virtualKeyId,
    })
    const snapshot = snapshotOf(scoped)
    expect(costOfRow(row('k1', 'vk'), snapshot)).toBe(6)
    expect(costOfRow(row('k1', null), snapshot)).toBe(3)
    expect(costOfRow(row(null, null), snapshot)).toBe(2)
  })

  test('has to be said', () => {
    const { problems } = load([
      everything(1, { scope: 'virtual_key_provider', provider: 'openai' }),
    ])
    expect(problems).toMatchObject([
      {
        pointer: '/governance/pricing_overrides/0',
        message: 'scope "virtual_key_provider" needs "virtual_key_id"',
      },
    ])
    expect(snapshotOf([everything(1, { scope: 'user' })]).warnings.join()).toContain(
      'scope "user" has no effect in this version',
    )
  })
})

describe('what has other units than tokens', () => {
  const patch = {
    input_cost_per_character: 15e-6,
    output_cost_per_image: 0.04,
    output_cost_per_video_per_second: 0.1,
    cost_per_request: 0.001,
  }
  const of = (more: object, units: Work['units']) => {
    const snapshot = snapshotOf([
      { match_type: 'exact', pattern: 'm', patch: { ...patch, ...more } },
    ])
    const settings = snapshot.providers.get('openai')!
    const work = { settings, models: ['m'], endpoint: 'speech', atMs: 0, units }
    return priceOf(work, undefined, snapshot)
  }

  test('is charged by them', () => {
    expect(of({}, { characters: 1000 })).toMatchObject({
      input: 0.015,
      request: 0.001,
      total: 0.016,
    })
    expect(of({}, { images: 3 })).toMatchObject({ output: 0.12, total: 0.121 })
    expect(of({}, { videoSeconds: 8 })?.total).toBe(0.801)
    const byPixel = { output_cost_per_image: undefined, output_cost_per_pixel: 2e-8 }
    expect(of(byPixel, { images: 1, pixels: 1_000_000 })?.total).toBe(0.021)
  })

  test('and has no price without one for them', () => {
    expect(of({ output_cost_per_image: undefined }, { images: 1 })).toBeUndefined()
    expect(of({}, undefined)).toBeUndefined()
  })
})

test('speed has a price of its own, or none', () => {
  const patch = { input_cost_per_token_fast: 30e-6, output_cost_per_token_fast: 150e-6 }
  const fast = { provider: 'anthropic', model: 'claude-opus-4-5', serviceTier: 'fast' } as const
  expect(dollars(snapshotOf([]), fast)).toBeUndefined()
  expect(dollars(snapshotOf([]), { ...fast, serviceTier: undefined })).toBe(5)
  const priced = snapshotOf([{ match_type: 'wildcard', pattern: 'claude*', patch }])
  expect(dollars(priced, fast)).toBe(30)
})

test('what is plain costs the same as what is looked at closely', () => {
  for (const [input, output] of [
    [0.15, 0.6],
    [2.5, 10],
    [0, 0],
    [1 / 3, 7e-5],
  ] as const) {
    for (const prompt_tokens of [0, 1, 750, 123_457]) {
      for (const completion_tokens of [0, 3, 9_999]) {
        const usage = readUsage({ prompt_tokens, completion_tokens })!
        const closely = costBy({ input, output, request: 0 }, usage, 'list')
        if (prompt_tokens + completion_tokens > 0) {
          expect(costBy({ input, output }, usage, 'list')).toEqual(closely)
          expect(closely!.total).toBeCloseTo(
            (prompt_tokens * input + completion_tokens * output) / 1e6,
            11,
          )
        }
      }
    }
  }
})
