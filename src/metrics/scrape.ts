import { readdirSync } from 'node:fs'

import type { Snapshot } from '#config/snapshot.ts'
import { VERSION } from '#core/version.ts'
import type { Recorder } from '#pipeline/record.ts'
import type { Services } from '#pipeline/services.ts'
import { PRICES_DATE } from '#prices/data.ts'

import type { CallMetrics } from './calls.ts'
import { Family } from './exposition.ts'
import type { Kind } from './exposition.ts'
import { labelText } from './labels.ts'
import type { LoopDelay } from './loop.ts'
import { COMPONENTS, COUNTERS, HISTOGRAMS } from './series.ts'

/** A number that somebody else keeps, read when it is asked for. */
export interface Reading {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  /** Label text and value. */
  readonly read: () => readonly (readonly [labels: string, value: number])[]
}

/** What a scrape looks at. */
export interface Scraped {
  readonly calls: CallMetrics
  readonly loop: LoopDelay
  readonly services: Pick<Services, 'gates' | 'health' | 'inflight'> & {
    readonly recorder: Recorder
  }
  readonly snapshot: () => Snapshot
  /** Numbers of parts that are not always there, such as a log. */
  readonly more: readonly Reading[]
}

/** The whole text, one metric after the other, so that other work gets its turn between them. */
export function* scrape(scraped: Scraped): Generator<string> {
  for (const each of families(scraped)) yield each.text()
}

/** All there is to tell, one metric after the other. */
export function* families(scraped: Scraped): Generator<Family> {
  const { calls } = scraped
  yield* ofCalls(calls)
  yield* ofRoutes(calls)
  yield* ofProcess(scraped)
  for (const { name, kind, help, read } of scraped.more) yield family(name, kind, help, read())
}

function family(
  name: string,
  kind: Kind,
  help: string,
  values: readonly (readonly [string, number])[],
): Family {
  const written = new Family(name, kind, help)
  for (const [labels, value] of values) written.value(labels, value)
  return written
}

function* ofCalls({ series, rotations }: CallMetrics): Generator<Family> {
  for (const [i, [name, help]] of COUNTERS.entries()) {
    const written = new Family(name, 'counter', help)
    for (const { labels, counters } of series.values()) {
      if (counters[i]! > 0) written.value(labels, counters[i]!)
    }
    yield written
  }
  const errors = new Family('bifrost_error_requests_total', 'counter', 'Requests that failed.')
  for (const one of series.values()) {
    for (const [text, count] of one.errors) errors.value(joined(one.labels, text), count)
  }
  yield errors
  for (const [i, [name, help]] of HISTOGRAMS.entries()) {
    const written = new Family(name, 'histogram', help)
    for (const { labels, histograms, failedLatency } of series.values()) {
      const histogram = histograms[i]
      // Only the first one tells success and failure apart.
      if (histogram)
        written.histogram(i === 0 ? joined(labels, 'is_success="true"') : labels, histogram)
      if (i === 0 && failedLatency) {
        written.histogram(joined(labels, 'is_success="false"'), failedLatency)
      }
    }
    yield written
  }
  const overhead = new Family(
    'bifrost_overhead_component_microseconds',
    'histogram',
    'Where the overhead came from.',
  )
  for (const { labels, components } of series.values()) {
    for (const [i, histogram] of (components ?? []).entries()) {
      const text = joined(labels, `overhead_component="${COMPONENTS[i]}"`)
      if (histogram) overhead.histogram(text, histogram)
    }
  }
  yield overhead
  const rotated = 'Failed tries after which another key was asked.'
  yield family('bifrost_key_rotation_events_total', 'counter', rotated, [...rotations])
  const dropped = new Family(
    'asbru_dropped_requests_total',
    'counter',
    'Calls that no queue had room for.',
  )
  for (const one of series.values()) {
    if (one.dropped > 0) dropped.value(one.labels, one.dropped)
  }
  yield dropped
}

function joined(labels: string, more: string): string {
  return labels === '' ? more : `${labels},${more}`
}

function* ofRoutes({ routes }: CallMetrics): Generator<Family> {
  const all = routes.values()
  yield family(
    'http_requests_total',
    'counter',
    'Requests by the pattern of their route.',
    all.map(({ labels, seconds }) => [labels, seconds.count] as const),
  )
  const histograms = [
    [
      'http_request_duration_seconds',
      'Time until the last byte of a call’s answer, and until any other answer was there.',
      'seconds',
    ],
    ['http_request_size_bytes', 'Length of request bodies.', 'requestBytes'],
    ['http_response_size_bytes', 'Length of answers.', 'responseBytes'],
  ] as const
  for (const [name, help, field] of histograms) {
    const written = new Family(name, 'histogram', help)
    for (const route of all) {
      if (route[field].count > 0) written.histogram(route.labels, route[field])
    }
    yield written
  }
}

