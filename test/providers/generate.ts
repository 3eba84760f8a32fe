import * as fc from 'fast-check'

import { readConversation } from '#openai/conversation/read.ts'
import type { Exchange } from '#providers/exchange.ts'
import type { Target } from '#providers/provider.ts'
import { noResources } from '#providers/provider.ts'

// Made-up conversations and answers, for what has to hold of all of them.

const words = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 })
const name = fc.stringMatching(/^[a-z]\w{0,8}$/)
const input = fc.dictionary(name, fc.oneof(words, fc.integer(), fc.boolean(), fc.constant(null)), {
  maxKeys: 3,
})
const image = fc
  .uint8Array({ minLength: 1, maxLength: 9 })
  .map((bytes) => Buffer.from(bytes).toString('base64'))

export type GeneratedPart = { text: string } | { image: string }
export interface GeneratedCall {
  id: string
  name: string
  input: Record<string, unknown>
}
/** A turn in the simplest form there is. */
export type GeneratedTurn =
  | { role: 'system' | 'user'; parts: GeneratedPart[] }
  | { role: 'assistant'; text: string; thought: string | undefined; calls: GeneratedCall[] }
  | { role: 'tool'; id: string; text: string }

const texts = fc.array(
  words.map((text): GeneratedPart => ({ text })),
  { minLength: 1, maxLength: 3 },
)
const mixed = fc.array(
  fc.oneof(
    words.map((text): GeneratedPart => ({ text })),
    image.map((data): GeneratedPart => ({ image: data })),
  ),
  { minLength: 1, maxLength: 3 },
)
const call = fc.record({ id: fc.constant(''), name, input })

/** One question with all that follows until the next. */
const round = fc.record({
  asked: mixed,
  thought: fc.option(words, { nil: undefined }),
  calls: fc.array(call, { maxLength: 3 }),
  results: fc.array(words, { minLength: 3, maxLength: 3 }),
  answer: words,
})

/** Whole conversations: every call has its own id and its result. */
export const conversation: fc.Arbitrary<GeneratedTurn[]> = fc
  .record({
    system: fc.option(texts, { nil: undefined }),
    rounds: fc.array(round, { minLength: 1, maxLength: 3 }),
  })
  .map(({ system, rounds }) => {
    const turns: GeneratedTurn[] = system ? [{ role: 'system', parts: system }] : []
    rounds.forEach(({ asked, thought, calls, results, answer }, at) => {
      turns.push({ role: 'user', parts: asked })
      const named = calls.map((each, i) => ({ ...each, id: `call_${at}_${i}` }))
      turns.push({ role: 'assistant', text: named.length > 0 ? '' : answer, thought, calls: named })
      named
        .map(({ id }, i): GeneratedTurn => ({ role: 'tool', id, text: results[i]! }))
        .toReversed()
        .forEach((turn) => turns.push(turn))
    })
    return turns
  })

/** The request in which a caller would say it. `format` is what the thoughts are tagged with. */
export function requestOf(
  turns: readonly GeneratedTurn[],
  format?: string,
): Record<string, unknown> {
  return { model: 'm', messages: turns.map((turn) => messageOf(turn, format)) }
}

function messageOf(turn: GeneratedTurn, format: string | undefined): object {
  switch (turn.role) {
    case 'system':
    case 'user':
      return { role: turn.role, content: turn.parts.map(partOf) }
    case 'assistant':
      return {
        role: 'assistant',
        content: turn.text === '' ? null : turn.text,
        ...(turn.thought !== undefined && {
          reasoning: turn.thought,
          reasoning_details: [
            { type: 'reasoning.text', index: 0, text: turn.thought, ...(format && { format }) },
          ],
        }),
        ...(turn.calls.length > 0 && {
          tool_calls: turn.calls.map((each) => ({
            id: each.id,
            type: 'function',
            function: { name: each.name, arguments: JSON.stringify(each.input) },
          })),
        }),
      }
    case 'tool':
      return { role: 'tool', tool_call_id: turn.id, content: turn.text }
  }
}

function partOf(part: GeneratedPart): object {
  return 'text' in part
    ? { type: 'text', text: part.text }
    : { type: 'image_url', image_url: { url: `data:image/png;base64,${part.image}` } }
}

/** An exchange as an adapter gets it, with the list of what it drops. */
export function exchangeOf(request: Record<string, unknown>): Exchange & { dropped: string[] } {
  const dropped: string[] = []
  const settings = { name: 'vendor', network: {}, keys: [] }
  return {
    call: { id: '01J', stream: false } as Exchange['call'],
    target: { settings, key: undefined, model: 'm' } as unknown as Target,
    model: 'm',
    conversation: readConversation(request),
    resources: noResources,
    dropped,
    drop: (param) => {
      dropped.push(param)
    },
  }
}

/** One thing that a model says. */
export interface GeneratedAnswer {
  thought: string[]
  text: string[]
  calls: GeneratedCall[]
  cut: boolean
  input: number
  output: number
}

export const answer: fc.Arbitrary<GeneratedAnswer> = fc.record({
  thought: fc.array(words, { maxLength: 3 }),
  text: fc.array(words, { maxLength: 4 }),
  calls: fc
    .array(call, { maxLength: 3 })
    .map((calls) => calls.map((each, at) => ({ ...each, id: `call_${at}` }))),
  cut: fc.boolean(),
  input: fc.nat(100_000),
  output: fc.nat(100_000),
})

/** Where a stream is cut on its way. */
export const pieceSize: fc.Arbitrary<number> = fc.integer({ min: 1, max: 64 })
