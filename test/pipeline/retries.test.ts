import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { GatewayError } from '#core/errors.ts'
import type { ErrorKind } from '#core/errors.ts'
import { createRetryBudget } from '#pipeline/retry-budget.ts'
import { nextStep, waitBefore } from '#pipeline/retry.ts'

import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { refusedUrl, startUpstream, type Upstream } from '../helpers/upstream.ts'

const CHAT = { messages: [{ role: 'user', content: 'hi' }] }
const refusal = (status: number, code: string, headers: Record<string, string> = {}) => ({
  status,
  headers,
  json: { error: { message: `no (${code})`, type: 'error', code, param: null } },
})
const overloaded = refusal(503, 'overloaded')
const tooFast = refusal(429, 'rate_limit_exceeded')
const badKey = refusal(401, 'invalid_api_key')
const badRequest = refusal(400, 'invalid_value')

let first: Upstream
let second: Upstream
let gateway: TestGateway

beforeAll(async () => {
  first = await startUpstream()
  second = await startUpstream()
})
afterAll(async () => {
  await first.stop()
  await second.stop()
})

// A gateway of its own for each test: it learns from failures, and the next test must not know of them.
beforeEach(async () => {
  const retry = { max_retries: 2, retry_backoff_initial: 1, retry_backoff_max: 2 }
  gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [{ value: 'k1' }, { value: 'k2' }, { value: 'k3' }],
          network_config: { base_url: first.url, ...retry },
        },
        groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
        mistral: { keys: [{ value: 'm' }], network_config: { base_url: refusedUrl() } },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  first.clear()
  second.clear()
})

