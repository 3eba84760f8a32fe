import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// What is said of hedging before a call is made, and what the call then does.

const whole = {
  json: {
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'echo',
    choices: [{ index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  },
}
const badKey = { status: 401, json: { error: { message: 'no', code: 'invalid_api_key' } } }

let upstream: Upstream
let gateway: TestGateway

beforeEach(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({
    config: {
      client: { hedging: { min_delay_in_seconds: 0.25, min_samples: 2, max_share: 0.5 } },
      providers: {
        openai: {
          keys: [
            { name: 'one', value: 'k1', weight: 1 },
            { name: 'two', value: 'k2', weight: 0 },
          ],
          network_config: { base_url: upstream.url },
        },
        groq: { keys: [{ name: 'g', value: 'kg' }], network_config: { base_url: upstream.url } },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  await upstream.stop()
})

const path = '/v1/chat/completions'
const bodyOf = (more: object = {}) => ({
  model: 'openai/echo',
  messages: [{ role: 'user', content: 'hi' }],
  ...more,
})
const hedged = { 'x-bf-hedge': 'true' }

async function ask(body: object, headers: object = hedged): Promise<any> {
  upstream.reply(whole)
  const response = await fetch(`${gateway.url}/openai${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return response.json()
}

async function hedgingOf(body: object, headers: object = hedged): Promise<any> {
  const before = upstream.requests.length
  const response = await fetch(`${gateway.url}/api/explain`, {
    method: 'POST',
    body: JSON.stringify({ path, headers, body }),
  })
  expect(upstream.requests).toHaveLength(before)
  const { candidates } = (await response.json()) as any
  for (const other of candidates.slice(1)) expect(other).not.toHaveProperty('hedging')
  return candidates[0].hedging
}

const second = (keys: string[], more: object = {}) => ({
  provider: 'openai',
  model: 'echo',
  fallback_index: 0,
  keys,
  ...more,
})

describe('an explanation says', () => {
  test('that nobody wants it', async () => {
    expect(await hedgingOf(bodyOf(), {})).toEqual([
      { key: 'one', starts: false, why: 'neither the caller nor the configuration wants it' },
    ])
  })

  test('how much is known so far, and then after how long, why, and with whom', async () => {
    expect(await hedgingOf(bodyOf())).toEqual([
      {
        key: 'one',
        starts: false,
        why: 'too little is known of the latencies of this target: 0 of 2 answers',
      },
    ])
    await ask(bodyOf())
    expect((await hedgingOf(bodyOf()))[0].why).toEndWith(': 1 of 2 answers')
    await ask(bodyOf())
    expect(await hedgingOf(bodyOf())).toEqual([
      {
        key: 'one',
        starts: true,
        why: expect.stringMatching(/^95 in 100 of its answers begin within \d+ ms$/),
        after_ms: 250,
        seconds: [second(['two'])],
        within_share: true,
      },
    ])
  })

  test('that the next candidate is asked where there is no other key', async () => {
    for (let n = 0; n < 2; n++) await ask(bodyOf(), { ...hedged, 'x-bf-api-key': 'one' })
    const pinned = { ...hedged, 'x-bf-api-key': 'one' }
    expect(await hedgingOf(bodyOf({ fallbacks: ['groq/llama'] }), pinned)).toMatchObject([
      {
        starts: true,
        seconds: [second(['g'], { provider: 'groq', model: 'llama', fallback_index: 1 })],
      },
    ])
    expect(await hedgingOf(bodyOf(), pinned)).toMatchObject([
      { starts: false, seconds: [], why: 'there is nobody else who may be asked' },
    ])
  })

  test('that a key which rests is not asked second', async () => {
    for (let n = 0; n < 2; n++) await ask(bodyOf())
    upstream.clear()
    upstream.reply(badKey)
    const named = { 'x-bf-api-key': 'two' }
    const response = await fetch(`${gateway.url}/openai${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...named },
      body: JSON.stringify(bodyOf()),
    })
    await response.text()
    expect(await hedgingOf(bodyOf())).toMatchObject([{ starts: false, seconds: [] }])
  })

  test('that more calls than the share are not hedged', async () => {
    for (let n = 0; n < 2; n++) await ask(bodyOf(), {})
    // Nothing has been earned yet by calls that might have been hedged.
    expect(await hedgingOf(bodyOf())).toMatchObject([{ starts: false, within_share: false }])
    await ask(bodyOf())
    expect(await hedgingOf(bodyOf())).toMatchObject([{ starts: true, within_share: true }])
  })

  test('that a call which leaves something behind is not hedged', async () => {
    const [only] = await hedgingOf(bodyOf({ background: true }))
    expect(only).toEqual({
      key: 'one',
      starts: false,
      why: 'a second call of this kind might leave something behind',
    })
  })
})

test('a call that is explained says the same of itself', async () => {
  for (let n = 0; n < 2; n++) await ask(bodyOf())
  const { extra_fields } = await ask(bodyOf(), { ...hedged, 'x-bf-explain': 'true' })
  expect(extra_fields.trace).toContainEqual(
    expect.objectContaining({
      what: expect.stringMatching(/^hedged after 250 ms: 95 in 100/),
      hedge_after_ms: 250,
    }),
  )
})

test('who asks for the trace gets it, whatever is switched off besides', async () => {
  const explained = { 'x-bf-explain': 'true', 'x-bf-extra-fields': 'false' }
  const { extra_fields } = await ask(bodyOf(), explained)
  expect(extra_fields.trace).not.toBeEmpty()
  expect(await ask(bodyOf(), { 'x-bf-extra-fields': 'false' })).not.toHaveProperty('extra_fields')
})
