import { afterAll, beforeAll, expect, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogReader } from '#store/logs-query.ts'
import type { Filters, LogRow } from '#store/logs-schema.ts'
import type { About } from '#store/logs-sums.ts'
import { createLogWriter } from '#store/logs-writer.ts'

// Sums over more rows than stand apart: most of them are in packed segments, the last ones are not.

const count = 5000
const hour = 3_600_000
const start = Math.floor(Date.now() / hour) * hour - 10 * hour

interface Known {
  readonly at: number
  readonly model: string
  readonly key: string
  readonly isServed: boolean
  readonly tokens: number
  readonly latency: number
  readonly cost: number | undefined
}

const calls: readonly Known[] = Array.from({ length: count }, (_, i) => ({
  // Rows are written when calls end, so that their arrivals are only nearly in order.
  at: start + Math.floor((i / count) * 8 * hour) + ((i * 37) % 11) * 1000,
  // The rarest ones are only in segments that are sealed, or only behind them.
  model: i === 7 ? 'first' : i === count - 3 ? 'last' : `m${i % 30}`,
  key: `k${i % 3}`,
  isServed: i % 7 !== 0,
  tokens: i % 100,
  latency: (i * 7919) % 1000,
  cost: i % 5 === 0 ? undefined : 0.001,
}))

const dir = mkdtempSync(join(tmpdir(), 'asbru-many-'))
const path = join(dir, 'logs.db')
let reader: ReturnType<typeof createLogReader>

const codeOf = (isServed: boolean, i: number): number => (isServed ? 200 : i % 14 === 0 ? 499 : 500)

function rowOf(call: Known, i: number): LogRow {
  const { at, model, key, isServed, tokens, latency, cost } = call
  return {
    ...{ id: `id-${i}`, atMs: at, object: 'chat_completion', stream: false },
    ...{ status: isServed ? 'success' : 'error', statusCode: codeOf(isServed, i) },
    ...{ provider: 'openai', model: `openai/${model}`, modelUsed: model, keyId: key },
    ...{ keyName: `name of ${key}`, virtualKeyId: undefined, virtualKeyName: undefined },
    ...{ sessionId: undefined, userAgent: undefined, latencyMs: latency, queuedMs: 0 },
    ...{ upstreamMs: latency, firstTokenMs: undefined, promptTokens: tokens, completionTokens: 1 },
    ...{ totalTokens: tokens + 1, cachedTokens: 0, cost, fallbackIndex: 0, retries: 0 },
    ...{ attempts: 1, usage: '{"prompt_tokens":1}', error: undefined, trail: undefined },
    ...{ dropped: undefined, metadata: undefined, trace: undefined, request: undefined },
    ...{ answer: undefined, secrets: [] },
    cacheHitType: i % 40 === 0 ? 'direct' : i % 90 === 0 ? 'semantic' : undefined,
    engines: i % 50 === 0 ? 'governance,routing-rule' : i % 25 === 0 ? 'governance' : undefined,
  }
}

beforeAll(() => {
  const limits = { maxAgeMs: 1e12, maxBytes: 1e9, maxBodyChars: 1000 }
  const writer = createLogWriter({ path, limits, onAside() {} })
  for (let at = 0; at < count; at += 700) {
    writer.write(
      calls.slice(at, at + 700).map((call, i) => rowOf(call, at + i)),
      false,
    )
  }
  writer.close()
  reader = createLogReader(path)
})
afterAll(() => {
  reader.close()
  rmSync(dir, { recursive: true, force: true })
})

const ask = (about: About, filters: Filters = {}): any =>
  reader.ask({ kind: 'sums', about, filters })
const iso = (ms: number): string => new Date(ms).toISOString()
const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)

/** Times that begin and end within segments, or hold all or nothing of them. */
const windows: readonly (readonly [number, number])[] = [
  [start - hour, start + 12 * hour],
  [start + hour, start + 3 * hour],
  [start + 3.5 * hour, start + 9 * hour],
  [start + 7.9 * hour, start + 9 * hour],
  [start - 3 * hour, start - hour],
]

test.each(windows)('tokens and latency from %d to %d', (from, until) => {
  const filters = { start_time: iso(from), end_time: iso(until) }
  const within = calls.filter(({ at }) => at >= from && at <= until)
  const { buckets } = ask({ of: 'series', measure: 'tokens' }, filters)
  expect(sum(buckets.map((one: any) => one.total_tokens))).toBe(
    sum(within.map(({ tokens }) => tokens + 1)),
  )
  const latency = ask({ of: 'series', measure: 'latency' }, filters)
  for (const { timestamp, total_requests: requests, p99_latency: p99 } of latency.buckets) {
    const first = Date.parse(timestamp)
    const sorted = within
      .filter(({ at }) => at >= first && at < first + latency.bucket_size_seconds * 1000)
      .filter(({ isServed }) => isServed)
      .map((one) => one.latency)
      .toSorted((one, other) => one - other)
    expect(requests).toBe(sorted.length)
    expect(p99).toBe(sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0)
  }
})