/** Another gateway, for providers that the others have not. */
async function startOwn(config: object) {
  const own = await startGateway({ config })
  return {
    ask: (body: object) =>
      fetch(`${own.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'openai/echo', ...CHAT, ...body }),
      }),
    [Symbol.asyncDispose]: () => own.stop(),
  }
}

async function ask(body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'openai/echo', ...CHAT, ...body }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

const keysSent = () => first.requests.map(({ headers }) => headers.get('authorization'))

describe('the same provider', () => {
  test('is tried again when it is in trouble, with the same key', async () => {
    first.reply([overloaded, refusal(500, 'server_error')])
    const { status } = await ask({})
    expect(status).toBe(200)
    expect(first.requests).toHaveLength(3)
    expect(new Set(keysSent()).size).toBe(1)
  })

  test('is tried no more often than the settings say, and its last word is the answer', async () => {
    first.reply([overloaded, overloaded, refusal(500, 'last_word'), overloaded])
    const { status, text } = await ask({})
    expect([status, JSON.parse(text).error.code]).toEqual([500, 'last_word'])
    expect(first.requests).toHaveLength(3)
  })

  test('is not asked again after a mistake of the caller', async () => {
    first.reply(badRequest)
    expect((await ask({})).status).toBe(400)
    expect(first.requests).toHaveLength(1)
  })

  test('gets every other key after a refused one, which costs no retry', async () => {
    first.reply([badKey, badKey, overloaded, overloaded])
    expect((await ask({})).status).toBe(200)
    expect(first.requests).toHaveLength(5)
    expect(new Set(keysSent()).size).toBe(3)
  })

  test('gets another key at once when one is too fast', async () => {
    first.reply([tooFast])
    expect((await ask({})).status).toBe(200)
    expect(new Set(keysSent()).size).toBe(2)
  })

  test('keeps the key that the caller chose', async () => {
    first.reply([badKey])
    const { status } = await ask({}, { 'x-bf-api-key': 'openai-key-2' })
    expect(status).toBe(401)
    expect(keysSent()).toEqual(['Bearer k2'])
  })

  test('is tried again when its stream fails before the first event', async () => {
    first.reply([
      { sse: ['{"error":{"message":"busy","type":"server_error","code":"overloaded"}}'] },
    ])
    const { status, text } = await ask({ stream: true })
    expect(status).toBe(200)
    expect(text).toContain('[DONE]')
    expect(text).not.toContain('busy')
    expect(first.requests).toHaveLength(2)
  })

  test('is tried again when its stream is nothing but its end, and goes on to a fallback', async () => {
    first.reply({ sse: ['[DONE]'] })
    const again = await ask({ stream: true })
    expect([again.status, first.requests.length]).toEqual([200, 2])
    expect(again.text).toContain('chat.completion.chunk')
    const empty = { sse: ['[DONE]'] }
    first.reply([empty, empty, empty])
    const moved = await ask({ stream: true, fallbacks: ['groq/echo'] })
    expect([moved.status, moved.headers.get('x-bifrost-provider')]).toEqual([200, 'groq'])
    expect(moved.text).toContain('chat.completion.chunk')
  })

  test('is not tried again once something of its stream has reached the caller', async () => {
    const chunk =
      '{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"A"},"finish_reason":null}]}'
    first.reply([{ sse: [chunk, '{"error":{"message":"broke","type":"server_error"}}'] }])
    const { text } = await ask({ stream: true, fallbacks: ['groq/echo'] })
    expect(text).toContain('broke')
    expect(first.requests).toHaveLength(1)
    expect(second.requests).toHaveLength(0)
  })
})

describe('fallbacks', () => {
  test('serve in the order the caller gave them', async () => {
    const { status, headers } = await ask({
      model: 'mistral/echo',
      fallbacks: ['', 'mistral/other', 'groq/echo', 'openai/echo'],
    })
    expect(status).toBe(200)
    expect(headers.get('x-bifrost-provider')).toBe('groq')
    expect(headers.get('x-bifrost-fallback-index')).toBe('2')
    expect(first.requests).toHaveLength(0)
  })

  test('are no concern of the provider, and get their own model', async () => {
    await ask({ model: 'mistral/echo', fallbacks: ['groq/llama'] })
    expect(second.requests[0]!.json()).toMatchObject({ model: 'llama' })
    expect(second.requests[0]!.json()).not.toHaveProperty('fallbacks')
  })

  test('follow a refusal of the provider', async () => {
    first.reply(badRequest)
    const { status, headers } = await ask({ fallbacks: ['groq/echo'] })
    expect([status, headers.get('x-bifrost-provider')]).toEqual([200, 'groq'])
  })

  test('do not follow a request that is wrong in itself', async () => {
    const { status } = await ask({ messages: 'none', fallbacks: ['groq/echo'] })
    expect(status).toBe(400)
    expect(second.requests).toHaveLength(0)
  })

  test('that cannot serve the call are passed over', async () => {
    const wanted = ['parasail/x', 'cerebras/y', 'groq/echo']
    const { headers } = await ask({ model: 'mistral/echo', fallbacks: wanted })
    expect(headers.get('x-bifrost-provider')).toBe('groq')
    expect(headers.get('x-bifrost-fallback-index')).toBe('3')
  })

  test('all failed: what the first candidate said is the answer', async () => {
    first.reply(refusal(404, 'model_not_found'))
    second.reply(refusal(403, 'permission_denied'))
    const { status, text } = await ask({ fallbacks: ['groq/echo', 'mistral/echo'] })
    expect([status, JSON.parse(text).error.code]).toEqual([404, 'model_not_found'])
  })

  test('that cannot say the request in their dialect are no reason to call it wrong', async () => {
    const messages = [{ role: 'user', content: [{ type: 'brand_new', brand_new: 1 }] }]
    const config = {
      providers: {
        openai: { keys: [{ value: 'k' }], network_config: { base_url: first.url } },
        anthropic: { keys: [{ value: 'a' }], network_config: { base_url: second.url } },
        groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
      },
    }
    await using own = await startOwn(config)
    first.reply(overloaded)
    const served = await own.ask({ messages, fallbacks: ['anthropic/claude', 'groq/echo'] })
    expect([served.status, served.headers.get('x-bifrost-fallback-index')]).toEqual([200, '2'])
    first.reply(overloaded)
    const failed = await own.ask({ messages, fallbacks: ['anthropic/claude'] })
    expect(failed.status).toBe(503)
    expect(await failed.json()).toMatchObject({ error: { code: 'overloaded' } })
    // Asked for by name, it says itself what is wrong.
    const asked = await own.ask({ model: 'anthropic/claude', messages, fallbacks: ['groq/echo'] })
    expect([asked.status, await asked.text()]).toEqual([400, expect.stringContaining('brand_new')])
  })

  test('may be objects, of a provider, a model, or both', async () => {
    const fallbacks = [
      {},
      null,
      { provider: 'nobody', model: 'x' },
      { provider: 'mistral' },
      { provider: 'groq', model: 'a/b' },
    ].filter(Boolean)
    const { status, headers } = await ask({ model: 'mistral/echo', fallbacks })
    expect([status, headers.get('x-bifrost-provider')]).toEqual([200, 'groq'])
    expect(second.requests[0]!.json().model).toBe('a/b')
    expect((await ask({ model: 'mistral/echo', fallbacks: [{ provider: 7 }] })).status).toBe(400)
  })

  test('of a form are its fields of that name, and no concern of the provider', async () => {
    const form = new FormData()
    form.append('model', 'mistral/whisper')
    form.append('file', new File(['RIFF'], 'a.wav'))
    form.append('fallbacks', 'mistral/other')
    form.append('fallbacks[]', 'groq/whisper-large')
    const response = await fetch(`${gateway.url}/openai/v1/audio/transcriptions`, {
      method: 'POST',
      body: form,
    })
    expect([response.status, response.headers.get('x-bifrost-provider')]).toEqual([200, 'groq'])
    const sent = second.requests[0]!.text()
    expect(sent).toContain('whisper-large')
    expect(sent).not.toContain('fallbacks')
    await response.body?.cancel()
  })

  test('are refused when there are too many of them', async () => {
    const { status, text } = await ask({ fallbacks: Array.from({ length: 21 }, () => 'groq/echo') })
    expect([status, JSON.parse(text).error.param]).toEqual([400, 'fallbacks'])
  })

  test('of a caller who left are not tried', async () => {
    const gate = Promise.withResolvers<void>()
    first.reply(async () => {
      await gate.promise
      return new Response('', { status: 500 })
    })
    const leaving = new AbortController()
    const asked = fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'openai/echo', ...CHAT, fallbacks: ['groq/echo'] }),
      signal: leaving.signal,
    }).catch(() => undefined)
    const [arrived] = await first.waitFor(1)
    leaving.abort()
    await asked
    await arrived!.closed
    gate.resolve()
    await gateway.logged(({ kind }) => kind === 'client_closed')
    expect(second.requests).toHaveLength(0)
  })
})

test('a key of the caller is not sent to another provider', async () => {
  const own = await startGateway({
    config: {
      client: { allow_direct_keys: true },
      providers: {
        openai: { keys: [{ value: 'k' }], network_config: { base_url: first.url } },
        groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
      },
    },
  })
  first.reply(badKey)
  const response = await fetch(`${own.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-caller' },
    body: JSON.stringify({
      model: 'openai/echo',
      ...CHAT,
      fallbacks: ['groq/echo', 'openai/echo'],
    }),
  })
  expect(response.status).toBe(200)
  expect(keysSent()).toEqual(['Bearer sk-of-the-caller', 'Bearer sk-of-the-caller'])
  expect(second.requests).toHaveLength(0)
  await own.stop()
})

