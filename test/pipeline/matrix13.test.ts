import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { refusedUrl, startUpstream } from '../helpers/upstream.ts'
import type { Reply, ReplyParts, Upstream } from '../helpers/upstream.ts'

// What the gateway makes of every failure a provider can have: what the caller is told, and who else is asked. Each row
// is tried three times: with one key and retries, with three keys, and with another provider behind.

interface Row {
  readonly name: string
  readonly fails: Reply
  /** What the caller gets when nobody serves. */
  readonly status: number
  readonly code: string | null
  readonly type?: string
  /** Calls that one key gets with two retries allowed. */
  readonly sameKey: number
  /** Keys that are asked when three could be, without and with four retries. */
  readonly keys: readonly [number, number]
  /** Another provider is asked. */
  readonly nextProvider: boolean
  readonly shouldRetry: 'false' | 'true' | null
  readonly retryAfter?: string
  readonly stream?: boolean
  /** It is about a timer, so that ours are short. */
  readonly isLate?: boolean
}

function error(
  status: number,
  fields: { code?: string | number | null; type?: string; message?: string },
  headers: Record<string, string> = {},
): ReplyParts {
  const { code = null, type = 'error', message = 'no' } = fields
  return { status, headers, json: { error: { message, type, code, param: null } } }
}

const final = { sameKey: 1, keys: [1, 1], shouldRetry: 'false' } as const
const ofKey = { sameKey: 1, keys: [3, 3], shouldRetry: 'false' } as const
const trouble = { sameKey: 3, keys: [1, 3], shouldRetry: null } as const
const elsewhere = { nextProvider: true }
const invalid = 'invalid_request_error'
const tooLong = "This model's maximum context length is 8192 tokens."
const inner = (code: string, message = 'no') => ({
  json: { error: { message, code, type: 'error' } },
})
const silence = Promise.withResolvers<void>()