function* ofProcess({ services, snapshot, loop, calls }: Scraped): Generator<Family> {
  const { gates, health, inflight, recorder } = services
  const { providers, generation } = snapshot()
  const gauge = (name: string, help: string, values: readonly (readonly [string, number])[]) =>
    family(name, 'gauge', help, values)
  yield gauge(
    'bifrost_active_requests',
    'Calls under way.',
    Array.from(
      recorder.underway,
      ([method, count]) => [labelText([['method', method]]), count] as const,
    ),
  )
  let streams = 0
  for (const [method, count] of recorder.underway) if (method.endsWith('_stream')) streams += count
  yield gauge('asbru_open_streams', 'Streams under way.', [['', streams]])
  const states = gates.snapshot()
  const byProvider = (read: (state: (typeof states)[number]) => number) =>
    states.map((state) => [labelText([['provider', state.provider]]), read(state)] as const)
  yield gauge(
    'asbru_inflight_requests',
    'Calls that hold a place at a provider.',
    byProvider(({ inFlight }) => inFlight),
  )
  yield gauge(
    'asbru_queue_length',
    'Calls that wait for a place or a key.',
    byProvider(({ waiting }) => waiting),
  )
  yield gauge(
    'asbru_retry_budget_left',
    '1 while a provider may be asked again after failures.',
    byProvider(({ mayRetry }) => Number(mayRetry)),
  )
  yield gauge('asbru_open_upstream_connections', 'Answers that are being read, streams included.', [
    ['', inflight.size],
  ])

  const targets = health.snapshot(performance.now())
  const outKeys = new Set<string>()
  const upKeys = new Set<string>()
  const openBreakers = new Map<string, number>()
  for (const { provider, key, standing, trips } of targets) {
    ;(standing === 'out' ? outKeys : upKeys).add(`${provider}\n${key}`)
    openBreakers.set(provider, (openBreakers.get(provider) ?? 0) + Number(trips > 0))
  }
  const keys = [...providers.values()].flatMap((provider) =>
    provider.keys.map((key) => {
      const name = `${provider.name}\n${key.id}`
      const isUp = key.enabled && (upKeys.has(name) || !outKeys.has(name))
      const labels = labelText([
        ['provider', provider.name],
        ['key_id', key.id],
        ['key_name', key.name],
      ])
      return [labels, Number(isUp)] as const
    }),
  )
  yield gauge(
    'bifrost_provider_key_up',
    '0 when a key is switched off, or out for every model it was asked for.',
    keys,
  )
  yield gauge(
    'asbru_open_breakers',
    'Keys and models whose circuit breaker is not closed.',
    Array.from(
      openBreakers,
      ([provider, count]) => [labelText([['provider', provider]]), count] as const,
    ),
  )

  const { succeeded, failed, abandoned } = recorder.totals
  yield family('asbru_calls_total', 'counter', 'Calls that have ended.', [
    ['outcome="success"', succeeded],
    ['outcome="error"', failed],
    ['outcome="cancelled"', abandoned],
  ])
  const delay = new Family('asbru_event_loop_delay_seconds', 'histogram', 'How late timers are.')
  delay.histogram('', loop.seconds)
  yield delay
  yield gauge('asbru_metric_label_sets', 'Sets of labels that are kept.', [['', calls.series.size]])
  yield gauge('asbru_config_generation', 'Configurations taken since the start.', [
    ['', generation],
  ])
  const build = labelText([
    ['version', VERSION],
    ['bun', Bun.version],
    ['prices', PRICES_DATE],
  ])
  yield gauge('asbru_build_info', 'Always 1.', [[build, 1]])
  const { user, system } = process.cpuUsage()
  yield family('process_cpu_seconds_total', 'counter', 'Processor time.', [
    ['', (user + system) / 1e6],
  ])
  yield gauge('process_resident_memory_bytes', 'Memory in use.', [['', process.memoryUsage.rss()]])
  yield gauge('process_heap_bytes', 'Memory that objects take.', [
    ['', process.memoryUsage().heapUsed],
  ])
  const open = openFiles()
  yield gauge('process_open_fds', 'Open files and sockets.', open === undefined ? [] : [['', open]])
  yield gauge('process_start_time_seconds', 'Seconds of the epoch.', [['', startedAtSeconds]])
}

/** Undefined where the system does not tell. */
function openFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

const startedAtSeconds = Math.round(Date.now() / 1000 - process.uptime())