/** Lets a key fail until its breaker opens. */
async function wearOut(key: string): Promise<void> {
  for (let n = 0; n < 5; n++) {
    first.reply([overloaded, overloaded, overloaded])
    await ask({ model: 'openai/x' }, { 'x-bf-api-key': key })
    first.clear()
  }
}

describe('what was learnt', () => {
  test('keeps a refused key away from the next calls, as long as there are others', async () => {
    first.reply([badKey, badKey])
    await ask({})
    const refused = new Set(keysSent().slice(0, 2))
    first.clear()
    for (let n = 0; n < 10; n++) await ask({})
    expect(keysSent().filter((key) => refused.has(key))).toEqual([])
  })

  test('puts a candidate that keeps failing behind the others, and not out', async () => {
    await wearOut('openai-key-1')
    const { headers } = await ask({ model: 'openai/x', fallbacks: ['groq/echo'] })
    expect(headers.get('x-bifrost-provider')).toBe('openai')
    await wearOut('openai-key-2')
    await wearOut('openai-key-3')
    const other = await ask({ model: 'openai/x', fallbacks: ['groq/echo'] })
    expect(other.headers.get('x-bifrost-provider')).toBe('groq')
    expect(first.requests).toHaveLength(0)
    // Without anybody else it is asked all the same.
    expect((await ask({ model: 'openai/x' })).status).toBe(200)
  })
})

