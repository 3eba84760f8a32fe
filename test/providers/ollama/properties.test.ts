import { expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import { ollama } from '#providers/ollama/index.ts'

import { playback } from '../../helpers/upstream.ts'
import { answer, conversation, exchangeOf, pieceSize, requestOf } from '../generate.ts'
import type { GeneratedAnswer, GeneratedPart, GeneratedTurn } from '../generate.ts'
import { assembled } from '../play.ts'

// What holds for every conversation there and back, and for every answer.

test('a conversation says the same in the dialect', () => {
  fc.assert(
    fc.property(conversation, (turns) => {
      const exchange = exchangeOf(requestOf(turns))
      const { body } = ollama.chat.request(exchange)
      expect(exchange.dropped).toEqual([])
      const sent = JSON.parse(JSON.stringify(body)) as { messages: any[] }
      expect(sent.messages.map(readBack)).toEqual(turns.map(inOneText))
    }),
  )
})

/** The dialect has one text and one list of images for each message. */
function inOneText(turn: GeneratedTurn): unknown {
  if (turn.role !== 'user' && turn.role !== 'system') return turn
  const have = (kind: 'text' | 'image'): string[] =>
    turn.parts.flatMap((part: GeneratedPart) => (kind in part ? [(part as any)[kind]] : []))
  return { role: turn.role, text: have('text').join('\n'), images: have('image') }
}

/** The server's message in that form, read by nothing that the adapter is made of. */
function readBack(message: any): unknown {
  const { role, content, images = [], thinking, tool_calls = [] } = message
  switch (role) {
    case 'assistant':
      return {
        role,
        text: content,
        thought: thinking,
        calls: tool_calls.map(({ id, function: fn }: any) => ({
          id,
          name: fn.name,
          input: fn.arguments,
        })),
      }
    case 'tool':
      return { role, id: message.tool_call_id, text: content }
    default:
      return { role, text: content, images }
  }
}

const facts = { id: '01J', model: 'm', createdAt: 1 }

test('an answer is the same whole, and streamed in pieces of any size', () => {
  fc.assert(
    fc.property(answer, pieceSize, (said, size) => {
      const exchange = exchangeOf(requestOf([]))
      const writer = chatWholeWriter(facts)
      ollama.chat.whole(wholeOf(said), writer, exchange, {})
      const whole = JSON.parse(writer.result()!.text)

      let events = ''
      const streamed = chatStreamWriter(facts, (more) => {
        events += more
      })
      const reader = ollama.chat.stream(streamed, exchange)
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

const tailOf = ({ cut, input, output }: GeneratedAnswer) => ({
  done: true,
  done_reason: cut ? 'length' : 'stop',
  prompt_eval_count: input,
  eval_count: output,
})
const callsOf = ({ calls }: GeneratedAnswer) =>
  calls.map(({ id, name, input }) => ({ id, function: { name, arguments: input } }))

function wholeOf(said: GeneratedAnswer): object {
  const { thought, text } = said
  return {
    message: { content: text.join(''), thinking: thought.join(''), tool_calls: callsOf(said) },
    ...tailOf(said),
  }
}

function streamOf(said: GeneratedAnswer): string {
  const { thought, text } = said
  const lines = [
    ...thought.map((thinking) => ({ message: { content: '', thinking }, done: false })),
    ...text.map((content) => ({ message: { content }, done: false })),
    ...callsOf(said).map((each) => ({ message: { content: '', tool_calls: [each] }, done: false })),
    { message: { content: '' }, ...tailOf(said) },
  ]
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}
