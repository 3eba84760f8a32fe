import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'
import type { ChatCompletionChunk } from 'openai/resources/chat/completions'

import { chat, chatChunks, chatStream, chunk } from './answers.ts'
import type { Rig } from './rig.ts'
import { DONE, events, eventsThenSilence, failureOf, startRig } from './rig.ts'

// The chat helpers of the SDK: streaming, parsing, tool loops and leaving early.

const model = 'openai/gpt-4.1'
const messages = [{ role: 'user' as const, content: 'Hi' }]

const schema = {
  type: 'json_schema' as const,
  json_schema: {
    name: 'answer',
    strict: true,
    schema: {
      type: 'object',
      properties: { answer: { type: 'number' } },
      required: ['answer'],
      additionalProperties: false,
    },
  },
}

function weatherTool(asked: unknown[]) {
  return {
    type: 'function' as const,
    function: {
      name: 'weather',
      description: 'The weather in a city',
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
      parse: (text: string) => JSON.parse(text) as { city: string },
      function: (args: { city: string }) => {
        asked.push(args)
        return `Sunny in ${args.city}`
      },
    },
  }
}

const weatherCall = { id: 'call_1', name: 'weather', arguments: '{"city":"Bergen"}' }

const piece = (text: string, finish: string | null) => ({
  id: 'cmpl-1',
  object: 'text_completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, text, finish_reason: finish, logprobs: null }],
})

function expectToolLoop(asked: unknown[]): void {
  expect(asked).toEqual([{ city: 'Bergen' }])
  expect(rig.received.length).toBe(2)
  const second = rig.received[1]?.json() as { messages: object[] }
  expect(second.messages.at(-1)).toEqual({
    role: 'tool',
    tool_call_id: 'call_1',
    content: 'Sunny in Bergen',
  })
}

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

describe('chat.completions.create({ stream: true })', () => {
  test('every chunk arrives as it was, unknown fields included', async () => {
    rig.answers(chatStream(['Hel', 'lo ü 😀']))
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await Array.fromAsync(stream)
    expect(chunks.map(content).join('')).toBe('Hello ü 😀')
    expect(chunks).toMatchObject(chatChunks(['Hel', 'lo ü 😀']))
    expect(chunks.at(-1)?.usage?.total_tokens).toBe(5)
    expect(rig.received[0]?.json()).toMatchObject({ model: 'gpt-4.1', stream: true })
  })

  test('a usage chunk that was not asked for is asked of the provider and kept from the caller', async () => {
    rig.answers(chatStream(['Hi']))
    const chunks = await Array.fromAsync(
      await client.chat.completions.create({ model, messages, stream: true }),
    )
    expect(rig.received[0]?.json()).toMatchObject({ stream_options: { include_usage: true } })
    expect(chunks.map(content).join('')).toBe('Hi')
    expect(chunks.filter((one) => one.choices.length === 0)).toEqual([])
    expect(chunks.filter((one) => one.usage != null)).toEqual([])
  })

  test('completions.create streams too', async () => {
    rig.answers(events(piece('Once', null), piece(' upon', 'stop'), DONE))
    const stream = await client.completions.create({
      model: 'openai/gpt-3.5-turbo-instruct',
      prompt: 'Tell',
      stream: true,
    })
    const chunks = await Array.fromAsync(stream)
    expect(chunks.map((one) => one.choices[0]?.text ?? '').join('')).toBe('Once upon')
  })

  test('stream.controller.abort() hangs up on the provider', async () => {
    rig.answers(eventsThenSilence(chunk({ role: 'assistant', content: 'Hi' })))
    const stream = await client.chat.completions.create({ model, messages, stream: true })
    let seen = ''
    for await (const one of stream) {
      seen += content(one)
      stream.controller.abort()
    }
    expect(seen).toBe('Hi')
    await rig.received[0]?.closed
  })

  test('breaking out of the loop hangs up on the provider', async () => {
    rig.answers(eventsThenSilence(chunk({ role: 'assistant', content: 'Hi' })))
    for await (const one of await client.chat.completions.create({
      model,
      messages,
      stream: true,
    })) {
      expect(content(one)).toBe('Hi')
      break
    }
    await rig.received[0]?.closed
  })

  test('tee() and toReadableStream() give the same chunks again', async () => {
    rig.answers(chatStream(['a', 'b']))
    const stream = await client.chat.completions.create({ model, messages, stream: true })
    const [left, right] = stream.tee()
    const seen = (await Array.fromAsync(left)).map(content).join('')
    const text = await new Response(right.toReadableStream() as ReadableStream<Uint8Array>).text()
    const again = text
      .trim()
      .split('\n')
      .map((line) => content(JSON.parse(line) as ChatCompletionChunk))
    expect([seen, again.join('')]).toEqual(['ab', 'ab'])
  })
})