describe('what comes after a failure', () => {
  const settings = { maxRetries: 2, initialBackoffMs: 100, maxBackoffMs: 1000 }
  const call = (endpoint: string, method = 'POST', body: object = { kind: 'json' }) =>
    ({ endpoint, method, body }) as never
  const step = (kind: ErrorKind, more: object = {}) =>
    nextStep({
      call: call('chat_completion'),
      error: new GatewayError(kind, 'x'),
      settings,
      retries: 0,
      freshKeys: 1,
      budgetLeft: true,
      random: 0.5,
      ...more,
    }).kind

  test('depends on what it was', () => {
    expect(step('upstream_reset')).toBe('retry')
    expect(step('idle_timeout')).toBe('retry')
    expect(step('upstream_malformed')).toBe('retry')
    expect(step('unsupported_endpoint')).toBe('next')
    expect(step('queue_full')).toBe('next')
    expect(step('client_closed')).toBe('stop')
    expect(step('shutting_down')).toBe('stop')
    expect(step('invalid_request')).toBe('stop')
    expect(step('invalid_request', { isFallback: true })).toBe('next')
    expect(step('client_closed', { isFallback: true })).toBe('stop')
  })

  test('is no retry when they are used up or the budget is', () => {
    expect(step('upstream_reset', { retries: 2 })).toBe('next')
    expect(step('upstream_reset', { budgetLeft: false })).toBe('next')
  })

  test('is no second upload, unless the first never arrived', () => {
    const upload = { call: call('file_upload') }
    expect(step('upstream_reset', upload)).toBe('next')
    expect(step('upstream_unreachable', upload)).toBe('retry')
    expect(step('upstream_reset', { call: call('file_retrieve', 'GET') })).toBe('retry')
    expect(step('upstream_reset', { call: call('passthrough') })).toBe('next')
  })

  test('is nothing when the body is gone', () => {
    expect(step('upstream_reset', { call: call('file_upload', 'POST', { kind: 'stream' }) })).toBe(
      'stop',
    )
  })

  test('waits longer each time, never longer than told, and as long as the provider asks', () => {
    const error = new GatewayError('upstream_reset', 'x')
    const wait = (retries: number, random: number) =>
      waitBefore({ ...base, error, retries, random })
    const base = { settings, freshKeys: 0, budgetLeft: true }
    expect([wait(0, 0.99), wait(1, 0.99), wait(9, 0.99)]).toEqual([99, 198, 990])
    expect(wait(3, 0)).toBe(0)
    const asking = { ...refusalOf(429), retryAfterMs: 700 }
    const patient = new GatewayError('upstream_error', 'x', { upstream: asking })
    expect(waitBefore({ ...base, error: patient, retries: 0, random: 0 })).toBe(700)
    const forever = { ...refusalOf(503), retryAfterMs: 600_000 }
    const late = new GatewayError('upstream_error', 'x', { upstream: forever })
    expect(step('internal', { error: late, freshKeys: 0 })).toBe('next')
  })
})

function refusalOf(status: number) {
  const nothing = { type: null, code: null, param: null, retryAfterMs: undefined, extra: {} }
  return { status, message: 'no', ...nothing }
}

test('retries are a share of the traffic', () => {
  const budget = createRetryBudget()
  let spent = 0
  for (let call = 0; call < 1000; call++) {
    budget.earn()
    while (budget.spend()) spent++
  }
  expect(spent).toBeGreaterThanOrEqual(200)
  expect(spent).toBeLessThanOrEqual(211)
  expect(budget.hasLeft).toBe(false)
})

describe('a session', () => {
  const session = { 'x-bf-session-id': 'conversation-1' }

  test('stays with the key that served it first', async () => {
    for (let n = 0; n < 8; n++) await ask({}, session)
    expect(new Set(keysSent()).size).toBe(1)
  })

  test('moves to the key that serves it when its own is refused, and stays there', async () => {
    await ask({}, session)
    first.reply([badKey])
    await ask({}, session)
    const moved = keysSent().at(-1)!
    expect(moved).not.toBe(keysSent()[0])
    for (let n = 0; n < 5; n++) await ask({}, session)
    expect(new Set(keysSent().slice(2))).toEqual(new Set([moved]))
  })

  test('is no reason for a key when the caller does not want it', async () => {
    const off = { ...session, 'x-bf-session-affinity': 'off' }
    for (let n = 0; n < 30; n++) await ask({}, off)
    expect(new Set(keysSent()).size).toBeGreaterThan(1)
  })

  test('is told from others', async () => {
    for (let n = 0; n < 30; n++) await ask({}, { 'x-bf-session-id': `s${n}` })
    expect(new Set(keysSent()).size).toBeGreaterThan(1)
  })
})

