import type { ErrorKind, GatewayError, UpstreamFailure } from '#core/errors.ts'

/**
 * What a failure means for the next step, whoever the provider was.
 *
 * - `caller`: the request itself is wrong; no other key or provider would take it either.
 * - `context_length`: too long for this model; a model with a larger window may take it.
 * - `content_policy`: this provider will not answer it; another may.
 * - `unsupported`: this provider or model lacks the feature or the endpoint.
 * - `auth`: the key is not accepted; another key may be.
 * - `permission`: the key may not use this model or region.
 * - `quota`: the account has no money or budget left; waiting does not help.
 * - `not_found`: no such model or deployment here.
 * - `rate_limit`: too fast; the same request may work in a moment, or at once with another key.
 * - `overloaded`, `server`: the provider's own trouble.
 * - `timeout`: one of our timers ran out, or the provider's.
 * - `network`: no connection, or one that broke.
 * - `malformed`: an answer that is none, or half of one.
 * - `cancelled`: the caller left.
 * - `gateway`: our own limits or faults.
 */
export type FailureClass =
  | 'caller'
  | 'context_length'
  | 'content_policy'
  | 'unsupported'
  | 'auth'
  | 'permission'
  | 'quota'
  | 'not_found'
  | 'rate_limit'
  | 'overloaded'
  | 'server'
  | 'timeout'
  | 'network'
  | 'malformed'
  | 'cancelled'
  | 'gateway'

const byKind: Readonly<Record<Exclude<ErrorKind, 'upstream_error'>, FailureClass>> = {
  invalid_json: 'caller',
  invalid_request: 'caller',
  missing_parameter: 'caller',
  duplicate_key: 'caller',
  unsupported_media_type: 'caller',
  unsupported_endpoint: 'unsupported',
  provider_not_configured: 'unsupported',
  no_key_for_model: 'unsupported',
  header_required: 'caller',
  payload_too_large: 'caller',
  headers_too_large: 'caller',
  route_not_found: 'caller',
  method_not_allowed: 'caller',
  request_timeout: 'caller',
  model_not_found: 'not_found',
  response_not_found: 'caller',
  store_unavailable: 'gateway',
  async_unavailable: 'gateway',
  job_not_found: 'caller',
  job_cancelled: 'cancelled',
  job_interrupted: 'gateway',
  idempotency_conflict: 'caller',
  client_closed: 'cancelled',
  queue_full: 'gateway',
  shutting_down: 'gateway',
  egress_forbidden: 'gateway',
  origin_forbidden: 'caller',
  caller_forbidden: 'caller',
  virtual_key_required: 'caller',
  virtual_key_not_found: 'caller',
  virtual_key_blocked: 'caller',
  provider_blocked: 'caller',
  model_blocked: 'caller',
  credentials_exhausted: 'auth',
  upstream_unreachable: 'network',
  upstream_reset: 'network',
  upstream_malformed: 'malformed',
  upstream_truncated: 'malformed',
  connect_timeout: 'timeout',
  headers_timeout: 'timeout',
  first_token_timeout: 'timeout',
  idle_timeout: 'timeout',
  total_timeout: 'timeout',
  internal: 'gateway',
}

/** Codes say more than statuses; adapters give them OpenAI's names. */
const byCode: ReadonlyMap<string, FailureClass> = new Map([
  ['context_length_exceeded', 'context_length'],
  ['content_filter', 'content_policy'],
  ['content_policy_violation', 'content_policy'],
  ['insufficient_quota', 'quota'],
  ['billing_hard_limit_reached', 'quota'],
  ['invalid_api_key', 'auth'],
  ['model_not_found', 'not_found'],
  ['unsupported_endpoint', 'unsupported'],
  ['unsupported_parameter', 'unsupported'],
  ['unsupported_value', 'unsupported'],
  ['unsupported_country_region_territory', 'permission'],
  ['permission_denied', 'permission'],
  ['rate_limit_exceeded', 'rate_limit'],
  ['overloaded', 'overloaded'],
  ['upstream_timeout', 'timeout'],
])

const byStatus: ReadonlyMap<number, FailureClass> = new Map([
  [401, 'auth'],
  [402, 'quota'],
  [403, 'permission'],
  [404, 'not_found'],
  [405, 'unsupported'],
  [408, 'timeout'],
  [409, 'server'],
  [424, 'server'],
  [429, 'rate_limit'],
  [498, 'overloaded'],
  [499, 'cancelled'],
  [501, 'unsupported'],
  [503, 'overloaded'],
  [504, 'timeout'],
  [529, 'overloaded'],
])

/** The timer that ended it, for the trace; undefined when none did. */
export function timerOf({ kind, upstream }: GatewayError): ErrorKind | undefined {
  return upstream === undefined && kind.endsWith('_timeout') ? kind : undefined
}

/** The class of a failure: by the provider's code, else its status, else by what happened to us. */
export function failureClass(error: GatewayError): FailureClass {
  const { kind, upstream } = error
  if (!upstream) return byOwnKind(error, kind)
  const { status, code, type } = upstream
  const named = byCode.get(code ?? '') ?? byCode.get(type ?? '')
  if (named) return named
  if (!keepsStatus.has(status) && saysTooFast(upstream)) return 'rate_limit'
  return byStatus.get(status) ?? (status >= 500 ? 'server' : 'caller')
}

/** What these say is plain, whatever words come with them. */
const keepsStatus: ReadonlySet<number> = new Set([401, 402, 403, 404, 429, 499])

/** Words of providers that say "too fast" with some other status. */
const tooFast =
  /rate[ _]?limit|too many requests|quota[ _]exceeded|requests? limit|throttl(?:ed|ing)|rate exceeded|limit exceeded|requests per|[rt]pm exceeded|tokens per minute|usage limit|burst_rate|rate increased/i
/** A prompt may exceed limits as well, and is no shorter with another key. */
const tooLong = /context|prompt|input|too long|length|maximum|max_tokens|size/i

function saysTooFast({ message, code, type, status }: UpstreamFailure): boolean {
  const isTold = tooFast.test(code ?? '') || tooFast.test(type ?? '')
  if (isTold || !tooFast.test(message)) return isTold
  return status >= 500 || !tooLong.test(message)
}

function byOwnKind(error: GatewayError, kind: ErrorKind): FailureClass {
  if (kind === 'upstream_error') return 'server'
  const isUnsupported = kind === 'invalid_request' && (error.code ?? '').startsWith('unsupported_')
  return isUnsupported ? 'unsupported' : byKind[kind]
}
