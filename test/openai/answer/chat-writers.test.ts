import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream'

import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import { responseEventReader } from '#openai/answer/read-responses.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'

const facts = { id: '01J', model: 'm', createdAt: 1_763_700_000 }

/** One thing that a model says. */
type Said =
  | { say: 'text' | 'refusal'; piece: string }
  | { say: 'thought'; index: number; piece: string; signature: string | undefined }
  | { say: 'call'; name: string; pieces: string[] }
  | { say: 'usage'; input: number; output: number }

function tell(writer: AnswerWriter, said: readonly Said[], reason: 'stop' | 'length'): void {
  writer.start({ id: 'msg_1', model: 'vendor-model' })
  let calls = 0
  for (const each of said) {
    switch (each.say) {
      case 'text':
        writer.text(each.piece)
        break
      case 'refusal':
        writer.refusal(each.piece)
        break
      case 'thought': {
        const { index, piece: text, signature } = each
        writer.reasoning({ type: 'reasoning.text', index, text, ...(signature && { signature }) })
        break
      }
      case 'call': {
        const call = writer.openCall({ id: `call_${calls++}`, name: each.name })
        for (const piece of each.pieces) writer.callArguments(call, piece)
        break
      }
      case 'usage':
        writer.usage({ input: each.input, output: each.output })
        break
    }
  }
  writer.finish(reason)
  writer.end()
}

/** The frames' objects; the text of every one of them has been through `JSON.parse`. */
function framesOf(said: readonly Said[], reason: 'stop' | 'length' = 'stop'): any[] {
  let text = ''
  tell(
    chatStreamWriter(facts, (events) => {
      text += events
    }),
    said,
    reason,
  )
  const frames = text.split('\n\n')
  expect(frames.splice(-2)).toEqual(['data: [DONE]', ''])
  return frames.map((frame) => {
    expect(frame.startsWith('data: {')).toBe(true)
    return JSON.parse(frame.slice('data: '.length))
  })
}

function wholeOf(said: readonly Said[], reason: 'stop' | 'length' = 'stop'): any {
  const writer = chatWholeWriter(facts)
  tell(writer, said, reason)
  return JSON.parse(writer.result()!.text)
}

async function assembled(frames: readonly unknown[]): Promise<any> {
  const lines = frames.map((frame) => `${JSON.stringify(frame)}\n`).join('')
  const stream = ChatCompletionStream.fromReadableStream(new Response(lines).body!)
  return await stream.finalChatCompletion()
}

const piece = fc.string({ unit: 'binary', maxLength: 12 })
const said: fc.Arbitrary<Said> = fc.oneof(
  fc.record({ say: fc.constantFrom('text' as const, 'refusal' as const), piece }),
  fc.record({
    say: fc.constant('thought' as const),
    index: fc.nat(2),
    piece,
    signature: fc.option(fc.base64String({ minLength: 4, maxLength: 8 }), { nil: undefined }),
  }),
  fc.record({
    say: fc.constant('call' as const),
    name: fc.stringMatching(/^[a-z_]{1,10}$/),
    pieces: fc.array(fc.json().map(String), { maxLength: 3 }),
  }),
  fc.record({ say: fc.constant('usage' as const), input: fc.nat(9999), output: fc.nat(9999) }),
)

describe('an answer said to the stream writer and to the whole writer', () => {
  test('is the same answer to the SDK that reads it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(said, { maxLength: 12 }), async (list) => {
        const whole = wholeOf(list)
        const streamed = await assembled(framesOf(list))
        const [one, other] = [whole.choices[0], streamed.choices[0]]
        expect(other.finish_reason).toBe(one.finish_reason)
        expect(other.message.content ?? '').toBe(one.message.content ?? '')
        expect(other.message.refusal ?? '').toBe(one.message.refusal ?? '')
        expect(other.message.tool_calls ?? []).toEqual(one.message.tool_calls ?? [])
        expect(streamed.id).toBe(whole.id)
        expect(streamed.model).toBe(whole.model)
        expect(streamed.usage).toEqual(whole.usage)
      }),
      { numRuns: 300 },
    )
  })

  test('shows its reasoning in both forms, with the signature on its block', () => {
    const thoughts: Said[] = [
      { say: 'thought', index: 0, piece: 'one ', signature: undefined },
      { say: 'thought', index: 0, piece: 'two', signature: undefined },
      { say: 'thought', index: 0, piece: '', signature: 'sig' },
      { say: 'thought', index: 1, piece: 'three', signature: 'other' },
      { say: 'text', piece: 'hi' },
    ]
    const { message } = wholeOf(thoughts).choices[0]
    expect(message.reasoning).toBe('one twothree')
    expect(message.reasoning_details).toEqual([
      { type: 'reasoning.text', index: 0, text: 'one two', signature: 'sig' },
      { type: 'reasoning.text', index: 1, text: 'three', signature: 'other' },
    ])
    const deltas = framesOf(thoughts).flatMap(({ choices }) => choices.map((c: any) => c.delta))
    expect(deltas.flatMap((delta) => delta.reasoning ?? [])).toEqual(['one ', 'two', 'three'])
    const details = deltas.flatMap((delta) => delta.reasoning_details ?? [])
    expect(details.every((detail) => Number.isInteger(detail.index))).toBe(true)
  })
})

