import type { Trace } from './trace.ts'

// Every failure the gateway can answer with. One row per kind decides status, OpenAI names, fault and
// log level, so a new kind cannot forget one of them.

export type ErrorKind =
  | 'invalid_json'
  | 'invalid_request'
  | 'missing_parameter'
  | 'duplicate_key'
  | 'unsupported_media_type'
  | 'unsupported_endpoint'
  | 'provider_not_configured'
  | 'no_key_for_model'
  | 'header_required'
  | 'payload_too_large'
  | 'headers_too_large'
  | 'route_not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'model_not_found'
  | 'response_not_found'
  | 'store_unavailable'
  | 'async_unavailable'
  | 'job_not_found'
  | 'job_cancelled'
  | 'job_interrupted'
  | 'idempotency_conflict'
  | 'client_closed'
  | 'queue_full'
  | 'shutting_down'
  | 'egress_forbidden'
  | 'origin_forbidden'
  | 'caller_forbidden'
  | 'virtual_key_required'
  | 'virtual_key_not_found'
  | 'virtual_key_blocked'
  | 'provider_blocked'
  | 'model_blocked'
  | 'upstream_error'
  | 'credentials_exhausted'
  | 'upstream_unreachable'
  | 'upstream_reset'
  | 'upstream_malformed'
  | 'upstream_truncated'
  | 'connect_timeout'
  | 'headers_timeout'
  | 'first_token_timeout'
  | 'idle_timeout'
  | 'total_timeout'
  | 'internal'

interface ErrorRow {
  /** HTTP status while headers have not been sent; `upstream_error` keeps the provider's own. */
  readonly status: number
  /** `error.type` for OpenAI clients. */
  readonly type: string
  /** `error.code` for OpenAI clients. */
  readonly code: string
  /** False tells OpenAI SDKs with `x-should-retry: false` that trying again cannot help. */
  readonly retryable: boolean
  readonly fault: 'caller' | 'operator' | 'provider' | 'gateway'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
}

