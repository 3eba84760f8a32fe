import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'

import { Secret } from '#lib/secret.ts'

import type { Context } from './context.ts'
import { below } from './problem.ts'
import { resolveOrReport } from './reference.ts'
import type { ConfigFile } from './schema/file.ts'
import { OtelConfig, TelemetryConfig } from './schema/plugins.ts'
import type { CollectorConfig } from './schema/plugins.ts'
import type { PushSettings, TraceTarget } from './snapshot.ts'
import { headersOf, httpUrl, metricsPath, tracesPath } from './tracing.ts'
import { complies } from './validate.ts'

/** What Bifrost's `plugins` say about metrics and traces. */
export interface Plugins {
  /** `telemetry` is switched off, which is how Bifrost's metrics are. */
  readonly isTelemetryOff: boolean
  readonly push: PushSettings | undefined
  readonly collectors: readonly TraceTarget[]
  readonly groupsBySession: boolean
  /** Pointers of those that have no effect. */
  readonly idle: readonly string[]
}

export function buildPlugins({ plugins = [] }: ConfigFile, context: Context): Plugins {
  const collectors: TraceTarget[] = []
  const idle: string[] = []
  let isTelemetryOff = false
  let push: PushSettings | undefined
  let groupsBySession = false
  for (const [i, { name, enabled = true, config = {} }] of plugins.entries()) {
    const entry = below('/plugins', i)
    const pointer = below(entry, 'config')
    if (name === 'telemetry') {
      isTelemetryOff = !enabled
      if (!complies(TelemetryConfig, config, pointer, context.report)) continue
      for (const key of ['custom_labels', 'metrics_enabled'] as const) {
        if (config[key] !== undefined) idle.push(below(pointer, key))
      }
      const own = pushOf(config, below(pointer, 'push_gateway'), context)
      if (enabled) push = own
    } else if (name === 'otel') {
      if (!complies(OtelConfig, config, pointer, context.report)) continue
      const { profiles, ...single } = config
      const profile = below(pointer, 'profiles')
      const each = profiles?.map((one, at) => [one, below(profile, at)] as const)
      for (const [one, place] of each ?? [[single, pointer] as const]) {
        const target = collectorOf(one, place, context, idle)
        if (!enabled || single.enabled === false || one.enabled === false || !target) continue
        collectors.push(target)
        groupsBySession ||= one.group_traces_by_session ?? false
      }
    } else idle.push(entry)
  }
  return { isTelemetryOff, push, collectors, groupsBySession, idle }
}

function pushOf(
  { push_gateway: config }: TelemetryConfig,
  pointer: string,
  context: Context,
): PushSettings | undefined {
  if (!config?.enabled) return undefined
  const place = below(pointer, 'push_gateway_url')
  if (config.push_gateway_url === undefined) context.report.problem(place, 'is required')
  const url = urlOf(config.push_gateway_url, place, context)
  const auth = config.basic_auth
  const part = (name: 'username' | 'password'): string | undefined =>
    auth && resolveOrReport(auth[name], context, below(pointer, 'basic_auth', name))?.value
  const [username, password] = [part('username'), part('password')]
  if (!url) return undefined
  return {
    url: url.href.replace(/\/+$/, ''),
    jobName: config.job_name ?? 'bifrost',
    instance: config.instance_id || hostname(),
    everyMs: (config.push_interval ?? 15) * 1000,
    login:
      username === undefined || password === undefined
        ? undefined
        : { username: new Secret(username), password: new Secret(password) },
  }
}

function collectorOf(
  config: CollectorConfig,
  pointer: string,
  context: Context,
  idle: string[],
): TraceTarget | undefined {
  const { report } = context
  const at = (name: string): string => below(pointer, name)
  if (config.protocol === 'grpc') report.problem(at('protocol'), 'only "http" is there')
  if (config.trace_type !== undefined && !/^(?:genai_extension|otel)$/.test(config.trace_type)) {
    report.warn(at('trace_type'), 'traces follow the GenAI conventions of OpenTelemetry')
  }
  for (const name of ['plugin_span_filter', 'forward_raw_request_response'] as const) {
    if (config[name]) idle.push(at(name))
  }
  if (config.collector_url === undefined) report.problem(at('collector_url'), 'is required')
  const url = urlOf(config.collector_url, at('collector_url'), context, tracesPath)
  if (config.insecure === true && url?.protocol === 'https:') {
    report.warn(at('insecure'), 'certificates are verified all the same')
  }
  const headers = headersOf(config.headers ?? {}, at('headers'), context)
  const caPem = certificates(config.tls_ca_cert, at('tls_ca_cert'), context)
  const metricsUrl = config.metrics_enabled
    ? urlOf(
        config.metrics_endpoint ?? config.collector_url,
        at('metrics_endpoint'),
        context,
        metricsPath,
      )
    : undefined
  return (
    url && {
      url: url.href,
      headers,
      serviceName: config.service_name ?? 'bifrost',
      keepsContent: !(config.disable_content_logging ?? false),
      requestHeaders: (config.request_headers ?? []).map((name) => name.toLowerCase()),
      caPem,
      metrics: metricsUrl && {
        url: metricsUrl.href,
        everyMs: (config.metrics_push_interval ?? 15) * 1000,
      },
    }
  )
}

type Written = Parameters<typeof resolveOrReport>[0]

function urlOf(
  written: Written | undefined,
  pointer: string,
  context: Context,
  path?: string,
): URL | undefined {
  if (written === undefined) return undefined
  const resolved = resolveOrReport(written, context, pointer)
  if (!resolved) return undefined
  const url = httpUrl(resolved.value, path)
  if (!url) context.report.problem(pointer, 'is no http or https address')
  return url
}

const maxPemBytes = 1024 * 1024

/** The text of certificates, or that of the file which is named. */
function certificates(
  written: Written | undefined,
  pointer: string,
  context: Context,
): string | undefined {
  if (written === undefined || written === '') return undefined
  const value = resolveOrReport(written, context, pointer)?.value.trim()
  if (value === undefined || value === '' || value.startsWith('-----BEGIN'))
    return value || undefined
  try {
    if (statSync(value).size <= maxPemBytes) return readFileSync(value, 'utf8')
    context.report.problem(pointer, 'names a file that is too large')
  } catch {
    context.report.problem(pointer, 'names no file that can be read')
  }
  return undefined
}