const rows: readonly Row[] = [
  {
    name: '400: the request is wrong',
    fails: error(400, { code: 'invalid_value', type: invalid }),
    ...{ status: 400, code: 'invalid_value', type: invalid, ...final },
    // Whatever a provider says of the request, another one may see it otherwise; so does Bifrost.
    nextProvider: true,
  },
  {
    name: '400: too long, by its code',
    fails: error(400, { code: 'context_length_exceeded', type: invalid }),
    ...{ status: 400, code: 'context_length_exceeded', type: invalid, ...final, ...elsewhere },
  },
  {
    name: '400: too long, by its message alone',
    fails: error(400, { code: 400, type: 'BadRequestError', message: tooLong }),
    ...{ status: 400, code: 'context_length_exceeded', ...final, ...elsewhere },
  },
  {
    name: '400: against the rules of the provider',
    fails: error(400, { code: 'content_filter', type: invalid }),
    ...{ status: 400, code: 'content_filter', ...final, ...elsewhere },
  },
  {
    name: '401: the key is not accepted',
    fails: error(401, { code: 'invalid_api_key', type: 'authentication_error' }),
    ...{ status: 401, code: 'invalid_api_key', type: 'authentication_error' },
    ...{ ...ofKey, ...elsewhere },
  },
  {
    name: '402: no money left',
    fails: error(402, { code: 'insufficient_quota' }),
    ...{ status: 402, code: 'insufficient_quota', ...ofKey, ...elsewhere },
  },
  {
    name: '403: not for this key',
    fails: error(403, { code: 'permission_denied', type: 'permission_error' }),
    ...{ status: 403, code: 'permission_denied', type: 'permission_error' },
    ...{ ...ofKey, ...elsewhere },
  },
  {
    name: '404: no such model',
    fails: error(404, { code: 'model_not_found', type: invalid }),
    ...{ status: 404, code: 'model_not_found', ...final, ...elsewhere },
  },
  ...[405, 501].map((status) => ({
    name: `${status}: no such operation`,
    fails: error(status, { code: 'unsupported_endpoint' }),
    ...{ status, code: 'unsupported_endpoint', ...final, ...elsewhere },
  })),
  ...[408, 504].map((status) => ({
    name: `${status}: it took the provider too long`,
    fails: error(status, { code: 'upstream_timeout', type: 'timeout_error' }),
    ...{ status, code: 'upstream_timeout', ...trouble, ...elsewhere },
  })),
  {
    name: 'no headers in time',
    isLate: true,
    fails: { gate: silence.promise, json: {} },
    ...{ status: 504, code: 'upstream_headers_timeout', type: 'timeout_error' },
    ...{ ...trouble, ...elsewhere },
  },
  {
    name: '409: something else is under way',
    fails: error(409, { code: 'conflict' }),
    ...{ status: 409, code: 'conflict', ...trouble, ...elsewhere },
  },
  {
    name: '413: too large',
    fails: error(413, { code: 'request_too_large', type: invalid }),
    ...{ status: 413, code: 'request_too_large', ...final, ...elsewhere },
  },
  {
    name: '422: the request is wrong',
    fails: error(422, { code: 'invalid_value', type: invalid }),
    ...{ status: 422, code: 'invalid_value', ...final, ...elsewhere },
  },
  ...[424, 498].map((status) => ({
    name: `${status}: no room, as single providers say it`,
    fails: error(status, { code: 'no_capacity' }),
    ...{ status, code: 'no_capacity', ...trouble, ...elsewhere },
    shouldRetry: 'true' as const,
  })),
  {
    name: '429: too fast',
    fails: error(429, { code: 'rate_limit_exceeded' }, { 'retry-after-ms': '2' }),
    ...{ status: 429, code: 'rate_limit_exceeded', sameKey: 3, keys: [3, 3] },
    ...{ ...elsewhere, shouldRetry: null, retryAfter: '1' },
  },
  {
    name: '429: too fast, and for longer than anybody waits',
    fails: error(429, { code: 'rate_limit_exceeded' }, { 'retry-after': '6' }),
    ...{ status: 429, code: 'rate_limit_exceeded', sameKey: 1, keys: [3, 3] },
    ...{ ...elsewhere, shouldRetry: null, retryAfter: '6' },
  },
  {
    name: '429: nothing left today',
    fails: error(429, { code: 'insufficient_quota', type: 'insufficient_quota' }),
    ...{ status: 429, code: 'insufficient_quota', ...ofKey, ...elsewhere },
  },
  ...[500, 502, 503, 520, 521, 522, 523, 524, 525, 526, 527, 529].map((status) => ({
    name: `${status}: the provider's own trouble`,
    fails: error(status, { code: 'server_error', type: 'server_error' }),
    ...{ status, code: 'server_error', type: 'server_error', ...trouble, ...elsewhere },
  })),
  ...(
    [
      ['401', 'invalid_api_key', 401, ofKey],
      ['429', 'rate_limit_exceeded', 429, { sameKey: 3, keys: [3, 3], shouldRetry: null }],
      ['429 without money', 'insufficient_quota', 429, ofKey],
      ['503', 'overloaded', 503, trouble],
      ['400', 'context_length_exceeded', 400, final],
    ] as const
  ).map(([name, code, status, what]) => ({
    name: `200 with an error that means ${name}`,
    fails: inner(code),
    ...{ status, code, ...what, ...elsewhere },
  })),
  {
    name: '200 with a page instead of an answer',
    fails: { headers: { 'content-type': 'text/html' }, text: '<html>busy</html>' },
    ...{ status: 502, code: 'bad_gateway', type: 'api_error', ...trouble, ...elsewhere },
    keys: [1, 1],
  },
  {
    name: '200 with nothing',
    fails: { headers: { 'content-type': 'application/json' }, text: '' },
    ...{ status: 502, code: 'bad_gateway', type: 'api_error', ...trouble, ...elsewhere },
    keys: [1, 1],
  },
  {
    name: 'a stream that ends before it began',
    fails: { sse: [] },
    stream: true,
    ...{ status: 502, code: 'upstream_truncated', ...trouble, ...elsewhere },
    keys: [1, 1],
  },
  {
    name: 'a stream without a first event in time',
    isLate: true,
    fails: { chunks: [': patience\n\n'], gate: [undefined, silence.promise] },
    stream: true,
    ...{ status: 504, code: 'upstream_first_token_timeout', ...trouble, ...elsewhere },
  },
  {
    name: 'a stream whose first event is an error',
    fails: { sse: [JSON.stringify(inner('overloaded').json)] },
    stream: true,
    ...{ status: 503, code: 'overloaded', ...trouble, ...elsewhere },
  },
]

let first: Upstream
let second: Upstream
let gateway: TestGateway | undefined

beforeAll(async () => {
  first = await startUpstream()
  second = await startUpstream()
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  first.clear()
  second.clear()
})
afterAll(async () => {
  silence.resolve()
  await first.stop()
  await second.stop()
})

