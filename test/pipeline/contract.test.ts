import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// What callers of other gateways rely on: messages, precedence, and what becomes of a provider that refuses every key.

let first: Upstream
let second: Upstream
let third: Upstream
let gateway: TestGateway | undefined

const refusal = (status: number, code: string, message = 'as it said') => ({
  status,
  json: { error: { message, type: 'x', code } },
})
const badKey = refusal(401, 'invalid_api_key')
const poor = refusal(402, 'insufficient_quota')
const forbidden = refusal(403, 'permission_denied')
const busy = refusal(503, 'overloaded')
const tooFast = refusal(429, 'rate_limit_exceeded')

beforeEach(async () => {
  first = await startUpstream()
  second = await startUpstream()
  third = await startUpstream()
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  await first.stop()
  await second.stop()
  await third.stop()
})

interface Given {
  readonly keys?: readonly object[]
  readonly retries?: number
  readonly fallbacks?: readonly string[]
  readonly rules?: readonly object[]
  readonly client?: object
}

const twoKeys = [
  { name: 'a', id: 'ida', value: 'ka' },
  { name: 'b', id: 'idb', value: 'kb' },
]

async function start({ keys = twoKeys, retries = 0, fallbacks, rules, client }: Given = {}) {
  const network = (base_url: string) => ({
    network_config: {
      base_url,
      max_retries: retries,
      retry_backoff_initial: 1,
      retry_backoff_max: 1,
    },
  })
  gateway = await startGateway({
    config: {
      client: { ...client },
      ...(rules && { governance: { routing_rules: rules } }),
      providers: {
        openai: { keys, ...network(first.url), ...(fallbacks && { fallbacks }) },
        groq: {
          keys: [{ name: 'g', value: 'kg' }],
          ...network(second.url),
          fallbacks: ['mistral'],
        },
        mistral: { keys: [{ name: 'm', value: 'km' }], ...network(third.url) },
      },
    },
  })
}

