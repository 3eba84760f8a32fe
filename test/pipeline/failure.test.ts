import { describe, expect, test } from 'bun:test'

import { GatewayError } from '#core/errors.ts'
import type { UpstreamFailure } from '#core/errors.ts'
import { failureClass } from '#pipeline/failure.ts'

function refusal(
  status: number,
  code: string | null = null,
  type: string | null = null,
  message = 'no',
) {
  const upstream: UpstreamFailure = {
    status,
    code,
    type,
    message,
    param: null,
    retryAfterMs: undefined,
    extra: {},
  }
  return new GatewayError('upstream_error', 'no', { upstream })
}

describe('the class of a refusal', () => {
  const rows: readonly (readonly [status: number, code: string | null, wanted: string])[] = [
    [400, null, 'caller'],
    [400, 'context_length_exceeded', 'context_length'],
    [400, 'content_filter', 'content_policy'],
    [400, 'unsupported_parameter', 'unsupported'],
    [401, 'invalid_api_key', 'auth'],
    [402, null, 'quota'],
    [403, null, 'permission'],
    [404, 'model_not_found', 'not_found'],
    [413, null, 'caller'],
    [422, null, 'caller'],
    [429, 'rate_limit_exceeded', 'rate_limit'],
    [429, 'insufficient_quota', 'quota'],
    [429, null, 'rate_limit'],
    [500, null, 'server'],
    [503, 'overloaded', 'overloaded'],
    [504, null, 'timeout'],
    [520, null, 'server'],
    [529, null, 'overloaded'],
  ]
  test.each(rows)('status %d with code %s is %s', (status, code, wanted) => {
    expect(failureClass(refusal(status, code))).toBe(wanted as never)
  })

  test('a type counts where there is no code', () => {
    expect(failureClass(refusal(429, null, 'insufficient_quota'))).toBe('quota')
  })
})

describe('words that say "too fast"', () => {
  test.each([
    'Rate limit reached',
    'rate_limit',
    'RateLimit',
    'Too many requests',
    'Quota exceeded',
    'quota_exceeded',
    'request limit of this account',
    'This call was throttled',
    'Throttling',
    'Rate exceeded',
    'limit exceeded',
    '60 requests per hour are allowed',
    'RPM exceeded',
    'tpm exceeded',
    'tokens per minute',
    'requests per minute',
    'requests per second',
    'API rate limit',
    'usage limit',
    'concurrent requests limit',
    'burst_rate',
    'rate increased too quickly',
  ])('%s', (words) => {
    for (const status of [400, 409, 422, 500, 503]) {
      expect([status, failureClass(refusal(status, null, null, words))]).toEqual([
        status,
        'rate_limit',
      ])
    }
    expect(failureClass(refusal(400, words))).toBe('rate_limit')
    expect(failureClass(refusal(400, null, words))).toBe('rate_limit')
  })

  test('do not make a refused key, a missing thing or a long prompt anything else', () => {
    const words = 'limit exceeded'
    const classes = [401, 402, 403, 404].map((status) =>
      failureClass(refusal(status, null, null, words)),
    )
    expect(classes).toEqual(['auth', 'quota', 'permission', 'not_found'])
    expect(failureClass(refusal(400, 'context_length_exceeded', null, words))).toBe(
      'context_length',
    )
    for (const text of ['prompt token limit exceeded', 'maximum size limit exceeded']) {
      expect(failureClass(refusal(400, null, null, text))).toBe('caller')
    }
  })
})

describe('the class of what happened to us', () => {
  test('a feature that a provider lacks is not the caller’s mistake', () => {
    const lacking = new GatewayError('invalid_request', 'no', { code: 'unsupported_parameter' })
    expect(failureClass(lacking)).toBe('unsupported')
    expect(failureClass(new GatewayError('invalid_request', 'no'))).toBe('caller')
  })

  test('timers, connections and half answers are told apart', () => {
    const classes = (
      ['idle_timeout', 'upstream_reset', 'upstream_truncated', 'client_closed'] as const
    ).map((kind) => failureClass(new GatewayError(kind, 'no')))
    expect(classes).toEqual(['timeout', 'network', 'malformed', 'cancelled'])
  })
})
