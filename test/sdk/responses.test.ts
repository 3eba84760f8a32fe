import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'
import { ResponsesToolRunner } from 'openai/helpers/responses-tool-runner'
import type { ResponseStreamEvent } from 'openai/resources/responses/responses'

import {
  callItem,
  responseCallEvents,
  responseEvents,
  responseObject,
  textItem,
} from './answers.ts'
import type { Answer, Rig } from './rig.ts'
import { events, eventsThenSilence, failureOf, json, startRig } from './rig.ts'

// The Responses helpers of the SDK, which check the order and the ids of every event.

const model = 'openai/gpt-6-luna'
const input = 'Hi'

const format = {
  type: 'json_schema' as const,
  name: 'answer',
  strict: true,
  schema: {
    type: 'object',
    properties: { answer: { type: 'number' } },
    required: ['answer'],
    additionalProperties: false,
  },
}

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

describe('responses.create', () => {
  test('output_text is computed from the answer', async () => {
    rig.answers(
      json(responseObject('completed', [textItem('Hello')], { unknown_field: { deep: [1] } })),
    )
    const response = await client.responses.create({ model, input })
    expect(response.output_text).toBe('Hello')
    expect(response).toMatchObject({ unknown_field: { deep: [1] } })
    expect(rig.received[0]?.json()).toEqual({ model: 'gpt-6-luna', input })
  })

  test('every event of a stream arrives as it was, unknown fields included', async () => {
    const sent = responseEvents(['Hel', 'lo ü 😀']).map((event) => ({
      ...event,
      unknown_field: [1.5],
    }))
    rig.answers(events(...sent))
    const seen = await Array.fromAsync(
      await client.responses.create({ model, input, stream: true }),
    )
    expect(seen).toMatchObject(sent)
    // A stream of Responses is never told what chat streams are told.
    expect(rig.received[0]?.json()).toEqual({ model: 'gpt-6-luna', input, stream: true })
  })

  test('an event type of tomorrow passes', async () => {
    const [created, ...rest] = responseEvents(['Hi'])
    const novel = { type: 'response.brand_new.delta', delta: 'x', sequence_number: 1 }
    rig.answers(events(created as object, novel, ...rest))
    const seen = await Array.fromAsync(
      await client.responses.create({ model, input, stream: true }),
    )
    expect(seen.map((event) => event.type as string)).toContain('response.brand_new.delta')
  })

  test('leaving early hangs up on the provider', async () => {
    rig.answers(eventsThenSilence(...responseEvents(['Hi']).slice(0, 5)))
    const stream = await client.responses.create({ model, input, stream: true })
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') stream.controller.abort()
    }
    expect(rig.received.length).toBe(1)
    await rig.received[0]?.closed
  })
})

describe('responses.retrieve', () => {
  test('streams from a sequence number', async () => {
    rig.answers(events(...responseEvents(['Hi']).slice(3)))
    const stream = await client.responses.retrieve('resp_1', { stream: true, starting_after: 2 })
    const seen = await Array.fromAsync(stream)
    expect(seen.at(-1)?.type).toBe('response.completed')
    expect(rig.received[0]).toMatchObject({
      method: 'GET',
      path: '/v1/responses/resp_1',
      query: '?stream=true&starting_after=2',
    })
  })
})

