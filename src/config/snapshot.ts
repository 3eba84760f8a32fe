import type { Secret } from '#lib/secret.ts'

import type { AppRule } from './apps.ts'
import type { RoutingSettings } from './rule.ts'
import type { GovernanceSettings } from './virtual-key.ts'

// The frozen result of reading a configuration. Calls keep the snapshot they started with.

/** What the composition root tells the configuration about each built-in provider. */
export interface VendorFacts {
  readonly name: string
  /** Environment variables that may hold a key, best first. */
  readonly keyEnv: readonly string[]
  /** Works without a key (local servers). */
  readonly keyless: boolean
  /** Undefined when only configuration can know it (self-hosted servers, Azure resources). */
  readonly baseUrl: string | undefined
  /** Environment variables that tell the vendor's adapter where and as whom this process runs. */
  readonly ambient?: readonly { readonly name: string; readonly isFile?: boolean }[] | undefined
}

export interface Key {
  /** Stable handle for `x-bf-api-key-id`. */
  readonly id: string
  /** Globally unique; shown in logs and traces. */
  readonly name: string
  readonly value: Secret
  /** `undefined` allows every model. */
  readonly models: ReadonlySet<string> | undefined
  readonly blacklistedModels: ReadonlySet<string>
  readonly weight: number
  readonly enabled: boolean
  readonly useForBatchApi: boolean
  /** Calls in flight at once with it; undefined = as many as the provider may have. */
  readonly concurrency?: number | undefined
  /** Alias (lower case) → upstream model id, resolved after the key was chosen. */
  readonly aliases: ReadonlyMap<string, string>
  /** Alias (lower case) → the fields of an alias written as an object, `model_id` and `description` aside. */
  readonly aliasSettings?: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** The vendor's own `*_key_config` objects as given, secrets resolved to `Secret`. */
  readonly vendor: Readonly<Record<string, unknown>>
  /** Field → `env.NAME` for what came from the environment, so that it can be shown as such. */
  readonly references?: Readonly<Record<string, string>>
}

/** All times in milliseconds; 0 switches a timer off. */
export interface Timers {
  /** Until a TCP connection to the provider stands. */
  readonly connectMs: number
  /** From sending to the status line. */
  readonly headersMs: number
  /** From sending to the first meaningful event of a stream. */
  readonly firstTokenMs: number
  /** Between two reads of a stream. */
  readonly idleMs: number
  /** A unary call as a whole. */
  readonly totalMs: number
  /** A stream as a whole. */
  readonly streamTotalMs: number
}

export interface RetrySettings {
  /** Tries with the same key after the first. */
  readonly maxRetries: number
  readonly initialBackoffMs: number
  readonly maxBackoffMs: number
}

export interface NetworkSettings {
  /** Without a trailing slash; undefined = the vendor's own. */
  readonly baseUrl: string | undefined
  readonly extraHeaders: Readonly<Record<string, string>>
  readonly timers: Timers
  readonly retry: RetrySettings
  readonly insecureSkipVerify: boolean
  /** Authorities that are trusted besides the usual ones; those of the proxy are among them. */
  readonly caCertPem: string | undefined
  /** How long an idle connection is kept; undefined = as long as Bun does. */
  readonly keepAliveMs?: number | undefined
  /** HTTP/2 for every call over TLS. */
  readonly enforceHttp2?: boolean | undefined
  readonly allowPrivateNetwork: boolean
}

export interface CustomProvider {
  readonly baseProviderType: string
  readonly isKeyLess: boolean
  /** `undefined` allows every operation; names as in `OPERATION_NAMES`. */
  readonly allowedRequests: ReadonlySet<string> | undefined
  /** Operation → path or full URL. */
  readonly requestPathOverrides: Readonly<Record<string, string>>
}

export interface ProviderSettings {
  readonly name: string
  readonly origin: 'file' | 'environment' | 'detected' | 'built-in'
  readonly keys: readonly Key[]
  readonly network: NetworkSettings
  /** `provider/model`, or a provider for the same model: tried for calls that name no fallbacks themselves. */
  readonly fallbacks: readonly string[]
  /** Upstream calls in flight at once. */
  readonly concurrency: number
  /** Calls that may wait for one of them. */
  readonly bufferSize: number
  /** Longest wait; 0 or absent = as long as the caller does. */
  readonly maxWaitMs?: number | undefined
  /** Some key has a `concurrency`. */
  readonly hasLimitedKeys?: boolean | undefined
  /** Whether slow calls get a second candidate; undefined = as `ClientSettings.hedging` says. */
  readonly hedging?: boolean | undefined
  /** `http://user:password@host:port` for `fetch`'s `proxy` option. */
  readonly proxyUrl: Secret | undefined
  readonly sendBackRawRequest: boolean
  readonly sendBackRawResponse: boolean
  readonly custom: CustomProvider | undefined
  /** The variables of `VendorFacts.ambient` that are set; of those that name a file, the file's content. */
  readonly ambient: Readonly<Record<string, Secret>>
  /** Field → `env.NAME` for what came from the environment, so that it can be shown as such. */
  readonly references?: Readonly<Record<string, string>>
}

