import { isHeaderName } from './headers.ts'
import { buildLabels } from './metrics.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import type { ClientConfig } from './schema/client.ts'
import type { ConfigFile } from './schema/file.ts'
import type { ClientSettings, ResponseStoreSettings } from './snapshot.ts'
import { toMs } from './timers.ts'

/** The `client` section with every default filled in. */
export function buildClient(config: ClientConfig, report: Report): ClientSettings {
  const headers = (names: readonly string[], list: string, pattern = false) =>
    names.map((name, i) => {
      if (!isHeaderName(pattern ? name.replaceAll('*', 'x') : name)) {
        report.problem(below(list, i), 'is not a valid header name')
      }
      return name.toLowerCase()
    })
  const filter = config.header_filter_config ?? {}
  const breaker = config.circuit_breaker ?? {}
  const hedging = config.hedging ?? {}
  return {
    allowDirectKeys: config.allow_direct_keys ?? false,
    allowedOrigins: config.allowed_origins ?? [],
    allowedHeaders: headers(config.allowed_headers ?? [], '/client/allowed_headers', true),
    requiredHeaders: headers(config.required_headers ?? [], '/client/required_headers'),
    headerFilter: {
      allowlist: headers(filter.allowlist ?? [], '/client/header_filter_config/allowlist', true),
      denylist: headers(filter.denylist ?? [], '/client/header_filter_config/denylist', true),
    },
    allowPerRequestRawOverride: config.allow_per_request_raw_override ?? false,
    maxRequestBodyBytes: Math.max(
      1,
      Math.floor((config.max_request_body_size_mb ?? 100) * 1024 ** 2),
    ),
    dropExcessRequests: config.drop_excess_requests ?? false,
    strictParams: config.strict_params ?? false,
    extraFields: config.extra_fields ?? true,
    prometheusLabels: buildLabels(config.prometheus_labels ?? [], report),
    usageCost: config.usage_cost ?? false,
    streamExtraFields: config.stream_extra_fields ?? 'last',
    keepAliveMs: toMs(config.stream_keep_alive_in_seconds ?? 15),
    headerHoldMs: toMs(config.stream_header_hold_in_seconds ?? 15),
    loadBalancing: config.load_balancing ?? 'weighted',
    explainEndpoint: config.explain_endpoint ?? 'loopback',
    breaker: {
      enabled: breaker.enabled ?? true,
      errorRate: breaker.error_rate ?? 0.5,
      minFailures: breaker.min_failures ?? 5,
      openMs: toMs(breaker.open_in_seconds ?? 5),
      maxOpenMs: toMs(breaker.max_open_in_seconds ?? 60),
    },
    hedging: {
      enabled: hedging.enabled ?? false,
      maxShare: hedging.max_share ?? 0.07,
      minDelayMs: toMs(hedging.min_delay_in_seconds ?? 0.1),
      maxDelayMs: toMs(hedging.max_delay_in_seconds ?? 10),
      minSamples: hedging.min_samples ?? 20,
    },
    rescueStreams: config.rescue_streams ?? false,
    drainMs: toMs(config.drain_timeout_in_seconds ?? 25),
  }
}

const dayMs = 86_400_000

/** The `response_store` section with every default filled in. */
export function buildResponseStore(
  config: NonNullable<ConfigFile['response_store']>,
): ResponseStoreSettings {
  return {
    enabled: config.enabled ?? true,
    maxAgeMs: (config.retention_days ?? 30) * dayMs,
    maxBytes: Math.floor((config.max_size_mb ?? 1024) * 1024 ** 2),
    maxCount: config.max_count ?? 100_000,
  }
}

/** What closes a door in Bifrost and does not here yet: not to be lost among harmless settings. */
export function warnOpenDoors({ client = {} }: ConfigFile, report: Report): void {
  if (client.enforce_scim_auth === true) {
    const open = 'whoever reaches the port can use the configured keys'
    report.warn(below('/client', 'enforce_scim_auth'), `is NOT enforced by this version: ${open}`)
  }
}
