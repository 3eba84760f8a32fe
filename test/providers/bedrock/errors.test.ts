import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI, { APIError } from 'openai'

import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Refusals of the vendor as the exceptions that callers catch.

let rig: Rig
let client: OpenAI

beforeAll(async () => {
  rig = await startRig()
  client = new OpenAI({ apiKey: 'any', baseURL: `${rig.gateway.url}/openai/v1`, maxRetries: 0 })
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig.stop())

async function refusal(): Promise<APIError> {
  const messages = [{ role: 'user' as const, content: 'hi' }]
  const asked = client.chat.completions.create({ model: 'bedrock/echo', messages })
  const error: unknown = await asked.then(
    () => new Error('it was answered'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof APIError) return error
  throw error
}

const quota = { type: 'insufficient_quota', code: 'insufficient_quota' }
const badKey = { type: 'authentication_error', code: 'invalid_api_key' }

const table: readonly [string, number, string, string, number, object][] = [
  [
    'ValidationException',
    400,
    'The text field is blank.',
    'BadRequestError',
    400,
    { code: 'ValidationException' },
  ],
  [
    'ValidationException',
    400,
    'Input is too long for requested model.',
    'BadRequestError',
    400,
    { code: 'context_length_exceeded' },
  ],
  [
    'ValidationException',
    400,
    'Invocation of model ID x with on-demand throughput isn’t supported.',
    'BadRequestError',
    400,
    { code: 'model_not_found' },
  ],
  ['ServiceQuotaExceededException', 400, 'Your account has no more.', 'RateLimitError', 429, quota],
  ['ConflictException', 400, 'Busy.', 'ConflictError', 409, {}],
  [
    'AccessDeniedException',
    403,
    'You don’t have access to the model.',
    'PermissionDeniedError',
    403,
    { code: 'permission_denied' },
  ],
  [
    'UnrecognizedClientException',
    403,
    'The security token is invalid.',
    'AuthenticationError',
    401,
    badKey,
  ],
  ['ExpiredTokenException', 400, 'Expired.', 'AuthenticationError', 401, badKey],
  [
    'ResourceNotFoundException',
    404,
    'This model has reached the end of its life.',
    'NotFoundError',
    404,
    { code: 'model_not_found' },
  ],
  [
    'ModelTimeoutException',
    408,
    'Too slow.',
    'InternalServerError',
    504,
    { code: 'upstream_timeout' },
  ],
  ['ModelErrorException', 424, 'Broken.', 'InternalServerError', 502, { code: 'provider_error' }],
  [
    'ThrottlingException',
    429,
    'Too many requests.',
    'RateLimitError',
    429,
    { code: 'rate_limit_exceeded' },
  ],
  [
    'ThrottlingException',
    429,
    'Too many tokens per day, please wait.',
    'RateLimitError',
    429,
    quota,
  ],
  ['ModelNotReadyException', 429, 'Waking up.', 'InternalServerError', 503, { code: 'overloaded' }],
  ['InternalServerException', 500, 'Oops.', 'InternalServerError', 500, { code: 'server_error' }],
  ['ServiceUnavailableException', 503, 'Busy.', 'InternalServerError', 503, { code: 'overloaded' }],
  ['NewlyInventedException', 418, 'Teapot.', 'APIError', 418, { code: 'NewlyInventedException' }],
]

test.each(table)('%s (%i: %s) is a %s', async (name, status, message, thrown, outward, facts) => {
  const header = {
    'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
  }
  rig.upstream.clear()
  rig.upstream.reply({ status, headers: header, json: { message } })
  const error = await refusal()
  // Keys that stand in the configuration would be the same a second time.
  expect(rig.upstream.requests).toHaveLength(1)
  expect(error.constructor.name).toBe(thrown)
  expect(error.status).toBe(outward)
  expect(error).toMatchObject(facts)
  expect(error.error).toMatchObject({ message, exception: name })
  const isFinal = outward < 500 && ![408, 409, 429].includes(outward)
  const saysNo = error.headers!.get('x-should-retry') === 'false'
  expect(saysNo).toBe(isFinal || error.code === 'insufficient_quota')
})

describe('the name and the words are found', () => {
  const found = (status: number, code: string, message: string) => ({
    status,
    code,
    error: expect.objectContaining({ message }),
  })

  test.each([
    [
      'in the body',
      { __type: 'com.amazon.coral.service#ThrottlingException', message: 'Slow down.' },
      found(429, 'rate_limit_exceeded', 'Slow down.'),
    ],
    [
      'in capitals',
      { __type: 'AccessDeniedException', Message: 'No.' },
      found(403, 'permission_denied', 'No.'),
    ],
  ])('%s', async (_name, json, facts) => {
    rig.upstream.reply({ status: 429, json })
    expect(await refusal()).toMatchObject(facts)
  })

  test('what else the vendor says is kept', async () => {
    const json = { message: 'Broken.', originalStatusCode: 500, resourceName: 'model-x' }
    rig.upstream.reply({
      status: 424,
      headers: { 'x-amzn-errortype': 'ModelErrorException' },
      json,
    })
    expect((await refusal()).error).toMatchObject({
      originalStatusCode: 500,
      resourceName: 'model-x',
    })
  })

  test.each([
    [
      'a page',
      {
        status: 503,
        text: '<html><h1>Service Unavailable</h1></html>',
        headers: { 'content-type': 'text/html' },
      },
      503,
    ],
    ['nothing', { status: 500 }, 500],
    ['a list', { status: 400, json: ['no'] }, 400],
    [
      'an odd name',
      {
        status: 400,
        json: { message: 5, __type: { a: 1 } },
        headers: { 'x-amzn-errortype': '<script>' },
      },
      400,
    ],
  ])('%s is no reason to fail', async (_name, reply, status) => {
    rig.upstream.reply(reply)
    expect((await refusal()).status).toBe(status)
  })
})

test('accounts stay hidden', async () => {
  const message =
    'User: arn:aws:sts::123456789012:assumed-role/gw/s is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/x'
  rig.upstream.reply({
    status: 403,
    headers: { 'x-amzn-errortype': 'AccessDeniedException' },
    json: { message },
  })
  const { error } = await refusal()
  expect(error).toMatchObject({ message: message.replace('123456789012', '[account]') })
})

test('how long to wait is passed on', async () => {
  const headers = { 'x-amzn-errortype': 'ThrottlingException', 'retry-after': '7' }
  rig.upstream.reply({ status: 429, headers, json: { message: 'Slow.' } })
  expect((await refusal()).headers!.get('retry-after')).toBe('7')
})
