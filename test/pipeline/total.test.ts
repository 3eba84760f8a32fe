import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { chatChunk, failure, strictStream, until } from './rig.ts'

// `x-bf-timeout-total`: the time of the call as a whole, whatever is tried in it. Every assertion is about what ended it.

const never = new Promise<never>(() => undefined)
const silent = { json: {}, gate: never }

let first: Upstream
let second: Upstream
let gateway: TestGateway

async function start(provider: object = {}, client: object = {}): Promise<void> {
  gateway = await startGateway({
    config: {
      client,
      providers: {
        openai: {
          keys: [{ name: 'a', value: 'ka' }],
          network_config: { base_url: first.url, max_retries: 3, retry_backoff_initial: 1 },
          ...provider,
        },
        groq: {
          keys: [{ name: 'g', value: 'kg' }],
          network_config: { base_url: second.url },
        },
      },
    },
  })
}

beforeEach(async () => {
  first = await startUpstream()
  second = await startUpstream()
})
afterEach(async () => {
  await gateway.stop()
  await first.stop()
  await second.stop()
})

function ask(headers: object, body: object = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model: 'openai/echo',
      messages: [{ role: 'user', content: 'hi' }],
      ...body,
    }),
    ...(signal && { signal }),
  })
}

const within = (value: string) => ({ 'x-bf-timeout-total': value, 'x-bf-explain': 'true' })
const components = async (): Promise<any> =>
  ((await (await fetch(`${gateway.url}/health`)).json()) as any).components
const timersIn = ({ extra_fields }: any): unknown[] =>
  extra_fields.trace.flatMap(({ timer }: { timer?: string }) => timer ?? [])

describe('when the time of a call is over', () => {
  test('nobody else is asked: neither again nor the fallbacks', async () => {
    await start()
    first.reply(silent)
    const answer = await ask(within('300ms'), { fallbacks: ['groq/echo'] })
    const { status, error, body } = await failure(answer)
    expect([status, error.code]).toEqual([504, 'upstream_timeout'])
    expect(error.message).toContain('within 300 ms')
    expect([first.requests.length, second.requests.length]).toEqual([1, 0])
    expect(timersIn(body)).toContain('total_timeout')
    await first.requests[0]!.closed
    await until(async () => (await components()).in_flight === 0)
  })

  test('a second attempt has only what the first one left', async () => {
    await start()
    first.reply([{ status: 503, json: { error: { message: 'busy' } } }, silent])
    const { status, error, body } = await failure(await ask(within('600ms')))
    expect([status, error.code]).toEqual([504, 'upstream_timeout'])
    expect(error.message).toContain('within 600 ms')
    expect(first.requests).toHaveLength(2)
    expect(timersIn(body)).toContain('total_timeout')
  })

  test('a wait that would take longer is none: the next candidate has the time', async () => {
    await start()
    const headers = { 'retry-after': '20' }
    first.reply({ status: 503, headers, json: { error: { message: 'busy' } } })
    const answer = await ask(within('15s'), { fallbacks: ['groq/echo'] })
    expect([answer.status, answer.headers.get('x-bifrost-provider')]).toEqual([200, 'groq'])
  })

  test('a call leaves the queue, and says what ended it', async () => {
    await start({ concurrency_and_buffer_size: { concurrency: 1, buffer_size: 5 } })
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    first.reply([{ json: {}, gate }])
    const before = ask({})
    await first.waitFor(1)
    const { status, error } = await failure(await ask(within('200ms')))
    expect([status, error.code]).toEqual([504, 'upstream_timeout'])
    expect((await components()).waiting).toBe(0)
    open()
    expect((await before).status).toBe(200)
  })

  test.each([
    ['a stream that has begun', {}],
    ['one that would be continued', { 'x-bf-rescue': 'true' }],
  ])('%s ends with an error that says so', async (_, more) => {
    await start()
    first.reply({ sse: [chatChunk('a'), chatChunk('b')], gate: never })
    const headers = { ...within('400ms'), ...more }
    const stream = await strictStream(
      await ask(headers, { stream: true, fallbacks: ['groq/echo'] }),
    )
    expect(stream.end).toBe('error')
    expect(stream.events.at(-1)?.data.error.code).toBe('upstream_timeout')
    expect(second.requests).toHaveLength(0)
    await first.requests[0]!.closed
  })
})

test('a call that is done in time is not disturbed, and neither is one without a limit', async () => {
  await start()
  expect((await ask(within('20s'))).status).toBe(200)
  expect((await ask({})).status).toBe(200)
  const stream = await strictStream(await ask(within('20s'), { stream: true }))
  expect(stream.end).toBe('done')
})

test('a caller who leaves has left, whatever the time', async () => {
  await start()
  first.reply(silent)
  const leaving = new AbortController()
  const answer = ask(within('20s'), {}, leaving.signal).catch(() => undefined)
  await first.waitFor(1)
  leaving.abort()
  await first.requests[0]!.closed
  await answer
  const line = await gateway.logged(({ message }) => String(message).startsWith('request failed'))
  expect(line['kind']).toBe('client_closed')
})

test('the impatience of a caller is not held against a target', async () => {
  const breaker = { circuit_breaker: { min_failures: 1, open_in_seconds: 60 } }
  await start({ network_config: { base_url: first.url } }, breaker)
  for (const header of ['x-bf-timeout-total', 'x-bf-timeout-headers']) {
    for (let n = 0; n < 3; n++) {
      first.reply(silent)
      expect((await ask({ [header]: '100ms' })).status).toBe(504)
    }
  }
  const described = { path: '/v1/chat/completions', body: { model: 'openai/echo', messages: [] } }
  const explained = await fetch(`${gateway.url}/api/explain`, {
    method: 'POST',
    body: JSON.stringify({
      ...described,
      body: { ...described.body, messages: [{ role: 'user', content: 'hi' }] },
    }),
  })
  const { candidates } = (await explained.json()) as any
  expect(candidates[0].keys).toMatchObject([{ name: 'a', verdict: 'allowed' }])
})