describe('responses.stream', () => {
  test('assembles the final response from the events', async () => {
    rig.answers(events(...responseEvents(['Hel', 'lo'])))
    const deltas: string[] = []
    const final = await client.responses
      .stream({ model, input })
      .on('response.output_text.delta', (event) => deltas.push(event.delta))
      .finalResponse()
    expect(deltas).toEqual(['Hel', 'lo'])
    expect(final.output_text).toBe('Hello')
    expect(final.usage?.total_tokens).toBe(5)
  })

  test('assembles a function call', async () => {
    rig.answers(events(...responseCallEvents('weather', '{"city":"Bergen"}')))
    const final = await client.responses.stream({ model, input }).finalResponse()
    expect(final.output).toMatchObject([callItem('weather', '{"city":"Bergen"}')])
  })

  test('parses a formatted answer', async () => {
    rig.answers(events(...responseEvents(['{"answer"', ':42}'])))
    const stream = client.responses.stream({ model, input, text: { format } })
    expect(JSON.parse((await stream.finalResponse()).output_text)).toEqual({ answer: 42 })
    expect(rig.received[0]?.json()).toMatchObject({ text: { format } })
  })

  test('resumes a response by its id', async () => {
    rig.answers(events(...responseEvents(['Hi'])))
    const stream = client.responses.stream({ response_id: 'resp_1' })
    expect((await stream.finalResponse()).output_text).toBe('Hi')
    expect(rig.received[0]).toMatchObject({ method: 'GET', path: '/v1/responses/resp_1' })
  })

  test.each(['incomplete', 'failed'])(
    'a response that ends %s is returned with that status',
    async (status) => {
      const ended = {
        type: `response.${status}`,
        response: responseObject(status, []),
        sequence_number: 1,
      }
      rig.answers(events(responseEvents([])[0] as object, ended))
      const final = await client.responses.stream({ model, input }).finalResponse()
      expect(final.status as string).toBe(status)
    },
  )

  test('keep-alive comments and events do not disturb it', async () => {
    const [created, ...rest] = responseEvents(['Hi'])
    const keepalive = { type: 'keepalive', sequence_number: 1 }
    rig.answers(
      events(': one moment\n\n', created as object, ': still here\n\n', keepalive, ...rest),
    )
    expect((await client.responses.stream({ model, input }).finalResponse()).output_text).toBe('Hi')
  })

  test('abort() rejects the helper and hangs up on the provider', async () => {
    rig.answers(eventsThenSilence(...responseEvents(['Hi']).slice(0, 5)))
    const stream = client.responses.stream({ model, input })
    stream.on('response.output_text.delta', () => stream.abort())
    expect(await failureOf(stream.finalResponse())).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(rig.received.length).toBe(1)
    await rig.received[0]?.closed
  })
})

describe('responses.parse', () => {
  test('parses the text and the arguments of strict functions', async () => {
    rig.answers(json(responseObject('completed', [textItem('{"answer":42}')])))
    const parsed = await client.responses.parse({ model, input, text: { format } })
    expect(JSON.parse(parsed.output_text)).toEqual({ answer: 42 })
    expect(rig.received[0]?.json()).toEqual({ model: 'gpt-6-luna', input, text: { format } })

    rig.answers(json(responseObject('completed', [callItem('weather', '{"city":"Bergen"}')])))
    const tool = {
      type: 'function' as const,
      name: 'weather',
      strict: true,
      parameters: format.schema,
    }
    const called = await client.responses.parse({ model, input, tools: [tool] })
    expect(called.output).toMatchObject([{ parsed_arguments: { city: 'Bergen' } }])
  })
})

test('beta.responses.create streams with its betas in a header', async () => {
  const sent = responseEvents(['Hi'])
  rig.answers(events(...sent))
  const stream = await client.beta.responses.create({
    model,
    input,
    stream: true,
    betas: ['responses_multi_agent=v1'],
  })
  const seen: unknown[] = await Array.fromAsync(stream as AsyncIterable<ResponseStreamEvent>)
  expect(seen).toMatchObject(sent)
  expect(rig.received[0]).toMatchObject({ path: '/v1/responses', query: '?beta=true' })
  expect(rig.received[0]?.headers.get('openai-beta')).toBe('responses_multi_agent=v1')
})

describe('ResponsesToolRunner', () => {
  test.each([false, true])(
    'calls the function and sends its output back (stream: %p)',
    async (stream) => {
      const called = callItem('weather', '{"city":"Bergen"}')
      const answers = stream
        ? [
            events(...responseCallEvents('weather', '{"city":"Bergen"}')),
            events(...responseEvents(['Sunny.'])),
          ]
        : [called, textItem('Sunny.')].map((item) => json(responseObject('completed', [item])))
      rig.answers(...(answers as [Answer, ...Answer[]]))
      const asked: unknown[] = []
      const tool = {
        type: 'function' as const,
        name: 'weather',
        strict: false,
        parameters: format.schema,
      }
      const execute = (args: unknown) => {
        asked.push(args)
        return 'Sunny in Bergen'
      }
      const runner = new ResponsesToolRunner({ functions: [{ tool, execute }] })
      const result = await runner.run(client, { model, input }, { stream })
      expect(asked).toEqual([{ city: 'Bergen' }])
      expect(result.output_text).toBe('Sunny.')
      expect(rig.received.length).toBe(2)
      const second = rig.received[1]?.json() as { input: unknown[] }
      expect(second.input.at(-1)).toMatchObject({
        type: 'function_call_output',
        call_id: 'call_1',
        output: 'Sunny in Bergen',
      })
    },
  )
})
