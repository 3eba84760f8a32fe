import { describe, expect, test } from 'bun:test'

import { modelUrl } from '#providers/bedrock/place.ts'
import { pack, sign, unpack } from '#providers/bedrock/sign.ts'
import type { Target } from '#providers/provider.ts'

// Signatures against those that AWS publishes with its "Signature Version 4 test suite", and its documentation.

const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const credential = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey, region: 'us-east-1' }
const nowMs = Date.parse('2015-08-30T12:36:00Z')
const origin = 'https://example.amazonaws.com'

interface Vector {
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly signed: string
  readonly signature: string
}

const plain = 'host;x-amz-date'

const vectors: Record<string, Vector> = {
  'get-vanilla': {
    method: 'GET',
    path: '/',
    signed: plain,
    signature: '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  },
  'get-vanilla-query-order-key-case': {
    method: 'GET',
    path: '/?Param2=value2&Param1=value1',
    signed: plain,
    signature: 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  },
  'get-unreserved': {
    method: 'GET',
    path: '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    signed: plain,
    signature: '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
  },
  'post-vanilla': {
    method: 'POST',
    path: '/',
    signed: plain,
    signature: '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
  },
  'post-x-www-form-urlencoded': {
    method: 'POST',
    path: '/',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'Param1=value1',
    signed: 'content-type;host;x-amz-date',
    signature: 'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  },
}

test.each(Object.keys(vectors))('the published vector %s', async (name) => {
  const { method, path, headers: given, body, signed, signature } = vectors[name]!
  const headers: Record<string, string> = { 'user-agent': 'not signed', ...given }
  await sign({ method, url: origin + path, headers, body }, credential, 'service', nowMs)
  expect(headers['x-amz-date']).toBe('20150830T123600Z')
  expect(headers['authorization']).toBe(
    `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${signed}, Signature=${signature}`,
  )
})

test('the published vector post-sts-header-before signs the session token', async () => {
  const sessionToken =
    'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=='
  const headers: Record<string, string> = {}
  await sign(
    { method: 'POST', url: `${origin}/`, headers, body: undefined },
    { ...credential, sessionToken },
    'service',
    nowMs,
  )
  expect(headers['x-amz-security-token']).toBe(sessionToken)
  expect(headers['authorization']).toEndWith(
    'SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead',
  )
})

test('a model id is encoded once in the path and twice in the signature', async () => {
  const target = { settings: { network: {}, name: 'bedrock' } } as unknown as Target
  const id = 'us.anthropic.claude-opus-4-6-v1:0'
  const url = modelUrl({ id, region: 'us-east-1' }, 'converse', target)
  expect(url).toBe(
    'https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-opus-4-6-v1%3A0/converse',
  )
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  const body = '{"messages":[]}'
  await sign({ method: 'POST', url, headers, body }, credential, 'bedrock', nowMs)
  // Computed by the steps of the documentation, apart from this code, with `%253A` in the canonical path.
  expect(headers['authorization']).toEndWith(`Signature=${byHand}`)
})

const byHand = 'a61803b3084a7764e9cd9b9bb970624da1c55ffd5576e9b8ea4170c4b49f945d'

describe('a packed credential', () => {
  test('comes back as it was', () => {
    const whole = { ...credential, sessionToken: 'a"b' }
    expect(unpack(pack(whole))).toEqual(whole)
    expect(unpack(pack(credential))).toEqual(credential)
  })

  test.each([
    '',
    'bedrock-api-key-YmVk',
    '{"accessKeyId":"x"}',
    'aws-sigv4:',
    'aws-sigv4:null',
    'aws-sigv4:{}',
    'aws-sigv4:[]',
  ])('is not %p', (text) => {
    expect(unpack(text)).toBeUndefined()
  })
})