describe('chat.completions.stream', () => {
  test('assembles the final completion', async () => {
    rig.answers(chatStream(['Hel', 'lo']))
    const deltas: string[] = []
    const stream = client.chat.completions
      .stream({ model, messages, stream_options: { include_usage: true } })
      .on('content', (delta) => deltas.push(delta))
    const final = await stream.finalChatCompletion()
    expect(deltas.join('')).toBe('Hello')
    expect(final.choices[0]?.message.content).toBe('Hello')
    expect(final.choices[0]?.finish_reason).toBe('stop')
    expect((await stream.totalUsage()).total_tokens).toBe(5)
    expect(rig.sent[0]?.headers.get('x-stainless-helper-method')).not.toBeNull()
  })

  test('assembles tool calls', async () => {
    rig.answers(
      chatStream([weatherCall, { ...weatherCall, id: 'call_2', arguments: '{"city":"Oslo"}' }]),
    )
    const final = await client.chat.completions.stream({ model, messages }).finalMessage()
    expect(final.tool_calls).toMatchObject([
      { id: 'call_1', function: { name: 'weather', arguments: '{"city":"Bergen"}' } },
      { id: 'call_2', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
    ])
  })

  test('abort() rejects the helper and hangs up on the provider', async () => {
    rig.answers(eventsThenSilence(chunk({ role: 'assistant', content: 'Hi' })))
    const stream = client.chat.completions.stream({ model, messages })
    stream.on('content', () => stream.abort())
    expect(await failureOf(stream.finalChatCompletion())).toBeInstanceOf(OpenAI.APIUserAbortError)
    await rig.received[0]?.closed
  })

  test('a parsed stream yields the parsed object', async () => {
    rig.answers(chatStream(['{"ans', 'wer":42}']))
    const final = await client.chat.completions
      .stream({ model, messages, response_format: schema })
      .finalChatCompletion()
    expect(JSON.parse(final.choices[0]?.message.content ?? '')).toEqual({ answer: 42 })
    expect(rig.received[0]?.json()).toMatchObject({ response_format: schema })
  })
})

describe('chat.completions.parse', () => {
  test('parses the content and the arguments of strict tools', async () => {
    rig.answers(chat('{"answer":42}'))
    const parsed = await client.chat.completions.parse({ model, messages, response_format: schema })
    expect(parsed.choices[0]?.message.content).toBe('{"answer":42}')
    expect(rig.received[0]?.json()).toMatchObject({ model: 'gpt-4.1', response_format: schema })

    rig.answers(chat([weatherCall]))
    const parameters = {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    }
    const tools = [
      { type: 'function' as const, function: { name: 'weather', strict: true, parameters } },
    ]
    const called = await client.chat.completions.parse({ model, messages, tools })
    expect(called.choices[0]?.message.tool_calls).toMatchObject([
      { id: 'call_1', function: { parsed_arguments: { city: 'Bergen' } } },
    ])
  })

  test.each([
    ['length', 'LengthFinishReasonError'],
    ['content_filter', 'ContentFilterFinishReasonError'],
  ])('finish reason %s raises %s', async (reason, name) => {
    rig.answers(events(chunk({ role: 'assistant', content: '{"ans' }), chunk({}, reason), DONE))
    const failed = await client.chat.completions
      .stream({ model, messages, response_format: autoParsed() })
      .finalChatCompletion()
      .catch((error: unknown) => error)
    expect((failed as Error).constructor.name).toBe(name)
  })
})

describe('chat.completions.runTools', () => {
  test('calls the function and sends its result back', async () => {
    const asked: unknown[] = []
    rig.answers(chat([weatherCall]), chat('Sunny.'))
    const runner = client.chat.completions.runTools({
      model,
      messages,
      tools: [weatherTool(asked)],
    })
    expect(await runner.finalContent()).toBe('Sunny.')
    expectToolLoop(asked)
  })

  test('works on streams', async () => {
    const asked: unknown[] = []
    rig.answers(chatStream([weatherCall]), chatStream(['Sun', 'ny.']))
    const runner = client.chat.completions.runTools({
      model,
      messages,
      stream: true,
      tools: [weatherTool(asked)],
    })
    expect(await runner.finalContent()).toBe('Sunny.')
    expectToolLoop(asked)
  })
})

/** A response format with the hidden properties that the SDK's zod helper adds. */
function autoParsed(): typeof schema {
  return Object.defineProperties(structuredClone(schema), {
    $brand: { value: 'auto-parseable-response-format' },
    $parseRaw: { value: JSON.parse },
  })
}

function content(one: ChatCompletionChunk): string {
  return one.choices[0]?.delta.content ?? ''
}
