import { Secret } from '#lib/secret.ts'

import { describeGovernance } from './describe-governance.ts'
import type { BreakerPolicy } from './policies.ts'
import { RATE_NAMES } from './prices.ts'
import { isRecord } from './record.ts'
import type {
  Key,
  NetworkSettings,
  PriceOverride,
  ProviderSettings,
  PushSettings,
  Snapshot,
  TracingSettings,
  WebhookSettings,
} from './snapshot.ts'

type Json = Record<string, unknown>

/** A snapshot as plain JSON in the words of `config.json`, with every default visible and every secret hidden. */
export function describe(snapshot: Snapshot): Json {
  const { client, responseStore, async: jobs, logs, routing } = snapshot
  const governance = describeGovernance(snapshot)
  return {
    source: snapshot.source ?? null,
    client: {
      allow_direct_keys: client.allowDirectKeys,
      allowed_origins: client.allowedOrigins,
      allowed_headers: client.allowedHeaders,
      required_headers: client.requiredHeaders,
      enforce_auth_on_inference: snapshot.governance?.isRequired ?? false,
      header_filter_config: client.headerFilter,
      allow_per_request_raw_override: client.allowPerRequestRawOverride,
      max_request_body_size_mb: client.maxRequestBodyBytes / 1024 ** 2,
      drop_excess_requests: client.dropExcessRequests,
      load_balancing: client.loadBalancing,
      explain_endpoint: client.explainEndpoint,
      circuit_breaker: {
        enabled: client.breaker.enabled,
        error_rate: client.breaker.errorRate,
        min_failures: client.breaker.minFailures,
        open_in_seconds: client.breaker.openMs / 1000,
        max_open_in_seconds: client.breaker.maxOpenMs / 1000,
      },
      hedging: {
        enabled: client.hedging.enabled,
        max_share: client.hedging.maxShare,
        min_delay_in_seconds: client.hedging.minDelayMs / 1000,
        max_delay_in_seconds: client.hedging.maxDelayMs / 1000,
        min_samples: client.hedging.minSamples,
      },
      rescue_streams: client.rescueStreams,
      strict_params: client.strictParams,
      extra_fields: client.extraFields,
      prometheus_labels: client.prometheusLabels.map(({ name }) => name),
      usage_cost: client.usageCost,
      stream_extra_fields: client.streamExtraFields,
      stream_keep_alive_in_seconds: client.keepAliveMs / 1000,
      stream_header_hold_in_seconds: client.headerHoldMs / 1000,
      drain_timeout_in_seconds: client.drainMs / 1000,
      enable_logging: logs.enabled,
      disable_content_logging: !logs.keepsContent,
      allow_per_request_content_storage_override: logs.allowContentOverride,
      logging_headers: logs.headers,
      user_agent_mappings: logs.apps.map(({ match, ...rest }) => ({ ...rest, match_type: match })),
      async_job_result_ttl: jobs.resultTtlMs / 1000,
      webhook_config: { delivery_history_retention_days: jobs.deliveryHistoryMs / 86_400_000 },
      routing_chain_max_depth: routing.maxChainDepth,
    },
    response_store: {
      enabled: responseStore.enabled,
      retention_days: responseStore.maxAgeMs / 86_400_000,
      max_size_mb: responseStore.maxBytes / 1024 ** 2,
      max_count: responseStore.maxCount,
    },
    logs_store: {
      enabled: logs.enabled,
      retention_days: logs.maxAgeMs / 86_400_000,
      max_size_mb: logs.maxBytes / 1024 ** 2,
      max_body_kb: logs.maxBodyChars / 1024,
    },
    async: {
      enabled: jobs.enabled,
      concurrency: jobs.concurrency,
      max_queued: jobs.maxQueued,
      max_size_mb: jobs.maxBytes / 1024 ** 2,
      on_restart: jobs.onRestart,
      max_starts: jobs.maxStarts,
      allow_stream: jobs.allowStream,
      lease_in_seconds: jobs.leaseMs / 1000,
    },
    ...(snapshot.webhooks.size > 0 && {
      webhooks: [...snapshot.webhooks.values()].map(describeWebhook),
    }),
    providers: Object.fromEntries(
      [...snapshot.providers.values()].map((provider) => [provider.name, ofProvider(provider)]),
    ),
    metrics: {
      enabled: snapshot.metrics.enabled,
      open: snapshot.metrics.open,
      max_label_sets: snapshot.metrics.maxLabelSets,
      overhead_components: snapshot.metrics.overheadComponents,
      ...(snapshot.metrics.push && { push_gateway: ofPush(snapshot.metrics.push) }),
    },
    ...(snapshot.tracing && { tracing: ofTracing(snapshot.tracing) }),
    prices: snapshot.priceOverrides.map(ofPrice),
    ...(governance && { governance }),
    ...(routing.policies.length > 0 && {
      circuit_breaker_config: { policies: routing.policies.map(ofPolicy) },
    }),
  }
}

