import { describe, expect, test } from 'bun:test'

import { refusedUrl } from '../helpers/upstream.ts'
import { CHAT, chatChunk, failure, PROVIDER_KEY, startRig, strictStream, until } from './rig.ts'
import type { Rig } from './rig.ts'

// `x-bf-explain: true` on real calls, and the headers that every answer has.

const explained = { headers: { 'x-bf-explain': 'true' } }
const answer = { json: { id: 'x', object: 'chat.completion', choices: [] } }
const overloaded = {
  status: 529,
  json: { error: { message: 'busy', type: 'overloaded_error', code: 'overloaded' } },
}
const badKey = {
  status: 401,
  json: { error: { message: `no ${PROVIDER_KEY}`, type: 'x', code: 'invalid_api_key' } },
}
const stream = { sse: [chatChunk('a'), chatChunk('', { finish: 'stop' }), '[DONE]'] }

type Entry = Record<string, any>

async function traceOf(response: Response): Promise<Entry[]> {
  const body: any = await response.json()
  return body.extra_fields.trace
}

const ofStep = (trace: Entry[], step: string): Entry[] =>
  trace.filter((one) => one['step'] === step)

const key = (name: string, more: object = {}): object => ({
  name,
  value: `${PROVIDER_KEY}-${name}`,
  models: ['*'],
  weight: 1,
  ...more,
})

