import { checkUrl } from './address.ts'
import { buildAmbient } from './ambient.ts'
import { checkCertificates } from './certificates.ts'
import type { Context } from './context.ts'
import { withHiddenValues } from './freeze.ts'
import { refuseHeader } from './headers.ts'
import { buildKeys } from './keys.ts'
import { below } from './problem.ts'
import { ambientProxy, buildProxy } from './proxy.ts'
import { isRecord } from './record.ts'
import { resolveOrReport } from './reference.ts'
import { buildRetries } from './retries.ts'
import type { CustomProviderConfig, NetworkConfig, ProviderConfig } from './schema/provider.ts'
import type {
  CustomProvider,
  Key,
  NetworkSettings,
  ProviderSettings,
  VendorFacts,
} from './snapshot.ts'
import { didYouMean } from './suggest.ts'
import { buildTimers, toMs } from './timers.ts'

/** Longer than a place usually takes to become free, shorter than callers wait. */
const defaultMaxWaitMs = 60_000

/** What every provider has that nobody configured. */
export function plainProvider(
  name: string,
  origin: ProviderSettings['origin'],
  keys: ProviderSettings['keys'] = [],
): ProviderSettings {
  return {
    name,
    origin,
    keys,
    network: {
      baseUrl: undefined,
      extraHeaders: withHiddenValues({}),
      timers: buildTimers({}),
      retry: buildRetries({}),
      insecureSkipVerify: false,
      caCertPem: undefined,
      allowPrivateNetwork: false,
    },
    fallbacks: [],
    concurrency: 1000,
    bufferSize: 5000,
    maxWaitMs: defaultMaxWaitMs,
    proxyUrl: undefined,
    sendBackRawRequest: false,
    sendBackRawResponse: false,
    custom: undefined,
    ambient: {},
  }
}

/**
 * One provider of the file. `facts` are those of the vendor whose wire format it speaks. Everything wrong
 * goes to the report; what is returned is only used when nothing was.
 */
export function buildProvider(
  name: string,
  config: ProviderConfig,
  facts: VendorFacts,
  pointer: string,
  context: Context,
): ProviderSettings {
  const { report } = context
  const references: Record<string, string> = {}
  const networkConfig = config.network_config ?? {}
  const custom =
    name !== facts.name && config.custom_provider_config
      ? buildCustom(config.custom_provider_config, networkConfig, pointer, context)
      : undefined
  const keyless = custom ? custom.isKeyLess : facts.keyless
  const keyConfigs = config.keys ?? []
  const keys = buildKeys(
    keyConfigs,
    {
      provider: name,
      pointer: below(pointer, 'keys'),
      keyless,
      allowPrivateNetwork: networkConfig.allow_private_network ?? false,
    },
    context,
  )
  if (!keyless && !keys.some(({ enabled }) => enabled)) {
    const variable = facts.keyEnv.find((candidate) => context.env[candidate]?.trim())
    const hint =
      variable === undefined || custom
        ? ''
        : `. ${variable} is set: to use it, add { "value": "env.${variable}" } to "keys"`
    const message = `${name} has no usable key; it only serves callers who bring their own${hint}`
    report.warn(pointer, message)
  }

  const network = buildNetwork(networkConfig, below(pointer, 'network_config'), context, references)
  // A server of one's own may be given per key; the first is what the provider falls back on.
  const baseUrl = network.baseUrl ?? keys.map(urlOfKey).find((url) => url !== undefined)
  const addressable = keyConfigs.some((key) =>
    Object.keys(key).some((field) => field.endsWith('_key_config')),
  )
  const needsUrl = custom !== undefined || (facts.baseUrl === undefined && !addressable)
  const at = below(pointer, 'network_config', 'base_url')
  if (needsUrl && (networkConfig.base_url ?? '') === '' && !report.has(at)) {
    report.problem(at, `is required for ${custom ? 'a custom provider' : name}`)
  }

  const { max_wait_in_seconds: maxWait = defaultMaxWaitMs / 1000, ...queue } =
    config.concurrency_and_buffer_size ?? { concurrency: 1000, buffer_size: 5000 }
  if (queue.buffer_size < queue.concurrency) {
    report.warn(
      below(pointer, 'concurrency_and_buffer_size', 'buffer_size'),
      'is smaller than "concurrency"; calls will be refused sooner than expected',
    )
  }
  const proxyUrl = config.proxy_config
    ? buildProxy(
        config.proxy_config,
        baseUrl ?? facts.baseUrl,
        below(pointer, 'proxy_config'),
        context,
      )
    : ambientProxy(baseUrl ?? facts.baseUrl, context.env)
  const caOfProxy = buildCertificates(
    config.proxy_config?.ca_cert_pem,
    below(pointer, 'proxy_config', 'ca_cert_pem'),
    context,
  )
  const cas = [network.caCertPem, proxyUrl && caOfProxy].filter((pem) => pem !== undefined)
  return {
    name,
    origin: 'file',
    keys,
    network: { ...network, baseUrl, caCertPem: cas.length === 0 ? undefined : cas.join('\n') },
    fallbacks: config.fallbacks ?? [],
    // A connection carries one call at a time.
    concurrency: Math.min(queue.concurrency, networkConfig.max_conns_per_host ?? Infinity),
    bufferSize: queue.buffer_size,
    maxWaitMs: toMs(maxWait),
    ...(keys.some(({ concurrency }) => concurrency !== undefined) && { hasLimitedKeys: true }),
    proxyUrl,
    ...(config.hedging !== undefined && { hedging: config.hedging }),
    sendBackRawRequest: config.send_back_raw_request ?? false,
    sendBackRawResponse: config.send_back_raw_response ?? false,
    custom,
    ambient: buildAmbient(facts, context.env),
    references,
  }
}