function ofPolicy(policy: BreakerPolicy): Json {
  return {
    name: policy.name,
    primary_provider: policy.provider,
    primary_model: policy.model ?? '',
    primary_key_ids: [...policy.keyIds],
    fallback_provider: policy.fallbackProvider,
    fallback_model: policy.fallbackModel ?? '',
    condition: {
      operator: policy.needsAll ? 'AND' : 'OR',
      signals: policy.signals.map(({ header, value, part }) => ({
        source: 'response_header',
        header_name: header,
        ...(value !== undefined && { header_value: value }),
        ...(part !== undefined && { header_contains: part }),
      })),
    },
    default_cooldown: policy.cooldownMs,
    ...(policy.cooldownHeader !== undefined && { cooldown_header: policy.cooldownHeader }),
  }
}

function ofTracing({ sampleRate, groupsBySession, resource, targets }: TracingSettings): Json {
  return {
    sample_rate: sampleRate,
    group_traces_by_session: groupsBySession,
    ...(Object.keys(resource).length > 0 && { resource_attributes: resource }),
    collectors: targets.map((target) => ({
      endpoint: withoutValues(target.url),
      headers: Object.fromEntries(
        Object.entries(target.headers).map(([name, value]) => [name, value.hint()]),
      ),
      service_name: target.serviceName,
      content: target.keepsContent,
      request_headers: target.requestHeaders,
      ...(target.caPem !== undefined && { tls_ca_cert: '[present]' }),
      ...(target.metrics && {
        metrics_endpoint: withoutValues(target.metrics.url),
        metrics_push_interval: target.metrics.everyMs / 1000,
      }),
    })),
  }
}

function ofPush({ url, jobName, instance, everyMs, login }: PushSettings): Json {
  return {
    push_gateway_url: withoutValues(url),
    job_name: jobName,
    instance_id: instance,
    push_interval: everyMs / 1000,
    ...(login && {
      basic_auth: { username: login.username.hint(), password: login.password.hint() },
    }),
  }
}

function ofPrice({
  provider,
  keyId,
  virtualKeyId,
  model,
  isPrefix,
  fromMs,
  untilMs,
  operations,
  serviceTier,
  rates,
}: PriceOverride): Json {
  return {
    ...(provider !== undefined && { provider }),
    ...(keyId !== undefined && { provider_key_id: keyId }),
    ...(virtualKeyId !== undefined && { virtual_key_id: virtualKeyId }),
    model: isPrefix ? `${model}*` : model,
    ...(fromMs !== undefined && { from: new Date(fromMs).toISOString() }),
    ...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }),
    ...(operations && { request_types: [...operations] }),
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
    ...Object.fromEntries(
      Object.entries(RATE_NAMES).flatMap(([name, own]) =>
        rates[own] === undefined ? [] : [[name, rates[own]]],
      ),
    ),
  }
}

/** A webhook as the configuration would write it, with hints of its secrets. */
export function describeWebhook(webhook: WebhookSettings): Json {
  return {
    id: webhook.id,
    name: webhook.name,
    url: withoutValues(webhook.url),
    secret: webhook.secret.hint(),
    events: [...webhook.events],
    headers: Object.fromEntries(
      Object.entries(webhook.headers).map(([name, value]) => [name, value.hint()]),
    ),
    include_response: webhook.includeResponse,
    every_job: webhook.everyJob,
    allow_private_network: webhook.allowPrivateNetwork,
    disabled: webhook.disabled,
    max_retries: webhook.maxRetries,
    retry_backoff_initial_seconds: webhook.initialBackoffMs / 1000,
    retry_backoff_max_seconds: webhook.maxBackoffMs / 1000,
    attempt_timeout_seconds: webhook.timeoutMs / 1000,
    max_response_payload_kbs: webhook.maxResponseBytes / 1024,
    max_concurrent_deliveries: webhook.maxConcurrent,
  }
}

