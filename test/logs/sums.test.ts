import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { createFacets } from '#store/logs-facets.ts'
import { percentile } from '#store/logs-series.ts'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Histograms, rankings, sessions and facets, over calls whose numbers are known.

let rig: LogRig

const calls = [
  { model: 'openai/gpt-4o', tokens: [10, 4], session: 'one' },
  { model: 'openai/gpt-4o', tokens: [20, 6], session: 'one' },
  { model: 'openai/gpt-4o-mini', tokens: [1, 1], session: 'a,b/c' },
  { model: 'second/gpt-4o', tokens: [100, 50], session: undefined },
] as const
/** US dollars for each token of input and output. */
const price = { 'gpt-4o': [2.5e-6, 1e-5], 'gpt-4o-mini': [1.5e-7, 6e-7] } as const
const costOf = ({ model, tokens: [input, output] }: (typeof calls)[number]): number => {
  const [first, second] = price[model.split('/')[1] as keyof typeof price]
  return input * first + output * second
}

beforeAll(async () => {
  rig = await logRig()
  const config = await Bun.file(rig.gateway.configPath).json()
  config.providers.second = {
    ...config.providers.openai,
    keys: [{ name: 'other', value: 'sk-second-canary-0123456789' }],
    custom_provider_config: { base_provider_type: 'openai' },
  }
  config.prices = [{ model: 'gpt-4o', input: 2.5, output: 10 }]
  await Bun.write(rig.gateway.configPath, JSON.stringify(config))
  await rig.gateway.logged(({ message }) => message === 'configuration changed')
  for (const { model, tokens, session } of calls) {
    const [prompt_tokens, completion_tokens] = tokens
    rig.upstream.reply({
      json: {
        id: 'c',
        object: 'chat.completion',
        choices: [
          { index: 0, message: { role: 'assistant', content: 'Yes' }, finish_reason: 'stop' },
        ],
        usage: {
          prompt_tokens,
          completion_tokens,
          total_tokens: prompt_tokens + completion_tokens,
        },
      },
    })
    await rig.chat(
      { model },
      { 'x-bf-lh-team': 'blue', ...(session && { 'x-bf-session-id': session }) },
    )
  }
  rig.upstream.reply({ status: 400, json: { error: { message: 'no' } } })
  await rig.chat({ model: 'openai/gpt-4o' }, { 'x-bf-session-id': 'one' })
})

afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

type Bucket = Record<string, any>

/** The sum of a member over all buckets. */
const total = (buckets: Bucket[], read: (bucket: Bucket) => number | undefined): number =>
  buckets.reduce((sum, bucket) => sum + (read(bucket) ?? 0), 0)