export interface HedgingSettings {
  /** For providers and requests that do not say otherwise. */
  readonly enabled: boolean
  /** Extra calls, as a share of the calls of a provider. */
  readonly maxShare: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** Answers of a target below which it is not known how slow its slow ones are. */
  readonly minSamples: number
}

/** A label of metrics beyond those that the gateway knows itself. */
export interface PrometheusLabel {
  /** As the metrics have it. */
  readonly name: string
  /** Headers that may hold the value, lower case, best first. */
  readonly headers: readonly string[]
}

/** What is told of calls, and to whom. */
export interface TracingSettings {
  /** Share of the calls that are told, 0 to 1; a caller's own trace decides for itself. */
  readonly sampleRate: number
  /** Calls of one session are one trace, where callers have none of their own. */
  readonly groupsBySession: boolean
  /** What is said of the gateway besides its name. */
  readonly resource: Readonly<Record<string, string>>
  readonly targets: readonly TraceTarget[]
}

/** A collector. */
export interface TraceTarget {
  /** With its path. */
  readonly url: string
  readonly headers: Readonly<Record<string, Secret>>
  readonly serviceName: string
  /** Whether it is told what was said, and not only how it went. */
  readonly keepsContent: boolean
  /** Headers of callers that it is told, lower case; `*` at the end stands for any rest. */
  readonly requestHeaders: readonly string[]
  readonly caPem: string | undefined
  /** Where it wants metrics, if it does. */
  readonly metrics: { readonly url: string; readonly everyMs: number } | undefined
}

/** A gateway of Prometheus that metrics are pushed to. */
export interface PushSettings {
  /** Without a trailing slash. */
  readonly url: string
  readonly jobName: string
  readonly instance: string
  readonly everyMs: number
  readonly login: { readonly username: Secret; readonly password: Secret } | undefined
}

/** Who may read metrics, and how many sets of labels they may have. */
export interface MetricsSettings {
  readonly enabled: boolean
  /** Anybody who reaches the port, and not only programs on this machine. */
  readonly open: boolean
  readonly maxLabelSets: number
  /** Tell where the gateway's own time went, too. */
  readonly overheadComponents: boolean
  readonly push: PushSettings | undefined
}

export interface ClientSettings {
  readonly allowDirectKeys: boolean
  readonly allowedOrigins: readonly string[]
  readonly allowedHeaders: readonly string[]
  readonly requiredHeaders: readonly string[]
  /** Governs `x-bf-eh-*` and headers forwarded by name; lower case, `*` wildcards, deny wins. */
  readonly headerFilter: {
    readonly allowlist: readonly string[]
    readonly denylist: readonly string[]
  }
  readonly allowPerRequestRawOverride: boolean
  readonly maxRequestBodyBytes: number
  readonly dropExcessRequests: boolean
  /** A parameter that the provider cannot take is an error, and not left out; `x-bf-strict` decides per request. */
  readonly strictParams: boolean
  /** `extra_fields` in answers at all. */
  readonly extraFields: boolean
  /** Labels of metrics whose values come from callers. */
  readonly prometheusLabels: readonly PrometheusLabel[]
  /** `cost` in the usage of answers; `x-bf-usage-cost` decides per request. */
  readonly usageCost: boolean
  /** On the last chunk of a stream, or on every chunk. */
  readonly streamExtraFields: 'last' | 'all'
  /** Silence after which a stream gets a `: keep-alive` comment. */
  readonly keepAliveMs: number
  /** How long response headers are held back for the first meaningful event. */
  readonly headerHoldMs: number
  /**
   * How a key is chosen among those that may serve: by weight, or the less busy of two drawn by weight. With `cost` by
   * weight as well, and the cheapest candidate is asked first.
   */
  readonly loadBalancing: 'weighted' | 'least_loaded' | 'cost'
  /** Who may ask `/api/explain`. */
  readonly explainEndpoint: 'loopback' | 'any' | 'off'
  readonly breaker: {
    readonly enabled: boolean
    /** Share of failed calls from which a target is left alone. */
    readonly errorRate: number
    readonly minFailures: number
    readonly openMs: number
    readonly maxOpenMs: number
  }
  /** When a slow call is given a second candidate. */
  readonly hedging: HedgingSettings
  /** Chat streams that break are continued by another candidate; `x-bf-rescue` decides per request. */
  readonly rescueStreams: boolean
  /** How long streams may go on after SIGTERM. */
  readonly drainMs: number
}

/** Bounds of the gateway's own store of responses. */
export interface ResponseStoreSettings {
  readonly enabled: boolean
  readonly maxAgeMs: number
  /** Of all responses together. */
  readonly maxBytes: number
  readonly maxCount: number
}

