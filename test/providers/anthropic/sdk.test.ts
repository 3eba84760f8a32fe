import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { OpenAI } from 'openai'
import { LengthFinishReasonError } from 'openai/error'
import { makeParseableResponseFormat } from 'openai/lib/parser'

import { type Rig, startRig } from './rig.ts'

// The helpers of OpenAI's SDK, which insist on the exact form of every chunk, against the mock's Anthropic dialect.

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig[Symbol.asyncDispose]())

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'What is the weather in Bern?' },
] as OpenAI.ChatCompletionMessageParam[]

const city = {
  type: 'object',
  properties: { city: { type: 'string', minLength: 2 }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
} as const

const models = ['claude-3-7-sonnet', 'claude-haiku-4-5', 'claude-opus-4-8', 'claude-opus-5-5']

describe('chat.completions.stream', () => {
  for (const model of models) {
    test(`${model} says words`, async () => {
      const stream = client.chat.completions.stream({
        model: `anthropic/${model}-echo`,
        messages,
        stream_options: { include_usage: true },
      })
      let said = ''
      stream.on('content', (piece) => (said += piece))
      const completion = await stream.finalChatCompletion()
      expect(completion.choices[0]!.message.content).toBe('What is the weather in Bern?')
      expect(said).toBe('What is the weather in Bern?')
      expect(completion.usage!.total_tokens).toBeGreaterThan(5)
    })

    test(`${model} calls tools side by side while it thinks`, async () => {
      const tools = ['first', 'second'].map((name) => ({
        type: 'function' as const,
        function: { name, parameters: city },
      }))
      const stream = client.chat.completions.stream({
        model: `anthropic/${model}-tools`,
        messages,
        tools,
        reasoning_effort: 'low',
      })
      const { choices } = await stream.finalChatCompletion()
      const calls = choices[0]!.message.tool_calls!
      expect(choices[0]!.finish_reason).toBe('tool_calls')
      expect(calls.map((call) => call.type === 'function' && call.function)).toEqual([
        { name: 'first', arguments: '{"city":"mock","days":0}' },
        { name: 'second', arguments: '{"city":"mock","days":0}' },
      ] as never)
    })
  }
})

describe('chat.completions.parse', () => {
  for (const model of models) {
    test(`${model} answers in the form of a schema`, async () => {
      const completion = await client.chat.completions.parse({
        model: `anthropic/${model}-json`,
        messages,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'forecast', strict: true, schema: city },
        },
      })
      const { finish_reason: reason, message } = completion.choices[0]!
      expect(reason).toBe('stop')
      expect(JSON.parse(message.content!)).toEqual({ city: expect.any(String), days: 0 })
      expect(message.tool_calls ?? []).toEqual([])
    })

    test(`${model} streams in the form of a schema`, async () => {
      const stream = client.chat.completions.stream({
        model: `anthropic/${model}-json`,
        messages,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'forecast', strict: true, schema: city },
        },
      })
      const { choices } = await stream.finalChatCompletion()
      expect(JSON.parse(choices[0]!.message.content!)).toEqual({
        city: expect.any(String),
        days: 0,
      })
    })
  }

  test('an answer cut off is told from a whole one', async () => {
    const format = { type: 'json_schema', json_schema: { name: 'x', schema: city } } as const
    const parsing = client.chat.completions.parse({
      model: 'anthropic/claude-haiku-4-5-length',
      messages,
      response_format: makeParseableResponseFormat(format, (text): unknown => JSON.parse(text)),
    })
    expect(await parsing.catch((error: Error) => error)).toBeInstanceOf(LengthFinishReasonError)
  })
})

describe('chat.completions.runTools', () => {
  for (const model of models) {
    for (const stream of [false, true]) {
      test(`${model} goes on with what the tools say, ${stream ? 'streamed' : 'whole'}`, async () => {
        const asked: string[] = []
        const tool = (name: string) => ({
          type: 'function' as const,
          function: {
            name,
            description: 'A tool',
            parameters: city,
            parse: JSON.parse as (input: string) => { city: string },
            function: (input: { city: string }) => {
              asked.push(`${name}:${input.city}`)
              return 'sunny'
            },
          },
        })
        const runner = client.chat.completions.runTools({
          model: `anthropic/${model}-tools`,
          messages,
          tools: [tool('weather'), tool('news')] as never,
          stream: stream as false,
        })
        expect(await runner.finalContent()).toBe('The tool says: sunny sunny')
        expect(asked).toEqual([expect.stringMatching(/^weather:/), expect.stringMatching(/^news:/)])
      })
    }
  }
})

test('thoughts go back with the results of their calls', async () => {
  for (const model of models.slice(0, 3)) {
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: city } }]
    const request = { model: `anthropic/${model}-tools`, tools, reasoning_effort: 'low' as const }
    const first = await client.chat.completions.create({ ...request, messages })
    const { message } = first.choices[0]!
    expect(message).toHaveProperty('reasoning_details')
    rig.upstream.clear()
    const second = await client.chat.completions.create({
      ...request,
      messages: [
        ...messages,
        message,
        { role: 'tool', tool_call_id: message.tool_calls![0]!.id, content: 'rain' },
      ],
    })
    expect(second.choices[0]!.message.content).toBe('The tool says: rain')
    const sent = rig.upstream.requests[0]!.json()
    expect(sent.messages[1].content.map(({ type }: any) => type)).toEqual(['thinking', 'tool_use'])
    expect(sent.thinking.type).not.toBe('disabled')
  }
})

describe('the Responses API', () => {
  const tool = { type: 'function', name: 'weather', strict: true, parameters: city } as const

  for (const model of models) {
    test(`${model} streams its thoughts and calls, and takes them back`, async () => {
      const request = {
        model: `anthropic/${model}-tools`,
        tools: [tool],
        store: false,
        reasoning: { effort: 'low' as const, summary: 'auto' as const },
      }
      const input = [{ role: 'user' as const, content: 'Weather in Bern?' }]
      const { output } = await client.responses.stream({ ...request, input }).finalResponse()
      const call = output.find((item) => item.type === 'function_call')
      expect(call).toMatchObject({ name: 'weather' })
      const result = {
        type: 'function_call_output',
        call_id: call!.call_id,
        output: 'rain',
      } as const
      rig.upstream.clear()
      const next = await client.responses.create({
        ...request,
        input: [...input, ...(output as OpenAI.Responses.ResponseInputItem[]), result],
      })
      expect(next.output_text).toBe('The tool says: rain')
      const [, said] = rig.upstream.requests[0]!.json().messages
      expect(said.content[0].type).toBe('thinking')
      expect(said.content.at(-1)).toMatchObject({ type: 'tool_use', id: call!.call_id })
    })

    test(`${model} answers in the form of a schema there, too`, async () => {
      const format = { type: 'json_schema', name: 'forecast', strict: true, schema: city } as const
      const response = await client.responses.parse({
        model: `anthropic/${model}-json`,
        input: 'Weather?',
        text: { format },
      })
      expect(JSON.parse(response.output_text)).toEqual({ city: expect.any(String), days: 0 })
    })
  }
})
