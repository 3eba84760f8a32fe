import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { Anthropic } from '@anthropic-ai/sdk'

import { conversations } from './conversations.ts'
import { readFixture, type Rig, startRig } from './rig.ts'
import { settings } from './settings.ts'

const pairs = { ...conversations, ...settings }

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const callerBetas = { 'anthropic-beta': 'caller-beta-1' }

describe('what is sent', () => {
  for (const [name, { request, dropped = [], betas }] of Object.entries(pairs)) {
    test(`${name} is the golden request, byte for byte`, async () => {
      const reply = await rig.ask(request, betas === undefined ? {} : callerBetas)
      expect(reply.text).not.toContain('"error"')
      const sent = rig.upstream.requests.at(-1)!
      expect(sent.text()).toBe(readFixture(`golden/${name}.json`).trimEnd())
      expect(reply.dropped.toSorted()).toEqual([...dropped].toSorted())
      expect(sent.headers.get('anthropic-beta')).toBe(betas ?? null)
    })
  }
})

describe("the vendor's own SDK means the same", () => {
  for (const [name, { request, params, betas }] of Object.entries(pairs)) {
    test(name, async () => {
      const sent = await rig.sent(request, betas === undefined ? {} : callerBetas)
      const theirs = await bySdk(params)
      expect(meaning(sent.json())).toEqual(meaning(theirs.body))
      expect(sent.path).toBe(theirs.path)
      // The SDK asks for a later version, which has lost the sampling parameters of older models.
      expect(sent.headers.get('anthropic-version')).toBe('2023-06-01')
      expect(sent.headers.get('x-api-key')).toBe('sk-ant-api-test')
      expect(sent.headers.get('content-type')).toBe(theirs.headers.get('content-type'))
    })
  }
})

async function bySdk(params: object) {
  let sent: { path: string; headers: Headers; body: any } | undefined
  const client = new Anthropic({
    apiKey: 'sk-ant-api-test',
    baseURL: 'https://anthropic.invalid',
    maxRetries: 0,
    async fetch(url, init) {
      const request = new Request(url as string, init)
      const { pathname } = new URL(request.url)
      sent = { path: pathname, headers: request.headers, body: await request.json() }
      return Response.json({ type: 'message', content: [] })
    },
  })
  await client.messages.create(params as Anthropic.MessageCreateParams)
  return sent!
}

/** Strings for blocks of text are a shorthand of the API. */
function meaning(value: any, key = ''): any {
  if ((key === 'content' || key === 'system') && typeof value === 'string') {
    return [{ type: 'text', text: value }]
  }
  if (Array.isArray(value)) return value.map((entry) => meaning(entry))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, meaning(inner, name)]),
  )
}

test('tokens of a person’s account are sent as such', async () => {
  const { anthropic } = await import('#providers/anthropic/index.ts')
  const signed = (headers: Record<string, string>, credential: string) => {
    void anthropic.authorize({ method: 'POST', url: '', body: undefined, headers }, credential, 0)
    return headers
  }
  expect(signed({}, 'sk-ant-api-1')).toEqual({ 'x-api-key': 'sk-ant-api-1' })
  expect(signed({ 'anthropic-beta': 'a' }, 'sk-ant-oat-1')).toEqual({
    authorization: 'Bearer sk-ant-oat-1',
    'anthropic-beta': 'a,oauth-2025-04-20',
  })
  expect(signed({ 'anthropic-beta': 'oauth-2025-04-20' }, 'sk-ant-oat-1')).toEqual({
    authorization: 'Bearer sk-ant-oat-1',
    'anthropic-beta': 'oauth-2025-04-20',
  })
})
