import { GatewayError, type UpstreamFailure } from '#core/errors.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import { readRefusal, readRetryAfter } from '../refusal.ts'

// What the vendor's refusals mean to OpenAI's clients (docs page "Errors", as read in November 2026).

interface Row {
  readonly status: number
  readonly type: string
  readonly code: string | null
}

const rows: ReadonlyMap<string, Row> = new Map([
  ['invalid_request_error', { status: 400, type: 'invalid_request_error', code: null }],
  ['authentication_error', { status: 401, type: 'authentication_error', code: 'invalid_api_key' }],
  ['billing_error', { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' }],
  ['permission_error', { status: 403, type: 'permission_error', code: 'permission_denied' }],
  ['not_found_error', { status: 404, type: 'invalid_request_error', code: null }],
  ['conflict_error', { status: 409, type: 'invalid_request_error', code: null }],
  ['request_too_large', { status: 413, type: 'invalid_request_error', code: 'request_too_large' }],
  ['rate_limit_error', { status: 429, type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['api_error', { status: 500, type: 'api_error', code: 'server_error' }],
  ['timeout_error', { status: 504, type: 'timeout_error', code: 'upstream_timeout' }],
  ['overloaded_error', { status: 503, type: 'api_error', code: 'overloaded' }],
])

const typeByStatus: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [409, 'conflict_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
])

const tooLong =
  /prompt is too long|input length and `?max_tokens`? exceed|exceeds? (?:the )?(?:model's )?context (?:window|limit)/i
const outOfCredit = /credit balance|spend(?:ing)? limit|usage limits? (?:has|have) been reached/i

/** Reduces a refusal to facts, under the names that OpenAI's clients know. `body` may be anything. */
export function parseAnthropicError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const plain = readRefusal(status, body, headers)
  const named = plain.type === null ? undefined : rows.get(plain.type)
  const row = named ?? rows.get(typeByStatus.get(status) ?? '')
  const requestId = requestIdOf(body)
  const base = {
    message: plain.message,
    param: paramOf(plain.message),
    retryAfterMs: readRetryAfter(headers) ?? (status === 429 ? untilReset(headers) : undefined),
    extra: requestId === undefined ? plain.extra : { ...plain.extra, request_id: requestId },
  }
  if (!row) {
    return { ...base, status, type: plain.type, code: status >= 500 ? 'server_error' : plain.code }
  }
  // The type says more than the status where a proxy or an event stream made up the latter.
  const facts: Row = named && status !== 422 ? named : { ...row, status: statusOf(row, status) }
  return { ...base, ...refined(facts, plain.message) }
}

function statusOf(row: Row, status: number): number {
  return status === 402 || status === 529 || status < 400 ? row.status : status
}

function refined(row: Row, message: string): Row {
  const { status } = row
  if ((status === 400 || status === 413) && tooLong.test(message)) {
    return { ...row, code: 'context_length_exceeded' }
  }
  if ((status === 400 || status === 403 || status === 429) && outOfCredit.test(message)) {
    return rows.get('billing_error')!
  }
  if (status === 404 && /\bmodel\b/i.test(message)) return { ...row, code: 'model_not_found' }
  return row
}

/** Until the first limit that is used up is lifted; the vendor says when for each of them. */
function untilReset(headers: Readonly<Record<string, string>>): number | undefined {
  for (const limit of ['requests', 'tokens', 'input-tokens', 'output-tokens']) {
    const reset = headers[`anthropic-ratelimit-${limit}-reset`]
    if (headers[`anthropic-ratelimit-${limit}-remaining`] !== '0' || reset === undefined) continue
    const delay = readRetryAfter({ 'retry-after': reset })
    if (delay !== undefined) return delay
  }
  return undefined
}

/** Messages begin with the place in the request; only what OpenAI calls the same is worth repeating. */
function paramOf(message: string): string | null {
  const [, name] = /^([a-z_]+): /.exec(message) ?? []
  return name === undefined ? null : (params.get(name) ?? null)
}

const params: ReadonlyMap<string, string> = new Map([
  ['max_tokens', 'max_tokens'],
  ['temperature', 'temperature'],
  ['top_p', 'top_p'],
  ['top_k', 'top_k'],
  ['tools', 'tools'],
  ['tool_choice', 'tool_choice'],
  ['messages', 'messages'],
  ['model', 'model'],
  ['thinking', 'thinking'],
  ['stop_sequences', 'stop'],
])

function requestIdOf(body: string): string | undefined {
  try {
    return text(record(JSON.parse(body))['request_id'])
  } catch {
    // Not JSON: an edge server's page has no id.
    return undefined
  }
}

/** The failure that an event or a document with status 200 reports; undefined when it reports none. */
export function embeddedFailure(root: Readonly<Record<string, unknown>>): GatewayError | undefined {
  if (root['type'] !== 'error' && !isRecord(root['error'])) return undefined
  const failure = parseAnthropicError(500, JSON.stringify(root), {})
  return new GatewayError('upstream_error', failure.message, { upstream: failure })
}
