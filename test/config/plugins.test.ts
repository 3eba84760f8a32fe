import { expect, test } from 'bun:test'

import { describe as described } from '#config/describe.ts'
import { loadConfig } from '#config/load.ts'

import { accepted } from './rig.ts'

// What `plugins` may say of metrics and traces.

const load = (plugins: readonly object[], more: object = {}) =>
  loadConfig({
    text: JSON.stringify({ plugins, ...more }),
    ...{ env: { TOKEN: 'Bearer collector-secret' }, vendors: [], operations: [], generation: 1 },
  })
const otel = (config: object, enabled?: boolean) => load([{ name: 'otel', enabled, config }])
const collector_url = 'http://collector:4318'

test('a collector as Bifrost names it', () => {
  const { snapshot } = otel({
    collector_url,
    protocol: 'http',
    trace_type: 'genai_extension',
    headers: { Authorization: 'env.TOKEN' },
    insecure: true,
    disable_content_logging: true,
    group_traces_by_session: true,
    request_headers: ['X-Tenant'],
  })
  const { tracing } = snapshot!
  expect(tracing).toMatchObject({ sampleRate: 1, groupsBySession: true })
  expect(tracing!.targets).toMatchObject([
    {
      url: 'http://collector:4318/v1/traces',
      serviceName: 'bifrost',
      keepsContent: false,
      requestHeaders: ['x-tenant'],
      metrics: undefined,
    },
  ])
  expect(tracing!.targets[0]!.headers['authorization']!.reveal()).toBe('Bearer collector-secret')
  expect(JSON.stringify(described(snapshot!))).not.toContain('collector-secret')
  expect(snapshot!.warnings).toEqual([])
})

test.each(['a', '=b', 'a=b,c', 'a=%zz'])('what the environment says wrongly: %s', (text) => {
  const snapshot = accepted(
    { tracing: { endpoint: 'http://own:4318' } },
    { env: { OTEL_RESOURCE_ATTRIBUTES: text } },
  )
  expect(snapshot.tracing!.resource).toEqual({})
  expect(snapshot.warnings).toEqual([
    'environment variable OTEL_RESOURCE_ATTRIBUTES is not "key=value,key=value"; it has no effect',
  ])
})

test('several, next to our own section', () => {
  const profiles = [
    { collector_url: 'https://a.example/otlp/v1/traces', metrics_enabled: true },
    { collector_url: 'https://b.example', enabled: false },
    { collector_url: 'https://c.example', service_name: 'c' },
  ]
  const { snapshot } = load([{ name: 'otel', config: { profiles } }], {
    tracing: { endpoint: 'http://own:4318', sample_rate: 0.5 },
  })
  const { sampleRate, targets } = snapshot!.tracing!
  expect(sampleRate).toBe(0.5)
  expect(
    targets.map(({ url, serviceName, keepsContent }) => [url, serviceName, keepsContent]),
  ).toEqual([
    ['http://own:4318/v1/traces', 'asbru', false],
    ['https://a.example/otlp/v1/traces', 'bifrost', true],
    ['https://c.example/v1/traces', 'c', true],
  ])
  expect(targets[1]!.metrics).toEqual({ url: 'https://a.example/otlp/v1/metrics', everyMs: 15_000 })
})

test.each([
  [{ collector_url, protocol: 'grpc' }, '/plugins/0/config/protocol', 'only "http" is there'],
  [{}, '/plugins/0/config/collector_url', 'is required'],
  [{ collector_url: 'ftp://x' }, '/plugins/0/config/collector_url', 'is no http or https address'],
  [{ collector_url, colour: 1 }, '/plugins/0/config/colour', 'unknown key "colour".'],
  [
    { collector_url, metrics_push_interval: 0 },
    '/plugins/0/config/metrics_push_interval',
    'must be at least 1',
  ],
  [
    { collector_url, tls_ca_cert: '/no/such/file.pem' },
    '/plugins/0/config/tls_ca_cert',
    'names no file that can be read',
  ],
])('%j is a mistake', (config, pointer, message) => {
  expect(otel(config).problems).toMatchObject([{ pointer, message }])
})

test('what is switched off sends nothing', () => {
  expect(otel({ collector_url }, false).snapshot!.tracing).toBeUndefined()
  expect(otel({ collector_url, enabled: false }).snapshot!.tracing).toBeUndefined()
})

test('what has no effect is named', () => {
  const { snapshot } = load([
    { name: 'maxim', config: { anything: 1 } },
    { name: 'otel', config: { collector_url, trace_type: 'vercel', plugin_span_filter: {} } },
  ])
  expect(snapshot!.warnings.toSorted()).toEqual([
    '/plugins/1/config/trace_type (line 1): traces follow the GenAI conventions of OpenTelemetry',
    'accepted, but without effect in this version: /plugins/0 (line 1), /plugins/1/config/plugin_span_filter (line 1)',
  ])
})

test('telemetry', () => {
  const telemetry = (config?: object, enabled?: boolean, metrics?: object) =>
    load([{ name: 'telemetry', enabled, config }], { metrics })
  expect(telemetry().snapshot!.metrics).toMatchObject({ enabled: true, push: undefined })
  expect(telemetry(undefined, false).snapshot!.metrics.enabled).toBe(false)
  expect(telemetry(undefined, false, { enabled: true }).snapshot!.metrics.enabled).toBe(true)
  const push_gateway = { enabled: true, push_gateway_url: 'http://push:9091/', instance_id: 'i' }
  expect(telemetry({ push_gateway }).snapshot!.metrics.push).toEqual({
    ...{ url: 'http://push:9091', jobName: 'bifrost', instance: 'i', everyMs: 15_000 },
    login: undefined,
  })
  const off = telemetry({ push_gateway }, false, { enabled: true }).snapshot!.metrics
  expect([off.enabled, off.push]).toEqual([true, undefined])
  expect(telemetry({ push_gateway: { enabled: true } }).problems).toMatchObject([
    { pointer: '/plugins/0/config/push_gateway/push_gateway_url', message: 'is required' },
  ])
  expect(
    telemetry({ push_gateway: { ...push_gateway, push_interval: 301 } }).problems,
  ).toMatchObject([{ message: 'must be at most 300' }])
})