const short = { response_headers_timeout_in_seconds: 0.1, first_token_timeout_in_seconds: 0.1 }

async function start(
  { isLate }: Pick<Row, 'isLate'>,
  keys: number,
  retries: number,
  baseUrl = first.url,
) {
  gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: Array.from({ length: keys }, (_, n) => ({ value: `k${n}` })),
          network_config: {
            base_url: baseUrl,
            max_retries: retries,
            retry_backoff_initial: 1,
            retry_backoff_max: 2,
            ...(isLate && short),
          },
        },
        groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
      },
    },
  })
}

async function ask({ stream }: Pick<Row, 'stream'>, body: object = {}) {
  const response = await fetch(`${gateway!.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'openai/echo',
      messages: [{ role: 'user', content: 'hi' }],
      ...(stream && { stream }),
      ...body,
    }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text }
}

const always = (fails: Reply) => first.reply(Array.from({ length: 12 }, () => fails))
const keysAsked = () => new Set(first.requests.map(({ headers }) => headers.get('authorization')))

describe.each(rows)('$name', (row) => {
  test('is told to the caller, and tried again with the same key', async () => {
    await start(row, 1, 2)
    always(row.fails)
    const { status, headers, text } = await ask(row)
    const { error: said, is_bifrost_error: own } = JSON.parse(text)
    expect([status, said.code]).toEqual([row.status, row.code])
    if (row.type !== undefined) expect(said.type).toBe(row.type)
    expect(typeof said.message).toBe('string')
    expect(typeof own).toBe('boolean')
    expect(headers.get('x-should-retry')).toBe(row.shouldRetry)
    expect(headers.get('retry-after')).toBe(row.retryAfter ?? null)
    expect(first.requests).toHaveLength(row.sameKey)
  })

  test('is tried with other keys', async () => {
    const [without, withRetries] = row.keys
    await start(row, 3, 0)
    always(row.fails)
    await ask(row)
    expect(keysAsked().size).toBe(without)
    expect(first.requests).toHaveLength(without)
    await gateway!.stop()
    first.clear()
    await start(row, 3, 4)
    always(row.fails)
    await ask(row)
    expect(keysAsked().size).toBe(withRetries)
  })

  test('is tried with another provider', async () => {
    await start(row, 1, 0)
    always(row.fails)
    const { status, headers } = await ask(row, { fallbacks: ['groq/echo'] })
    expect(second.requests).toHaveLength(row.nextProvider ? 1 : 0)
    expect(status).toBe(row.nextProvider ? 200 : row.status)
    expect(headers.get('x-bifrost-fallback-index')).toBe(row.nextProvider ? '1' : null)
  })
})

describe('a provider that cannot be reached', () => {
  test('is told to the caller, who may try again', async () => {
    await start({}, 3, 1, refusedUrl())
    const { status, headers, text } = await ask({})
    expect([status, JSON.parse(text).error.code]).toEqual([502, 'provider_unreachable'])
    expect(headers.get('x-should-retry')).toBeNull()
  })

  test('gives way to the next one', async () => {
    await start({}, 1, 0, refusedUrl())
    expect((await ask({}, { fallbacks: ['groq/echo'] })).status).toBe(200)
  })
})

test('a caller who left is not answered, and nobody else is asked', async () => {
  await start({}, 3, 4)
  const gate = Promise.withResolvers<void>()
  first.reply({ gate: gate.promise, status: 500, json: {} })
  const leaving = new AbortController()
  const left = fetch(`${gateway!.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openai/echo', messages: [], fallbacks: ['groq/echo'] }),
    signal: leaving.signal,
  }).catch(() => 'left')
  await first.waitFor(1)
  leaving.abort()
  expect(await left).toBe('left')
  await gateway!.logged(({ kind }) => kind === 'client_closed')
  gate.resolve()
  expect([first.requests.length, second.requests.length]).toEqual([1, 0])
})

describe('a stream that stops without its end', () => {
  const chunk = JSON.stringify({
    id: 'a',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { content: 'A' }, finish_reason: null }],
  })

  test('is an error in the stream once something was sent, and nobody else is asked', async () => {
    await start({}, 3, 4)
    first.reply({ sse: [chunk] })
    const { status, text } = await ask({ stream: true }, { fallbacks: ['groq/echo'] })
    expect(status).toBe(200)
    expect(text).toContain('"content":"A"')
    expect(text).toContain('upstream_truncated')
    expect([first.requests.length, second.requests.length]).toEqual([1, 0])
  })
})
