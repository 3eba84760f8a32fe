import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { createSessions, readSession } from '#pipeline/sessions.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { chatChunk, strictStream } from './rig.ts'

// Which key, and which provider, a session of a caller is served with.

const nobody = { directKey: undefined, azureEndpoint: undefined }
const read = (headers: Record<string, string>) => readSession({ headers, caller: nobody })

describe('a session is named', () => {
  test.each([
    'x-claude-code-session-id',
    'session-id',
    'session_id',
    'x-session-affinity',
    'x-session-id',
    'x-opencode-session',
    'x-amp-thread-id',
  ])('by the coding agents that send %s', (name) => {
    expect(read({ [name]: 'T-1' })?.id).toEndWith('\nT-1')
    expect(read({ [name]: '' })).toBeUndefined()
    expect(read({ [name]: 'x'.repeat(256) })).toBeUndefined()
    expect(read({ [name]: 'T-1', 'x-bf-session-affinity': 'off' })).toBeUndefined()
  })

  test('by the caller, whatever its agent says', () => {
    expect(read({ 'x-bf-session-id': 'mine', 'session-id': 'T-1' })?.id).toEndWith('\nmine')
    // It meant to name one, and that is none.
    expect(read({ 'x-bf-session-id': 'x'.repeat(256), 'session-id': 'T-1' })).toBeUndefined()
    expect(read({ 'x-bf-session-id': 'x'.repeat(255) })).toBeDefined()
  })

  test('for as long as the caller says', () => {
    const ttl = (value: string) => read({ 'session-id': 's', 'x-bf-session-ttl': value })?.ttlMs
    expect([ttl('90'), ttl('2m'), ttl('1h')]).toEqual([90_000, 120_000, 3_600_000])
    for (const odd of ['', '0', '-1', 'soon']) expect(ttl(odd)).toBe(3_600_000)
  })

  test('for one caller: the same name of another is another session', () => {
    const of = (virtualKeyId: string) => ({
      ...nobody,
      owner: {
        virtualKeyId,
        virtualKeyName: virtualKeyId,
        teamId: undefined,
        teamName: undefined,
        customerId: undefined,
        customerName: undefined,
      },
    })
    const headers = { 'session-id': 's' }
    const ids = [of('a'), of('b'), nobody].map((caller) => readSession({ headers, caller })?.id)
    expect(new Set(ids).size).toBe(3)
  })
})

test('a binding ends with its time, with its key, and with too many others', () => {
  const sessions = createSessions()
  sessions.keep('p', 's', 'k', 0, 1000)
  expect([sessions.get('p', 's', 999), sessions.get('p', 's', 1000)]).toEqual(['k', undefined])
  sessions.forget('p', 's', 'other')
  expect(sessions.get('p', 's', 0)).toBe('k')
  sessions.forget('p', 's', 'k')
  expect(sessions.get('p', 's', 0)).toBeUndefined()
  sessions.settle('p', 's', 0, 1000)
  expect([sessions.home('s', 0), sessions.home('s', 1000)]).toEqual(['p', undefined])
  sessions.settle(undefined, 's', 0, 1000)
  expect(sessions.home('s', 0)).toBeUndefined()
  sessions.keep('p', 'first', 'k', 0, 1000)
  for (let n = 0; n < 50_000; n++) sessions.keep('p', `s${n}`, 'k', 0, 1000)
  expect(sessions.get('p', 'first', 0)).toBeUndefined()
})

describe('over sockets', () => {
  let first: Upstream
  let second: Upstream
  let gateway: TestGateway
  const keys = (name: string) =>
    Array.from({ length: 6 }, (_, n) => ({ name: `${name}${n}`, value: `${name}${n}` }))
  const down = { status: 500, json: { error: { message: 'down' } } }

  beforeEach(async () => {
    first = await startUpstream()
    second = await startUpstream()
    const network = (base_url: string) => ({ network_config: { base_url } })
    gateway = await startGateway({
      config: {
        providers: {
          openai: { keys: keys('o'), ...network(first.url) },
          groq: { keys: keys('g'), ...network(second.url) },
        },
      },
    })
  })
  afterEach(async () => {
    await gateway.stop()
    await first.stop()
    await second.stop()
  })

  async function ask(headers: object, body: object = {}): Promise<Response> {
    return fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({
        model: 'openai/echo',
        messages: [{ role: 'user', content: 'hi' }],
        ...body,
      }),
    })
  }
  const served = async (headers: object, body?: object) => {
    const response = await ask(headers, body)
    await response.text()
    return response.headers.get('x-bifrost-provider')
  }
  const sent = ({ requests }: Upstream) =>
    requests.map(({ headers }) => headers.get('authorization')?.replace('Bearer ', ''))

  test('the session of a coding agent keeps its key', async () => {
    for (let n = 0; n < 12; n++) await served({ 'x-claude-code-session-id': 'one' })
    expect(new Set(sent(first)).size).toBe(1)
    for (let n = 0; n < 30; n++) await served({ 'session-id': `s${n}` })
    expect(new Set(sent(first)).size).toBeGreaterThan(1)
  })

  test('a fallback keeps its key as well', async () => {
    const headers = { 'session-id': 'one' }
    for (let n = 0; n < 12; n++) {
      first.reply(down)
      await served(headers, { fallbacks: ['groq/echo'] })
    }
    expect(second.requests.length).toBeGreaterThan(5)
    expect(new Set(sent(second)).size).toBe(1)
  })

  test('a session that names no provider stays with the one that took it over', async () => {
    const headers = { 'session-id': 'one' }
    const body = { model: 'echo', fallbacks: ['groq/echo'] }
    expect(await served(headers, body)).toBe('openai')
    first.reply(down)
    expect(await served(headers, body)).toBe('groq')
    expect(await served(headers, body)).toBe('groq')
    expect(await served({ 'session-id': 'other' }, body)).toBe('openai')
    expect(await served({ ...headers, 'x-bf-session-affinity': 'off' }, body)).toBe('openai')
    // The caller's own word on the provider is not overruled.
    expect(await served(headers, { ...body, model: 'openai/echo' })).toBe('openai')
    // Back where it began when that one fails.
    second.reply(down)
    expect(await served(headers, body)).toBe('openai')
    expect(await served(headers, body)).toBe('openai')
  })

  test('a key that failed the session loses it, though nobody else served', async () => {
    const headers = { 'session-id': 'one' }
    await served(headers)
    const [key] = sent(first)
    first.reply(down)
    expect((await ask(headers)).status).toBe(500)
    const why = async (): Promise<string> => {
      const body: any = await (await ask({ ...headers, 'x-bf-explain': 'true' })).json()
      return body.extra_fields.trace.find(({ step }: any) => step === 'key').why
    }
    expect(sent(first)[1]).toBe(key)
    expect(await why()).toBe('drawn by weight')
    expect(await why()).toBe("the session's own")
  })

  test('a stream that breaks off loses it too, and a request that is wrong does not', async () => {
    const headers = { 'session-id': 'one' }
    const why = async (): Promise<string> => {
      const body: any = await (await ask({ ...headers, 'x-bf-explain': 'true' })).json()
      return body.extra_fields.trace.find(({ step }: any) => step === 'key').why
    }
    await served(headers)
    first.reply({ status: 400, json: { error: { message: 'wrong', code: 'invalid_value' } } })
    expect((await ask(headers)).status).toBe(400)
    expect(await why()).toBe("the session's own")
    first.reply({ sse: [chatChunk('a')] })
    const stream = await strictStream(await ask(headers, { stream: true }))
    expect(stream.end).toBe('error')
    expect(await why()).toBe('drawn by weight')
  })
})
