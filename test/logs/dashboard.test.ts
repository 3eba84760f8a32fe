import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogReader } from '#store/logs-query.ts'
import type { LogRow } from '#store/logs-schema.ts'
import { createSlots } from '#store/logs-slots.ts'
import { createLogWriter } from '#store/logs-writer.ts'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'
import { row } from './row.ts'

// One answer with all that an overview shows: over a socket it is what the single routes answer, and over many rows
// what counting them by hand gives.

describe('the dashboard', () => {
  let rig: LogRig
  /** A time that has every call, so that all routes are asked about the same one. */
  let span: string

  beforeAll(async () => {
    rig = await logRig()
    for (const tokens of [10, 20, 30]) {
      rig.upstream.reply({
        json: {
          id: 'c',
          object: 'chat.completion',
          choices: [
            { index: 0, message: { role: 'assistant', content: 'Yes' }, finish_reason: 'stop' },
          ],
          usage: { prompt_tokens: tokens, completion_tokens: 1, total_tokens: tokens + 1 },
        },
      })
      await rig.chat({ model: tokens === 30 ? 'openai/gpt-4o' : 'openai/gpt-4o-mini' })
    }
    rig.upstream.reply({ status: 400, json: { error: { message: 'no' } } })
    await rig.chat()
    const end = new Date(Date.now() + 60_000).toISOString()
    span = `start_time=${new Date(Date.now() - 3_540_000).toISOString()}&end_time=${end}`
  })

  afterAll(async () => {
    await rig[Symbol.asyncDispose]()
  })

  test('has what the single routes answer', async () => {
    const found = await rig.get(`/api/logs/dashboard?${span}`)
    const own = (path: string): Promise<unknown> => rig.get(`/api/logs/${path}${span}`)
    expect(found.meta).toMatchObject({
      bucket_size_seconds: 60,
      start_time: span.slice('start_time='.length, span.indexOf('&')),
    })
    expect(found.overview.stats).toEqual(await own('stats?compare_to_previous=true&'))
    expect(found.overview.requests).toEqual(await own('histogram?'))
    for (const measure of ['tokens', 'cost', 'models', 'latency', 'throughput']) {
      expect(found.overview[measure]).toEqual(await own(`histogram/${measure}?`))
      if (measure === 'models') continue
      const byProvider = await own(`histogram/${measure}/by-provider?`)
      expect(found.provider_usage[measure]).toEqual(byProvider)
    }
    expect(found.model_rankings.rankings).toEqual(await own('rankings?'))
    expect(found.model_rankings.histogram).toEqual(found.overview.models)
    for (const [dimension, ranking] of Object.entries(found.dimension_rankings)) {
      expect(ranking).toEqual(await own(`rankings/by-dimension?dimension=${dimension}&`))
    }
  })

  test('has totals with what they were before', async () => {
    const { overview, dimension_rankings: dimensions } = await rig.get('/api/logs/dashboard')
    expect(overview.stats).toMatchObject({
      total_requests: 4,
      success_rate: 75,
      total_tokens: 63,
      has_previous_period: false,
      previous: { total_requests: 0 },
      trend: { requests_trend: 0, tokens_trend: 0 },
    })
    expect(Object.keys(dimensions)).toEqual([
      ...['team', 'user', 'virtual_key', 'customer', 'business_unit'],
      ...['provider', 'selected_key', 'app'],
    ])
    expect(dimensions.provider.rankings).toMatchObject([{ id: 'openai', total_requests: 4 }])
    expect(dimensions.selected_key.rankings).toMatchObject([{ name: 'main', total_tokens: 63 }])
    expect(dimensions.business_unit).toEqual({ rankings: [], dimension: 'business_unit' })
  })

  test('takes the filters of the other routes, and finds fault with others', async () => {
    const some = await rig.get('/api/logs/dashboard?status=success&models=openai/gpt-4o&limit=1')
    expect(some.overview.stats).toMatchObject({ total_requests: 1, total_tokens: 31 })
    expect(some.model_rankings.rankings.rankings).toMatchObject([{ model: 'gpt-4o' }])
    for (const [query, param] of [
      ['nonsense=1', 'nonsense'],
      ['sort_by=name', 'sort_by'],
      ['limit=x', 'limit'],
      ['period=1y', 'period'],
      ['bucket_size_seconds=x', 'bucket_size_seconds'],
    ] as const) {
      const answer = await rig.get(`/api/logs/dashboard?${query}`)
      expect(answer.status_code).toBe(400)
      expect(answer.error.message).toContain(`'${param}'`)
    }
    const answer = await fetch(`${rig.gateway.url}/api/logs/dashboard`, {
      headers: { 'x-forwarded-for': '1.2.3.4' },
    })
    expect(answer.status).toBe(403)
  })

  test('is in the API reference', async () => {
    const { paths } = await rig.get('/docs/json')
    expect(paths['/api/logs/dashboard'].get.tags).toEqual(['logs'])
  })
})

