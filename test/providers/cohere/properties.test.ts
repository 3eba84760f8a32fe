import { expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import { cohere } from '#providers/cohere/index.ts'

import { playback } from '../../helpers/upstream.ts'
import { answer, conversation, exchangeOf, pieceSize, requestOf } from '../generate.ts'
import type { GeneratedAnswer, GeneratedPart, GeneratedTurn } from '../generate.ts'
import { assembled } from '../play.ts'

// What holds for every conversation there and back, and for every answer.

test('a conversation says the same in the dialect', () => {
  fc.assert(
    fc.property(conversation, (turns) => {
      const exchange = exchangeOf(requestOf(turns, 'cohere-v2'))
      const { body } = cohere.chat.request(exchange)
      expect(exchange.dropped).toEqual([])
      const sent = JSON.parse(JSON.stringify(body)) as { messages: any[] }
      expect(sent.messages.map(readBack)).toEqual(turns)
    }),
  )
})

/** The vendor's message in the generator's form, read by nothing that the adapter is made of. */
function readBack(message: any): GeneratedTurn {
  const { role, content = [] } = message
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  const text = blocks
    .filter(({ type }: any) => type === 'text')
    .map((block: any) => block.text)
    .join('')
  switch (role) {
    case 'assistant': {
      const thoughts = blocks.filter(({ type }: any) => type === 'thinking')
      return {
        role,
        text,
        thought: thoughts.length === 0 ? undefined : thoughts[0].thinking,
        calls: (message.tool_calls ?? []).map(({ id, function: fn }: any) => ({
          id,
          name: fn.name,
          input: JSON.parse(fn.arguments),
        })),
      }
    }
    case 'tool':
      return { role, id: message.tool_call_id, text }
    default:
      return {
        role,
        parts: blocks.map((block: any): GeneratedPart =>
          block.type === 'text'
            ? { text: block.text }
            : { image: block.image_url.url.slice('data:image/png;base64,'.length) },
        ),
      }
  }
}

const facts = { id: '01J', model: 'm', createdAt: 1 }

test('an answer is the same whole, and streamed in pieces of any size', () => {
  fc.assert(
    fc.property(answer, pieceSize, (said, size) => {
      const exchange = exchangeOf(requestOf([]))
      const writer = chatWholeWriter(facts)
      cohere.chat.whole(wholeOf(said), writer, exchange, {})
      const whole = JSON.parse(writer.result()!.text)

      let events = ''
      const streamed = chatStreamWriter(facts, (more) => {
        events += more
      })
      const reader = cohere.chat.stream(streamed, exchange)
      for (const piece of playback(streamOf(said), size)) reader.push(piece)
      reader.end()
      expect(assembled(events)).toEqual({ choice: whole.choices[0], usage: whole.usage })

      const { message } = whole.choices[0]
      expect(message.content ?? '').toBe(said.text.join(''))
      expect(message.reasoning ?? '').toBe(said.thought.join(''))
      const calls = (message.tool_calls ?? []).map(({ id, function: fn }: any) => ({
        id,
        name: fn.name,
        input: JSON.parse(fn.arguments),
      }))
      expect(calls).toEqual(said.calls)
    }),
  )
})

const reasonOf = ({ cut, calls }: GeneratedAnswer): string =>
  cut ? 'MAX_TOKENS' : calls.length > 0 ? 'TOOL_CALL' : 'COMPLETE'
const usageOf = ({ input, output }: GeneratedAnswer) => ({
  tokens: { input_tokens: input, output_tokens: output },
})

function wholeOf(said: GeneratedAnswer): object {
  const { thought, text, calls } = said
  return {
    id: 'x',
    finish_reason: reasonOf(said),
    message: {
      role: 'assistant',
      content: [
        ...(thought.length > 0 ? [{ type: 'thinking', thinking: thought.join('') }] : []),
        ...(text.length > 0 ? [{ type: 'text', text: text.join('') }] : []),
      ],
      tool_calls: calls.map(({ id, name, input }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.stringify(input) },
      })),
    },
    usage: usageOf(said),
  }
}

function streamOf(said: GeneratedAnswer): string {
  const events: object[] = [{ type: 'message-start', id: 'x', delta: {} }]
  const say = (type: string, index: number, message: object) =>
    events.push({ type, index, delta: { message } })
  const block = (index: number, type: string, pieces: readonly string[]): void => {
    if (pieces.length === 0) return
    say('content-start', index, { content: { type, [type]: '' } })
    for (const piece of pieces) say('content-delta', index, { content: { [type]: piece } })
    say('content-end', index, {})
  }
  block(0, 'thinking', said.thought)
  block(1, 'text', said.text)
  said.calls.forEach(({ id, name, input }, at) => {
    say('tool-call-start', at, { tool_calls: { id, function: { name, arguments: '' } } })
    for (const piece of JSON.stringify(input).match(/[^]{1,4}/g) ?? []) {
      say('tool-call-delta', at, { tool_calls: { function: { arguments: piece } } })
    }
    say('tool-call-end', at, {})
  })
  events.push({
    type: 'message-end',
    delta: { finish_reason: reasonOf(said), usage: usageOf(said) },
  })
  return events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
}
