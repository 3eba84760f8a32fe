import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'
import { record, text } from '#openai/conversation/fields.ts'

import { readRefusal } from '../refusal.ts'

const maxRetryAfterMs = 600_000
const tooLong =
  /exceeds the maximum number of tokens|input token count|token limit|context (?:length|window)|too many tokens|too long/i

/**
 * Reads `{error: {code, message, status, details}}`, also inside a list of one ("Troubleshooting" of the Gemini API
 * and `google.rpc.Status`, as read in November 2026).
 */
export function parseGoogleError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const failure = readRefusal(status, body, headers)
  const rpc = text(failure.extra['status'])
  const details = Array.isArray(failure.extra['details'])
    ? (failure.extra['details'] as unknown[]).map(record)
    : []
  // The code of such an error is its status as a number, which no client looks for.
  const plain = /^\d*$/.test(failure.code ?? '') ? { ...failure, code: null } : failure
  const named = namesOf(status, rpc, failure.message, details)
  const isOut = named.code === 'insufficient_quota'
  const retryAfterMs = isOut ? undefined : (failure.retryAfterMs ?? retryDelay(details))
  return { ...plain, ...named, retryAfterMs }
}

type Detail = Readonly<Record<string, unknown>>
type Named = Partial<Pick<UpstreamFailure, 'status' | 'type' | 'code'>>

// No SDK has a class for 402, and trying again does not help until somebody has paid.
const outOfQuota: Named = { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' }

function namesOf(
  status: number,
  rpc: string | undefined,
  message: string,
  details: readonly Detail[],
): Named {
  switch (status) {
    case 400:
      if (details.some(({ reason }) => reason === 'API_KEY_INVALID')) {
        return { status: 401, code: 'invalid_api_key' }
      }
      // The region or the account is at fault, and nothing that the request says.
      if (rpc === 'FAILED_PRECONDITION') return { status: 403, code: 'permission_denied' }
      return tooLong.test(message) ? { code: 'context_length_exceeded' } : {}
    case 401:
      return { code: 'invalid_api_key' }
    case 402:
      return outOfQuota
    case 403:
      return { code: 'permission_denied' }
    case 404:
      return /\b(?:file|cached ?content)s?\b/i.test(message) ? {} : { code: 'model_not_found' }
    case 429:
      return isExhausted(details) ? outOfQuota : { code: 'rate_limit_exceeded' }
    case 503:
      return { code: 'overloaded' }
    default:
      return {}
  }
}

/** A limit for the day, or one of nothing at all, is not over in a minute. */
function isExhausted(details: readonly Detail[]): boolean {
  return details.some(({ violations }) =>
    (Array.isArray(violations) ? (violations as unknown[]) : []).map(record).some((violation) => {
      const { quotaId, quotaValue } = violation
      return /PerDay/i.test(text(quotaId) ?? '') || quotaValue === '0' || quotaValue === 0
    }),
  )
}

/** `RetryInfo`, such as `"12.5s"`. */
function retryDelay(details: readonly Detail[]): number | undefined {
  for (const { retryDelay: delay } of details) {
    const seconds = /^(\d+(?:\.\d+)?)s$/.exec(text(delay) ?? '')?.[1]
    if (seconds !== undefined) return Math.min(Number(seconds) * 1000, maxRetryAfterMs)
  }
  return undefined
}

/** The error that an answer with status 200 reports; undefined when it reports none. */
export function reportedFailure(answer: Detail): GatewayError | undefined {
  const { error } = answer
  if (error === undefined || error === null) return undefined
  const { code } = record(error)
  const status = typeof code === 'number' && code >= 400 && code <= 599 ? code : 502
  const failure = parseGoogleError(status, JSON.stringify({ error }), {})
  return new GatewayError('upstream_error', failure.message, { upstream: failure })
}

/** The vendor ended the answer for a reason of its own, before there was one. */
export function brokenAnswer(reason: string, message: string | undefined): GatewayError {
  const said = `The model's answer could not be used (${reason})${message ? `: ${message}` : '.'}`
  return new GatewayError('upstream_error', said, {
    upstream: {
      status: 502,
      message: said,
      type: null,
      code: 'provider_error',
      param: null,
      retryAfterMs: undefined,
      extra: { native_finish_reason: reason },
    },
  })
}
