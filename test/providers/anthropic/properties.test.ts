import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { signatureOf } from '#providers/mock/anthropic-messages.ts'

import { type Rig, startRig } from './rig.ts'

// What a conversation holds reaches the vendor whole: what was sent is read back into OpenAI's form by rules of its
// own, and compared with what the caller wrote.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const words = fc
  .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
  .filter((text) => text.trim() === text && text !== '')
const json = fc.dictionary(
  fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__'),
  fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
  { maxKeys: 3 },
)
const marker = fc.option(fc.constant({ type: 'ephemeral' }), { nil: undefined, freq: 8 })
const textPart = fc
  .record({ text: words, cache_control: marker })
  .map(({ text, cache_control }) => ({
    type: 'text',
    text,
    ...(cache_control && { cache_control }),
  }))
const imagePart = fc.webUrl().map((url) => ({ type: 'image_url', image_url: { url } }))

const thought = fc.oneof(
  words.map((text) => ({ type: 'reasoning.text', text, signature: signatureOf(text) })),
  fc.constant({ type: 'reasoning.text', text: '', signature: signatureOf('') }),
  words.map((data) => ({ type: 'reasoning.encrypted', data: `mocksig${data}` })),
)
const exchange = fc.record({
  asked: fc.array(fc.oneof({ weight: 4, arbitrary: textPart }, imagePart), {
    minLength: 1,
    maxLength: 3,
  }),
  said: fc.option(words, { nil: null }),
  thoughts: fc.array(thought, { maxLength: 3 }),
  calls: fc.array(
    fc.record({
      name: fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/),
      input: json,
      result: words,
      failed: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
  instruction: fc.option(words, { nil: undefined }),
})

const conversation = fc.array(exchange, { minLength: 1, maxLength: 4 }).map((exchanges) => {
  let id = 0
  const messages: any[] = [{ role: 'system', content: 'Be kind' }]
  for (const { asked, said, thoughts, calls, instruction } of exchanges) {
    messages.push({ role: 'user', content: asked })
    const made = calls.map((call) => ({ ...call, id: `toolu_${id++}` }))
    if (said === null && made.length === 0) continue
    // Elsewhere than here, before an answer, instructions change their place.
    if (instruction !== undefined) messages.push({ role: 'system', content: instruction })
    messages.push({
      role: 'assistant',
      content: said,
      ...(thoughts.length > 0 && {
        reasoning_details: thoughts.map((detail, index) => ({
          ...detail,
          index,
          format: 'anthropic-claude-v1',
        })),
      }),
      ...(made.length > 0 && {
        tool_calls: made.map(({ id: callId, name, input }) => ({
          id: callId,
          type: 'function',
          function: { name, arguments: JSON.stringify(input) },
        })),
      }),
    })
    for (const { id: callId, result, failed } of made) {
      messages.push({
        role: 'tool',
        tool_call_id: callId,
        content: result,
        ...(failed && { is_error: true }),
      })
    }
  }
  messages.push({ role: 'user', content: [{ type: 'text', text: 'Go on' }] })
  return messages
})

/** What a list of messages says, piece by piece, whoever wrote it down. */
function piecesOf(messages: readonly any[]): unknown[] {
  return messages.flatMap(
    ({ role, content, reasoning_details: details, tool_calls: calls, ...rest }) => {
      if (role === 'tool') return [['result', rest.tool_call_id, content, rest.is_error === true]]
      const parts =
        typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
      return [
        ...(details ?? []).map((detail: any) => [
          'thought',
          detail.text,
          detail.signature ?? detail.data,
        ]),
        ...parts.map((part: any) => [role, part.text ?? part.image_url.url, part.cache_control]),
        ...(calls ?? []).map((call: any) => [
          'call',
          call.id,
          call.function.name,
          JSON.parse(call.function.arguments),
        ]),
      ]
    },
  )
}

/** The same of what was sent. */
function sentPieces(body: any): unknown[] {
  const pieces: unknown[] = (body.system ?? []).map(({ text, cache_control: mark }: any) => [
    'system',
    text,
    mark,
  ])
  for (const { role, content } of body.messages) {
    for (const block of content) {
      if (block.type === 'text') pieces.push([role, block.text, block.cache_control])
      else if (block.type === 'image') pieces.push([role, block.source.url, block.cache_control])
      else if (block.type === 'thinking') pieces.push(['thought', block.thinking, block.signature])
      else if (block.type === 'redacted_thinking') pieces.push(['thought', undefined, block.data])
      else if (block.type === 'tool_use') pieces.push(['call', block.id, block.name, block.input])
      else pieces.push(['result', block.tool_use_id, block.content, block.is_error === true])
    }
  }
  return pieces
}

const marked = (piece: unknown): boolean => Array.isArray(piece) && typeof piece[2] === 'object'

test('every piece of a conversation reaches the vendor once, in its order', async () => {
  await fc.assert(
    fc.asyncProperty(conversation, async (messages) => {
      rig.upstream.clear()
      const reply = await rig.ask({ model: 'claude-opus-4-8', messages, max_tokens: 50 })
      expect(reply.json.error).toBeUndefined()
      const sent = sentPieces(rig.upstream.requests[0]!.json())
      const written = piecesOf(messages)
      const lost = written.filter(marked).length - 4
      if (lost > 0) {
        // More markers than the vendor takes: the oldest are declared.
        expect(reply.dropped).toHaveLength(lost)
        let left = lost
        for (const piece of written as unknown[][]) {
          if (left > 0 && marked(piece)) {
            piece[2] = undefined
            left--
          }
        }
      } else expect(reply.dropped).toEqual([])
      expect(sent).toEqual(written)
    }),
    { numRuns: 150 },
  )
})

test('what comes back is what the vendor said, whole and streamed', async () => {
  const block = fc.oneof(
    words.map((text) => ({ type: 'text', text })),
    words.map((thinking) => ({ type: 'thinking', thinking, signature: signatureOf(thinking) })),
    words.map((data) => ({ type: 'redacted_thinking', data })),
    fc.record({
      type: fc.constant('tool_use'),
      id: fc.stringMatching(/^toolu_[a-z0-9]{1,8}$/),
      name: fc.stringMatching(/^\w{1,9}$/),
      input: json,
    }),
  )
  const usage = fc.record({
    input_tokens: fc.nat(9999),
    output_tokens: fc.nat(9999),
    cache_read_input_tokens: fc.nat(9999),
    cache_creation_input_tokens: fc.nat(9999),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(block, { minLength: 1, maxLength: 5 }),
      usage,
      async (content, counts) => {
        rig.upstream.reply({
          json: {
            id: 'msg_1',
            type: 'message',
            role: 'assistant',
            model: 'm',
            content,
            stop_reason: 'end_turn',
            usage: counts,
          },
        })
        const { json: answer } = await rig.ask({})
        const { message, finish_reason: reason } = answer.choices[0]
        const of = (type: string): any[] => content.filter((one) => one.type === type)
        const calls = of('tool_use')
        expect(message.content ?? '').toBe(
          of('text')
            .map(({ text }) => text)
            .join(''),
        )
        expect(
          (message.tool_calls ?? []).map((call: any) => [
            call.id,
            call.function.name,
            JSON.parse(call.function.arguments),
          ]),
        ).toEqual(calls.map(({ id, name, input }) => [id, name, input]))
        expect(reason).toBe(calls.length > 0 ? 'tool_calls' : 'stop')
        expect(
          (message.reasoning_details ?? []).map(({ signature, data, format }: any) => [
            signature ?? data,
            format,
          ]),
        ).toEqual(
          content
            .filter(({ type }) => type.includes('thinking'))
            .map((one: any) => [one.signature ?? one.data, 'anthropic-claude-v1']),
        )
        const {
          input_tokens,
          output_tokens,
          cache_read_input_tokens,
          cache_creation_input_tokens,
        } = counts
        expect(answer.usage).toMatchObject({
          prompt_tokens: input_tokens + cache_read_input_tokens + cache_creation_input_tokens,
          completion_tokens: output_tokens,
          prompt_tokens_details: { cached_tokens: cache_read_input_tokens },
        })
        // And it can be sent back as it came.
        const results = (message.tool_calls ?? []).map(({ id }: any) => ({
          role: 'tool',
          tool_call_id: id,
          content: 'ok',
        }))
        const ids = calls.map(({ id }) => id)
        if (new Set(ids).size < ids.length) return
        rig.upstream.clear()
        rig.upstream.reply({ json: { content: [], stop_reason: 'end_turn' } })
        await rig.ask({
          messages: [
            { role: 'user', content: 'Hi' },
            message,
            ...results,
            { role: 'user', content: 'So?' },
          ],
        })
        const sent = rig.upstream.requests[0]!.json().messages[1].content
        expect(sent.filter(({ type }: any) => type !== 'text')).toEqual([
          ...content.filter(({ type }) => type.includes('thinking')),
          ...calls,
        ])
      },
    ),
    { numRuns: 100 },
  )
})