describe('a histogram', () => {
  const histogram = async (path: string): Promise<any> => {
    const found = await rig.get(`/api/logs/histogram/${path}`)
    if (!Array.isArray(found.buckets)) throw new Error(JSON.stringify(found))
    expect(found.bucket_size_seconds).toBe(60)
    expect(found.buckets.length).toBeWithin(60, 63)
    return found
  }

  test('of tokens', async () => {
    const { buckets } = await histogram('tokens?period=1h')
    expect(total(buckets, (one) => one['prompt_tokens'])).toBe(131)
    expect(total(buckets, (one) => one['completion_tokens'])).toBe(61)
    expect(total(buckets, (one) => one['total_tokens'])).toBe(192)
    const filtered = await histogram('tokens?period=1h&providers=second')
    expect(total(filtered.buckets, (one) => one['total_tokens'])).toBe(150)
  })

  test('of cost, and of each model', async () => {
    const { buckets, models } = await histogram('cost?period=1h')
    const sum = calls.reduce((all, call) => all + costOf(call), 0)
    expect(total(buckets, (one) => one['total_cost'])).toBeCloseTo(sum, 10)
    expect(models).toEqual(['gpt-4o', 'gpt-4o-mini'])
    expect(total(buckets, (one) => one['by_model']['gpt-4o-mini'])).toBeCloseTo(
      costOf(calls[2]),
      10,
    )
  })

  test('of models', async () => {
    const { buckets, models } = await histogram('models?period=1h')
    expect(models).toEqual(['gpt-4o', 'gpt-4o-mini'])
    const of = (name: string): number => total(buckets, (one) => one['by_model']['gpt-4o']?.[name])
    expect([of('total'), of('success'), of('error')]).toEqual([4, 3, 1])
  })

  test('of latency counts what succeeded', async () => {
    const { buckets } = await histogram('latency?period=1h')
    expect(total(buckets, (one) => one['total_requests'])).toBe(4)
    for (const bucket of buckets) {
      const { avg_latency: avg, p90_latency: p90, p95_latency: p95, p99_latency: p99 } = bucket
      expect(p90).toBeLessThanOrEqual(p95)
      expect(p95).toBeLessThanOrEqual(p99)
      expect(avg).toBeLessThanOrEqual(p99)
      expect(avg > 0).toBe(bucket['total_requests'] > 0)
    }
  })

  test('of throughput', async () => {
    const { buckets } = await histogram('throughput?period=1h')
    expect(total(buckets, (one) => one['completion_tokens'])).toBe(61)
    expect(total(buckets, (one) => one['requests_per_second'])).toBeCloseTo(5 / 60, 10)
    expect(total(buckets, (one) => one['tokens_per_second'])).toBeGreaterThan(0)
  })

  test.each(['cost', 'tokens', 'latency', 'throughput'])('of %s by provider', async (measure) => {
    const { buckets, providers } = await histogram(`${measure}/by-provider?period=1h`)
    expect(providers).toEqual(['openai', 'second'])
    const name = {
      cost: 'total_cost',
      tokens: 'total_tokens',
      latency: 'total_requests',
      throughput: 'completion_tokens',
    }[measure]
    const sum = total(buckets, (one) => one['by_provider']['second']?.[name])
    const expected = { cost: costOf(calls[3]), tokens: 150, latency: 1, throughput: 50 }[measure]
    expect(sum).toBeCloseTo(expected, 10)
  })

  test('by another dimension, which must be one', async () => {
    const found = await histogram('tokens/by-dimension?dimension=selected_key_id&period=1h')
    expect(found).toMatchObject({ dimension: 'selected_key', dimension_values: ['main', 'other'] })
    expect(total(found.buckets, (one) => one['by_dimension']['other']?.['total_tokens'])).toBe(150)
    // What Bifrost has and no call here belongs to is empty.
    const nobodys = await histogram('cost/by-dimension?dimension=business_unit_id&period=1h')
    expect(nobodys).toMatchObject({ dimension: 'business_unit', dimension_values: [] })
    for (const query of ['', 'dimension=nothing', 'dimension=__proto__', 'dimension=n;--']) {
      const answer = await rig.get(`/api/logs/histogram/cost/by-dimension?${query}`)
      expect(answer).toMatchObject({ status_code: 400, error: { param: 'dimension' } })
    }
  })

  test.each([
    ['nonsense=1', 'nonsense'],
    ['bucket_size_seconds=x', 'bucket_size_seconds'],
    ['period=1y', 'period'],
    ['start_time=2026-01-02&end_time=2026-01-01', 'start_time'],
  ])('of something that cannot be is a 400: %s', async (query, param) => {
    const answer = await rig.get(`/api/logs/histogram/latency?${query}`)
    expect(answer.status_code).toBe(400)
    expect(answer.error.message).toContain(`'${param}'`)
  })
})

test('percentiles are values that occur', () => {
  const sorted = Array.from({ length: 100 }, (_, i) => i + 1)
  expect([0.9, 0.95, 0.99].map((part) => percentile(sorted, part))).toEqual([90, 95, 99])
  expect(percentile([7], 0.99)).toBe(7)
  expect(percentile([], 0.5)).toBe(0)
})

