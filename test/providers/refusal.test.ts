import { describe, expect, test } from 'bun:test'

import { readEmbeddedError, readRefusal, readRetryAfter } from '#providers/refusal.ts'

describe('an error inside a success', () => {
  test.each([
    [{ type: 'rate_limit_error', code: null }, 429],
    [{ type: 'tokens', code: 'rate_limit_exceeded' }, 429],
    [{ type: 'insufficient_quota', code: 'insufficient_quota' }, 429],
    [{ type: 'authentication_error' }, 401],
    [{ type: 'invalid_request_error', code: 'context_length_exceeded' }, 400],
    [{ type: 'invalid_request_error', code: 'model_not_found' }, 404],
    [{ type: 'overloaded_error' }, 503],
    [{ code: 403 }, 403],
    [{ code: '529' }, 529],
    [{ code: 200 }, 502],
    [{ code: 'constructor', type: 'toString' }, 502],
    [{ type: 'server_error' }, 502],
    [{}, 502],
  ])('%j has status %d', (error, status) => {
    expect(readEmbeddedError({ error: { message: 'no', ...error } })).toMatchObject({
      status,
      message: 'no',
    })
  })

  test.each([[{}], [{ error: null }], [{ error: '' }], [null], [[]], ['error'], [1]])(
    '%j holds none',
    (root) => expect(readEmbeddedError(root)).toBeUndefined(),
  )
})

describe('a refusal', () => {
  test.each([
    [
      '{"error":{"message":"m","type":"t","code":"c","param":"p","x":[1]}}',
      { message: 'm', type: 't', code: 'c', param: 'p', extra: { x: [1] } },
    ],
    ['{"error":"text","code":7}', { message: 'text', code: '7', type: null }],
    ['{"message":"flat","code":"c"}', { message: 'flat', code: 'c' }],
    ['[{"error":{"message":"listed","code":400}}]', { message: 'listed', code: '400' }],
    ['{"detail":[{"loc":["body"]}]}', { message: '[{"loc":["body"]}]' }],
    [
      '{"object":"error","message":{"detail":[{"loc":["body"]}]},"type":"t","code":null}',
      { message: '[{"loc":["body"]}]', type: 't', code: null },
    ],
    ['{"error":{"message":["a","b"]}}', { message: '["a","b"]' }],
    ['{"detail":null}', { message: 'The provider answered with HTTP status 503.' }],
    ['upstream says no', { message: 'upstream says no' }],
    ['<html>no</html>', { message: 'The provider answered with HTTP status 503.' }],
    ['', { message: 'The provider answered with HTTP status 503.' }],
  ])('%s is read', (body, facts) => {
    expect(readRefusal(503, body, {})).toMatchObject({ status: 503, ...facts })
  })

  test.each([
    [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1500],
    [{ 'retry-after': '2.5' }, 2500],
    [{ 'retry-after': '999999' }, 600_000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ])('%j asks for %p ms of patience', (headers, ms) => {
    expect(readRetryAfter(headers as Record<string, string>)).toBe(ms)
  })

  const out = { 'x-ratelimit-remaining-requests': '0' }
  const both = { ...out, 'x-ratelimit-remaining-tokens': '0' }
  test.each([
    [429, { ...out, 'x-ratelimit-reset-requests': '1m30s' }, 'no', 90_000],
    [429, { ...out, 'x-ratelimit-reset-requests': '250ms' }, 'no', 250],
    [429, { ...out, 'x-ratelimit-reset-requests': '7' }, 'no', 7000],
    [
      429,
      { ...both, 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '2.5s' },
      'no',
      2500,
    ],
    // What is not used up is no reason to wait for it.
    [
      429,
      { 'x-ratelimit-remaining-tokens': '9', 'x-ratelimit-reset-tokens': '5s' },
      'no',
      undefined,
    ],
    [429, { ...out, 'x-ratelimit-reset-requests': 'soon' }, 'no', undefined],
    [429, { ...out, 'x-ratelimit-reset-requests': '99h', 'retry-after': '1' }, 'no', 1000],
    [429, { ...out, 'x-ratelimit-reset-requests': '99h' }, 'no', 600_000],
    [429, {}, 'Rate limit reached. Please try again in 1.2s. Visit …', 1200],
    [429, {}, 'It resets in ~30s', 30_000],
    [429, {}, 'Please try again in a while', undefined],
    [503, {}, 'Please try again in 1.2s', undefined],
  ])('a %d with %j and %j', (status, headers, message, ms) => {
    const body = JSON.stringify({ error: { message } })
    expect(readRefusal(status, body, headers as Record<string, string>).retryAfterMs).toBe(ms)
  })

  test('a context that is too long is named where the provider names nothing', () => {
    const code = (status: number, own: unknown, message: string): string | null =>
      readRefusal(status, JSON.stringify({ error: { message, code: own } }), {}).code
    const message = "This model's maximum context length is 8192 tokens."
    expect(code(400, null, message)).toBe('context_length_exceeded')
    expect(code(400, 400, message)).toBe('context_length_exceeded')
    expect(code(400, 'invalid_value', message)).toBe('invalid_value')
    expect(code(500, null, message)).toBeNull()
    expect(code(400, null, 'no')).toBeNull()
  })
})