// prettier-ignore
const ROWS = {
  invalid_json: { status: 400, type: 'invalid_request_error', code: 'invalid_json', retryable: false, fault: 'caller', level: 'info' },
  invalid_request: { status: 400, type: 'invalid_request_error', code: 'invalid_value', retryable: false, fault: 'caller', level: 'info' },
  missing_parameter: { status: 400, type: 'invalid_request_error', code: 'missing_required_parameter', retryable: false, fault: 'caller', level: 'info' },
  duplicate_key: { status: 400, type: 'invalid_request_error', code: 'duplicate_key', retryable: false, fault: 'caller', level: 'info' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error', code: 'unsupported_media_type', retryable: false, fault: 'caller', level: 'info' },
  unsupported_endpoint: { status: 400, type: 'invalid_request_error', code: 'unsupported_endpoint', retryable: false, fault: 'caller', level: 'info' },
  provider_not_configured: { status: 400, type: 'invalid_request_error', code: 'provider_not_configured', retryable: false, fault: 'operator', level: 'warn' },
  no_key_for_model: { status: 400, type: 'invalid_request_error', code: 'no_key_for_model', retryable: false, fault: 'operator', level: 'warn' },
  header_required: { status: 400, type: 'invalid_request_error', code: 'header_required', retryable: false, fault: 'caller', level: 'info' },
  payload_too_large: { status: 413, type: 'invalid_request_error', code: 'request_too_large', retryable: false, fault: 'caller', level: 'info' },
  headers_too_large: { status: 431, type: 'invalid_request_error', code: 'headers_too_large', retryable: false, fault: 'caller', level: 'info' },
  route_not_found: { status: 404, type: 'invalid_request_error', code: 'route_not_found', retryable: false, fault: 'caller', level: 'info' },
  method_not_allowed: { status: 405, type: 'invalid_request_error', code: 'method_not_allowed', retryable: false, fault: 'caller', level: 'info' },
  request_timeout: { status: 408, type: 'invalid_request_error', code: 'request_timeout', retryable: true, fault: 'caller', level: 'info' },
  model_not_found: { status: 404, type: 'invalid_request_error', code: 'model_not_found', retryable: false, fault: 'caller', level: 'info' },
  response_not_found: { status: 404, type: 'invalid_request_error', code: 'response_not_found', retryable: false, fault: 'caller', level: 'info' },
  store_unavailable: { status: 503, type: 'server_error', code: 'store_unavailable', retryable: true, fault: 'gateway', level: 'warn' },
  async_unavailable: { status: 503, type: 'server_error', code: 'async_unavailable', retryable: false, fault: 'operator', level: 'warn' },
  job_not_found: { status: 404, type: 'invalid_request_error', code: 'job_not_found', retryable: false, fault: 'caller', level: 'info' },
  job_cancelled: { status: 409, type: 'invalid_request_error', code: 'job_cancelled', retryable: false, fault: 'caller', level: 'info' },
  job_interrupted: { status: 500, type: 'server_error', code: 'job_interrupted', retryable: false, fault: 'gateway', level: 'warn' },
  idempotency_conflict: { status: 409, type: 'invalid_request_error', code: 'idempotency_conflict', retryable: false, fault: 'caller', level: 'info' },
  client_closed: { status: 499, type: 'request_cancelled', code: 'client_closed_request', retryable: false, fault: 'caller', level: 'debug' },
  queue_full: { status: 503, type: 'overloaded_error', code: 'queue_full', retryable: true, fault: 'gateway', level: 'warn' },
  shutting_down: { status: 503, type: 'overloaded_error', code: 'shutting_down', retryable: true, fault: 'gateway', level: 'info' },
  egress_forbidden: { status: 403, type: 'permission_error', code: 'egress_forbidden', retryable: false, fault: 'operator', level: 'error' },
  origin_forbidden: { status: 403, type: 'permission_error', code: 'origin_forbidden', retryable: false, fault: 'caller', level: 'info' },
  caller_forbidden: { status: 403, type: 'permission_error', code: 'caller_forbidden', retryable: false, fault: 'caller', level: 'info' },
  virtual_key_required: { status: 401, type: 'virtual_key_required', code: 'virtual_key_required', retryable: false, fault: 'caller', level: 'info' },
  virtual_key_not_found: { status: 401, type: 'virtual_key_not_found', code: 'virtual_key_not_found', retryable: false, fault: 'caller', level: 'info' },
  virtual_key_blocked: { status: 403, type: 'virtual_key_blocked', code: 'virtual_key_blocked', retryable: false, fault: 'caller', level: 'info' },
  provider_blocked: { status: 403, type: 'provider_blocked', code: 'provider_blocked', retryable: false, fault: 'caller', level: 'info' },
  model_blocked: { status: 403, type: 'model_blocked', code: 'model_blocked', retryable: false, fault: 'caller', level: 'info' },
  upstream_error: { status: 502, type: 'api_error', code: 'provider_error', retryable: true, fault: 'provider', level: 'warn' },
  credentials_exhausted: { status: 502, type: 'api_error', code: 'upstream_credentials_exhausted', retryable: false, fault: 'provider', level: 'error' },
  upstream_unreachable: { status: 502, type: 'api_error', code: 'provider_unreachable', retryable: true, fault: 'provider', level: 'error' },
  upstream_reset: { status: 502, type: 'api_error', code: 'provider_connection_reset', retryable: true, fault: 'provider', level: 'error' },
  upstream_malformed: { status: 502, type: 'api_error', code: 'bad_gateway', retryable: true, fault: 'provider', level: 'error' },
  upstream_truncated: { status: 502, type: 'api_error', code: 'upstream_truncated', retryable: true, fault: 'provider', level: 'error' },
  connect_timeout: { status: 504, type: 'timeout_error', code: 'upstream_connect_timeout', retryable: true, fault: 'provider', level: 'error' },
  headers_timeout: { status: 504, type: 'timeout_error', code: 'upstream_headers_timeout', retryable: true, fault: 'provider', level: 'error' },
  first_token_timeout: { status: 504, type: 'timeout_error', code: 'upstream_first_token_timeout', retryable: true, fault: 'provider', level: 'error' },
  idle_timeout: { status: 504, type: 'timeout_error', code: 'upstream_idle_timeout', retryable: true, fault: 'provider', level: 'error' },
  total_timeout: { status: 504, type: 'timeout_error', code: 'upstream_timeout', retryable: true, fault: 'provider', level: 'error' },
  internal: { status: 500, type: 'server_error', code: 'internal_error', retryable: true, fault: 'gateway', level: 'error' },
} satisfies Record<ErrorKind, ErrorRow>

/** What a provider said when it refused, reduced to facts by its adapter. */
export interface UpstreamFailure {
  readonly status: number
  readonly message: string
  readonly type: string | null
  readonly code: string | null
  readonly param: string | null
  readonly retryAfterMs: number | undefined
  /** Fields of the provider's error object beyond the four known ones; they reach the caller unchanged. */
  readonly extra: Readonly<Record<string, unknown>>
}

export interface ErrorDetails {
  readonly param?: string | undefined
  /** The provider's own words, for `upstream_error` and for errors found inside a 200. */
  readonly upstream?: UpstreamFailure
  readonly cause?: unknown
  /** Overrides the row's `code` where a finer one is known. */
  readonly code?: string | undefined
  /** When a refusal of our own may be over; a provider's own word is in `upstream`. */
  readonly retryAfterMs?: number | undefined
  /** The provider's response headers that go to the caller with the error, such as rate limits. */
  readonly relayed?: Readonly<Record<string, string>>
}

/** Who was asked when a call failed; what of it is known is told to the caller. */
export interface Attempted {
  readonly provider: string
  /** As the provider knows it. */
  readonly model: string | undefined
  /** 0 for what the caller asked for, 1 … for its fallbacks. */
  readonly fallbackIndex: number
  /** From sending to the failure, in milliseconds; undefined when nothing was sent. */
  readonly latencyMs: number | undefined
}

/** The one error class that is answered to a caller. Anything else thrown becomes kind `internal`. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly kind: ErrorKind
  readonly param: string | undefined
  readonly upstream: UpstreamFailure | undefined
  readonly relayed: Readonly<Record<string, string>> | undefined
  /** Set by whoever attempted the call. */
  attempted: Attempted | undefined
  readonly #retryAfterMs: number | undefined
  readonly #code: string | undefined

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.kind = kind
    this.param = details.param
    this.upstream = details.upstream
    this.relayed = details.relayed
    this.#retryAfterMs = details.retryAfterMs
    this.#code = details.code
  }

  get status(): number {
    return this.upstream?.status ?? ROWS[this.kind].status
  }

  get type(): string {
    return this.upstream?.type ?? typeForStatus(this.upstream?.status) ?? ROWS[this.kind].type
  }

  get code(): string | null {
    return this.upstream ? this.upstream.code : (this.#code ?? ROWS[this.kind].code)
  }

  /** Milliseconds until a retry may succeed; undefined when nobody knows. */
  get retryAfterMs(): number | undefined {
    return this.upstream ? this.upstream.retryAfterMs : this.#retryAfterMs
  }

  get fault(): ErrorRow['fault'] {
    return ROWS[this.kind].fault
  }

  get level(): ErrorRow['level'] {
    return ROWS[this.kind].level
  }

  /** False when SDKs must be told not to retry; a provider's refusal is judged by its status and code. */
  get retryable(): boolean {
    if (!this.upstream) return ROWS[this.kind].retryable
    const { status, code, type } = this.upstream
    if (code === 'insufficient_quota' || type === 'insufficient_quota') return false
    return status >= 500 ? status !== 501 : passing.has(status)
  }
}

