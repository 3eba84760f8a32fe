import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'
import { isRecord, text } from '#openai/conversation/fields.ts'

import { readRefusal, readRetryAfter } from '../refusal.ts'

// Errors of AWS ("Common errors" and the errors of "Converse" and "ConverseStream", Amazon Bedrock API Reference, as
// read in November 2026).

interface Row {
  /** What the caller sees; SDKs choose their exception by it, and retry by it. */
  readonly status: number
  readonly code?: string
}

// prettier-ignore
const rows: ReadonlyMap<string, Row> = new Map<string, Row>([
  ['ValidationException', { status: 400 }],
  ['ServiceQuotaExceededException', { status: 429, code: 'insufficient_quota' }],
  ['ConflictException', { status: 409 }],
  ['AccessDeniedException', { status: 403, code: 'permission_denied' }],
  ['UnrecognizedClientException', { status: 401, code: 'invalid_api_key' }],
  ['InvalidSignatureException', { status: 401, code: 'invalid_api_key' }],
  ['SignatureDoesNotMatch', { status: 401, code: 'invalid_api_key' }],
  ['IncompleteSignature', { status: 401, code: 'invalid_api_key' }],
  ['InvalidClientTokenId', { status: 401, code: 'invalid_api_key' }],
  ['ExpiredToken', { status: 401, code: 'invalid_api_key' }],
  ['ExpiredTokenException', { status: 401, code: 'invalid_api_key' }],
  ['RequestExpired', { status: 401, code: 'invalid_api_key' }],
  ['RequestTimeTooSkewed', { status: 401, code: 'invalid_api_key' }],
  ['MissingAuthenticationToken', { status: 401, code: 'invalid_api_key' }],
  ['MissingAuthenticationTokenException', { status: 401, code: 'invalid_api_key' }],
  ['ResourceNotFoundException', { status: 404, code: 'model_not_found' }],
  ['UnknownOperationException', { status: 404 }],
  ['ModelTimeoutException', { status: 504, code: 'upstream_timeout' }],
  // 424 upstream, which no SDK has a class for and none tries again.
  ['ModelErrorException', { status: 502, code: 'provider_error' }],
  ['ModelStreamErrorException', { status: 502, code: 'provider_error' }],
  ['ThrottlingException', { status: 429, code: 'rate_limit_exceeded' }],
  ['TooManyRequestsException', { status: 429, code: 'rate_limit_exceeded' }],
  ['ModelNotReadyException', { status: 503, code: 'overloaded' }],
  ['InternalServerException', { status: 500, code: 'server_error' }],
  ['InternalFailure', { status: 500, code: 'server_error' }],
  ['ServiceUnavailableException', { status: 503, code: 'overloaded' }],
  ['ServiceUnavailable', { status: 503, code: 'overloaded' }],
])

const tooLong =
  /too long|context length|context window|maximum context|too many (?:input )?tokens|exceeds? the (?:maximum|model)[^.]*token|input token/i
const noSuchModel = /on-demand throughput|model identifier is invalid|isn.t supported on this/i
const daily = /per day|daily/i

const ownMembers = new Set(['message', 'Message', '__type', 'code', 'Code', 'type'])

/** Reads a refusal. The exception is named by a header or in the body; anything else is read as far as it goes. */
export function parseError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const plain = readRefusal(status, body, headers)
  const found = objectIn(body)
  const said = text(found['message']) ?? text(found['Message'])
  const name = nameIn(headers['x-amzn-errortype'] ?? text(found['__type']))
  const failure = { ...plain, message: shown(said ?? plain.message) }
  if (name === undefined) {
    // Servers in between answer too, and in ways of their own.
    const { code, type, extra, ...rest } = failure
    return { ...rest, type, code: code ?? codeFor(status), extra: said === undefined ? extra : {} }
  }
  const extra = Object.fromEntries(
    Object.entries(found).filter(([member]) => !ownMembers.has(member)),
  )
  return failureOf(name, failure.message, { status, extra, retryAfterMs: readRetryAfter(headers) })
}

interface Beside {
  readonly status: number
  readonly extra?: Readonly<Record<string, unknown>>
  readonly retryAfterMs?: number | undefined
}

/** The facts of an exception. `name` in any spelling of its first letter; streams write it small. */
export function failureOf(name: string, message: string, beside: Beside): UpstreamFailure {
  const exception = name.charAt(0).toUpperCase() + name.slice(1)
  const row = rows.get(exception)
  const { status, code } = refined(exception, message, row ?? { status: beside.status })
  return {
    status,
    message,
    type: code === 'insufficient_quota' ? 'insufficient_quota' : null,
    code: code ?? exception,
    param: null,
    retryAfterMs: beside.retryAfterMs,
    extra: { ...beside.extra, exception },
  }
}

function refined(exception: string, message: string, row: Row): Row {
  if (exception === 'ValidationException') {
    if (noSuchModel.test(message)) return { ...row, code: 'model_not_found' }
    if (tooLong.test(message)) return { ...row, code: 'context_length_exceeded' }
  }
  // What a day allows does not come back within the patience of an SDK.
  if (exception === 'ThrottlingException' && daily.test(message)) {
    return { status: 429, code: 'insufficient_quota' }
  }
  return row
}

/** The error of a stream that had begun. */
export function streamFailure(name: string, payload: unknown, said?: string): GatewayError {
  const body = isRecord(payload) ? payload : {}
  const own = said ?? text(body['message']) ?? text(body['Message'])
  const message = shown(own ?? 'The provider reports that it could not finish this answer.')
  const { message: _, Message: __, p: ___, ...extra } = body
  const upstream = failureOf(name === '' ? 'InternalServerException' : name, message, {
    status: 502,
    extra,
  })
  return new GatewayError('upstream_error', message, { upstream })
}

function nameIn(written: string | undefined): string | undefined {
  // `ThrottlingException:http://internal.amazon.com/…` in headers, `com.amazon.coral#ThrottlingException` in bodies.
  const name = written?.split(':')[0]?.split('#').at(-1)?.trim()
  return name === undefined || !/^\w{1,100}$/.test(name) ? undefined : name
}

/**
 * The message without what is nobody's business: the canonical request that a refused signature is answered with
 * holds the session token, and ARNs hold the account.
 */
function shown(message: string): string {
  return message
    .replace(/\s*The Canonical String for this request should have been[\s\S]*$/, '')
    .replaceAll(/(arn:aws[\w-]*:[\w-]*:[\w-]*:)\d{12}/g, '$1[account]')
}

function codeFor(status: number): string | null {
  if (status === 401) return 'invalid_api_key'
  if (status === 403) return 'permission_denied'
  return status === 429 ? 'rate_limit_exceeded' : null
}

function objectIn(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    return isRecord(value) ? value : {}
  } catch {
    // Not JSON: a server in between has answered.
    return {}
  }
}