function ofProvider(provider: ProviderSettings): Json {
  const { custom, references = {} } = provider
  return {
    origin: provider.origin,
    keys: provider.keys.map(ofKey),
    ...(provider.fallbacks.length > 0 && { fallbacks: provider.fallbacks }),
    network_config: ofNetwork(provider.network, references),
    concurrency_and_buffer_size: {
      concurrency: provider.concurrency,
      buffer_size: provider.bufferSize,
      max_wait_in_seconds: (provider.maxWaitMs ?? 0) / 1000,
    },
    ...(provider.proxyUrl && { proxy: withoutCredentials(provider.proxyUrl) }),
    ...(provider.hedging !== undefined && { hedging: provider.hedging }),
    send_back_raw_request: provider.sendBackRawRequest,
    send_back_raw_response: provider.sendBackRawResponse,
    ...(custom && {
      custom_provider_config: {
        base_provider_type: custom.baseProviderType,
        is_key_less: custom.isKeyLess,
        allowed_requests: custom.allowedRequests ? [...custom.allowedRequests] : ['*'],
        request_path_overrides: custom.requestPathOverrides,
      },
    }),
  }
}

function ofKey(key: Key): Json {
  const { references = {} } = key
  const vendor: Json = {}
  for (const [section, settings] of Object.entries(key.vendor)) {
    const fields: Json = {}
    for (const [field, value] of Object.entries(isRecord(settings) ? settings : {})) {
      const shown = value instanceof Secret ? value.hint() : value
      fields[field] = references[`${section}/${field}`] ?? shown
    }
    vendor[section] = fields
  }
  return {
    id: key.id,
    name: key.name,
    ...(!key.value.isEmpty && { value: references['value'] ?? key.value.hint() }),
    models: key.models ? [...key.models] : ['*'],
    blacklisted_models: [...key.blacklistedModels],
    weight: key.weight,
    enabled: key.enabled,
    use_for_batch_api: key.useForBatchApi,
    ...(key.concurrency !== undefined && { concurrency: key.concurrency }),
    aliases: Object.fromEntries(key.aliases),
    ...vendor,
  }
}

function ofNetwork(network: NetworkSettings, references: Readonly<Record<string, string>>): Json {
  const { timers } = network
  // A header often carries a key and nothing tells which, so literal values are all treated as secrets.
  const headers: Json = {}
  for (const [name, value] of Object.entries(network.extraHeaders)) {
    headers[name] = references[`network_config/extra_headers/${name}`] ?? new Secret(value).hint()
  }
  return {
    ...(network.baseUrl !== undefined && { base_url: withoutValues(network.baseUrl) }),
    extra_headers: headers,
    default_request_timeout_in_seconds: timers.totalMs / 1000,
    connect_timeout_in_seconds: timers.connectMs / 1000,
    response_headers_timeout_in_seconds: timers.headersMs / 1000,
    first_token_timeout_in_seconds: timers.firstTokenMs / 1000,
    stream_idle_timeout_in_seconds: timers.idleMs / 1000,
    stream_total_timeout_in_seconds: timers.streamTotalMs / 1000,
    max_retries: network.retry.maxRetries,
    retry_backoff_initial: network.retry.initialBackoffMs,
    retry_backoff_max: network.retry.maxBackoffMs,
    insecure_skip_verify: network.insecureSkipVerify,
    ...(network.caCertPem !== undefined && { ca_cert_pem: '[present]' }),
    ...(network.keepAliveMs !== undefined && {
      keep_alive_timeout_in_seconds: network.keepAliveMs / 1000,
    }),
    ...(network.enforceHttp2 && { enforce_http2: true }),
    allow_private_network: network.allowPrivateNetwork,
  }
}

/**
 * Parameters often are keys, as those of webhooks that chats give out; and collectors may have a name and a password
 * before their host.
 */
function withoutValues(address: string): string {
  const [plain = '', query] = address.split('?', 2)
  const before = plain.replace(/^(\w+:\/\/)[^/]*@/, '$1[redacted]@')
  if (!query) return before
  const names = query.split('&').map((pair) => pair.replace(/=.+$/, '=[redacted]'))
  return `${before}?${names.join('&')}`
}

function withoutCredentials(proxy: Secret): string {
  const url = new URL(proxy.reveal())
  const credentials = url.username !== '' || url.password !== ''
  url.username = ''
  url.password = ''
  const plain = url.href.replace(/\/$/, '')
  return credentials ? plain.replace('://', '://[redacted]@') : plain
}