/** Refusals below 500 that may be over in a moment: 424 and 498 are the words of single providers for having no room. */
const passing: ReadonlySet<number> = new Set([408, 409, 424, 429, 498])

/** Wraps anything thrown; a `GatewayError` passes unchanged. The original is kept as `cause`, never shown. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  return new GatewayError('internal', 'The gateway failed to handle this request.', {
    cause: thrown,
  })
}

function typeForStatus(status: number | undefined): string | undefined {
  if (status === undefined) return undefined
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'api_error' : 'invalid_request_error'
}

/** Facts of the call that the envelope's `extra_fields` repeats. */
export interface ErrorContext {
  readonly provider: string | undefined
  readonly modelRequested: string | undefined
  readonly requestType: string
  /** Repeated when the caller asked for it. */
  readonly trace?: Trace | undefined
}

export interface ErrorEnvelope {
  readonly event_id?: string
  readonly type: string
  readonly is_bifrost_error: boolean
  readonly status_code: number
  readonly error: Readonly<Record<string, unknown>> & {
    readonly message: string
    readonly type: string
    readonly code: string | null
    readonly param: string | null
  }
  readonly extra_fields: Readonly<Record<string, unknown>>
}

/**
 * The seed envelope, with OpenAI's `error` object inside so that every OpenAI SDK raises the right class.
 * `is_bifrost_error` is false when the provider refused and true when the gateway itself did.
 */
export function errorEnvelope(
  error: GatewayError,
  context: ErrorContext,
  eventId: string,
): ErrorEnvelope {
  // Who refused is not always who was asked for.
  const provider = error.attempted?.provider ?? context.provider
  return {
    event_id: eventId,
    type: error.type,
    is_bifrost_error: error.upstream === undefined,
    status_code: error.status,
    error: {
      ...error.upstream?.extra,
      message: error.upstream?.message ?? error.message,
      type: error.type,
      code: error.code,
      param: error.upstream ? error.upstream.param : (error.param ?? null),
    },
    extra_fields: {
      ...(provider !== undefined && { provider }),
      ...(context.modelRequested !== undefined && { model_requested: context.modelRequested }),
      request_type: context.requestType,
      ...(context.trace?.isDetailed && { trace: context.trace.shown() }),
    },
  }
}
