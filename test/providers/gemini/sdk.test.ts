import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { OpenAI } from 'openai'
import { LengthFinishReasonError } from 'openai/error'
import { makeParseableResponseFormat } from 'openai/lib/parser'

import { type Rig, startRig } from './rig.ts'

// The helpers of OpenAI's SDK, which insist on the exact form of every chunk, against the mock's Gemini dialect.

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig[Symbol.asyncDispose]())

const words = 'What is the weather in Bern?'
const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: words },
] as OpenAI.ChatCompletionMessageParam[]
const city = {
  type: 'object',
  properties: { city: { type: 'string', minLength: 2 }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
} as const
const format = {
  type: 'json_schema',
  json_schema: { name: 'forecast', strict: true, schema: city },
} as const

/** One model of each line, and the one that is always streamed. */
const models = ['gemini-2.0-flash', 'gemini-2.5-pro', 'gemini-3-flash', 'gemini-4-argon']

describe.each(models)('%s', (model) => {
  const named = (behaviour: string): string => `gemini/${model}-${behaviour}`

  test('says words as a stream', async () => {
    const stream = client.chat.completions.stream({
      model: named('echo'),
      messages,
      stream_options: { include_usage: true },
    })
    let said = ''
    stream.on('content', (piece) => (said += piece))
    const completion = await stream.finalChatCompletion()
    expect(completion.choices[0]!.message.content).toBe(words)
    expect(said).toBe(words)
    expect(completion.usage!.total_tokens).toBeGreaterThan(5)
  })

  test('says words whole', async () => {
    const { choices, usage } = await client.chat.completions.create({
      model: named('echo'),
      messages,
    })
    expect(choices[0]!.message.content).toBe(words)
    expect(usage!.total_tokens).toBeGreaterThan(5)
    const { path } = rig.upstream.requests.at(-1)!
    expect(
      path.endsWith(model === 'gemini-4-argon' ? ':streamGenerateContent' : ':generateContent'),
    ).toBe(true)
  })

  test('calls tools side by side', async () => {
    const tools = ['first', 'second'].map((name) => ({
      type: 'function' as const,
      function: { name, parameters: city },
    }))
    const stream = client.chat.completions.stream({ model: named('tools'), messages, tools })
    const { choices } = await stream.finalChatCompletion()
    expect(choices[0]!.finish_reason).toBe('tool_calls')
    expect(
      choices[0]!.message.tool_calls!.map((call) => call.type === 'function' && call.function),
    ).toEqual([
      { name: 'first', arguments: '{"city":"mock","days":0}' },
      { name: 'second', arguments: '{"city":"mock","days":0}' },
    ] as never)
  })

  test('answers in the form of a schema, whole and streamed', async () => {
    const request = { model: named('json'), messages, response_format: format }
    const whole = await client.chat.completions.parse(request)
    const streamed = await client.chat.completions.stream(request).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      expect(JSON.parse(choices[0]!.message.content!)).toEqual({ city: 'mock', days: 0 })
    }
  })

  test.each([false, true])('goes on with what tools say, streamed: %p', async (stream) => {
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
      model: named('tools'),
      messages,
      tools: [tool('weather'), tool('news')] as never,
      stream: stream as false,
    })
    expect(await runner.finalContent()).toBe('The tool says: sunny')
    expect(asked).toEqual(['weather:mock', 'news:mock'])
  })

  test('responses are streamed and parsed', async () => {
    const stream = client.responses.stream({ model: named('echo'), input: words })
    const response = await stream.finalResponse()
    expect(response.output_text).toBe(words)
    const text = { format: { type: 'json_schema', name: 'forecast', schema: city } as const }
    const parsed = await client.responses.parse({ model: named('json'), input: words, text })
    expect(JSON.parse(parsed.output_text)).toEqual({ city: 'mock', days: 0 })
  })
})

test('an answer cut off is told from a whole one', async () => {
  const parsing = client.chat.completions.parse({
    model: 'gemini/gemini-3-flash-length',
    messages,
    response_format: makeParseableResponseFormat(format as never, (text): unknown =>
      JSON.parse(text),
    ),
  })
  expect(await parsing.catch((error: Error) => error)).toBeInstanceOf(LengthFinishReasonError)
})

test('thoughts are shown to who asks for them', async () => {
  const request = { model: 'gemini/gemini-3-flash-reason', messages }
  const [asked, plain] = await Promise.all([
    client.chat.completions.create({ ...request, reasoning_effort: 'low' }),
    client.chat.completions.create(request),
  ])
  expect(asked.choices[0]!.message).toMatchObject({ reasoning: `The user said: ${words}` })
  expect(asked.usage!.completion_tokens_details!.reasoning_tokens).toBeGreaterThan(0)
  expect(plain.choices[0]!.message).not.toHaveProperty('reasoning')
})

test('what the vendor filters is a refusal', async () => {
  const { choices } = await client.chat.completions.create({
    model: 'gemini/gemini-2.5-flash-refuse',
    messages,
  })
  expect(choices[0]!.finish_reason).toBe('content_filter')
  expect(choices[0]!.message.refusal).toBe('blocked: SAFETY (I cannot help with that.)')
})

test('sources of a search are annotations', async () => {
  const { choices } = await client.chat.completions.create({
    model: 'gemini/gemini-2.5-flash-echo',
    messages: [{ role: 'user', content: 'Grüße 👋🏽!' }],
    web_search_options: {},
  })
  expect(choices[0]!.message.annotations).toEqual([
    {
      type: 'url_citation',
      url_citation: {
        url: 'https://example.com/mock',
        title: 'Mock',
        start_index: 0,
        end_index: 11,
      },
    },
  ])
})
