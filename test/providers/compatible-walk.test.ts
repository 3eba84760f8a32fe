import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { Vendor } from '#providers/compatible.ts'
import { CHAT_PARAMS } from '#providers/fates.ts'
import type { ChatParam } from '#providers/fates.ts'
import type { Quirks } from '#providers/quirks.ts'
import { fatesOf, PROVIDERS } from '#providers/registry.ts'
import { VENDORS } from '#providers/vendors.ts'

import { startFamily } from './compatible-rig.ts'
import type { FamilyRig } from './compatible-rig.ts'

// Every vendor of the family with every parameter, and with every row of its quirks: what the table says is what
// happens. The rows that change more than one field stand in the golden requests.

let rig: FamilyRig
beforeAll(async () => {
  rig = await startFamily()
})
afterAll(() => rig[Symbol.asyncDispose]())

/** A value of each parameter that asks for something. */
const asked: Record<ChatParam, string> = {
  max_completion_tokens: '11',
  max_tokens: '11',
  temperature: '0.5',
  top_p: '0.5',
  top_k: '5',
  n: '2',
  stop: '["END"]',
  seed: '7',
  frequency_penalty: '0.5',
  presence_penalty: '0.5',
  logit_bias: '{"5":1}',
  logprobs: 'true',
  top_logprobs: '2',
  tools: '[{"type":"function","function":{"name":"f"}}]',
  tool_choice: '"none"',
  parallel_tool_calls: 'false',
  functions: '[{"name":"f"}]',
  function_call: '"none"',
  response_format: '{"type":"json_object"}',
  reasoning_effort: '"high"',
  reasoning: '{"effort":"high"}',
  reasoning_max_tokens: '100',
  verbosity: '"low"',
  modalities: '["text","audio"]',
  audio: '{"voice":"a","format":"wav"}',
  prediction: '{"type":"content","content":"x"}',
  web_search_options: '{"search_context_size":"low"}',
  service_tier: '"flex"',
  store: 'true',
  metadata: '{"a":"b"}',
  user: '"u"',
  safety_identifier: '"s"',
  prompt_cache_key: '"k"',
  prompt_cache_retention: '"24h"',
}

const messages = '"messages":[{"role":"user","content":"hi"}]'
/** Chat of the vendor's own, asked for as such; a model that no rule knows. */
const chatting = VENDORS.filter(
  ({ offers, byResponses }) =>
    (offers === 'everything' || offers.includes('chat_completion')) &&
    !byResponses?.some(({ when, models }) => when === 'always' && models.test('some-model')),
)
/** The families' rules make exceptions for all but these. */
const models: Record<string, string> = { deepseek: 'deepseek-chat-vision' }
const modelOf = (vendor: string): string => models[vendor] ?? 'some-model'