test.each(windows)('sums from %d to %d, alone and beside a page', (from, until) => {
  const choices: [Filters, (call: Known) => boolean][] = [
    [{}, () => true],
    [{ status: 'success' }, ({ isServed }) => isServed],
    [{ aliases: 'first,m7', sort_by: 'cost' }, ({ model }) => /^(?:first|m7)$/.test(model)],
    [{ missing_cost_only: 'true', order: 'asc' }, ({ cost }) => cost === undefined],
  ]
  for (const [choice, isWanted] of choices) {
    const filters = { ...choice, start_time: iso(from), end_time: iso(until) }
    const wanted = calls.flatMap((call, i) =>
      isWanted(call) && call.at >= from && call.at <= until ? [{ ...call, ...rowOf(call, i) }] : [],
    )
    const total = wanted.length
    const facing = wanted.filter(({ statusCode }) => statusCode !== 499).length
    const served = wanted.filter(({ isServed }) => isServed).length
    const [direct, semantic] = ['direct', 'semantic'].map(
      (kind) => wanted.filter(({ cacheHitType }) => cacheHitType === kind).length,
    ) as [number, number]
    const stats: any = reader.ask({ kind: 'stats', filters })
    expect(stats).toEqual({
      total_requests: total,
      success_rate: total && (100 * served) / total,
      user_facing_success_rate: facing && (100 * served) / facing,
      user_facing_total_requests: facing,
      average_latency: total && expect.closeTo(sum(wanted.map((one) => one.latency)) / total, 6),
      total_tokens: sum(wanted.map(({ tokens }) => tokens + 1)),
      total_cost: expect.closeTo(sum(wanted.map(({ cost }) => cost ?? 0)), 8),
      cache_hit_rate_total_requests: total && (100 * (direct + semantic)) / total,
      direct_cache_hits: direct,
      semantic_cache_hits: semantic,
    })
    expect((reader.ask({ kind: 'list', filters }) as any).stats).toEqual(stats)
  }
})

test('values beyond the largest twenty are one', () => {
  const filters = { start_time: iso(start), end_time: iso(start + 10 * hour) }
  const { models, buckets } = ask({ of: 'series', measure: 'models' }, filters)
  expect(models.length).toBe(21)
  expect(models.at(-1)).toBe('other')
  const all = buckets.flatMap((one: any) => Object.values(one.by_model)) as { total: number }[]
  expect(sum(all.map(({ total }) => total))).toBe(count)
})

test('a ranking beside the time before', () => {
  const middle = start + 4 * hour
  const until = start + 8 * hour
  const filters = { start_time: iso(middle), end_time: iso(until), dimension: 'selected_key' }
  const { rankings } = ask({ of: 'ranking', byDimension: true }, filters)
  expect(rankings.length).toBe(3)
  for (const { id, name, total_requests: now, trend, total_cost: cost } of rankings) {
    const own = calls.filter(({ key }) => key === id)
    const [before, since] = [
      own.filter(({ at }) => at < middle && at >= start),
      own.filter(({ at }) => at >= middle && at <= until),
    ]
    expect(name).toBe(`name of ${id}`)
    expect(now).toBe(since.length)
    expect(cost).toBeCloseTo(sum(since.map((one) => one.cost ?? 0)), 8)
    expect(trend.requests_trend).toBeCloseTo((100 * (now - before.length)) / before.length, 8)
  }
})

test('what can be filtered by is found wherever it stands', () => {
  const { aliases, selected_keys: keys } = ask(
    { of: 'facets' },
    { dimensions: 'aliases,selected_keys' },
  )
  expect(aliases.length).toBe(32)
  expect(aliases).toContain('first')
  expect(aliases).toContain('last')
  expect(keys).toEqual([0, 1, 2].map((i) => ({ id: `k${i}`, name: `name of k${i}` })))
})

test('what had a say in where calls went', () => {
  const found = (filters: Filters): number => {
    const { pagination } = reader.ask({ kind: 'list', filters }) as any
    return pagination.total_count
  }
  expect(found({ routing_engine_used: 'governance' })).toBe(count / 25)
  expect(found({ routing_engine_used: 'routing-rule' })).toBe(count / 50)
  expect(found({ routing_engine_used: 'rule,routing-rule' })).toBe(count / 50)
  expect(found({ routing_engine_used: 'g' })).toBe(0)
  expect(found({ business_unit_ids: 'x' })).toBe(0)
  const { routing_engines: engines } = ask({ of: 'facets' }, { dimensions: 'routing_engines' })
  expect(engines).toEqual(['governance', 'routing-rule'])
})

test('what has no cost, a page after the other', () => {
  const seen: number[] = []
  for (let after = 0; ;) {
    const rows = ask({ of: 'unpriced', after, limit: 300 }) as { n: number }[]
    seen.push(...rows.map(({ n }) => n))
    if (rows.length < 300) break
    after = rows.at(-1)!.n
  }
  expect(seen.length).toBe(count / 5)
  expect(new Set(seen).size).toBe(seen.length)
})

test('a question that takes too long is given up', () => {
  const clock = spyOn(performance, 'now').mockReturnValueOnce(0).mockReturnValue(5001)
  try {
    const filters = { start_time: iso(start), end_time: iso(start + 10 * hour) }
    expect(() => ask({ of: 'series', measure: 'tokens' }, filters)).toThrow("'period' is too long")
  } finally {
    clock.mockRestore()
  }
})
