import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { chatChunk, strictStream } from './rig.ts'

// Two candidates for one call, on real sockets. Gates decide who is fast; the delay is the shortest there is, and no
// test depends on how long it was.

const never = new Promise<never>(() => undefined)
const finish = chatChunk('', { finish: 'stop' })
const overloaded = { status: 503, json: { error: { message: 'full', type: 'overloaded_error' } } }
const streaming = (text: string) => ({ sse: [chatChunk(text), finish, '[DONE]'] })
const whole = (text: string) => ({
  json: {
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'echo',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  },
})

let first: Upstream
let second: Upstream
let gateway: TestGateway

beforeEach(async () => {
  first = await startUpstream()
  second = await startUpstream()
  gateway = await startGateway({
    config: {
      client: { hedging: { min_delay_in_seconds: 0, min_samples: 1, max_share: 1 } },
      providers: {
        openai: {
          keys: [
            { name: 'one', value: 'k1', weight: 1 },
            { name: 'two', value: 'k2', weight: 0 },
          ],
          hedging: true,
          network_config: { base_url: first.url },
        },
        groq: {
          keys: [{ name: 'g', value: 'kg' }],
          hedging: true,
          network_config: { base_url: first.url },
        },
        mistral: { keys: [{ value: 'km' }], network_config: { base_url: second.url } },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  await first.stop()
  await second.stop()
})

function ask(body: object, init: { signal?: AbortSignal; headers?: object } = {}) {
  const messages = [{ role: 'user', content: 'hi' }]
  return fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...init.headers },
    body: JSON.stringify({ model: 'openai/echo', messages, ...body }),
    ...(init.signal && { signal: init.signal }),
  })
}

/** One fast answer, after which it is known how slow the slow ones are. */
async function known(body: object): Promise<void> {
  first.reply('stream' in body ? streaming('known') : whole('known'))
  expect((await ask(body)).status).toBe(200)
  await settled(1)
  first.clear()
}

const settled = async (count: number) => {
  const done = (line: Record<string, unknown>): boolean =>
    /^request (?:served|failed)/.test(String(line['message'])) &&
    gateway.logs.filter((one) => /^request (?:served|failed)/.test(String(one['message'])))
      .length >= count
  await gateway.logged(done)
}

async function inFlight(): Promise<number> {
  const health = (await (await fetch(`${gateway.url}/health`)).json()) as any
  return health.components.in_flight
}

const keysAsked = (): (string | null)[] =>
  first.requests.map(({ headers }) => headers.get('authorization'))

describe('a stream', () => {
  test('that does not begin is overtaken by another key, and its connection closed', async () => {
    await known({ stream: true })
    const { promise: end, resolve: letEnd } = Promise.withResolvers<void>()
    first.reply([() => never, { sse: [chatChunk('fast'), finish, '[DONE]'], gate: end }])
    const answer = await ask({ stream: true })
    expect([answer.status, answer.headers.get('x-bf-hedged')]).toEqual([200, 'second'])
    expect(keysAsked()).toEqual(['Bearer k1', 'Bearer k2'])
    await first.requests[0]!.closed
    // The stream goes on, and what lost holds no place any more.
    expect(await inFlight()).toBe(1)
    letEnd()
    const stream = await strictStream(answer)
    expect([stream.end, stream.events[0]!.data.choices[0].delta.content]).toEqual(['done', 'fast'])
    expect(await inFlight()).toBe(0)
  })

  test('that begins after all wins, and the other is closed', async () => {
    await known({ stream: true })
    const { promise: begin, resolve: letBegin } = Promise.withResolvers<void>()
    first.reply([
      async () => {
        await begin
        return new Response(`data: ${chatChunk('slow')}\n\ndata: ${finish}\n\ndata: [DONE]\n\n`, {
          headers: { 'content-type': 'text/event-stream' },
        })
      },
      () => never,
    ])
    const asked = ask({ stream: true })
    await first.waitFor(2)
    letBegin()
    const answer = await asked
    expect(answer.headers.get('x-bf-hedged')).toBe('first')
    await first.requests[1]!.closed
    const stream = await strictStream(answer)
    expect(stream.events[0]!.data.choices[0].delta.content).toBe('slow')
    expect(await inFlight()).toBe(0)
  })

  test('that is fast is alone', async () => {
    await known({ stream: true })
    const answer = await ask({ stream: true }, { headers: { 'x-bf-hedge': 'false' } })
    expect(answer.headers.get('x-bf-hedged')).toBeNull()
    await strictStream(answer)
    expect(first.requests).toHaveLength(1)
  })
})

describe('a whole answer', () => {
  test('comes from whoever has it first, and is booked once', async () => {
    await known({})
    first.reply([() => never, whole('fast')])
    const answer = await ask({}, { headers: { 'x-bf-explain': 'true' } })
    const { choices, extra_fields } = (await answer.json()) as any
    expect(choices[0].message.content).toBe('fast')
    expect(answer.headers.get('x-bf-hedged')).toBe('second')
    const said: string[] = extra_fields.trace.map(({ what }: { what: string }) => what)
    expect(
      said.some((what) => /^no answer after \d+ ms: openai \(two\) is asked too$/.test(what)),
    ).toBeTrue()
    await first.requests[0]!.closed
    await settled(2)
    const lines = gateway.logs.filter(({ message }) => String(message).startsWith('request served'))
    expect(lines).toHaveLength(2)
    expect(JSON.stringify(lines[1])).toContain('openai (two) answered first; openai (one) was')
    expect(await inFlight()).toBe(0)
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(metrics).toContain('asbru_hedges_total 1\n')
    expect(metrics).toContain('asbru_hedges_won_total 1\n')
  })

  test('of the next candidate, where the first has no other key', async () => {
    const request = { model: 'groq/echo', fallbacks: ['mistral/echo'] }
    await known(request)
    first.reply(() => never)
    second.reply(whole('elsewhere'))
    const answer = await ask(request)
    expect(answer.headers.get('x-bifrost-provider')).toBe('mistral')
    expect(answer.headers.get('x-bifrost-fallback-index')).toBe('1')
    expect(answer.headers.get('x-bf-hedged')).toBe('second')
    await first.requests[0]!.closed
  })

  test('is still waited for when the first comes to nothing', async () => {
    await known({})
    const { promise: fail, resolve: letFail } = Promise.withResolvers<void>()
    const { promise: answering, resolve: letAnswer } = Promise.withResolvers<void>()
    first.reply([
      async () => {
        await fail
        queueMicrotask(letAnswer)
        return Response.json(overloaded.json, { status: 503 })
      },
      async () => {
        await answering
        return Response.json(whole('second').json)
      },
    ])
    const asked = ask({})
    await first.waitFor(2)
    letFail()
    const answer = await asked
    expect([answer.status, answer.headers.get('x-bf-hedged')]).toEqual([200, 'second'])
    expect(((await answer.json()) as any).choices[0].message.content).toBe('second')
  })

  test('is the first one when the second comes to nothing', async () => {
    await known({})
    const { promise: answering, resolve: letAnswer } = Promise.withResolvers<void>()
    first.reply([
      async () => {
        await answering
        return Response.json(whole('first').json)
      },
      () => {
        setTimeout(letAnswer, 0)
        return Response.json(overloaded.json, { status: 503 })
      },
    ])
    const answer = await ask({})
    expect(((await answer.json()) as any).choices[0].message.content).toBe('first')
    expect(await inFlight()).toBe(0)
  })

  test('that nobody has is the failure of the first', async () => {
    await known({})
    const { promise: fail, resolve: letFail } = Promise.withResolvers<void>()
    first.reply([
      async () => {
        await fail
        return Response.json({ error: { message: 'of the first', code: 'first' } }, { status: 500 })
      },
      () => Response.json({ error: { message: 'of the second', code: 'second' } }, { status: 500 }),
    ])
    const asked = ask({})
    await first.waitFor(2)
    letFail()
    const answer = await asked
    expect([answer.status, ((await answer.json()) as any).error.code]).toEqual([500, 'first'])
    expect(await inFlight()).toBe(0)
  })
})

test('a crowd of calls that answer, fail, hang and leave gives every place back', async () => {
  await known({ stream: true })
  const count = 120
  for (let n = 0; n < 2 * count; n++) {
    const kind = (n * 7) % 5
    if (kind === 0) first.reply(() => never)
    else if (kind === 1) first.reply(overloaded)
    else if (kind === 2) first.reply({ sse: [chatChunk('half')] })
    else first.reply(streaming('whole'))
  }
  const headers = { 'x-bf-timeout-total': '200ms', 'x-bf-hedge': 'true' }
  await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const leaving = new AbortController()
      try {
        const answer = await ask({ stream: true }, { headers, signal: leaving.signal })
        if (n % 6 === 0) leaving.abort()
        await answer.text()
      } catch (thrown) {
        expect(leaving.signal.aborted || thrown).toBe(true)
      }
    }),
  )
  await settled(count + 1)
  expect(await inFlight()).toBe(0)
})

test('a caller who leaves takes both along', async () => {
  await known({ stream: true })
  first.reply([() => never, () => never])
  const leaving = new AbortController()
  const asked = ask({ stream: true }, { signal: leaving.signal }).catch(() => 'left')
  await first.waitFor(2)
  leaving.abort()
  expect(await asked).toBe('left')
  await first.requests[0]!.closed
  await first.requests[1]!.closed
  await settled(2)
  expect(await inFlight()).toBe(0)
})
