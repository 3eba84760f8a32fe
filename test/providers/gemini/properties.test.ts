import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { utf16Offsets } from '#providers/gemini/grounding.ts'

import { unsigned } from './conversations.ts'
import { assemble, chunksOf, question, type Rig, startRig } from './rig.ts'

// Conversations that nobody thought of: what goes through both translations is still what it was.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const words = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })
const json = fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), {
  maxKeys: 3,
})
const signature = fc.base64String({ minLength: 4, maxLength: 12 }).filter((text) => text !== '')
const name = fc.stringMatching(/^[a-z_]{1,8}$/)

/** `-0` and members named `__proto__` are JSON's own business. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

const part = fc.oneof(
  fc.record({ text: words }),
  fc.record({ text: words, thought: fc.constant(true) }),
  fc.record(
    {
      functionCall: fc.record({ name, args: json }),
      thoughtSignature: signature,
    },
    { requiredKeys: ['functionCall'] },
  ),
  fc.record({ text: fc.constant(''), thoughtSignature: signature }),
)

/** An answer's parts with ids on its calls, as the newest models give them. */
const answer = fc
  .array(part, { minLength: 1, maxLength: 8 })
  .map((parts) =>
    plain(parts).map((given: any, at) =>
      given.functionCall
        ? { ...given, functionCall: { id: `c${at}`, ...given.functionCall } }
        : given,
    ),
  )

function answerOf(parts: readonly object[], ends = true) {
  return {
    candidates: [
      { content: { role: 'model', parts }, index: 0, ...(ends && { finishReason: 'STOP' }) },
    ],
    responseId: 'r1',
  }
}

/** What the vendor is to be told of its own answer: one text, then the calls. */
function replayOf(parts: readonly any[]): object[] {
  const text = parts.flatMap((each) => (each.thought ? [] : (each.text ?? []))).join('')
  const textSignature = parts.findLast(
    (each) => each.text !== undefined && each.thoughtSignature,
  )?.thoughtSignature
  const calls = parts.filter((each) => each.functionCall)
  if (calls[0] && !calls.some((each) => each.thoughtSignature)) {
    calls[0] = { ...calls[0], thoughtSignature: unsigned }
  }
  const isSaid = text !== '' || textSignature
  return [
    ...(isSaid ? [{ text, ...(textSignature && { thoughtSignature: textSignature }) }] : []),
    ...calls,
  ]
}

test('an answer that goes back is what the vendor said', async () => {
  await fc.assert(
    fc.asyncProperty(answer, async (parts) => {
      rig.upstream.clear()
      rig.upstream.reply([{ json: answerOf(parts) }, { json: answerOf([{ text: 'ok' }]) }])
      const { message } = (await rig.ask({})).json.choices[0]
      const results = (message.tool_calls ?? []).map(({ id }: any) => ({
        role: 'tool',
        tool_call_id: id,
        content: id,
      }))
      const reply = await rig.ask({ messages: [question, message, ...results, question] })
      expect(reply.status).toBe(200)
      expect(reply.dropped).toEqual([])
      const contents = rig.upstream.requests[1]!.json().contents
      // A turn of nothing but unsigned thoughts is not told again.
      const expected = replayOf(parts)
      const told = contents.filter(({ role }: any) => role === 'model')
      expect(told).toEqual(expected.length === 0 ? [] : [{ role: 'model', parts: expected }])
    }),
    { numRuns: 150, examples: [[[{ text: 'a', thought: true }, { text: 'b' }]]] },
  )
})

test('an answer in pieces is the answer whole', async () => {
  const cuts = fc.array(fc.nat(20), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(answer, cuts, async (parts, places) => {
      rig.upstream.clear()
      rig.upstream.reply({ json: answerOf(parts) })
      const { choices } = (await rig.ask({})).json
      const pieces = parts.flatMap((each: any, at): object[] => {
        // Pairs of surrogates are never cut by the vendor.
        const letters = [...(each.text ?? '')]
        const cut = places[at] ?? 0
        if (each.thoughtSignature || letters.length <= cut || cut === 0) return [each]
        const [one, two] = [letters.slice(0, cut).join(''), letters.slice(cut).join('')]
        return [
          { ...each, text: one },
          { ...each, text: two },
        ]
      })
      rig.upstream.reply({
        sse: [
          ...pieces.map((each) => JSON.stringify(answerOf([each], false))),
          JSON.stringify(answerOf([])),
        ],
      })
      const { text } = await rig.ask({ stream: true })
      expect(plain(assemble(chunksOf(text)).choices)).toEqual(choices)
    }),
    { numRuns: 150 },
  )
})

const turn = fc.oneof(
  fc.record({ kind: fc.constant('user' as const), text: words }),
  fc.record({ kind: fc.constant('assistant' as const), text: words }),
  fc.record({
    kind: fc.constant('calls' as const),
    calls: fc.array(fc.record({ name, args: json, result: fc.oneof(words, json) }), {
      minLength: 1,
      maxLength: 3,
    }),
    reversed: fc.boolean(),
  }),
)

test('every message, call and result arrives, in its order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(turn, { maxLength: 8 }), async (turns) => {
      const messages: object[] = [{ role: 'user', content: 'Begin' }]
      const told: unknown[] = [['user', 'Begin']]
      plain(turns).forEach((each, at) => {
        if (each.kind !== 'calls') {
          messages.push({ role: each.kind, content: each.text })
          told.push([each.kind === 'user' ? 'user' : 'model', each.text])
          return
        }
        const calls = each.calls.map((call, i) => ({ ...call, id: `call_${at}_${i}` }))
        messages.push({
          role: 'assistant',
          tool_calls: calls.map(({ id, name: called, args }) => ({
            id,
            type: 'function',
            function: { name: called, arguments: JSON.stringify(args) },
          })),
        })
        const results = calls.map(({ id, result }) => ({
          role: 'tool',
          tool_call_id: id,
          content: typeof result === 'string' ? result : JSON.stringify(result),
        }))
        messages.push(...(each.reversed ? results.toReversed() : results))
        told.push(...calls.map(({ id, name: called, args }) => ['call', id, called, args]))
        told.push(...calls.map(({ id, name: called, result }) => ['result', id, called, result]))
      })
      messages.push({ role: 'user', content: 'End' })
      told.push(['user', 'End'])
      const { contents } = (await rig.sent({ messages })).json()
      rig.upstream.clear()
      expect(contents.flatMap(heard)).toEqual(told)
    }),
    { numRuns: 150 },
  )
})

function heard({ role, parts }: any): unknown[] {
  return parts.map(({ text, functionCall, functionResponse }: any) => {
    if (functionCall) return ['call', functionCall.id, functionCall.name, functionCall.args]
    if (!functionResponse) return [role, text]
    const { id, name: called, response } = functionResponse
    const isText = Object.keys(response).join() === 'output' && typeof response.output === 'string'
    return ['result', id, called, isText ? response.output : response]
  })
}

test('places in bytes become places in UTF-16, whatever the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.nat(30), (text, cut) => {
      const letters = Array.from(text)
      const head = letters.slice(0, cut).join('')
      const byte = Buffer.byteLength(head)
      expect(utf16Offsets(text, [byte]).get(byte)).toBe(head.length)
      expect(utf16Offsets(text, [1e9]).get(1e9)).toBe(text.length)
    }),
  )
})
