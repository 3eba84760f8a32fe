import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { scrape, sum } from './read.ts'
import type { Sample } from './read.ts'

// What `/metrics` says after known traffic.

const upstream = await startUpstream()
afterAll(() => upstream.stop())
const network = { base_url: `${upstream.url}/v1`, retry_backoff_initial: 1, retry_backoff_max: 1 }

const messages = [{ role: 'user', content: 'Hi' }]
const post = (
  gateway: TestGateway,
  body: object,
  headers: Record<string, string> = {},
): Promise<string> =>
  fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'openai/gpt-4o', messages, ...body }),
  }).then((response) => response.text())

const completion = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: {
    prompt_tokens: 1000,
    completion_tokens: 200,
    total_tokens: 1200,
    prompt_tokens_details: { cached_tokens: 400 },
  },
}
const chunk = (more: object) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o', ...more })
const stream = [
  chunk({ choices: [{ index: 0, delta: { content: 'a' } }] }),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }),
  '[DONE]',
]
const refusal = (status: number) => ({ status, json: { error: { message: 'no' } } })

describe('after mixed traffic', () => {
  let gateway: TestGateway
  let samples: Sample[]

  beforeAll(async () => {
    gateway = await startGateway({
      config: {
        client: { prometheus_labels: ['team', 'cost-center'] },
        providers: {
          openai: {
            keys: [{ name: 'main', value: 'k' }],
            network_config: { ...network, max_retries: 2 },
          },
          groq: { keys: [{ name: 'spare', value: 'g' }], network_config: network },
        },
      },
    })
    upstream.clear()
    // Two that are served, one of them with labels of its own.
    upstream.reply([{ json: completion }, { json: completion }])
    await post(gateway, {})
    await post(gateway, {}, { 'x-bf-dim-team': 'red "1"', 'x-bf-prom-cost-center': '42' })
    // One stream.
    upstream.reply({ sse: stream })
    await post(gateway, { stream: true })
    // One that is served at the second try.
    upstream.reply([refusal(500), { json: completion }])
    await post(gateway, {})
    // One that nobody serves: a request that is wrong is not tried again.
    upstream.reply(refusal(400))
    await post(gateway, {})
    // One that a fallback serves; its model has no price there.
    upstream.reply([refusal(404), { json: completion }])
    await post(gateway, { fallbacks: ['groq/mystery'] })
    // One that never became a call.
    await post(gateway, { messages: 1 })
    samples = await scrape(gateway)
  })
  afterAll(() => gateway.stop())

  const count = (name: string, labels?: Record<string, string>) => sum(samples, name, labels)

  test('every try is counted once, as served or as failed', () => {
    expect(count('bifrost_upstream_requests_total')).toBe(8)
    expect(count('bifrost_success_requests_total')).toBe(5)
    expect(count('bifrost_error_requests_total')).toBe(3)
    expect(count('bifrost_upstream_requests_total', { provider: 'groq' })).toBe(1)
    expect(count('asbru_calls_total', { outcome: 'success' })).toBe(5)
    expect(count('asbru_calls_total', { outcome: 'error' })).toBe(1)
  })

  test('failures have a status and a type', () => {
    const errors = (status_code: string, error_type: string) =>
      count('bifrost_error_requests_total', { status_code, error_type })
    expect(errors('500', 'provider_server_error')).toBe(1)
    expect(errors('400', 'caller_invalid_request')).toBe(1)
    expect(errors('404', 'caller_model_unknown')).toBe(1)
  })

  test('tokens and cost', () => {
    expect(count('bifrost_input_tokens_total')).toBe(4010)
    expect(count('bifrost_output_tokens_total')).toBe(805)
    expect(count('bifrost_cache_read_input_tokens_total')).toBe(1600)
    // gpt-4o: 600 × 2.50 + 400 × 1.25 + 200 × 10 = 4000 per million three times, 10 × 2.50 + 5 × 10 once.
    expect(count('bifrost_cost_total')).toBeCloseTo(0.012075, 12)
    expect(count('asbru_unpriced_requests_total')).toBe(1)
    expect(count('asbru_unpriced_requests_total', { provider: 'groq', model: 'mystery' })).toBe(1)
  })

  test('labels of the caller', () => {
    const labels = { team: 'red "1"', cost_center: '42', selected_key_name: 'main' }
    expect(count('bifrost_success_requests_total', labels)).toBe(1)
    expect(count('bifrost_success_requests_total', { method: 'chat_completion_stream' })).toBe(1)
    expect(count('bifrost_success_requests_total', { fallback_index: '1' })).toBe(1)
  })

  test('histograms add up, and have Bifrost’s buckets', () => {
    const histograms = {
      bifrost_upstream_latency_seconds: 6,
      bifrost_overhead_latency_microseconds: 6,
      bifrost_request_retries: 6,
      bifrost_stream_first_token_latency_seconds: 1,
      bifrost_stream_inter_token_latency_seconds: 1,
      http_request_duration_seconds: 7,
      http_request_size_bytes: 7,
      http_response_size_bytes: 5,
    }
    for (const [name, calls] of Object.entries(histograms)) {
      // Whoever looks is counted as well.
      const isHttp = name.startsWith('http_')
      const path: Record<string, string> = isHttp ? { path: '/openai/v1/chat/completions' } : {}
      expect([name, count(`${name}_count`, path)]).toEqual([name, calls])
      expect([name, count(`${name}_bucket`, { ...path, le: '+Inf' })]).toEqual([name, calls])
    }
    const bounds = (name: string) => [
      ...new Set(samples.filter((s) => s.name === `${name}_bucket`).map(({ labels }) => labels.le)),
    ]
    expect(bounds('bifrost_upstream_latency_seconds').join(' ')).toBe(
      '0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 15 30 45 60 90 120 180 300 600 900 +Inf',
    )
    expect(bounds('bifrost_overhead_latency_microseconds').join(' ')).toBe(
      '100 250 500 1000 2500 5000 10000 25000 50000 100000 250000 500000 1000000 2500000 5000000 10000000 30000000 +Inf',
    )
    expect(bounds('bifrost_request_retries').join(' ')).toBe('0 1 2 3 5 10 +Inf')
    const { sum: waited, whole } = {
      sum: count('bifrost_overhead_latency_microseconds_sum') / 1e6,
      whole: count('http_request_duration_seconds_sum'),
    }
    expect(waited).toBeGreaterThan(0)
    expect(waited).toBeLessThan(whole)
  })

  test('requests by route and status, refused ones included', () => {
    const path = '/openai/v1/chat/completions'
    expect(count('http_requests_total', { path, method: 'POST', status: '200' })).toBe(5)
    expect(count('http_requests_total', { path, method: 'POST', status: '400' })).toBe(2)
  })

  test('the process', () => {
    expect(count('bifrost_active_requests')).toBe(0)
    expect(count('asbru_open_streams')).toBe(0)
    expect(count('asbru_queue_length', { provider: 'openai' })).toBe(0)
    expect(count('bifrost_provider_key_up', { key_name: 'main' })).toBe(1)
    expect(count('asbru_build_info')).toBe(1)
    expect(count('process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(count('process_heap_bytes')).toBeGreaterThan(1e5)
    if (process.platform === 'linux') expect(count('process_open_fds')).toBeGreaterThan(3)
    expect(count('asbru_jobs_running')).toBe(0)
    const names = new Set(samples.map(({ name }) => name))
    expect(names).toContain('asbru_jobs_running')
    expect(names).toContain('asbru_event_loop_delay_seconds_count')
  })
})

test('calls under way and open streams are seen', async () => {
  await using gateway = await disposable({
    providers: { openai: { keys: [{ value: 'k' }], network_config: network } },
  })
  upstream.clear()
  const gate = Promise.withResolvers<void>()
  upstream.reply({ sse: stream, gate: gate.promise })
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openai/gpt-4o', messages, stream: true }),
  })
  const during = await scrape(gateway)
  expect(sum(during, 'asbru_open_streams')).toBe(1)
  expect(sum(during, 'bifrost_active_requests', { method: 'chat_completion_stream' })).toBe(1)
  expect(sum(during, 'asbru_inflight_requests', { provider: 'openai' })).toBe(1)
  gate.resolve()
  await response.text()
  expect(sum(await scrape(gateway), 'asbru_open_streams')).toBe(0)
})