function urlOfKey({ vendor }: Key): string | undefined {
  for (const settings of Object.values(vendor)) {
    if (isRecord(settings) && typeof settings['url'] === 'string') return settings['url']
  }
  return undefined
}

function buildNetwork(
  config: NetworkConfig,
  pointer: string,
  context: Context,
  references: Record<string, string>,
): NetworkSettings {
  const { report } = context
  const read = (written: NetworkConfig['base_url'], ...path: string[]) => {
    if (written === undefined || written === '') return undefined
    const resolved = resolveOrReport(written, context, below(pointer, ...path))
    if (resolved?.reference !== undefined) {
      references[below('network_config', ...path)] = resolved.reference
    }
    return resolved?.value
  }

  const allowPrivateNetwork = config.allow_private_network ?? false
  let baseUrl = read(config.base_url, 'base_url')
  if (baseUrl !== undefined) {
    const checked = checkUrl(baseUrl, allowPrivateNetwork)
    if ('problem' in checked) report.problem(below(pointer, 'base_url'), checked.problem)
    else baseUrl = checked.url
  }

  const extraHeaders: Record<string, string> = {}
  const seen = new Set<string>()
  for (const [header, written] of Object.entries(config.extra_headers ?? {})) {
    const value = read(written, 'extra_headers', header)
    if (value === undefined) continue
    const here = below(pointer, 'extra_headers', header)
    const refused = refuseHeader(header, value)
    if (refused !== undefined) report.problem(here, refused, 'name')
    else if (seen.has(header.toLowerCase())) report.problem(here, 'stands twice', 'name')
    else extraHeaders[header] = value
    seen.add(header.toLowerCase())
  }
  return {
    baseUrl,
    extraHeaders: withHiddenValues(extraHeaders),
    timers: buildTimers(config),
    retry: buildRetries(config),
    insecureSkipVerify: config.insecure_skip_verify ?? false,
    caCertPem: checkCertificates(
      read(config.ca_cert_pem, 'ca_cert_pem'),
      below(pointer, 'ca_cert_pem'),
      context,
    ),
    // As in its other settings, Bifrost's 0 is "not set"; connections cannot be kept for no time.
    ...(config.keep_alive_timeout_in_seconds && {
      keepAliveMs: toMs(config.keep_alive_timeout_in_seconds),
    }),
    ...(config.enforce_http2 && { enforceHttp2: true }),
    allowPrivateNetwork,
  }
}

function buildCertificates(
  written: NetworkConfig['ca_cert_pem'],
  pointer: string,
  context: Context,
): string | undefined {
  if (written === undefined || written === '') return undefined
  return checkCertificates(resolveOrReport(written, context, pointer)?.value, pointer, context)
}

function buildCustom(
  config: CustomProviderConfig,
  network: NetworkConfig,
  providerPointer: string,
  { report, operations }: Context,
): CustomProvider {
  const pointer = below(providerPointer, 'custom_provider_config')
  const checkOperation = (list: string, operation: string) => {
    if (operations.has(operation)) return
    const message = `there is no operation ${JSON.stringify(operation)}.${didYouMean(operation, operations)}`
    report.problem(below(pointer, list, operation), message, 'name')
  }
  const allowed = config.allowed_requests
  for (const operation of Object.keys(allowed ?? {})) checkOperation('allowed_requests', operation)
  const overrides: Record<string, string> = {}
  for (const [operation, target] of Object.entries(config.request_path_overrides ?? {})) {
    checkOperation('request_path_overrides', operation)
    const here = below(pointer, 'request_path_overrides', operation)
    if (/^https?:\/\//i.test(target)) {
      const checked = checkUrl(target, network.allow_private_network ?? false)
      if ('problem' in checked) report.problem(here, checked.problem)
      else overrides[operation] = checked.url
    } else if (!/^\/(?!\/)[\x21-\x7e]*$/.test(target)) {
      report.problem(here, 'must be a path that begins with "/", or an http:// or https:// URL')
    } else {
      overrides[operation] = target
    }
  }
  return {
    baseProviderType: config.base_provider_type.toLowerCase(),
    isKeyLess: config.is_key_less ?? false,
    allowedRequests:
      allowed && new Set(Object.keys(allowed).filter((operation) => allowed[operation] === true)),
    requestPathOverrides: overrides,
  }
}
