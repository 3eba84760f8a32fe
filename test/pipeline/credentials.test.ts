import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { plainProvider } from '#config/provider.ts'
import type { ProviderSettings } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'
import { createCredentials } from '#pipeline/credentials.ts'
import type { CredentialSource } from '#providers/credential.ts'
import { isOfPlatform, readToken } from '#providers/token.ts'

import { accessToken, startTokenServer, tokenReply } from '../helpers/token-server.ts'
import type { TokenServer } from '../helpers/token-server.ts'
import { until } from './rig.ts'

// Credentials that have to be obtained: once for all who want them, and again in good time.

const settings: ProviderSettings = plainProvider('cloud', 'file')
const hourMs = 3_600_000

let tokens: TokenServer
let nowMs: number
beforeAll(() => {
  tokens = startTokenServer()
})
afterAll(() => tokens.stop())
beforeEach(() => {
  tokens.clear()
  nowMs = Date.UTC(2026, 10, 21)
})

function sourceAt(url: string, cacheKey = 'one'): CredentialSource {
  return {
    cacheKey,
    async obtain(context) {
      const answer = await context.send({ method: 'POST', url, body: 'a=b' })
      return readToken(answer, { server: 'The server', what: 'it', secrets: [] }, context.nowMs)
    },
  }
}

const create = () => createCredentials(() => nowMs)

describe('a credential', () => {
  test('is obtained once for all who want it at the same time', async () => {
    const credentials = create()
    const gate = Promise.withResolvers<void>()
    tokens.answer(async () => {
      await gate.promise
      return tokenReply('only')
    })
    const source = sourceAt(tokens.url)
    const waiting = Array.from({ length: 50 }, () => credentials.get(source, settings))
    await until(() => tokens.requests.length > 0)
    gate.resolve()
    const got = await Promise.all(waiting)
    expect(new Set(got.map((secret) => secret.reveal()))).toEqual(new Set([accessToken('only')]))
    expect(tokens.requests).toHaveLength(1)
  })

  test('is kept for its life, and asked for anew after it', async () => {
    const credentials = create()
    const source = sourceAt(tokens.url)
    const first = await credentials.get(source, settings)
    nowMs += hourMs - 6 * 60_000
    expect(await credentials.get(source, settings)).toBe(first)
    expect(tokens.requests).toHaveLength(1)
    nowMs += 10 * 60_000
    expect((await credentials.get(source, settings)).reveal()).toBe(accessToken('token-2'))
    expect(tokens.requests).toHaveLength(2)
  })

  test('is renewed before it ends, and nobody waits for that', async () => {
    const credentials = create()
    const source = sourceAt(tokens.url)
    const first = await credentials.get(source, settings)
    nowMs += hourMs - 4 * 60_000
    const gate = Promise.withResolvers<void>()
    tokens.answer(async () => {
      await gate.promise
      return tokenReply('second')
    })
    const early = await Promise.all(
      Array.from({ length: 20 }, () => credentials.get(source, settings)),
    )
    expect(new Set(early)).toEqual(new Set([first]))
    gate.resolve()
    await until(async () => (await credentials.get(source, settings)) !== first)
    expect((await credentials.get(source, settings)).reveal()).toBe(accessToken('second'))
    expect(tokens.requests).toHaveLength(2)
  })

  test('is used to its end while renewing fails, which is not tried all the time', async () => {
    const credentials = create()
    let asked = 0
    const source: CredentialSource = {
      cacheKey: 'one',
      async obtain(context) {
        if (asked++ > 0) throw new GatewayError('upstream_unreachable', 'Nobody is there.')
        return { credential: 'first', expiresAtMs: context.nowMs + hourMs }
      },
    }
    const get = async () => (await credentials.get(source, settings)).reveal()
    const askedAfter = async (ms: number, times: number): Promise<number> => {
      nowMs += ms
      for (let i = 0; i < times; i++) expect(await get()).toBe('first')
      return asked
    }
    expect(await askedAfter(0, 5)).toBe(1)
    expect(await askedAfter(hourMs - 4 * 60_000, 20)).toBe(2)
    expect(await askedAfter(29_000, 20)).toBe(2)
    expect(await askedAfter(2000, 20)).toBe(3)
    nowMs += 4 * 60_000
    expect(await get().catch((error: unknown) => error)).toMatchObject({
      kind: 'upstream_unreachable',
    })
  })

  test('that lives shortly is renewed at half its life', async () => {
    const credentials = create()
    tokens.answer(() => tokenReply(`short-${tokens.requests.length}`, 60))
    const source = sourceAt(tokens.url)
    const first = await credentials.get(source, settings)
    nowMs += 29_000
    expect(await credentials.get(source, settings)).toBe(first)
    expect(tokens.requests).toHaveLength(1)
    nowMs += 2000
    await credentials.get(source, settings)
    await until(() => tokens.requests.length === 2)
  })

  test('that was refused is replaced once, however many were refused it', async () => {
    const credentials = create()
    const source = sourceAt(tokens.url)
    const old = await credentials.get(source, settings)
    const renewed = await Promise.all(
      Array.from({ length: 20 }, () => {
        credentials.forget(source, old)
        return credentials.get(source, settings)
      }),
    )
    expect(new Set(renewed).size).toBe(1)
    // Somebody whose refusal comes late must not throw the new one away.
    credentials.forget(source, old)
    expect(await credentials.get(source, settings)).toBe(renewed[0]!)
    expect(tokens.requests).toHaveLength(2)
  })

  test('of another source is another one', async () => {
    const credentials = create()
    const one = await credentials.get(sourceAt(tokens.url, 'one'), settings)
    const two = await credentials.get(sourceAt(tokens.url, 'two'), settings)
    expect(one.reveal()).not.toBe(two.reveal())
  })

  test('is forgotten, the oldest first, when there are too many', async () => {
    const credentials = create()
    let obtained = 0
    const source = (cacheKey: string): CredentialSource => ({
      cacheKey,
      obtain: () => Promise.resolve({ credential: `c${obtained++}`, expiresAtMs: nowMs + hourMs }),
    })
    for (let i = 0; i < 1001; i++) await credentials.get(source(`k${i}`), settings)
    await credentials.get(source('k1'), settings)
    expect(obtained).toBe(1001)
    await credentials.get(source('k0'), settings)
    expect(obtained).toBe(1002)
  })
})