async function ask(body: object = {}, headers: object = {}) {
  const response = await fetch(`${gateway!.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model: 'openai/echo',
      messages: [{ role: 'user', content: 'hi' }],
      ...body,
    }),
  })
  const json = (await response.json()) as any
  return {
    status: response.status,
    error: json.error,
    isOurs: json.is_bifrost_error,
    provider: response.headers.get('x-bifrost-provider'),
    shouldRetry: response.headers.get('x-should-retry'),
  }
}

describe('the messages', () => {
  test('when a provider has no keys', async () => {
    await start({ keys: [] })
    const { status, error } = await ask()
    expect([status, error.message]).toEqual([
      400,
      'No keys found for provider: openai and model: echo.',
    ])
  })

  test('when none of its keys may serve the model', async () => {
    await start({ keys: [{ value: 'k', models: ['other'] }] })
    const { status, error } = await ask()
    expect(status).toBe(400)
    expect(error.message).toStartWith('No keys found that support model: echo.')
  })

  test('when the one that was named is not there, or may not serve', async () => {
    await start({ keys: [...twoKeys, { name: 'off', value: 'k', enabled: false }] })
    const byName = await ask({}, { 'x-bf-api-key': 'nobody' })
    expect([byName.status, byName.error.message]).toEqual([400, "No key found with name 'nobody'."])
    const byId = await ask({}, { 'x-bf-api-key-id': 'nothing', 'x-bf-api-key': 'a' })
    expect([byId.status, byId.error.message]).toEqual([
      400,
      "No supported key found with id 'nothing'.",
    ])
    expect((await ask({}, { 'x-bf-api-key': 'off' })).status).toBe(400)
    expect(first.requests).toHaveLength(0)
  })
})

describe('a provider that refuses every key', () => {
  test.each([
    ['with one status', [badKey, badKey], 401],
    ['with several', [poor, forbidden], 403],
  ] as const)('%s is no fault of the caller', async (_, replies, last) => {
    await start()
    first.reply(replies)
    const { status, error, isOurs, shouldRetry } = await ask()
    expect([status, error.code, isOurs, shouldRetry]).toEqual([
      502,
      'upstream_credentials_exhausted',
      true,
      'false',
    ])
    expect(error.message).toContain(`with status ${last}: as it said`)
    expect(first.requests).toHaveLength(2)
  })

  test('is passed over for the next candidate', async () => {
    await start()
    first.reply([badKey, badKey])
    expect((await ask({ fallbacks: ['groq/echo'] })).provider).toBe('groq')
  })

  test('but one of them for its speed has not refused them all', async () => {
    await start()
    first.reply([badKey, tooFast])
    expect(await ask()).toMatchObject({ status: 429, error: { code: 'rate_limit_exceeded' } })
  })

  test('of which there is one, or which is the caller’s own, is heard in its own words', async () => {
    await start({ client: { allow_direct_keys: true } })
    first.reply([badKey, badKey])
    const named = await ask({}, { 'x-bf-api-key': 'a' })
    expect([named.status, named.error.code, named.isOurs]).toEqual([401, 'invalid_api_key', false])
    const own = await ask({}, { authorization: 'Bearer sk-of-the-caller' })
    expect([own.status, own.error.code]).toEqual([401, 'invalid_api_key'])
  })
})

test('words that say "too fast" with another status make room for the next key', async () => {
  await start()
  first.reply(refusal(400, 'bad', 'Throttled: 60 requests per minute'))
  expect((await ask()).status).toBe(200)
  expect(new Set(first.requests.map(({ headers }) => headers.get('authorization'))).size).toBe(2)
})

describe('fallbacks', () => {
  const rule = (more: object = {}) => ({
    name: 'r',
    cel_expression: 'true',
    targets: [{ model: 'echo', weight: 1 }],
    fallbacks: ['groq/of-the-rule'],
    ...more,
  })
  const sentTo = ({ requests }: Upstream) => requests.map((request) => request.json().model)

  test.each([
    ['of the caller come before those of a rule', ['mistral/mine'], [rule()], [[], ['mine']]],
    ['of a rule come before those of the provider', undefined, [rule()], [['of-the-rule'], []]],
    [
      'of the provider serve a rule that has none',
      undefined,
      [rule({ fallbacks: [] })],
      [[], ['chain']],
    ],
    ['of the provider serve who names none', undefined, [], [[], ['chain']]],
  ])('%s', async (_, own, rules, [groq, mistral]) => {
    await start({ fallbacks: ['mistral/chain'], rules })
    first.reply([busy, busy])
    expect((await ask(own ? { fallbacks: own } : {})).status).toBe(200)
    expect([sentTo(second), sentTo(third)]).toEqual([groq!, mistral!])
  })

  test('of a fallback are not its own to bring along', async () => {
    await start({ fallbacks: ['groq/echo'] })
    first.reply([busy, busy])
    second.reply(busy)
    expect((await ask()).status).toBe(503)
    expect(third.requests).toHaveLength(0)
  })

  test('have retries of their own, and the first error is the answer', async () => {
    await start({ retries: 2, keys: [{ value: 'k' }] })
    first.reply([busy, busy, refusal(503, 'first_word')])
    second.reply([busy, busy, busy])
    third.reply([busy, busy, busy])
    const answer = await ask({ fallbacks: ['groq/echo', 'mistral/echo'] })
    expect([answer.status, answer.error.code]).toEqual([503, 'first_word'])
    expect([first, second, third].map(({ requests }) => requests.length)).toEqual([3, 3, 3])
  })

  test.each([
    ['a refusal of every key', [badKey, badKey]],
    ['a limit', [tooFast, tooFast]],
    ['trouble', [busy]],
    ['a missing model', [refusal(404, 'model_not_found')]],
    ['a prompt that is too long', [refusal(400, 'context_length_exceeded')]],
    ['a request that this provider does not take', [refusal(400, 'invalid_value')]],
    ['content that it will not answer', [refusal(400, 'content_filter')]],
  ])('follow %s', async (_, replies) => {
    await start()
    first.reply(replies)
    expect((await ask({ fallbacks: ['groq/echo'] })).provider).toBe('groq')
  })
})