test('another key after a failure is a rotation, and a refused key is not up', async () => {
  const keys = [
    { id: 'id-of-bad', name: 'bad', value: 'b', weight: 1 },
    { name: 'good', value: 'g', weight: 0 },
  ]
  await using gateway = await disposable({
    providers: { openai: { keys, network_config: network } },
  })
  upstream.clear()
  upstream.reply([refusal(401), { json: completion }])
  await post(gateway, {})
  const samples = await scrape(gateway)
  const rotation = {
    ...{ provider: 'openai', requested_model: 'gpt-4o', key_id: 'id-of-bad', key_name: 'bad' },
    fail_reason: 'provider_auth_failed',
  }
  expect(sum(samples, 'bifrost_key_rotation_events_total', rotation)).toBe(1)
  expect(sum(samples, 'bifrost_provider_key_up', { key_name: 'bad' })).toBe(0)
  expect(sum(samples, 'bifrost_provider_key_up', { key_name: 'good' })).toBe(1)
})

test('made-up models and labels do not grow it', async () => {
  await using gateway = await disposable({
    client: { prometheus_labels: ['team'] },
    metrics: { max_label_sets: 20 },
    providers: { openai: { keys: [{ value: 'k' }], network_config: network } },
  })
  upstream.clear()
  const calls = 300
  upstream.reply(Array.from({ length: calls }, () => ({ json: completion })))
  for (let i = 0; i < calls; i++) {
    const team = `${i}${'x'.repeat(500)}`
    await post(gateway, { model: `openai/made-up-${i}` }, { 'x-bf-dim-team': team })
  }
  const samples = await scrape(gateway)
  expect(sum(samples, 'asbru_metric_label_sets')).toBeLessThanOrEqual(21)
  expect(sum(samples, 'bifrost_success_requests_total')).toBe(calls)
  const other = { provider: 'openai', model: '_other', team: '_other' }
  expect(sum(samples, 'bifrost_success_requests_total', other)).toBe(calls - 20)
  for (const { labels } of samples) expect((labels['team'] ?? '').length).toBeLessThan(250)
})

