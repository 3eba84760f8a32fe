import { Secret } from '#lib/secret.ts'

import { addressKind } from './address.ts'
import type { Context } from './context.ts'
import { isHeaderName, isHeaderValue } from './headers.ts'
import { below } from './problem.ts'
import { resolveOrReport } from './reference.ts'
import type { ConfigFile } from './schema/file.ts'
import type { WebhookConfig } from './schema/jobs.ts'
import type { AsyncSettings, WebhookSettings } from './snapshot.ts'
import { toMs } from './timers.ts'

/** What the contract falls back to, also for a TTL of 0. */
const standardTtlSeconds = 3600

/** Jobs as configured, with every default filled in. Without a logs store there are none, as in Bifrost. */
export function buildAsync(file: ConfigFile): AsyncSettings {
  const config = file.async ?? {}
  return {
    enabled: (config.enabled ?? true) && file.logs_store?.enabled !== false,
    concurrency: config.concurrency ?? 32,
    maxQueued: config.max_queued ?? 10_000,
    maxBytes: Math.floor((config.max_size_mb ?? 1024) * 1024 ** 2),
    onRestart: config.on_restart ?? 'retry',
    maxStarts: config.max_starts ?? 5,
    allowStream: config.allow_stream ?? false,
    leaseMs: Math.max(200, toMs(config.lease_in_seconds ?? 15)),
    resultTtlMs: toMs(file.client?.async_job_result_ttl || standardTtlSeconds),
    deliveryHistoryMs:
      (file.client?.webhook_config?.delivery_history_retention_days ?? 30) * 86_400_000,
  }
}

/** The `webhooks` section by name. What is wrong with an entry is reported, and the entry left out. */
export function buildWebhooks(
  configs: readonly WebhookConfig[],
  context: Context,
): ReadonlyMap<string, WebhookSettings> {
  const found = new Map<string, WebhookSettings>()
  for (const [i, config] of configs.entries()) {
    const pointer = below('/webhooks', i)
    if (found.has(config.name)) {
      context.report.problem(below(pointer, 'name'), 'another webhook has this name')
    }
    const others = [...found.values()]
    if (others.some(({ id, name }) => id === config.id || name === config.id)) {
      context.report.problem(below(pointer, 'id'), 'another webhook is called this')
    }
    const webhook = buildWebhook(config, pointer, context)
    if (webhook) found.set(config.name, webhook)
  }
  return found
}

function buildWebhook(
  config: WebhookConfig,
  pointer: string,
  context: Context,
): WebhookSettings | undefined {
  const { report } = context
  const allowPrivateNetwork = config.allow_private_network ?? false
  const written = resolveOrReport(config.url, context, below(pointer, 'url'))
  const secret = resolveOrReport(config.secret, context, below(pointer, 'secret'))
  if (!written || !secret) return undefined
  const url = URL.parse(written.value)
  const schemes = allowPrivateNetwork ? /^https?:$/ : /^https:$/
  if (!url || !schemes.test(url.protocol) || url.username !== '' || url.password !== '') {
    report.problem(
      below(pointer, 'url'),
      'must be an https:// URL without credentials (http:// only with allow_private_network)',
    )
    return undefined
  }
  const kind = addressKind(url.hostname)
  if (kind === 'forbidden') {
    report.problem(below(pointer, 'url'), 'is an address that nothing is ever sent to')
    return undefined
  }
  if (!allowPrivateNetwork && !/^(?:name|public)$/.test(kind)) {
    report.problem(
      below(pointer, 'url'),
      'is not on the public internet; set allow_private_network to permit it',
    )
    return undefined
  }
  if (!isSigningKey(secret.value)) {
    report.problem(below(pointer, 'secret'), 'must be "whsec_" and at least 16 bytes in base64')
    return undefined
  }
  const headers: Record<string, Secret> = {}
  for (const [name, value] of Object.entries(config.headers ?? {})) {
    const at = below(pointer, 'headers', name)
    const resolved = resolveOrReport(value, context, at)
    if (!resolved) continue
    if (!isHeaderName(name) || !isHeaderValue(resolved.value)) {
      report.problem(at, 'is not a valid header')
      continue
    }
    if (ownHeader.test(name)) {
      report.problem(at, 'is set by the gateway itself and cannot be given')
      continue
    }
    headers[name.toLowerCase()] = new Secret(resolved.value)
  }
  return {
    id: config.id || config.name,
    name: config.name,
    url: url.href,
    secret: new Secret(secret.value),
    events: new Set(
      config.events?.length ? config.events : ['async_job.completed', 'async_job.failed'],
    ),
    headers,
    includeResponse: config.include_response ?? false,
    everyJob: config.every_job ?? false,
    allowPrivateNetwork,
    disabled: config.disabled ?? false,
    maxRetries: config.max_retries ?? 4,
    initialBackoffMs: toMs(config.retry_backoff_initial_seconds ?? 30),
    maxBackoffMs: toMs(config.retry_backoff_max_seconds ?? 1800),
    timeoutMs: toMs(config.attempt_timeout_seconds || 10),
    maxResponseBytes: (config.max_response_payload_kbs ?? 256) * 1024,
    maxConcurrent: config.max_concurrent_deliveries ?? 10,
  }
}

/** What the message is sent with, and what says that it is ours. */
const ownHeader =
  /^(?:host|connection|content-(?:length|type|encoding)|transfer-encoding|te|trailer|upgrade|expect|user-agent|webhook-.*|x-bifrost-event)$/i

const prefix = 'whsec_'
const minKeyBytes = 16

function isSigningKey(secret: string): boolean {
  const encoded = secret.slice(prefix.length)
  if (!secret.startsWith(prefix) || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return false
  return Buffer.from(encoded, 'base64').length >= minKeyBytes
}
