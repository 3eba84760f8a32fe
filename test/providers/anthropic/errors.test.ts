import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import { parseAnthropicError } from '#providers/anthropic/index.ts'

import { readFixture, type Rig, startRig } from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const tooLong = 'prompt is too long: 210000 tokens > 200000 maximum'
const noCredit = 'Your credit balance is too low to access the Anthropic API.'

// prettier-ignore
const rows = [
  // status, type, message → status, type, code, retry
  [400, 'invalid_request_error', 'max_tokens: Field required', 400, 'invalid_request_error', null, 'false'],
  [400, 'invalid_request_error', tooLong, 400, 'invalid_request_error', 'context_length_exceeded', 'false'],
  [400, 'invalid_request_error', noCredit, 429, 'insufficient_quota', 'insufficient_quota', 'false'],
  [401, 'authentication_error', 'invalid x-api-key', 401, 'authentication_error', 'invalid_api_key', 'false'],
  [402, 'billing_error', 'Pay first', 429, 'insufficient_quota', 'insufficient_quota', 'false'],
  [403, 'permission_error', 'Not yours', 403, 'permission_error', 'permission_denied', 'false'],
  [404, 'not_found_error', 'model: claude-x', 404, 'invalid_request_error', 'model_not_found', 'false'],
  [404, 'not_found_error', 'No such route', 404, 'invalid_request_error', null, 'false'],
  [409, 'conflict_error', 'Again, please', 409, 'invalid_request_error', null, 'true'],
  [413, 'request_too_large', 'Request exceeds the maximum size', 413, 'invalid_request_error', 'request_too_large', 'false'],
  [429, 'rate_limit_error', 'Number of requests', 429, 'rate_limit_error', 'rate_limit_exceeded', 'true'],
  [429, 'rate_limit_error', 'You have reached your spending limit', 429, 'insufficient_quota', 'insufficient_quota', 'false'],
  [500, 'api_error', 'Internal server error', 500, 'api_error', 'server_error', 'true'],
  [504, 'timeout_error', 'Too slow', 504, 'timeout_error', 'upstream_timeout', 'true'],
  [529, 'overloaded_error', 'Overloaded', 503, 'api_error', 'overloaded', 'true'],
] as const

describe('a refusal', () => {
  for (const [status, type, message, outStatus, outType, code, retry] of rows) {
    test(`${status} ${type}: ${message}`, async () => {
      rig.upstream.reply({
        status,
        headers: { 'retry-after': '7', 'request-id': 'req_1' },
        json: { type: 'error', error: { type, message }, request_id: 'req_1' },
      })
      const reply = await rig.ask({})
      expect(reply.status).toBe(outStatus)
      expect(reply.json.error).toMatchObject({ message, type: outType, code, request_id: 'req_1' })
      expect(reply.headers.get('x-should-retry') ?? 'true').toBe(retry)
      expect(reply.headers.get('retry-after')).toBe('7')
    })
  }

  test('that is an error page keeps its status', async () => {
    rig.upstream.reply({ status: 413, headers: { 'content-type': 'text/html' }, text: '<html>' })
    const { status, json } = await rig.ask({})
    expect(status).toBe(413)
    expect(json.error.code).toBe('request_too_large')
    rig.upstream.reply({ status: 502, headers: { 'content-type': 'text/html' }, text: '<html>' })
    expect((await rig.ask({})).status).toBe(502)
    rig.upstream.reply({ status: 529, headers: { 'content-type': 'text/html' }, text: '<html>' })
    expect((await rig.ask({})).status).toBe(503)
  })

  test('with a limit that is used up says until when', () => {
    const headers = {
      'anthropic-ratelimit-requests-remaining': '5',
      'anthropic-ratelimit-requests-reset': '2100-01-01T00:00:00Z',
      'anthropic-ratelimit-tokens-remaining': '0',
      'anthropic-ratelimit-tokens-reset': new Date(Date.now() + 30_000).toISOString(),
    }
    const { retryAfterMs } = parseAnthropicError(429, '', headers)
    expect(retryAfterMs).toBeWithin(1, 30_001)
    expect(parseAnthropicError(429, '', {}).retryAfterMs).toBeUndefined()
  })

  test('names the parameter where OpenAI has the same', () => {
    const body = (message: string) =>
      JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message } })
    expect(parseAnthropicError(400, body('stop_sequences: bad'), {}).param).toBe('stop')
    expect(parseAnthropicError(400, body('tools.0.custom.name: bad'), {}).param).toBeNull()
  })

  test('with status 200 counts as one', async () => {
    rig.upstream.reply({
      json: { type: 'error', error: { type: 'overloaded_error', message: 'Busy' } },
    })
    const { status, json } = await rig.ask({})
    expect(status).toBe(503)
    expect(json.error.message).toBe('Busy')
  })

  test('of any shape is read without harm', () => {
    for (const body of [
      '',
      'null',
      '[]',
      '{"error":null}',
      '{"error":{"type":7,"message":[]}}',
      '<',
    ]) {
      for (const status of [200, 400, 418, 429, 529, 599]) {
        const failure = parseAnthropicError(status, body, {})
        expect(typeof failure.message).toBe('string')
      }
    }
  })
})

test('raises the class that clients of OpenAI expect', async () => {
  const client = rig.client()
  const raised = async (fault: string): Promise<unknown> =>
    client.chat.completions
      .create({ model: `anthropic/echo!${fault}`, messages: [{ role: 'user', content: 'x' }] })
      .catch((error: unknown) => error)
  expect(await raised('status=400')).toBeInstanceOf(OpenAI.BadRequestError)
  expect(await raised('status=401')).toBeInstanceOf(OpenAI.AuthenticationError)
  expect(await raised('status=403')).toBeInstanceOf(OpenAI.PermissionDeniedError)
  expect(await raised('status=404')).toBeInstanceOf(OpenAI.NotFoundError)
  expect(await raised('status=429')).toBeInstanceOf(OpenAI.RateLimitError)
  expect(await raised('status=529')).toBeInstanceOf(OpenAI.InternalServerError)
})

test('an error in the midst of a stream reaches the client as one', async () => {
  const all = readFixture('error-inside.sse')
  const cut = all.indexOf('event: error')
  const { promise: answered, resolve } = Promise.withResolvers<void>()
  rig.upstream.reply({ chunks: [all.slice(0, cut), all.slice(cut)], gate: answered })
  const stream = await rig.client().chat.completions.create({
    model: 'anthropic/echo',
    messages: [{ role: 'user', content: 'one two three' }],
    stream: true,
  })
  let said = ''
  const read = async (): Promise<void> => {
    for await (const { choices } of stream) {
      said += choices[0]?.delta.content ?? ''
      resolve()
    }
  }
  expect(await read().catch((error: unknown) => error)).toBeInstanceOf(OpenAI.APIError)
  expect('Hello, wörld 👋! How can I help?'.startsWith(said)).toBe(true)
  expect(said).not.toBe('')
})
