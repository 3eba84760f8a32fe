import { Secret } from '#lib/secret.ts'

import type { Context } from './context.ts'
import { isHeaderName, isHeaderValue } from './headers.ts'
import type { Plugins } from './plugins.ts'
import { below } from './problem.ts'
import { resolveOrReport } from './reference.ts'
import { resourceAttributes } from './resource.ts'
import type { ConfigFile } from './schema/file.ts'
import type { TraceTarget, TracingSettings } from './snapshot.ts'

export const tracesPath = '/v1/traces'
export const metricsPath = '/v1/metrics'

/** The `tracing` section and the plugin `otel`; undefined when traces are not sent anywhere. */
export function buildTracing(
  config: ConfigFile['tracing'],
  { collectors, groupsBySession }: Plugins,
  context: Context,
): TracingSettings | undefined {
  const own = config && ownTarget(config, context)
  const targets = own ? [own, ...collectors] : collectors
  if (targets.length === 0) return undefined
  const resource = resourceAttributes(context)
  return { sampleRate: config?.sample_rate ?? 1, groupsBySession, resource, targets }
}

function ownTarget(
  config: NonNullable<ConfigFile['tracing']>,
  context: Context,
): TraceTarget | undefined {
  const url = httpUrl(config.endpoint, tracesPath)
  if (!url) context.report.problem('/tracing/endpoint', 'is no http or https address')
  const headers = headersOf(config.headers ?? {}, '/tracing/headers', context)
  if (config.enabled === false || !url) return undefined
  return {
    url: url.href,
    headers,
    serviceName: config.service_name ?? 'asbru',
    keepsContent: config.content ?? false,
    requestHeaders: [],
    caPem: undefined,
    metrics: undefined,
  }
}

export function headersOf(
  given: Readonly<Record<string, Parameters<typeof resolveOrReport>[0]>>,
  pointer: string,
  context: Context,
): Record<string, Secret> {
  const headers: Record<string, Secret> = {}
  for (const [name, written] of Object.entries(given)) {
    const place = below(pointer, name)
    const resolved = resolveOrReport(written, context, place)
    if (!resolved) continue
    if (!isHeaderName(name) || !isHeaderValue(resolved.value)) {
      context.report.problem(place, 'is no header')
    } else headers[name.toLowerCase()] = new Secret(resolved.value)
  }
  return headers
}

/**
 * Undefined for what is no address of a web server. Collectors are named by their root or by the whole path;
 * OpenTelemetry's own settings know both.
 */
export function httpUrl(written: string, path?: string): URL | undefined {
  const url = URL.parse(written)
  if (!url || !/^https?:$/.test(url.protocol)) return undefined
  if (path !== undefined) {
    const root = url.pathname.replace(/\/+$/, '').replace(/\/v1\/(?:traces|metrics)$/, '')
    url.pathname = root + path
  }
  return url
}