describe.each(chatting.map(({ name, quirks = {} }) => [name, quirks] as const))(
  '%s',
  (name, quirks: Quirks) => {
    const chat = (members: string): string =>
      `{"model":"${name}/${modelOf(name)}",${messages}${members === '' ? '' : `,${members}`}}`
    const fates = fatesOf(name)!

    test.each([...CHAT_PARAMS])('%s has the fate that the table states', async (param) => {
      const text = chat(`"${param}":${asked[param]}`)
      const { status, body, dropped, error } = await rig.sent(text)
      if (fates[param] === 'refused') {
        expect([status, error.param, body]).toEqual([400, param, undefined])
        expect(error.message).toContain(name)
        return
      }
      expect(status).toBe(200)
      const sent = JSON.parse(body!)
      const wanted = quirks.rename?.[param] ?? param
      if (fates[param] === 'dropped') {
        expect([dropped, wanted in sent, param in sent]).toEqual([[param], false, false])
        const strict = await rig.sent(text, { headers: { 'x-bf-strict': 'true' } })
        expect([strict.status, strict.error.param, strict.body]).toEqual([400, param, undefined])
        return
      }
      expect(dropped).toEqual([])
      const value = JSON.parse(asked[param])
      const changed = quirks.values?.[param]?.[String(value)]
      if (fates[param] === 'carried') expect(sent[wanted]).toEqual(changed ?? value)
      // Another way to the same end, so the parameter itself is not among what is sent.
      else if (param === 'reasoning') expect(sent.reasoning_effort).toBe('high')
      else if (param !== 'response_format') expect(sent[param]).toBeUndefined()
    })

    test('a parameter that asks for nothing is no loss', async () => {
      const nothing = '"n":1,"logprobs":false,"logit_bias":{},"modalities":["text"],"store":false'
      const { status, dropped } = await rig.sent(chat(nothing))
      expect([status, dropped]).toEqual([200, []])
      const nulls = CHAT_PARAMS.map((param) => `"${param}":null`).join(',')
      const empty = await rig.sent(chat(nulls))
      expect([empty.status, empty.dropped]).toEqual([200, []])
    })

    test.each(Object.entries(quirks.rename ?? {}))('%s is called %s', async (from, to) => {
      const value = asked[from as ChatParam]
      const { body } = await rig.sent(chat(`"${from}" :  ${value}`))
      expect(body).toBe(chat(`"${to}" :  ${value}`).replace(`${name}/`, ''))
      // Both spellings: the vendor's own stands.
      const both = await rig.sent(chat(`"${from}":${value},"${to}":2`))
      expect(JSON.parse(both.body!)[to]).toBe(2)
    })

    const values = Object.entries(quirks.values ?? {}).flatMap(([field, table]) =>
      Object.entries(table).map(([from, to]) => [field, from, to] as const),
    )
    test.each(values)('%s %s becomes %s', async (field, from, to) => {
      const written = /^(?:true|-?\d+)$/.test(from) ? from : JSON.stringify(from)
      const { body, dropped } = await rig.sent(chat(`"${field}" : ${written}`))
      expect(body).toBe(chat(`"${field}" : ${JSON.stringify(to)}`).replace(`${name}/`, ''))
      expect(dropped).toEqual([])
    })

    const words = Object.entries(quirks.effort?.words ?? {})
    test.each(words)('the effort %s becomes %s, by whatever field it came', async (from, to) => {
      const plain = await rig.sent(chat(`"reasoning_effort":"${from}"`))
      expect(plain.body).toBe(chat(`"reasoning_effort":"${to}"`).replace(`${name}/`, ''))
      const object = await rig.sent(chat(`"reasoning":{"effort":"${from}"}`))
      expect(JSON.parse(object.body!)).toMatchObject({ reasoning_effort: to })
      expect(JSON.parse(object.body!).reasoning).toBeUndefined()
    })

    test.each(Object.entries(quirks.effort?.off ?? {}))(
      'the effort none is %s',
      async (field, value) => {
        const { body, dropped } = await rig.sent(chat('"reasoning_effort":"none"'))
        expect(JSON.parse(body!)[field]).toEqual(value)
        expect(body).not.toContain('reasoning_effort')
        expect(dropped).toEqual([])
      },
    )

    const roles = Object.entries(quirks.messages?.roles ?? {})
    test.each(roles)('the role %s is %s', async (from, to) => {
      const text = (role: string): string =>
        `{"model":"m","messages":[{"content":"\\"role\\":\\"${from}\\"","role" : "${role}"},{"role":"user","content":"x"}]}`
      const { body } = await rig.sent(text(from).replace('"m"', `"${name}/m"`))
      expect(body).toBe(text(to))
    })

    const lostMembers = (quirks.messages?.drop ?? []).map((member) => [member])
    test.each(lostMembers)('messages lose %s, and it is declared', async (member) => {
      const text = (more: string): string =>
        `{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"${more}},{"role":"user","content":"z"}]}`
      const asText = text(`,"${member}":${member === 'name' ? '"v"' : '{"id":"v"}'}`).replace(
        '"m"',
        `"${name}/m"`,
      )
      const { body, dropped } = await rig.sent(asText)
      expect([body, dropped]).toEqual([text(''), [`messages[1].${member}`]])
      const strict = await rig.sent(asText, { headers: { 'x-bf-strict': 'true' } })
      expect([strict.status, strict.error.param]).toEqual([400, `messages[1].${member}`])
    })

    test('extra_params are merged when asked for, and declared as lost when not', async () => {
      const text = (members: string): string => chat(members).replace(`${name}/`, '')
      const extra = '"extra_params":{"own_param":1.0,"stream":true,"messages":[]},"o":{"a":1}'
      const without = await rig.sent(chat(extra))
      expect([without.body, without.dropped]).toEqual([text('"o":{"a":1}'), ['extra_params']])
      const headers = { 'x-bf-passthrough-extra-params': 'true' }
      const given = await rig.sent(
        chat(
          '"o":{"a":1,"n":{}},"extra_params":{"own_param":1.0,"stream":true,"fallbacks":["x"],"o":{"a":2,"b":3,"n":{"c":{}}}}',
        ),
        { headers },
      )
      expect(given.dropped).toEqual([])
      expect(JSON.parse(given.body!)).toMatchObject({
        own_param: 1,
        o: { a: 1, b: 3, n: { c: {} } },
      })
      expect(given.body).toContain('"own_param":1.0')
      expect(given.body).not.toMatch(/extra_params|fallbacks|"stream"/)
    })
  },
)

test('every provider with chat states its fates', () => {
  for (const { name, offers } of PROVIDERS.values()) {
    if (!offers.has('chat_completion') || name === 'mock') continue
    const fates = fatesOf(name)
    expect(fates, name).toBeDefined()
    expect(CHAT_PARAMS.filter((param) => fates![param] === undefined)).toEqual([])
  }
})

test('vendors that are served by Responses alone state the fates of those', () => {
  const names = VENDORS.filter((vendor: Vendor) => !chatting.includes(vendor)).map(
    ({ name }) => name,
  )
  for (const name of names) expect(fatesOf(name)?.stop).toBe('dropped')
})