test('a caller who asks is told every decision', async () => {
  first.reply([overloaded, badKey])
  const { text } = await ask({ model: 'openai/echo' }, { 'x-bf-explain': 'true' })
  const said = JSON.parse(text).extra_fields.trace.map(({ what }: { what: string }) => what)
  expect(said.filter((what: string) => what.includes('then retry'))).toHaveLength(1)
  expect(said.filter((what: string) => what.includes('(auth), then rotate'))).toHaveLength(1)
  expect(JSON.parse((await ask({})).text).extra_fields).not.toHaveProperty('trace')
})

describe('fallbacks of the configuration', () => {
  const providers = async (fallbacks: string[]) => ({
    openai: { keys: [{ value: 'k' }], network_config: { base_url: refusedUrl() }, fallbacks },
    groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
    mistral: { keys: [{ value: 'm' }], network_config: { base_url: first.url } },
  })
  async function askOf(fallbacks: string[], body: object) {
    const own = await startGateway({ config: { providers: await providers(fallbacks) } })
    const response = await fetch(`${own.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...CHAT, ...body }),
    })
    await own.stop()
    return response.headers.get('x-bifrost-provider')
  }

  test('serve calls that name none, with their own model or the same', async () => {
    expect(await askOf(['groq/reverse', 'mistral/x'], { model: 'openai/echo' })).toBe('groq')
    expect(second.requests[0]!.json().model).toBe('reverse')
    second.clear()
    expect(await askOf(['groq'], { model: 'openai/echo' })).toBe('groq')
    expect(second.requests[0]!.json().model).toBe('echo')
  })

  test('give way to those of the caller', async () => {
    const body = { model: 'openai/echo', fallbacks: ['mistral/echo'] }
    expect(await askOf(['groq/echo'], body)).toBe('mistral')
  })
})

describe('where the cheapest is wanted', () => {
  async function servedBy(strategy: string, model: string, fallbacks: string[]) {
    const own = await startGateway({
      config: {
        client: { load_balancing: strategy },
        providers: {
          openai: { keys: [{ value: 'k' }], network_config: { base_url: first.url } },
          groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
        },
      },
    })
    const response = await fetch(`${own.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...CHAT, model, fallbacks }),
    })
    await response.text()
    await own.stop()
    return [response.status, response.headers.get('x-bifrost-resolved-model')]
  }
  const dear = 'openai/gpt-4o'
  const cheap = 'groq/llama-3.1-8b-instant'

  test('it is asked first, wherever it stands', async () => {
    expect(await servedBy('cost', dear, [cheap])).toEqual([200, 'llama-3.1-8b-instant'])
    expect(await servedBy('cost', cheap, [dear])).toEqual([200, 'llama-3.1-8b-instant'])
    expect(await servedBy('weighted', dear, [cheap])).toEqual([200, 'gpt-4o'])
  })

  test('what has no known price keeps its turn', async () => {
    expect(await servedBy('cost', dear, ['groq/nobody-knows-it'])).toEqual([200, 'gpt-4o'])
    const known = ['openai/gpt-4o', cheap]
    expect(await servedBy('cost', 'openai/nobody-knows-it', known)).toEqual([
      200,
      'nobody-knows-it',
    ])
  })

  test('the others follow when it fails', async () => {
    second.reply(overloaded)
    expect(await servedBy('cost', dear, [cheap])).toEqual([200, 'gpt-4o'])
  })
})

test('a full queue says when to come back, and a fallback takes the call', async () => {
  const own = await startGateway({
    config: {
      client: { drop_excess_requests: true },
      providers: {
        openai: {
          keys: [{ value: 'k' }],
          network_config: { base_url: first.url },
          concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 },
        },
        groq: { keys: [{ value: 'g' }], network_config: { base_url: second.url } },
      },
    },
  })
  const gate = Promise.withResolvers<void>()
  first.reply({ json: {}, gate: gate.promise })
  const post = (body: object) =>
    fetch(`${own.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'openai/echo', ...CHAT, ...body }),
    })
  const slow = post({})
  await first.waitFor(1)
  const refused = await post({})
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect((await post({ fallbacks: ['groq/echo'] })).headers.get('x-bifrost-provider')).toBe('groq')
  gate.resolve()
  await slow
  await own.stop()
})
