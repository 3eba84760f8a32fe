import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import OpenAI from 'openai'

import { bodyOf, BYTES, PREFIXED } from './bodies.ts'
import { ELSEWHERE, LOCAL } from './exceptions.ts'
import type { Answer, Rig, Wire } from './rig.ts'
import {
  ADMIN_KEY,
  CLIENT_KEY,
  events,
  fieldsOf,
  json,
  jsonText,
  PROVIDER_KEY,
  startRig,
} from './rig.ts'
import type { SdkMethod } from './surface.ts'
import { argumentsFor, methodsOf } from './surface.ts'

// Every method of the official SDK, found at run time: what it sends must reach the provider unchanged
// but for the model's prefix and the credentials, and what the provider answers must reach the caller.

const METHODS = methodsOf(new OpenAI({ apiKey: CLIENT_KEY, adminAPIKey: ADMIN_KEY }))
const BASES = ['/openai', '/openai/v1']
const UNKNOWN = '"unknown_field":{"deep":[1.0,1152921504606846977]}'
/** What `JSON.parse` makes of it. */
const DEEP = { deep: [1, 2 ** 60] }

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig.stop())

test('the walk finds the whole surface', () => {
  // openai 7.55.0 has 416; a newer SDK has more.
  expect(METHODS.length).toBeGreaterThanOrEqual(416)
  const names = METHODS.map((method) => method.name)
  expect(new Set(names).size).toBe(names.length)
  for (const name of [
    'chat.completions.create',
    'responses.create',
    'beta.threads.runs.steps.list',
    'vectorStores.fileBatches.listFiles',
    'admin.organization.projects.users.roles.create',
  ]) {
    expect(names).toContain(name)
  }
})

describe.each(METHODS.filter(({ name }) => !(name in ELSEWHERE) && !(name in LOCAL)))(
  '$name',
  (method) => {
    test.each(BASES)('travels unchanged under %s', async (base) => {
      rig.answers(answerFor(method))
      const client = rig.client({ baseURL: rig.url + base })
      const values = argumentsFor(method, bodyOf)
      const result = await method.call(client, values)

      const [sent, ...moreSent] = rig.sent
      const [received, ...moreReceived] = rig.received
      if (!sent || !received) throw new Error('nothing was sent')
      expect(moreSent).toEqual([])
      expect(moreReceived).toEqual([])
      expect(received.method).toBe(sent.method)
      expect(received.path).toBe(`/v1${sent.path.slice(base.length)}`)
      expect(received.query).toBe(sent.query)
      await expectSameBody(method, sent, received)
      expectHeaders(sent, received)
      await expectAnswer(method, result)
    })
  },
)

describe('methods without a request of their own', () => {
  test.each(Object.entries(LOCAL))('%s', async (name, check) => {
    expect(METHODS.map((method) => method.name)).toContain(name)
    rig.answers(json({ id: 'x' }))
    await check(rig.client())
    expect(rig.sent).toEqual([])
  })
})

test.each(Object.entries(ELSEWHERE))('%s has a test in %s', async (name, file) => {
  expect(METHODS.map((method) => method.name)).toContain(name)
  expect(await Bun.file(`${import.meta.dir}/${file}`).text()).toContain(name)
})

async function expectSameBody(method: SdkMethod, sent: Wire, received: Wire): Promise<void> {
  const type = sent.headers.get('content-type') ?? ''
  if (type.startsWith('multipart/')) {
    const expected = (await fieldsOf(sent)).map(([name, value]) => [
      name,
      withoutPrefix(method, value),
    ])
    expect(expected.length).toBeGreaterThan(0)
    expect(await fieldsOf(received)).toEqual(expected as [string, string][])
    return
  }
  if (sent.body.length > 0) {
    expect(received.headers.get('content-type')).toStartWith('application/json')
  }
  expect(textOf(received)).toBe(withoutPrefix(method, textOf(sent)))
}

/** Only the model loses the prefix, so only methods that send one may differ. */
function withoutPrefix(method: SdkMethod, text: string): string {
  if (!PREFIXED.has(method.name)) return text
  return text.replace('"model":"openai/', '"model":"').replace(/^openai\//, '')
}

function expectHeaders(sent: Wire, received: Wire): void {
  expect(received.headers.get('authorization')).toBe(`Bearer ${PROVIDER_KEY}`)
  for (const [name, value] of received.headers) {
    expect([name, value.includes(CLIENT_KEY) || value.includes(ADMIN_KEY)]).toEqual([name, false])
  }
  for (const name of ['openai-beta', 'idempotency-key']) {
    expect([name, received.headers.get(name)]).toEqual([name, sent.headers.get(name)])
  }
}

function isBinary(method: SdkMethod): boolean {
  return method.source.includes('__binaryResponse')
}

function isList(method: SdkMethod): boolean {
  return method.source.includes('getAPIList')
}

function isStream(method: SdkMethod): boolean {
  return method.source.includes('text/event-stream')
}

function answerFor(method: SdkMethod): Answer {
  if (isBinary(method)) {
    return () => new Response(BYTES, { headers: { 'content-type': 'application/octet-stream' } })
  }
  if (isStream(method)) {
    return events({
      type: 'some.event',
      event_id: 'e',
      unknown_field: DEEP,
    })
  }
  if (isList(method)) {
    return jsonText(
      `{"object":"list","data":[{"id":"x","object":"y",${UNKNOWN}}],"has_more":false,${UNKNOWN}}`,
    )
  }
  const own = ANSWERS[method.name.replace(/^beta\./, '')] ?? '"id":"x","object":"y"'
  return jsonText(`{${own},${UNKNOWN}}`)
}

const ANSWERS: Record<string, string> = {
  'chat.completions.create':
    '"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-6-luna","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}',
  'completions.create':
    '"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"Hi","finish_reason":"stop","logprobs":null}]',
  'responses.create':
    '"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-6-luna","output":[]',
  'embeddings.create':
    '"object":"list","model":"text-embedding-3-small","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"usage":{"prompt_tokens":1,"total_tokens":1}',
  'images.generate': '"created":1,"data":[{"b64_json":"aGk="}]',
  'images.edit': '"created":1,"data":[{"b64_json":"aGk="}]',
  'images.createVariation': '"created":1,"data":[{"url":"https://example.com/1.png"}]',
  'audio.transcriptions.create': '"text":"Hi"',
  'audio.translations.create': '"text":"Hi"',
  'moderations.create': '"id":"modr-1","model":"m","results":[]',
}

async function expectAnswer(method: SdkMethod, result: unknown): Promise<void> {
  if (isBinary(method)) {
    expect(new Uint8Array(await (result as Response).arrayBuffer())).toEqual(BYTES)
  } else if (isStream(method)) {
    const seen = await Array.fromAsync(result as AsyncIterable<unknown>)
    expect(seen).toMatchObject([{ unknown_field: DEEP }])
  } else if (isList(method)) {
    const page = result as { body: unknown; getPaginatedItems(): unknown[] }
    expect(page.body).toMatchObject({ unknown_field: DEEP })
    expect(page.getPaginatedItems()).toMatchObject([{ unknown_field: DEEP }])
  } else {
    expect(result).toMatchObject({ unknown_field: DEEP })
  }
}

function textOf(wire: Wire): string {
  return new TextDecoder().decode(wire.body)
}
