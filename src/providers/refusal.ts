import type { UpstreamFailure } from '#core/errors.ts'

const maxMessageChars = 4000
const maxRetryAfterMs = 600_000

/**
 * Reads a refusal in any of the forms the OpenAI-compatible family uses: `{error: {…}}`, `{error: "text"}`,
 * a flat `{message, code}`, `[{error}]`, FastAPI's `{detail}`, also as the message, or something that is not JSON at all.
 */
export function readRefusal(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const retryAfterMs = readRetryAfter(headers) ?? (status === 429 ? untilReset(headers) : undefined)
  const root = parse(body)
  const error = errorObject(root)
  if (!error) {
    return {
      status,
      message: plainMessage(status, body),
      type: null,
      code: null,
      param: null,
      retryAfterMs,
      extra: {},
    }
  }
  const { message: given, type, code, param, ...extra } = error
  const message = words(given)
  return {
    status,
    message: message ?? text(error['msg']) ?? plainMessage(status, body),
    type: text(type) ?? null,
    code: codeOf(status, code, message),
    param: text(param) ?? null,
    retryAfterMs: retryAfterMs ?? (status === 429 ? patienceIn(message) : undefined),
    extra,
  }
}

const tooLong =
  /context length|maximum context|prompt is too long|input is too long|too many tokens|exceeds the maximum number of tokens|input token count|token limit|context window/i

/** The code as it came. Where none came, or only the status again, the most useful one is read from the message. */
function codeOf(status: number, code: unknown, message: unknown): string | null {
  const isSilent = code === undefined || code === null || code === status
  const found = isSilent && (status === 400 || status === 413) && typeof message === 'string'
  return found && tooLong.test(message) ? 'context_length_exceeded' : (text(code) ?? null)
}

/** The error object of an answer that came with status 200 or inside a stream; undefined when it holds none. */
export function readEmbeddedError(root: unknown): UpstreamFailure | undefined {
  if (!isObject(root) || !root['error']) return undefined
  const failure = readRefusal(502, JSON.stringify(root), {})
  const status = Number(failure.code)
  if (Number.isInteger(status) && status >= 400 && status <= 599) return { ...failure, status }
  const named = statusByName.get(failure.code ?? '') ?? statusByName.get(failure.type ?? '')
  return named === undefined ? failure : { ...failure, status: named }
}

/** The status that goes with a code or type where none was sent, so that SDKs raise the class that fits. */
const statusByName: ReadonlyMap<string, number> = new Map([
  ['invalid_request_error', 400],
  ['invalid_value', 400],
  ['context_length_exceeded', 400],
  ['content_filter', 400],
  ['content_policy_violation', 400],
  ['authentication_error', 401],
  ['invalid_api_key', 401],
  ['permission_error', 403],
  ['permission_denied', 403],
  ['not_found_error', 404],
  ['model_not_found', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['rate_limit_exceeded', 429],
  ['insufficient_quota', 429],
  ['overloaded_error', 503],
  ['overloaded', 503],
  ['service_unavailable', 503],
  ['timeout_error', 504],
])

/** Milliseconds until a retry may succeed, from `retry-after-ms` or `retry-after`; at most ten minutes. */
export function readRetryAfter(headers: Readonly<Record<string, string>>): number | undefined {
  const ms = Number(headers['retry-after-ms'] ?? Number.NaN)
  if (Number.isFinite(ms) && ms >= 0) return Math.min(ms, maxRetryAfterMs)
  const value = headers['retry-after']
  if (value === undefined) return undefined
  const seconds = Number(value)
  const delay = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000
  return Number.isFinite(delay) ? Math.min(Math.max(delay, 0), maxRetryAfterMs) : undefined
}

/** How long until what is used up is there again, as `x-ratelimit-*` says it. */
function untilReset(headers: Readonly<Record<string, string>>): number | undefined {
  const delays = ['requests', 'tokens']
    .filter((what) => headers[`x-ratelimit-remaining-${what}`] === '0')
    .map((what) => durationMs(headers[`x-ratelimit-reset-${what}`] ?? ''))
    .filter((delay) => delay !== undefined)
  return delays.length === 0 ? undefined : Math.max(...delays)
}

const patience = /\b(?:try again|retry|resets?) in ~?((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)\b/i

/** The last resort: some say it in their message alone. */
function patienceIn(message: unknown): number | undefined {
  const said = typeof message === 'string' ? patience.exec(message.slice(0, maxMessageChars)) : null
  return said ? durationMs(said[1]!) : undefined
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** `1m30s`, `250ms`, `1.5s`; a bare number is seconds. At most ten minutes. */
function durationMs(written: string): number | undefined {
  if (/^\d+(?:\.\d+)?$/.test(written)) return Math.min(Number(written) * 1000, maxRetryAfterMs)
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(written)) return undefined
  let ms = 0
  for (const [, amount, unit] of written.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    ms += Number(amount) * unitMs[unit!]!
  }
  return Math.min(Math.ceil(ms), maxRetryAfterMs)
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown
  } catch {
    return undefined
  }
}

function errorObject(root: unknown): Record<string, unknown> | undefined {
  const object = Array.isArray(root) ? (root[0] as unknown) : root
  if (!isObject(object)) return undefined
  const { error } = object
  if (isObject(error)) return error
  if (typeof error === 'string') {
    const { error: message, ...rest } = object
    return { ...rest, message }
  }
  if ('message' in object) return object
  if ('detail' in object) {
    const { detail, ...rest } = object
    return { ...rest, message: words(detail) }
  }
  return undefined
}

/** What is said, be it as a list of what is wrong, which may be wrapped again. */
function words(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null) return text(message)
  const { detail } = message as { detail?: unknown }
  return text(detail) ?? text(JSON.stringify(detail ?? message))
}

function plainMessage(status: number, body: string): string {
  const looksLikeText = body.length > 0 && body.length < 500 && !/^\s*[<{[]/.test(body)
  return looksLikeText ? body.trim() : `The provider answered with HTTP status ${status}.`
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value.slice(0, maxMessageChars)
  return typeof value === 'number' ? String(value) : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
