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
})
