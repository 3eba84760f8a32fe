import { describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Snapshot } from '#config/snapshot.ts'
import type { Owner } from '#core/call.ts'
import { CallMetrics } from '#metrics/calls.ts'
import { Histogram, RETRIES } from '#metrics/histogram.ts'
import type { CallRecord } from '#pipeline/books.ts'

// How calls find the series that they are counted in.

function snapshotOf(config: object = {}): Snapshot {
  const { snapshot } = loadConfig({
    text: JSON.stringify({
      providers: { local: { keys: [{ name: 'main', id: 'key-1', value: 'k' }] } },
      ...config,
    }),
    ...{ path: 'x', env: {}, operations: [], generation: 1 },
    vendors: [{ name: 'local', keyEnv: [], keyless: false, baseUrl: 'http://127.0.0.1:1' }],
  })
  if (!snapshot) throw new Error('the configuration is not valid')
  return snapshot
}

const owner: Owner = {
  virtualKeyId: 'vk-1',
  virtualKeyName: 'payments',
  teamId: 't-1',
  teamName: 'red',
  customerId: 'c-1',
  customerName: 'Acme',
}

function record(more: Partial<CallRecord> = {}, headers: Record<string, string> = {}): CallRecord {
  const call = {
    ...{ endpoint: 'chat_completion', method: 'POST', provider: 'local', model: 'm', headers },
    caller: {},
    body: { kind: 'none' },
  } as unknown as CallRecord['call']
  return {
    ...{ call, requestType: 'chat_completion', arrivedAtMs: 0, queuedMs: 0, upstreamMs: 10 },
    ...{ firstTokenMs: undefined, totalMs: 12, overhead: undefined, owner: undefined },
    ...{ rule: undefined, provider: 'local', keyId: 'key-1', keyName: 'main', modelUsed: 'm' },
    ...{ fallbackIndex: 0, retries: 0, attempts: 1, failed: [], dropped: [], outcome: 'success' },
    ...{ status: 200, error: undefined, errorClass: undefined, usage: undefined, cost: undefined },
    ...{ answerLength: 0, answer: undefined, credential: undefined },
    ...more,
  }
}

const labelsOf = (metrics: CallMetrics) => [...metrics.series.values()].map(({ labels }) => labels)

test('whose call it was, and which rule decided, are labels', () => {
  const metrics = new CallMetrics(() => snapshotOf())
  metrics.settled(record({ owner, rule: { id: 'r-1', name: 'cheap first' } }))
  expect(labelsOf(metrics)).toEqual([
    'provider="local",model="m",method="chat_completion",virtual_key_id="vk-1",' +
      'virtual_key_name="payments",routing_engine_used="governance,routing-rule",routing_rule_id="r-1",' +
      'routing_rule_name="cheap first",selected_key_id="key-1",selected_key_name="main",' +
      'fallback_index="0",team_id="t-1",team_name="red",customer_id="c-1",customer_name="Acme"',
  ])
})

test('every label tells calls apart, and nothing else does', () => {
  const snapshot = snapshotOf({ client: { prometheus_labels: ['color'] } })
  const metrics = new CallMetrics(() => snapshot)
  const different = [
    record(),
    record({ owner }),
    record({ owner: { ...owner, teamId: 't-2' } }),
    record({ rule: { id: 'r', name: 'n' } }),
    record({ modelUsed: 'other' }),
    record({ fallbackIndex: 1 }),
    record({ keyName: 'none' }),
    record({ requestType: 'chat_completion_stream' }),
    record({}, { 'x-bf-dim-color': 'red' }),
  ]
  for (let times = 0; times < 3; times++) for (const each of different) metrics.settled(each)
  metrics.settled(record({ status: 201, totalMs: 99 }, { 'x-bf-dim-color': '' }))
  expect(metrics.series.size).toBe(different.length)
  expect(new Set(labelsOf(metrics)).size).toBe(different.length)
  expect([...metrics.series.values()].map(({ counters }) => counters[1])).toEqual([
    ...[4, 3, 3, 3, 3, 3, 3, 3, 3],
  ])
})

test('labels that the configuration adds later and takes away again', () => {
  let snapshot = snapshotOf()
  const plain = snapshot
  const metrics = new CallMetrics(() => snapshot)
  metrics.settled(record())
  snapshot = snapshotOf({ client: { prometheus_labels: ['color'] } })
  metrics.settled(record({}, { 'x-bf-dim-color': 'red' }))
  snapshot = plain
  metrics.settled(record())
  expect([...metrics.series.values()].map(({ counters }) => counters[1])).toEqual([2, 1])
})

describe('overhead part by part', () => {
  const overhead = { askedMs: 5, lastAskedMs: 6, requestMs: 1, responseMs: 0.5 }
  const call = record({ queuedMs: 3, totalMs: 20, upstreamMs: 12, overhead })
  const settled = (config: object) => {
    const metrics = new CallMetrics(() => snapshotOf(config))
    metrics.settled(call)
    return [...metrics.series.values()][0]!.components?.map((part) => part?.sum)
  }

  test('is told when it is asked for', () => {
    // Waiting, deciding, asking, answering, and what is left: pauses between tries.
    expect(settled({ metrics: { overhead_components: true } })).toEqual([
      3000, 2000, 1000, 500, 1500,
    ])
  })

  test('is not kept otherwise', () => {
    expect(settled({})).toBeUndefined()
  })
})

test('a value on a bound belongs below it', () => {
  const histogram = new Histogram(RETRIES)
  for (const value of [0, 1, 1.5, 2, 4, 5, 10, 11]) histogram.observe(value)
  expect([...histogram.counts]).toEqual([1, 1, 2, 0, 2, 1, 1])
})