describe('a caller who asks', () => {
  test('is told what became of every key', async () => {
    await using rig = await startRig({
      provider: {
        keys: [
          key('heavy', { weight: 3 }),
          key('light'),
          key('off', { enabled: false }),
          key('other', { models: ['gpt-y'] }),
          key('refuses', { blacklisted_models: ['gpt-x'] }),
          key('named', { weight: 0, aliases: { 'gpt-x': 'gpt-x-2026' } }),
        ],
      },
    })
    rig.upstream.reply(answer)
    const trace = await traceOf(await rig.post('/chat/completions', CHAT, explained))
    const [candidate] = ofStep(trace, 'candidate')
    expect(candidate).toMatchObject({ provider: 'openai', model: 'gpt-x', fallback_index: 0 })
    const id = expect.any(String)
    expect(candidate!['keys']).toEqual([
      { id, name: 'heavy', verdict: 'allowed', share: 0.75 },
      { id, name: 'light', verdict: 'allowed', share: 0.25 },
      { id, name: 'named', verdict: 'allowed', share: 0, model: 'gpt-x-2026' },
      { id, name: 'off', verdict: 'disabled' },
      { id, name: 'other', verdict: 'model not allowed' },
      { id, name: 'refuses', verdict: 'model blacklisted' },
    ])
    const [chosen] = ofStep(trace, 'key')
    expect(chosen).toMatchObject({ provider: 'openai', why: 'drawn by weight' })
    expect(ofStep(trace, 'attempt').at(-1)).toMatchObject({
      provider: 'openai',
      model: 'gpt-x',
      key: chosen!['key'],
      status: 200,
      ms: expect.any(Number),
    })
  })

  test('is told why no key may serve', async () => {
    await using rig = await startRig({ provider: { keys: [key('a', { models: ['other'] })] } })
    const { status, body } = await failure(await rig.post('/chat/completions', CHAT, explained))
    expect(status).toBe(400)
    expect(ofStep(body.extra_fields.trace, 'candidate')).toEqual([
      expect.objectContaining({
        provider: 'openai',
        keys: [{ name: 'a', id: expect.any(String), verdict: 'model not allowed' }],
      }),
    ])
  })

  test('is told which keys rest, and for how long', async () => {
    await using rig = await startRig({ provider: { keys: [key('a'), key('b')] } })
    rig.upstream.reply([badKey, answer, answer])
    await (await rig.post('/chat/completions', CHAT)).text()
    const trace = await traceOf(await rig.post('/chat/completions', CHAT, explained))
    const keys: Entry[] = ofStep(trace, 'candidate')[0]!['keys']
    expect(keys.map(({ share }) => share)).toEqual([1, undefined])
    expect(keys[1]!['verdict']).toMatch(/^auth, for another \d+ s$/)
  })

  test('is told when it named the key itself, and when its session has one', async () => {
    await using rig = await startRig({ provider: { keys: [key('a'), key('b')] } })
    rig.upstream.reply([answer, answer, answer])
    const why = async (headers: Record<string, string>): Promise<Entry> => {
      const all = { headers: { ...explained.headers, ...headers } }
      const trace = await traceOf(await rig.post('/chat/completions', CHAT, all))
      return ofStep(trace, 'key')[0]!
    }
    const named = await why({ 'x-bf-api-key': 'b' })
    expect(named).toMatchObject({ key: 'b', why: 'the one that was named' })
    await why({ 'x-bf-session-id': 's' })
    expect(await why({ 'x-bf-session-id': 's' })).toMatchObject({ why: "the session's own" })
  })

  test('is told what each attempt came to, and what was done next', async () => {
    await using rig = await startRig({
      provider: { keys: [key('a'), key('b')] },
      network: { max_retries: 1, retry_backoff_initial: 1, retry_backoff_max: 1 },
      others: (base_url) => ({
        groq: { keys: [{ name: 'g', value: 'sk-groq-0123456789' }], network_config: { base_url } },
      }),
    })
    rig.upstream.reply([badKey, overloaded, overloaded, overloaded])
    const body = { ...CHAT, fallbacks: ['groq/llama'] }
    const { status, body: envelope } = await failure(
      await rig.post('/chat/completions', body, explained),
    )
    expect(status).toBe(529)
    const trace: Entry[] = envelope.extra_fields.trace
    const attempts = ofStep(trace, 'attempt')
    expect(attempts).toEqual([
      expect.objectContaining({ provider: 'openai', class: 'auth', status: 401, next: 'rotate' }),
      expect.objectContaining({ provider: 'openai', class: 'overloaded', next: 'retry' }),
      expect.objectContaining({ provider: 'openai', class: 'overloaded', next: 'next' }),
      expect.objectContaining({ provider: 'groq', key: 'g', model: 'llama', next: 'next' }),
    ])
    expect(attempts[1]!['wait_ms']).toBeNumber()
    for (const { ms } of attempts) expect(ms).toBeNumber()
    expect(JSON.stringify(envelope)).not.toContain(PROVIDER_KEY)
    expect(JSON.stringify(envelope)).not.toContain('sk-groq')
  })

  test('is told which timer ran out', async () => {
    const gate = Promise.withResolvers<void>()
    await using rig = await startRig({ network: { response_headers_timeout_in_seconds: 0.05 } })
    rig.upstream.reply({ ...answer, gate: gate.promise })
    const { body } = await failure(await rig.post('/chat/completions', CHAT, explained))
    gate.resolve()
    const [attempt] = ofStep(body.extra_fields.trace, 'attempt')
    expect(attempt).toMatchObject({ class: 'timeout', timer: 'headers_timeout' })
  })

  test('is told that it waited', async () => {
    const gate = Promise.withResolvers<void>()
    await using rig = await startRig({
      provider: { concurrency_and_buffer_size: { concurrency: 1, buffer_size: 5 } },
    })
    rig.upstream.reply([{ ...answer, gate: gate.promise }, answer])
    const first = rig.post('/chat/completions', CHAT)
    await rig.upstream.waitFor(1)
    const second = rig.post('/chat/completions', CHAT, explained)
    await until(async () => {
      const health: any = await (await fetch(`${rig.gateway.url}/health`)).json()
      return health.components.waiting === 1
    })
    gate.resolve()
    await (await first).text()
    const waits = ofStep(await traceOf(await second), 'queue').map(({ what }) => what)
    expect(waits.join()).toMatch(/waited \d+ ms/)
  })

  test('is told which parameters were left out', async () => {
    await using rig = await startRig({
      others: (base_url) => ({
        anthropic: { keys: [{ value: 'k' }], network_config: { base_url } },
      }),
    })
    const body = { ...CHAT, model: 'anthropic/claude-sonnet-4-5', seed: 4 }
    const trace = await traceOf(await rig.post('/chat/completions', body, explained))
    expect(ofStep(trace, 'params').map(({ what }) => what)).toEqual(['left out seed'])
  })

  test('of a stream is told in a header, and in its last event', async () => {
    await using rig = await startRig({
      network: { max_retries: 1, retry_backoff_initial: 1, retry_backoff_max: 1 },
    })
    rig.upstream.reply([overloaded, stream])
    const response = await rig.chat({}, explained)
    const header = response.headers.get('x-bf-trace')!
    expect(header).toMatch(/candidate: openai\/gpt-x: main 100%; .*key: main, the only one; /)
    expect(header).toMatch(/\(overloaded\), then retry; .*openai answered with status 200$/)
    const { events } = await strictStream(response)
    const { trace } = events.at(-1)!.data.extra_fields
    expect(ofStep(trace, 'attempt')).toHaveLength(2)
  })

  test('of a stream that fails is told in the event that says so', async () => {
    await using rig = await startRig()
    rig.upstream.reply({ sse: [chatChunk('a')] })
    const { events, end } = await strictStream(await rig.chat({}, explained))
    expect(end).toBe('error')
    const { trace } = events.at(-1)!.data.extra_fields
    expect(ofStep(trace, 'stream').map(({ what }) => what)).toEqual([
      'broke off after 1 events: upstream_truncated',
    ])
  })

  test('is told of a request that goes nowhere', async () => {
    await using rig = await startRig()
    const { body } = await failure(await rig.post('/chat/completions', {}, explained))
    expect(body.extra_fields.trace).toEqual([
      { at_ms: expect.any(Number), step: 'parse', what: 'refused before it went anywhere' },
    ])
  })
})

test('whoever does not ask is told nothing', async () => {
  await using rig = await startRig()
  rig.upstream.reply([answer, overloaded, stream, { sse: [chatChunk('a')] }])
  for (const response of [
    await rig.post('/chat/completions', CHAT),
    await rig.post('/chat/completions', CHAT),
    await rig.chat(),
    await rig.chat(),
    await rig.post('/chat/completions', {}),
  ]) {
    expect(response.headers.has('x-bf-trace')).toBe(false)
    expect(await response.text()).not.toContain('"trace"')
  }
})