describe('a ranking', () => {
  test('of models', async () => {
    const { rankings } = await rig.get('/api/logs/rankings?period=1h')
    expect(rankings).toMatchObject([
      {
        model: 'gpt-4o',
        provider: 'openai',
        total_requests: 3,
        success_count: 2,
        total_tokens: 40,
        trend: { has_previous_period: false, requests_trend: 0 },
      },
      { model: 'gpt-4o', provider: 'second', total_requests: 1, total_tokens: 150 },
      { model: 'gpt-4o-mini', provider: 'openai', total_requests: 1, success_rate: 100 },
    ])
    const tokens = await rig.get('/api/logs/rankings?period=1h&sort_by=tokens&limit=1')
    expect(tokens.rankings).toMatchObject([{ provider: 'second', total_tokens: 150 }])
    expect(tokens.rankings[0].total_cost).toBeCloseTo(costOf(calls[3]), 10)
  })

  test('tells what has changed since the time before', async () => {
    // The first two calls were before the third arrived, in a time as long as the one since.
    const { logs } = await rig.get('/api/logs?order=asc&limit=5')
    const at = Date.parse(logs[2].timestamp)
    const end = Date.now() + 1000
    const { rankings } = await rig.get(
      `/api/logs/rankings?start_time=${new Date(at).toISOString()}&end_time=${new Date(end).toISOString()}`,
    )
    const [now] = rankings.filter(
      ({ model, provider }: any) => model === 'gpt-4o' && provider === 'openai',
    )
    const before = logs.filter(
      (log: any) => Date.parse(log.timestamp) < at && log.model === 'openai/gpt-4o',
    ).length
    const since = logs.filter(
      (log: any) => Date.parse(log.timestamp) >= at && log.model === 'openai/gpt-4o',
    ).length
    expect(now).toMatchObject({
      total_requests: since,
      trend: {
        has_previous_period: before > 0,
        requests_trend: before === 0 ? 0 : (100 * (since - before)) / before,
      },
    })
  })

  test('of all that there ever was, which nothing was before', async () => {
    // What Go has for no time at all.
    const since = 'start_time=0001-01-01T00:00:00Z'
    const { total_requests } = await rig.get('/api/logs/stats?period=1h')
    const { rankings } = await rig.get(`/api/logs/rankings?${since}`)
    expect(total(rankings, (one) => one['total_requests'])).toBe(total_requests)
    const compared = await rig.get(`/api/logs/stats?compare_to_previous=true&${since}`)
    expect(compared).toMatchObject({ total_requests, has_previous_period: false })
    const { overview } = await rig.get(`/api/logs/dashboard?${since}&end_time=9999-12-31T23:59:59Z`)
    expect(overview.stats).toMatchObject({ total_requests, has_previous_period: false })
  })

  test('by dimension', async () => {
    const found = await rig.get('/api/logs/rankings/by-dimension?dimension=selected_key&period=1h')
    expect(found).toMatchObject({
      dimension: 'selected_key',
      rankings: [
        { name: 'main', total_requests: 4 },
        { name: 'other', total_requests: 1 },
      ],
    })
  })

  test.each([
    ['rankings?sort_by=name', 'sort_by'],
    ['rankings?limit=5000', 'limit'],
    ['rankings/by-dimension?dimension=x', 'dimension'],
    ['filterdata?dimensions=models,x', 'dimensions'],
    ['filterdata?models=x', 'models'],
    ['sessions/one?limit=501', 'limit'],
    ['sessions/one?order=up', 'order'],
    ['sessions/one?sort_by=cost', 'sort_by'],
  ])('and others of something that cannot be: %s', async (path, param) => {
    const answer = await rig.get(`/api/logs/${path}`)
    expect(answer).toMatchObject({ status_code: 400, error: { param } })
  })
})

describe('a session', () => {
  test('has its calls in pages', async () => {
    const first = await rig.get('/api/logs/sessions/one?limit=2')
    expect(first).toMatchObject({
      session_id: 'one',
      has_more: true,
      pagination: { total_count: 3, limit: 2, offset: 0 },
    })
    const second = await rig.get('/api/logs/sessions/one?limit=2&offset=2')
    expect(second.has_more).toBe(false)
    const rows = [...first.logs, ...second.logs]
    expect(rows.map(({ status }) => status)).toEqual(['success', 'success', 'error'])
    const last = await rig.get('/api/logs/sessions/one?order=desc&limit=1')
    expect(last.logs[0].status).toBe('error')
  })

  test('of any name', async () => {
    const found = await rig.get(`/api/logs/sessions/${encodeURIComponent('a,b/c')}`)
    expect(found.logs.length).toBe(1)
    expect((await rig.get('/api/logs/sessions/none')).logs).toEqual([])
    expect((await rig.get('/api/logs/sessions/%zz')).logs).toEqual([])
  })

  test('has a summary', async () => {
    expect(await rig.get('/api/logs/sessions/one/summary')).toMatchObject({
      session_id: 'one',
      count: 3,
      success_count: 2,
      error_count: 1,
      total_tokens: 40,
      models: ['openai/gpt-4o'],
      providers: ['openai'],
    })
    expect(await rig.get('/api/logs/sessions/none/summary')).toMatchObject({ status_code: 404 })
  })
})

describe('what can be filtered by', () => {
  test('is what occurs', async () => {
    const data = await rig.get('/api/logs/filterdata')
    expect(data).toMatchObject({
      providers: ['openai', 'second'],
      models: ['openai/gpt-4o', 'openai/gpt-4o-mini', 'second/gpt-4o'],
      aliases: ['gpt-4o', 'gpt-4o-mini'],
      selected_keys: [{ name: 'main' }, { name: 'other' }],
      virtual_keys: [],
      stop_reasons: ['stop'],
      metadata_keys: ['team'],
      teams: [],
    })
    const some = await rig.get('/api/logs/filterdata?dimensions=objects,metadata_keys')
    expect(some).toEqual({ objects: ['chat_completion'], metadata_keys: ['team'] })
  })

  test('is looked up once in half a minute', () => {
    let now = 0
    let asked = 0
    const db = {
      query: () => {
        asked++
        return { all: () => [] }
      },
    }
    const facets = createFacets(() => now)
    const read = (): unknown => facets.read(db as never, { dimensions: 'metadata_keys' })
    read()
    read()
    expect(asked).toBe(1)
    now = 30_001
    read()
    expect(asked).toBe(2)
  })
})
