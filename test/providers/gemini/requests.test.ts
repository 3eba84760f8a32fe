import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { GoogleGenAI } from '@google/genai'

import { pairs } from './conversations.ts'
import { modern, readFixture, type Rig, startRig } from './rig.ts'

let rig: Rig
let sdk: GoogleGenAI
beforeAll(async () => {
  rig = await startRig()
  sdk = new GoogleGenAI({
    apiKey: 'gemini-key-of-the-tests',
    // Its own choice, v1, lacks what is new.
    httpOptions: { baseUrl: rig.upstream.url, apiVersion: 'v1beta' },
  })
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

describe('what is sent', () => {
  for (const [name, { request, dropped = [] }] of Object.entries(pairs)) {
    test(`${name} is the golden request, byte for byte`, async () => {
      const reply = await rig.ask(request)
      // The mock refuses what the vendor refuses.
      expect(reply.text).not.toContain('"error"')
      const sent = rig.upstream.requests.at(-1)!
      expect(sent.text()).toBe(readFixture(`golden/${name}.json`).trimEnd())
      expect(reply.dropped.toSorted()).toEqual([...dropped].toSorted())
    })
  }
})

describe("the vendor's own SDK means the same", () => {
  for (const [name, { request, params }] of Object.entries(pairs)) {
    test(name, async () => {
      const sent = await rig.sent(request)
      rig.upstream.clear()
      await sdk.models.generateContent(params)
      const [theirs] = rig.upstream.requests
      expect(meaning(sent.json())).toEqual(meaning(theirs!.json()))
      expect(sent.path).toBe(theirs!.path)
      expect(sent.headers.get('x-goog-api-key')).toBe(theirs!.headers.get('x-goog-api-key'))
      expect(sent.headers.get('authorization')).toBeNull()
      expect(sent.headers.get('content-type')).toBe('application/json')
    })
  }
})

/** The SDK writes the names of types in capitals, which the API takes either way, and a configuration of nothing. */
function meaning(value: any, key = ''): any {
  if (key === 'type' || key === 'thinkingLevel') {
    return typeof value === 'string' ? value.toLowerCase() : value
  }
  if (Array.isArray(value)) return value.map((entry) => meaning(entry))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      const isNothing = name === 'generationConfig' && Object.keys(inner as object).length === 0
      return isNothing ? [] : [[name, meaning(inner, name)]]
    }),
  )
}

test('a stream is asked for as events, at the path of its own', async () => {
  const { path, query } = await rig.sent({ stream: true })
  expect(path).toBe(`/v1beta/models/${modern}:streamGenerateContent`)
  expect(query).toBe('?alt=sse')
  rig.upstream.clear()
  const pieces = await sdk.models.generateContentStream({ model: modern, contents: 'hi' })
  for await (const _ of pieces) expect(_.modelVersion).toBe(modern)
  const [theirs] = rig.upstream.requests
  expect(`${theirs!.path}${theirs!.query}`).toBe(path + query)
})

test.each([
  ['models/gemini-3-flash-echo', '/v1beta/models/gemini-3-flash-echo:generateContent'],
  ['tunedModels/echo', '/v1beta/tunedModels/echo:generateContent'],
])('the model %s is asked at %s', async (model, path) => {
  expect((await rig.sent({ model })).path).toBe(path)
})