describe('a failure', () => {
  test('reaches all who wait, and the next one tries again', async () => {
    const credentials = create()
    const source = sourceAt(tokens.url)
    tokens.answer(() => Response.json({ error: 'invalid_client' }, { status: 400 }))
    const failed = await Promise.allSettled(
      Array.from({ length: 10 }, () => credentials.get(source, settings)),
    )
    expect(failed.every(({ status }) => status === 'rejected')).toBe(true)
    expect(tokens.requests).toHaveLength(1)
    tokens.answer(() => tokenReply('later'))
    expect((await credentials.get(source, settings)).reveal()).toBe(accessToken('later'))
  })

  test.each([
    ['nobody is there', 'http://localhost:1', 'upstream_unreachable'],
    ['a private network', 'http://10.0.0.1/token', 'egress_forbidden'],
    [
      'a metadata service that nobody vouches for',
      'http://169.254.169.254/token',
      'egress_forbidden',
    ],
  ])('when %s', async (_, url, kind) => {
    const failed: unknown = await create()
      .get(sourceAt(url), settings)
      .catch((error: unknown) => error)
    expect(failed).toMatchObject({ kind })
  })

  test('when the answer is too large', async () => {
    tokens.answer(() => new Response('x'.repeat(300_000)))
    const failed: unknown = await create()
      .get(sourceAt(tokens.url), settings)
      .catch((error: unknown) => error)
    expect(failed).toMatchObject({ kind: 'payload_too_large' })
  })
})

describe('how long a token lives', () => {
  const read = (body: object): number =>
    readToken(
      { status: 200, headers: {}, text: JSON.stringify({ access_token: 'a', ...body }) },
      { server: 'The server', what: 'it', secrets: [] },
      1_000_000,
    ).expiresAtMs

  test.each([
    [{ expires_in: 3600 }, 4_600_000],
    [{ expires_in: '60' }, 1_060_000],
    [{ expires_on: '5000' }, 5_000_000],
    [{ expires_in: 'soon' }, 1_300_000],
    [{ expires_in: -5 }, 1_300_000],
    [{ expires_on: 5 }, 1_300_000],
    [{}, 1_300_000],
  ])('%j', (body, wanted) => {
    expect(read(body)).toBe(wanted)
  })
})

test.each([
  ['http://169.254.169.254', true],
  ['http://169.254.131.2:8081/msi/token', true],
  ['http://metadata.google.internal/x', true],
  ['http://localhost:8081/msi/token', true],
  ['http://127.0.0.1:80', true],
  ['http://2852039166', true],
  ['https://169.254.169.254', false],
  ['http://metadata.google.internal.example.com', false],
  ['http://169.254.169.254.example.com', false],
  ['http://user@example.com', false],
  ['http://10.0.0.1', false],
  ['nonsense', false],
])('%s is the platform’s own: %p', (url, wanted) => {
  expect(isOfPlatform(url)).toBe(wanted)
})