/** Jobs that are submitted now and fetched later. */
export interface AsyncSettings {
  readonly enabled: boolean
  /** Jobs that run at once. */
  readonly concurrency: number
  /** Jobs that wait. */
  readonly maxQueued: number
  /** Requests and results of all jobs together. */
  readonly maxBytes: number
  /** What becomes of a job that was running when its process ended. */
  readonly onRestart: 'retry' | 'fail'
  /** A job that was interrupted this many times fails. */
  readonly maxStarts: number
  /** Requests for streams may be jobs. */
  readonly allowStream: boolean
  /** How long a job belongs to a process that shows no sign of life. */
  readonly leaseMs: number
  /** How long results are kept, counted from their completion. */
  readonly resultTtlMs: number
  /** How long it is known how deliveries of webhooks went. */
  readonly deliveryHistoryMs: number
}

/** Somebody who wants to be told how jobs ended. */
export interface WebhookSettings {
  /** What the management API calls it; its name unless it has one. */
  readonly id: string
  readonly name: string
  readonly url: string
  /** `whsec_` and the key in base64. */
  readonly secret: Secret
  readonly events: ReadonlySet<string>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, Secret>>
  readonly includeResponse: boolean
  /** Told of jobs that do not name it, too. */
  readonly everyJob: boolean
  readonly allowPrivateNetwork: boolean
  readonly disabled: boolean
  /** Tries after the first. */
  readonly maxRetries: number
  readonly initialBackoffMs: number
  readonly maxBackoffMs: number
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  readonly maxConcurrent: number
}

/** US dollars for one unit; with tiers, the last one whose bound the whole input is above counts for all of it. */
export type PriceRate =
  | number
  | {
      readonly base: number
      /** By `above`, ascending; in tokens. */
      readonly tiers: readonly { readonly above: number; readonly rate: number }[]
    }

/** What a model costs: per million tokens unless said otherwise. What has no rate is not charged apart. */
export interface PriceRates {
  readonly input?: PriceRate
  readonly output?: PriceRate
  readonly cacheRead?: PriceRate
  readonly cacheWrite?: PriceRate
  readonly cacheWrite1h?: PriceRate
  readonly reasoning?: PriceRate
  readonly citation?: PriceRate
  readonly audioInput?: PriceRate
  readonly audioOutput?: PriceRate
  readonly imageInput?: PriceRate
  readonly imageOutput?: PriceRate
  /** For an hour of recorded input. */
  readonly audioHour?: PriceRate
  /** For one request. */
  readonly request?: PriceRate
  /** For one search of the web. */
  readonly search?: PriceRate
  /** For a million characters of a text that is spoken. */
  readonly character?: PriceRate
  /** For one picture that is made. */
  readonly image?: PriceRate
  /** For a million pixels of pictures that are made. */
  readonly pixel?: PriceRate
  /** For a second of film that is made. */
  readonly videoSecond?: PriceRate
}

/** Prices that stand instead of the built-in ones; what they do not name stays. */
export interface PriceOverride {
  /** `undefined` concerns every provider. */
  readonly provider: string | undefined
  /** Id of a provider's key; `undefined` concerns all of them. */
  readonly keyId?: string | undefined
  /** Id of a virtual key; `undefined` concerns all, and calls without one. */
  readonly virtualKeyId?: string | undefined
  /** A model's name, or with `isPrefix` what it begins with. */
  readonly model: string
  readonly isPrefix: boolean
  /** Milliseconds of the epoch; from this moment on. */
  readonly fromMs: number | undefined
  /** Up to this moment. */
  readonly untilMs: number | undefined
  /** `undefined` concerns every operation; names as in `OPERATION_NAMES`, without `_stream`. */
  readonly operations: ReadonlySet<string> | undefined
  /** Only calls that were served in this `service_tier`; `undefined` = those in none with a price of its own. */
  readonly serviceTier: string | undefined
  readonly rates: PriceRates
}

/** What is kept of calls, and how much of it. */
export interface LogSettings {
  readonly enabled: boolean
  /** Whether what was said is kept, and not only how it went. */
  readonly keepsContent: boolean
  /** A request may decide about its own content. */
  readonly allowContentOverride: boolean
  /** Headers of callers that are kept, lower case. */
  readonly headers: readonly string[]
  /** Which programs callers are; the first that matches counts. */
  readonly apps: readonly AppRule[]
  readonly maxAgeMs: number
  /** Of the file with its journal. */
  readonly maxBytes: number
  /** Of a request, and of an answer. */
  readonly maxBodyChars: number
}

export interface Snapshot {
  /** 1, 2, 3 …: how many configurations this process has run with. */
  readonly generation: number
  /** The file it came from, or undefined for a start without one. */
  readonly source: string | undefined
  readonly client: ClientSettings
  readonly responseStore: ResponseStoreSettings
  readonly async: AsyncSettings
  /** By name. */
  readonly webhooks: ReadonlyMap<string, WebhookSettings>
  readonly logs: LogSettings
  readonly providers: ReadonlyMap<string, ProviderSettings>
  readonly routing: RoutingSettings
  /** Undefined when nothing is said of virtual keys: then whatever callers send as one means nothing. */
  readonly governance: GovernanceSettings | undefined
  readonly metrics: MetricsSettings
  /** Undefined when traces are not sent anywhere. */
  readonly tracing: TracingSettings | undefined
  readonly priceOverrides: readonly PriceOverride[]
  /** Accepted but worth saying once, each with its place. */
  readonly warnings: readonly string[]
}