test('models that are written alike are one', async () => {
  await using gateway = await disposable({ client: { prometheus_labels: ['team'] } })
  const long = 'x'.repeat(199)
  const models = ['\ud800', '\udfff', '\ufffd', `${long}\u{1f600}`, `${long}\u{1f601}`]
  for (const model of models) await post(gateway, { model: `mock/${model}` })
  const samples = await scrape(gateway)
  const served = samples.filter(({ name }) => name === 'bifrost_success_requests_total')
  expect(served.map(({ labels, value }) => [labels['model'], value])).toEqual([
    ['\ufffd', 3],
    [`${long}\ufffd…`, 2],
  ])
})

describe('who may read them', () => {
  const providers = { openai: { keys: [{ value: 'k' }], network_config: network } }

  test('whoever comes through a proxy may not', async () => {
    await using gateway = await disposable({ providers })
    const get = (headers: Record<string, string>) => fetch(`${gateway.url}/metrics`, { headers })
    expect((await get({})).status).toBe(200)
    expect((await get({ 'x-forwarded-for': '203.0.113.9' })).status).toBe(403)
    expect((await get({ origin: 'https://evil.example' })).status).toBe(403)
  })

  test('everybody may when the configuration says so', async () => {
    await using gateway = await disposable({ providers, metrics: { open: true } })
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    expect((await fetch(`${gateway.url}/metrics`, { headers })).status).toBe(200)
  })

  test('nobody when they are off', async () => {
    await using gateway = await disposable({ providers, metrics: { enabled: false } })
    upstream.clear()
    await post(gateway, {})
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404)
  })
})

test.each(['provider', 'le', '__a', 'ä', '1a', 'a b'])('%j is no label', (label) => {
  const { problems } = loadConfig({
    text: JSON.stringify({ client: { prometheus_labels: [label] } }),
    ...{ env: {}, vendors: [], operations: [], generation: 1 },
  })
  expect(problems).toMatchObject([
    { pointer: '/client/prometheus_labels/0', message: 'cannot be a label of its own' },
  ])
})

async function disposable(config: object): Promise<TestGateway & AsyncDisposable> {
  const gateway = await startGateway({ config })
  return { ...gateway, [Symbol.asyncDispose]: () => gateway.stop() }
}

test('a call that is refused for want of room was sent to nobody, and failed once', async () => {
  const gateway = await startGateway({
    config: {
      client: { drop_excess_requests: true },
      providers: {
        openai: {
          keys: [{ name: 'main', value: 'k' }],
          network_config: network,
          concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 },
        },
        groq: { keys: [{ name: 'spare', value: 'g' }], network_config: network },
      },
    },
  })
  upstream.clear()
  const gate = Promise.withResolvers<void>()
  const served = { json: completion }
  upstream.reply([{ ...served, gate: gate.promise }, served])
  const first = post(gateway, {})
  await upstream.waitFor(1)
  await post(gateway, {})
  await post(gateway, { fallbacks: ['groq/mystery'] })
  gate.resolve()
  await first
  const samples = await scrape(gateway)
  const count = (name: string, labels?: Record<string, string>) => sum(samples, name, labels)
  expect(upstream.requests).toHaveLength(2)
  expect(count('bifrost_upstream_requests_total')).toBe(2)
  expect(count('bifrost_upstream_requests_total', { provider: 'openai' })).toBe(1)
  expect(count('bifrost_error_requests_total')).toBe(2)
  expect(count('bifrost_error_requests_total', { error_type: 'bifrost_dropped' })).toBe(2)
  expect(count('bifrost_error_requests_total', { selected_key_name: 'main' })).toBe(0)
  expect(count('bifrost_key_rotation_events_total')).toBe(0)
  expect(count('asbru_dropped_requests_total')).toBe(1)
  await gateway.stop()
})
