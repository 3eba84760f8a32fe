import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'

import type { CredentialAnswer, Obtained } from './credential.ts'
import { readRetryAfter } from './refusal.ts'

// What servers that give out OAuth access tokens answer, RFC 6749 §5.

/** Who was asked for a token, for the words of an error. */
export interface TokenRequest {
  /** As in `Microsoft Entra ID`. */
  readonly server: string
  /** As in `the client credentials of key 'main'`. */
  readonly what: string
  /** Kept out of every message. */
  readonly secrets: readonly string[]
  /** Used where the answer does not say how long the token lives. */
  readonly defaultLifeMs?: number
}

const maxReasonChars = 300

/**
 * The token in an answer. Throws `GatewayError`: a 401 that says what is wrong with the credentials, or a 502 when
 * the server is in trouble or its answer makes no sense.
 */
export function readToken(
  answer: CredentialAnswer,
  request: TokenRequest,
  nowMs: number,
): Obtained {
  const body = objectIn(answer.text)
  if (answer.status < 200 || answer.status > 299) throw refusal(answer, body, request)
  const token = body['access_token']
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new GatewayError(
      'upstream_malformed',
      `${request.server} answered with success and no access token.`,
    )
  }
  return { credential: token, expiresAtMs: expiry(body, request, nowMs) }
}

/** `expires_in` counts seconds from now, `expires_on` from 1970; both may be text. */
function expiry(
  body: Readonly<Record<string, unknown>>,
  { defaultLifeMs = 5 * 60_000 }: TokenRequest,
  nowMs: number,
): number {
  const life = Number(body['expires_in'] ?? Number.NaN)
  if (Number.isFinite(life) && life > 0) return nowMs + life * 1000
  const until = Number(body['expires_on'] ?? Number.NaN) * 1000
  return Number.isFinite(until) && until > nowMs ? until : nowMs + defaultLifeMs
}

function refusal(
  { status, headers }: CredentialAnswer,
  body: Readonly<Record<string, unknown>>,
  { server, what, secrets }: TokenRequest,
): GatewayError {
  const isBusy = status === 429 || status >= 500 || status < 400
  const reason = reasonIn(body, secrets)
  const message = isBusy
    ? `${server} answered with status ${status} when asked for an access token with ${what}${reason}.`
    : `${server} refused ${what}${reason}.`
  const upstream: UpstreamFailure = {
    status: isBusy ? 502 : 401,
    message,
    type: isBusy ? 'api_error' : 'authentication_error',
    code: isBusy ? 'token_server_error' : 'invalid_api_key',
    param: null,
    retryAfterMs: isBusy ? readRetryAfter(headers) : undefined,
    extra: {},
  }
  return new GatewayError('upstream_error', message, { upstream })
}

/** The server's own words, on one line, short, and without what was sent to it. */
function reasonIn(body: Readonly<Record<string, unknown>>, secrets: readonly string[]): string {
  const { error, error_description: description } = body
  const nested = typeof error === 'object' && error !== null ? error : undefined
  const code = typeof error === 'string' ? error : textOf(nested, 'status')
  const words = typeof description === 'string' ? description : textOf(nested, 'message')
  let said = [code, words]
    .filter((part) => part !== undefined && part !== '')
    .join(', ')
    .split(/[\r\n]/, 1)[0]!
  for (const secret of secrets) if (secret !== '') said = said.replaceAll(secret, '[redacted]')
  said = said.replace(/[.\s]+$/, '').slice(0, maxReasonChars)
  return said === '' ? '' : ` (${said})`
}

function textOf(value: object | undefined, name: string): string | undefined {
  const found = (value as Record<string, unknown> | undefined)?.[name]
  return typeof found === 'string' ? found : undefined
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    // Not JSON: the status alone has to do.
    return {}
  }
}

/** A form as token servers want it. */
export function formBody(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString()
}

/** For cache keys: tells values apart without showing them. */
export function fingerprint(...values: readonly string[]): string {
  const hasher = new Bun.CryptoHasher('sha256')
  for (const value of values) hasher.update(`${value.length}:${value}`)
  return hasher.digest('hex')
}

/**
 * Whether an address out of the environment is this machine's own or that of the platform under it, by its look. Such
 * are asked directly, whatever the rules for the outside and its proxies.
 */
export function isOfPlatform(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  return (
    protocol === 'http:' &&
    /^(?:localhost|127(?:\.\d+){3}|\[::1\]|169\.254(?:\.\d+){2}|metadata\.google\.internal)$/.test(
      hostname,
    )
  )
}