describe('the frames of a chat stream', () => {
  test('say role, id, name and type once, and usage last', () => {
    const frames = framesOf([
      { say: 'call', name: 'f', pieces: ['{"a"', ':1}'] },
      { say: 'call', name: 'g', pieces: [] },
      { say: 'usage', input: 3, output: 4 },
    ])
    const deltas = frames.flatMap(({ choices }) => choices.map((choice: any) => choice.delta))
    expect(deltas.filter((delta) => 'role' in delta)).toHaveLength(1)
    const calls = deltas.flatMap((delta) => delta.tool_calls ?? [])
    expect(calls.filter((call) => 'id' in call)).toHaveLength(2)
    expect(calls.filter((call) => call.index === 1).at(-1).function.arguments).toBe('{}')
    expect(frames.at(-2).choices[0].finish_reason).toBe('tool_calls')
    expect(frames.at(-1).choices).toEqual([])
    expect(frames.at(-1).usage.total_tokens).toBe(7)
    expect(new Set(frames.map(({ id, created, model }) => `${id} ${created} ${model}`)).size).toBe(
      1,
    )
  })

  test('begin only when something is said, so that an earlier failure can be a status', () => {
    let text = ''
    const writer = chatStreamWriter(facts, (events) => {
      text += events
    })
    writer.start({ id: 'x' })
    writer.usage({ input: 1 })
    writer.text('')
    expect(text).toBe('')
    writer.text('a')
    expect(text).toContain('"role":"assistant"')
  })

  // Node's SDK keeps the last list of a member it does not know, Python's fails to join two of them.
  test('say a list of our own once, however many pieces it came in', async () => {
    function tellLists(writer: AnswerWriter): void {
      writer.start({ id: 'x' })
      writer.extra({ citations: [{ start: 0, end: 1 }] })
      writer.text('ab')
      writer.extra({ citations: [{ start: 1, end: 2 }], audio: { id: 'audio_1' } })
      writer.extra({ provider_content: [{ type: 'server_tool_use' }] })
      writer.finish('stop')
      writer.end()
    }
    let text = ''
    tellLists(chatStreamWriter(facts, (events) => void (text += events)))
    const frames = text
      .split('\n\n')
      .filter((frame) => frame.startsWith('data: {'))
      .map((frame) => JSON.parse(frame.slice('data: '.length)))
    const whole = chatWholeWriter(facts)
    tellLists(whole)
    const { message } = JSON.parse(whole.result()!.text).choices[0]
    const { citations, provider_content, audio } = message
    expect(citations).toHaveLength(2)
    const streamed = await assembled(frames)
    expect(streamed.choices[0].message).toMatchObject({ citations, provider_content, audio })
    expect(text.match(/"citations"/g)).toHaveLength(1)
  })

  test('leave as soon as there is something of a list', () => {
    let text = ''
    const writer = chatStreamWriter(facts, (events) => void (text += events))
    writer.start({ id: 'x' })
    writer.extra({ images: [{ type: 'image_url' }] })
    expect(text).toContain('"role":"assistant"')
  })

  test('name a length stop as such, also after a tool call', () => {
    const list: Said[] = [{ say: 'call', name: 'f', pieces: ['{'] }]
    expect(framesOf(list, 'length').at(-2).choices[0].finish_reason).toBe('length')
    expect(wholeOf(list, 'length').choices[0].finish_reason).toBe('length')
  })
})

test('the tier of a response is the one it ended with, not what it began with', () => {
  const events: string[] = []
  const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 }
  const message = { type: 'message', content: [{ type: 'output_text', text: 'Hi' }] }
  const end = { status: 'completed', service_tier: 'priority', output: [message], usage }
  const reader = responseEventReader(chatStreamWriter(facts, (event) => events.push(event)))
  reader.event({ type: 'response.created', response: { id: 'r', service_tier: 'default' } })
  reader.event({ type: 'response.completed', response: end })
  expect(events.at(-1)).toContain('"service_tier":"priority","choices":[],"usage"')
})

describe('a whole chat completion', () => {
  test('is only there once the provider has said that it was all', () => {
    const writer = chatWholeWriter(facts)
    writer.start({})
    writer.text('half')
    expect(writer.result()).toBeUndefined()
  })

  test('has null content beside tool calls, and no list of calls without any', () => {
    const [call] = wholeOf([{ say: 'call', name: 'f', pieces: [] }]).choices
    expect(call.message.content).toBeNull()
    expect(call.message.tool_calls[0].function).toEqual({ name: 'f', arguments: '{}' })
    const [plain] = wholeOf([{ say: 'text', piece: 'hi' }]).choices
    expect('tool_calls' in plain.message).toBe(false)
    expect(plain.message.refusal).toBeNull()
  })

  test('keeps a custom tool call as free text', () => {
    const writer = chatWholeWriter(facts)
    writer.start({})
    writer.callArguments(writer.openCall({ id: 'c', name: 'sh', kind: 'custom' }), 'ls')
    writer.finish('stop')
    writer.end()
    const [choice] = JSON.parse(writer.result()!.text).choices
    expect(choice.message.tool_calls).toEqual([
      { id: 'c', type: 'custom', custom: { name: 'sh', input: 'ls' } },
    ])
    expect(choice.finish_reason).toBe('tool_calls')
  })
})
