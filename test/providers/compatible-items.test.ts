import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { seal } from '#openai/bridge/seal.ts'

import { startFamily } from './compatible-rig.ts'
import type { FamilyRig } from './compatible-rig.ts'
import { ask } from './play.ts'

// Items of a response that was written here in another vendor's name, sent on to one whose Responses are its own: it
// refuses reasoning that it cannot read, reasoning that it has not kept, and members that it does not know.

let rig: FamilyRig
beforeAll(async () => {
  rig = await startFamily()
})
afterAll(() => rig[Symbol.asyncDispose]())

const details = [{ type: 'reasoning.text', index: 0, text: 'Hm', signature: 'x' }]
const sealed = (text = 'Hm'): string =>
  `{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"${seal([{ ...details[0], text }], { provider: 'gemini', model: 'gemini-3-pro' })}"}`
const unsealed =
  '{"type":"reasoning","id":"rs_01m8nwcm5vm5f4kevwf4cgdhae0000","summary":[{"type":"summary_text","text":"Hm"}]}'
const theirs = '{"type":"reasoning", "id":"rs_68af09","summary":[], "encrypted_content":"gAAAAAB="}'
const question = '{"role": "user","content":"1.0"}'
const call = (more: string): string =>
  `{"type":"function_call","id":"fc_1"${more},"call_id":"c","name":"f","arguments":"{}"}`
const output = '{"type":"function_call_output","call_id":"c","output":"ok"}'

async function passed(vendor: string, items: string, more = '') {
  const text = `{"model":"${vendor}","input":[${items}],"store":false${more}}`
  const { status, body, dropped, error } = await rig.sent(text, { path: '/responses' })
  expect([status, error]).toEqual([200, undefined])
  const [, kept] = /"input":\[(.*)\],"store":false/s.exec(body!) ?? []
  return { kept, dropped }
}

describe.each(['openai/gpt-4.1', 'openai/o3', 'xai/grok-4', 'fireworks/m', 'vllm/m'])(
  '%s',
  (to) => {
    test.each([
      ['first', [sealed(), question], question, [0]],
      ['last', [question, sealed()], question, [1]],
      ['alone', [sealed()], '', [0]],
      ['side by side', [question, sealed(), unsealed, output], `${question},${output}`, [1, 2]],
      ['at both ends', [sealed(), question, sealed(), unsealed], question, [0, 2, 3]],
    ])('is not sent reasoning of another vendor that stands %s', async (_, from, left, lost) => {
      for (const comma of [',', ' ,\n ']) {
        const { kept, dropped } = await passed(to, from.join(comma))
        expect(kept!.replaceAll(/\s*,\s*(?=\{)/g, ',')).toBe(left)
        expect(dropped).toEqual(lost.map((at) => `input[${at}]`))
      }
    })

    test('is not sent members of calls that are ours, and everything else as it was', async () => {
      const extra = ',"extra_content":{"google":{"thought_signature":"AA=="}}'
      const items = `${question},${theirs}, ${call(extra)} ,${output}`
      const { kept, dropped } = await passed(to, items)
      expect(kept).toBe(`${question},${theirs}, ${call('')} ,${output}`)
      expect(dropped).toEqual(['input[2].extra_content'])
    })
  },
)

test('reasoning longer than what is parsed of it is known by its beginning', async () => {
  const { kept } = await passed('openai/gpt-4.1', `${sealed('Hm'.repeat(200_000))},${question}`)
  expect(kept).toBe(question)
})

test('with strictness it is refused by its place', async () => {
  const text = `{"model":"openai/gpt-4.1","input":[${question},${sealed()}]}`
  const headers = { 'x-bf-strict': 'true' }
  const { status, error, body } = await rig.sent(text, { path: '/responses', headers })
  expect([status, error.param, body]).toEqual([400, 'input[1]', undefined])
})

test('a model that nobody knows to be of OpenAI gets what was written', async () => {
  const items = `${sealed()},${question}`
  const { kept, dropped } = await passed('openai/gemini/gemini-3-pro', items)
  expect([kept, dropped]).toEqual([items, []])
})

test('what a vendor without Responses answered can be continued by one that has them', async () => {
  const reasoning = { content: null, reasoning: 'Hm', role: 'assistant' }
  const choices = [{ index: 0, message: { ...reasoning, content: 'Hi' }, finish_reason: 'stop' }]
  rig.upstream.clear()
  rig.upstream.reply({ json: { id: 'x', object: 'chat.completion', created: 1, choices } })
  const include = ['reasoning.encrypted_content']
  const first = { model: 'groq/qwen3', input: 'Hello', store: false, include }
  const { json } = await ask(rig.gateway.url, '/responses', first)
  const types = json.output.map(({ type }: { type: string }) => type)
  expect(types).toEqual(['reasoning', 'message'])
  const { kept } = await passed(
    'openai/gpt-4.1',
    json.output.map((item: object) => JSON.stringify(item)).join(','),
  )
  expect(JSON.parse(`[${kept}]`)).toEqual([json.output[1]])
})