describe('over many rows', () => {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-'))
  const path = join(dir, 'logs.db')
  const startMs = Date.parse('2026-03-01T00:00:00Z')
  const hourMs = 3_600_000
  /** Two hours, the second of which is asked about; three segments and a rest. */
  const rows: readonly LogRow[] = Array.from({ length: 6500 }, (_, i) =>
    row(`call-${i}`, {
      atMs: startMs + Math.floor((2 * hourMs * i) / 6500),
      provider: ['openai', 'anthropic', 'gemini'][i % 3]!,
      model: `m${i % 30}`,
      modelUsed: i % 11 === 0 ? undefined : `m${i % 30}`,
      keyId: `k${i % 4}`,
      keyName: `key ${i % 4}`,
      virtualKeyId: i % 2 === 0 ? `vk${i % 50}` : undefined,
      virtualKeyName: i % 2 === 0 ? `Key ${i % 50}` : undefined,
      status: i % 7 === 0 ? 'error' : 'success',
      statusCode: i % 7 === 0 ? (i % 14 === 0 ? 499 : 500) : 200,
      latencyMs: (i * 7919) % 5000,
      promptTokens: i % 100,
      completionTokens: i % 50,
      totalTokens: (i % 100) + (i % 50),
      cachedTokens: i % 3,
      cost: i % 5 === 0 ? undefined : i / 1000,
    }),
  )
  let reader: ReturnType<typeof createLogReader>

  beforeAll(() => {
    const limits = { maxAgeMs: 1e15, maxBytes: 1e9, maxBodyChars: 100 }
    const writer = createLogWriter({ path, limits, onAside: () => undefined })
    writer.write(rows, false)
    writer.close()
    reader = createLogReader(path)
  })

  afterAll(() => {
    reader.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('everything is what counting gives', () => {
    const filters = {
      start_time: new Date(startMs + hourMs).toISOString(),
      end_time: new Date(startMs + 2 * hourMs).toISOString(),
    }
    const found = reader.ask({ kind: 'sums', about: { of: 'dashboard' }, filters }) as any
    const now = rows.filter(({ atMs }) => atMs >= startMs + hourMs)
    const before = rows.filter(({ atMs }) => atMs < startMs + hourMs)
    const sum = (of: readonly LogRow[], read: (one: LogRow) => number | undefined): number =>
      of.reduce((all, one) => all + (read(one) ?? 0), 0)
    const { stats, requests, tokens, latency } = found.overview
    expect(stats).toMatchObject({
      total_requests: now.length,
      total_tokens: sum(now, ({ totalTokens }) => totalTokens),
      average_latency: sum(now, ({ latencyMs }) => latencyMs) / now.length,
      has_previous_period: true,
      previous: {
        total_requests: before.length,
        total_tokens: sum(before, ({ totalTokens }) => totalTokens),
      },
    })
    expect(stats.total_cost).toBeCloseTo(
      sum(now, ({ cost }) => cost),
      6,
    )
    expect(stats.trend.requests_trend).toBeCloseTo(
      (100 * (now.length - before.length)) / before.length,
      10,
    )
    for (const [i, bucket] of requests.buckets.entries()) {
      const from = Date.parse(bucket.timestamp)
      const own = now.filter(({ atMs }) => atMs >= from && atMs < from + 60_000)
      expect(bucket.count).toBe(own.length)
      expect(bucket.error).toBe(own.filter(({ status }) => status === 'error').length)
      expect(tokens.buckets[i].prompt_tokens).toBe(sum(own, ({ promptTokens }) => promptTokens))
      const sorted = own
        .filter(({ status }) => status === 'success')
        .map(({ latencyMs }) => latencyMs)
        .toSorted((a, b) => a - b)
      const at = (part: number): number => sorted[Math.ceil(sorted.length * part) - 1] ?? 0
      expect(latency.buckets[i]).toMatchObject({
        p90_latency: at(0.9),
        p95_latency: at(0.95),
        p99_latency: at(0.99),
        total_requests: sorted.length,
      })
    }
    const { anthropic } = found.provider_usage.tokens.buckets[3].by_provider
    const from = Date.parse(found.provider_usage.tokens.buckets[3].timestamp)
    const third = now.filter(({ atMs }) => atMs >= from && atMs < from + 60_000)
    expect(anthropic.total_tokens).toBe(
      sum(
        third.filter(({ provider }) => provider === 'anthropic'),
        ({ totalTokens }) => totalTokens,
      ),
    )
    // Thirty models: twenty are told apart, and the rest is one.
    expect(found.overview.models.models).toHaveLength(21)
    expect(found.overview.models.models.at(-1)).toBe('other')
    expect(found.model_rankings.rankings.rankings).toHaveLength(30)
    for (const one of found.model_rankings.rankings.rankings) {
      const own = now.filter(
        ({ model, provider }) => model === one.model && provider === one.provider,
      )
      expect(one.total_requests).toBe(own.length)
    }
    const { rankings } = found.dimension_rankings.virtual_key
    expect(rankings).toHaveLength(25)
    for (const one of rankings) {
      const own = now.filter(({ virtualKeyId }) => virtualKeyId === one.id)
      const past = before.filter(({ virtualKeyId }) => virtualKeyId === one.id)
      expect(one).toMatchObject({
        name: `Key ${one.id.slice(2)}`,
        total_requests: own.length,
        success_count: own.filter(({ status }) => status === 'success').length,
        trend: { requests_trend: (100 * (own.length - past.length)) / past.length },
      })
    }
  })

  test('of a time without calls, and of no log, is there all the same', () => {
    const filters = { start_time: '2020-01-01', end_time: '2020-01-02' }
    const about = { of: 'dashboard' } as const
    const empty = reader.ask({ kind: 'sums', about, filters }) as any
    const none = createLogReader(join(dir, 'none.db'))
    const without = none.ask({ kind: 'sums', about, filters }) as any
    for (const found of [empty, without]) {
      expect(found.overview.stats).toMatchObject({ total_requests: 0, has_previous_period: false })
      expect(found.overview.requests.buckets).toHaveLength(97)
      expect(found.provider_usage.latency.providers).toEqual([])
      expect(found.model_rankings.rankings).toEqual({ rankings: [] })
    }
    none.close()
  })
})

test('names get slots as they come, however large their numbers are', () => {
  const slots = createSlots(5)
  expect([7, NaN, 7, 2 ** 25, 5000, 2 ** 25].map((k) => slots.of(k))).toEqual([0, 1, 0, 2, 3, 2])
  expect([9, 10, 5000, NaN].map((k) => slots.of(k))).toEqual([4, -1, 3, 1])
  expect(slots.names).toEqual([7, 0, 2 ** 25, 5000, 9])
})
