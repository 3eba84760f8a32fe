import { Secret } from '#lib/secret.ts'

import type { Context } from './context.ts'
import { isHeaderName, isHeaderValue } from './headers.ts'
import { below } from './problem.ts'
import { resolveOrReport } from './reference.ts'
import type { ConfigFile } from './schema/file.ts'
import type { TracingSettings } from './snapshot.ts'

const tracesPath = '/v1/traces'

/** The `tracing` section; undefined when traces are not sent anywhere. */
export function buildTracing(
  config: ConfigFile['tracing'],
  context: Context,
): TracingSettings | undefined {
  if (!config) return undefined
  const url = traceUrl(config.endpoint)
  if (!url) context.report.problem('/tracing/endpoint', 'is no http or https address')
  const headers: Record<string, Secret> = {}
  for (const [name, written] of Object.entries(config.headers ?? {})) {
    const pointer = below('/tracing/headers', name)
    const resolved = resolveOrReport(written, context, pointer)
    if (!resolved) continue
    if (!isHeaderName(name) || !isHeaderValue(resolved.value)) {
      context.report.problem(pointer, 'is no header')
    } else headers[name.toLowerCase()] = new Secret(resolved.value)
  }
  if (config.enabled === false || !url) return undefined
  return {
    url,
    headers,
    serviceName: config.service_name ?? 'asbru',
    sampleRate: config.sample_rate ?? 1,
  }
}

/** Collectors are named by their root or by the whole path; OpenTelemetry's own settings know both. */
function traceUrl(written: string): string | undefined {
  const url = URL.parse(written)
  if (!url || !/^https?:$/.test(url.protocol)) return undefined
  const path = url.pathname.replace(/\/+$/, '')
  url.pathname = path.endsWith(tracesPath) ? path : path + tracesPath
  return url.href
}