describe('headers', () => {
  const own = [
    'provider',
    'original-model',
    'resolved-model',
    'request-type',
    'fallback-index',
    'upstream-latency-ms',
  ]

  function identity({ headers }: Response): Record<string, string | null> {
    expect(headers.get('x-request-id')).toBe('mine-1')
    return Object.fromEntries(own.map((name) => [name, headers.get(`x-bifrost-${name}`)]))
  }

  const rigOf = (): Promise<Rig> =>
    startRig({
      provider: { keys: [key('a', { aliases: { 'gpt-x': 'gpt-x-2026' } })] },
      others: (base_url) => ({
        groq: { keys: [{ value: 'g' }], network_config: { base_url } },
        mistral: { keys: [{ value: 'm' }], network_config: { base_url: refusedUrl() } },
      }),
    })
  const mine = { headers: { 'x-request-id': 'mine-1' } }
  const known = {
    provider: 'openai',
    'original-model': 'openai/gpt-x',
    'resolved-model': 'gpt-x-2026',
    'request-type': 'chat_completion',
    'fallback-index': null,
    'upstream-latency-ms': expect.stringMatching(/^\d+$/),
  }

  test('of a whole answer', async () => {
    await using rig = await rigOf()
    rig.upstream.reply(answer)
    expect(identity(await rig.post('/chat/completions', CHAT, mine))).toEqual(known)
  })

  test('of a stream', async () => {
    await using rig = await rigOf()
    rig.upstream.reply(stream)
    const response = await rig.chat({}, mine)
    expect(identity(response)).toEqual({ ...known, 'request-type': 'chat_completion_stream' })
    await response.text()
  })

  test('of a fallback, whole and streamed', async () => {
    await using rig = await rigOf()
    const fallbacks = ['groq/llama']
    const served = {
      ...known,
      provider: 'groq',
      'resolved-model': 'llama',
      'fallback-index': '1',
    }
    rig.upstream.reply([overloaded, answer])
    expect(identity(await rig.post('/chat/completions', { ...CHAT, fallbacks }, mine))).toEqual(
      served,
    )
    rig.upstream.reply([overloaded, stream])
    const response = await rig.chat({ fallbacks }, mine)
    expect(identity(response)).toEqual({ ...served, 'request-type': 'chat_completion_stream' })
    await response.text()
  })

  test('of a refusal by the provider', async () => {
    await using rig = await rigOf()
    rig.upstream.reply(overloaded)
    expect(identity(await rig.post('/chat/completions', CHAT, mine))).toEqual(known)
  })

  test('of a refusal to a stream', async () => {
    await using rig = await rigOf()
    rig.upstream.reply(overloaded)
    expect(identity(await rig.chat({}, mine))).toEqual({
      ...known,
      'request-type': 'chat_completion_stream',
    })
  })

  test('when all fail are those of the first, also when it was asked last', async () => {
    await using rig = await rigOf()
    const body = { ...CHAT, fallbacks: ['groq/llama'] }
    rig.upstream.reply([badKey, answer, badKey, badKey])
    await (await rig.post('/chat/completions', body)).text()
    // Its key rests now, so the fallback is asked first; the fallback's rests after that.
    const response = await rig.post('/chat/completions', body, mine)
    expect(identity(response)).toEqual(known)
    const paths = rig.upstream.requests.map(({ headers }) => headers.get('authorization'))
    expect(paths.slice(2)).toEqual(['Bearer g', `Bearer ${PROVIDER_KEY}-a`])
  })

  test('of a provider that cannot be reached', async () => {
    await using rig = await rigOf()
    const response = await rig.post('/chat/completions', { ...CHAT, model: 'mistral/m' }, mine)
    expect(identity(response)).toEqual({
      ...known,
      provider: 'mistral',
      'original-model': 'mistral/m',
      'resolved-model': 'm',
    })
  })

  test('of a refusal of our own: what was never asked has no model and took no time', async () => {
    await using rig = await rigOf()
    const model = 'cohere/command'
    expect(identity(await rig.post('/chat/completions', { ...CHAT, model }, mine))).toEqual({
      ...known,
      provider: 'cohere',
      'original-model': model,
      'resolved-model': null,
      'upstream-latency-ms': null,
    })
    expect(identity(await rig.post('/chat/completions', {}, mine))).toEqual({
      ...known,
      provider: null,
      'original-model': null,
      'resolved-model': null,
      'upstream-latency-ms': null,
    })
  })

  test('of what is no route at all: the id of the request', async () => {
    await using rig = await rigOf()
    for (const path of ['/nowhere', '/openai/', '/api/explain']) {
      const response = await fetch(`${rig.gateway.url}${path}`, mine)
      expect([path, response.headers.get('x-request-id')]).toEqual([path, 'mine-1'])
    }
  })
})
