import { expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import type { ReasoningDetail } from '#openai/answer/writer.ts'
import { bedrock } from '#providers/bedrock/index.ts'
import type { Exchange } from '#providers/exchange.ts'
import { checkConverse, signatureOf } from '#providers/mock/bedrock-check.ts'
import type { Target } from '#providers/provider.ts'

import { playback } from '../../helpers/upstream.ts'
import { answer, conversation, exchangeOf, pieceSize, requestOf } from '../generate.ts'
import type { GeneratedAnswer, GeneratedTurn } from '../generate.ts'
import { assembled } from '../play.ts'
import { joined, message } from './streams.ts'

// What holds for every conversation there and back, and for every answer.

const model = 'anthropic.claude-opus-4-6-v1'

function exchangeFor(request: Record<string, unknown>): Exchange & { dropped: string[] } {
  const target = { settings: { name: 'bedrock', network: {}, ambient: {} }, key: undefined, model }
  return { ...exchangeOf(request), target: target as unknown as Target, model }
}

/** The vendor knows no text without a visible character. */
const isSaid = (text: string): boolean => text.trim() !== ''
const hasBlanks = (turns: readonly GeneratedTurn[]): boolean =>
  turns.some((turn) => {
    if (turn.role === 'tool') return !isSaid(turn.text)
    if (turn.role === 'assistant') return turn.calls.length === 0 && !isSaid(turn.text)
    return turn.parts.some((part) => 'text' in part && !isSaid(part.text))
  })

/** As a caller would send it who keeps what he got: signed, and with markers at every third text. */
function marked(request: Record<string, unknown>): Record<string, unknown> {
  let count = 0
  const messages = (request['messages'] as any[]).map((given) => {
    if (given.role === 'assistant' && given.reasoning_details) {
      const details = given.reasoning_details as ReasoningDetail[]
      return {
        ...given,
        reasoning_details: details.map((each) => ({ ...each, signature: signatureOf(each.text!) })),
      }
    }
    if (!Array.isArray(given.content)) return given
    const content = given.content.map((part: any) =>
      part.type === 'text' && count++ % 3 === 0
        ? { ...part, cache_control: { type: 'ephemeral' } }
        : part,
    )
    return { ...given, content }
  })
  const names = messages.flatMap(({ tool_calls = [] }) =>
    tool_calls.map((call: any) => call.function.name),
  )
  const tools = [...new Set(names)].map((name) => ({ type: 'function', function: { name } }))
  return { ...request, messages, tools }
}

test('a conversation says the same in the dialect, and the vendor takes it', () => {
  fc.assert(
    fc.property(
      conversation.filter((turns) => !hasBlanks(turns)),
      (turns) => {
        const request = marked(requestOf(turns, 'anthropic-claude-v1'))
        const exchange = exchangeFor(request)
        const { body } = bedrock.chat.request(exchange)
        expect(exchange.dropped).toEqual([])
        const sent = JSON.parse(JSON.stringify(body)) as { messages: any[]; system?: any[] }
        checkConverse(sent, model)
        expect(blocksOf(sent)).toEqual(expectedOf(request))
      },
    ),
  )
})

/** Everything that was said, in order, as [who, what, value]: merging of messages does not show. */
function blocksOf({ messages, system = [] }: { messages: any[]; system?: any[] }): unknown[] {
  const ofMessages = messages.flatMap(({ role, content }) =>
    content.map((block: any) => [role, ...flat(block)]),
  )
  return [...system.map((block) => ['system', ...flat(block)]), ...ofMessages]
}

function flat(block: any): unknown[] {
  const [kind] = Object.keys(block)
  if (kind === 'image') return ['image', block.image.source.bytes]
  if (kind === 'toolResult') {
    return ['result', block.toolResult.toolUseId, block.toolResult.content[0].text]
  }
  return [kind, block[kind!]]
}

/** The same, read from the caller's request by nothing that the adapter is made of. */
function expectedOf(request: Record<string, unknown>): unknown[] {
  const said: unknown[] = []
  const instructions: unknown[] = []
  const messages = request['messages'] as any[]
  const last = messages.at(-1)
  for (const given of messages) {
    const list = given.role === 'system' ? instructions : said
    if (given.role === 'tool') list.push(['user', 'result', given.tool_call_id, given.content])
    else if (given.role === 'assistant') {
      for (const { text, signature } of given.reasoning_details ?? []) {
        list.push(['assistant', 'reasoningContent', { reasoningText: { text, signature } }])
      }
      if (given.content) {
        const text = given === last ? given.content.trimEnd() : given.content
        list.push(['assistant', 'text', text])
      }
      for (const { id, function: fn } of given.tool_calls ?? []) {
        const toolUse = { toolUseId: id, name: fn.name, input: JSON.parse(fn.arguments) }
        list.push(['assistant', 'toolUse', toolUse])
      }
    } else {
      for (const part of given.content) {
        const isImage = part.type === 'image_url'
        const value = isImage ? part.image_url.url.replace(/^.*,/, '') : part.text
        list.push([given.role, isImage ? 'image' : 'text', value])
        if (part.cache_control) list.push([given.role, 'cachePoint', { type: 'default' }])
      }
    }
  }
  return [...instructions, ...said]
}

const facts = { id: '01J', model: 'm', createdAt: 1 }

test('an answer is the same whole, and streamed in pieces of any size', () => {
  fc.assert(
    fc.property(answer, pieceSize, (said, size) => {
      const exchange = exchangeFor({ model: 'm', messages: [{ role: 'user', content: 'x' }] })
      const writer = chatWholeWriter(facts)
      bedrock.chat.whole(wholeOf(said), writer, exchange, {})
      const whole = JSON.parse(writer.result()!.text)

      let events = ''
      const streamed = chatStreamWriter(facts, (more) => {
        events += more
      })
      const reader = bedrock.chat.stream(streamed, exchange)
      for (const piece of playback(streamOf(said), size)) reader.push(piece)
      reader.end()
      expect(assembled(events)).toEqual({ choice: whole.choices[0], usage: whole.usage })

      const { message: got } = whole.choices[0]
      expect(got.content ?? '').toBe(said.text.join(''))
      expect(got.reasoning ?? '').toBe(said.thought.join(''))
      const calls = (got.tool_calls ?? []).map(({ id, function: fn }: any) => ({
        id,
        name: fn.name,
        input: JSON.parse(fn.arguments),
      }))
      expect(calls).toEqual(said.calls)
      expect(whole.usage.total_tokens).toBe(said.input + said.output)
    }),
  )
})

const reasonOf = ({ cut, calls }: GeneratedAnswer): string =>
  cut ? 'max_tokens' : calls.length > 0 ? 'tool_use' : 'end_turn'
const usageOf = ({ input, output }: GeneratedAnswer) => ({
  inputTokens: input,
  outputTokens: output,
  totalTokens: input + output,
})

function wholeOf(said: GeneratedAnswer): object {
  const content: object[] = []
  if (said.thought.length > 0) {
    const text = said.thought.join('')
    content.push({ reasoningContent: { reasoningText: { text, signature: 'c2ln' } } })
  }
  if (said.text.length > 0) content.push({ text: said.text.join('') })
  for (const { id, name, input } of said.calls) {
    content.push({ toolUse: { toolUseId: id, name, input } })
  }
  return {
    output: { message: { role: 'assistant', content } },
    stopReason: reasonOf(said),
    usage: usageOf(said),
  }
}

function streamOf(said: GeneratedAnswer): Uint8Array {
  const messages = [message('messageStart', { role: 'assistant' })]
  let contentBlockIndex = 0
  const say = (delta: object): void => {
    messages.push(message('contentBlockDelta', { contentBlockIndex, delta }))
  }
  const stop = (): void => {
    messages.push(message('contentBlockStop', { contentBlockIndex }))
    contentBlockIndex++
  }
  if (said.thought.length > 0) {
    for (const text of said.thought) say({ reasoningContent: { text } })
    say({ reasoningContent: { signature: 'c2ln' } })
    stop()
  }
  if (said.text.length > 0) {
    for (const text of said.text) say({ text })
    stop()
  }
  for (const { id, name, input } of said.calls) {
    const start = { toolUse: { toolUseId: id, name } }
    messages.push(message('contentBlockStart', { contentBlockIndex, start }))
    const written = JSON.stringify(input)
    const half = written.length >> 1
    for (const piece of [written.slice(0, half), written.slice(half)])
      say({ toolUse: { input: piece } })
    stop()
  }
  messages.push(message('messageStop', { stopReason: reasonOf(said) }))
  messages.push(message('metadata', { usage: usageOf(said) }))
  return joined(messages)
}
