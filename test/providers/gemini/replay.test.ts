import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { callKey, createSignatureMemory } from '#providers/gemini/signatures.ts'
import { signatureOf } from '#providers/mock/gemini-check.ts'

import { clock, unsigned, weather } from './conversations.ts'
import { assemble, chunksOf, question, type Rig, startRig } from './rig.ts'

// Signatures on their way out and back in. The mock's models of the third line refuse a step whose first call comes
// without one, or with one that is not its own.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

const model = 'gemini-3-flash-tools'
const tools = [weather, clock]
const signature = signatureOf('get_weather', { city: 'mock' })

async function firstAnswer(stream: boolean): Promise<any> {
  const { json, text } = await rig.ask({ model, tools, stream })
  const { message } = (stream ? assemble(chunksOf(text)) : json).choices[0]
  expect(message.tool_calls).toHaveLength(2)
  return message
}

async function goOn(message: any, more: object = {}) {
  const results = message.tool_calls.map(({ id }: any, i: number) => ({
    role: 'tool',
    tool_call_id: id,
    content: `result ${i}`,
  }))
  rig.upstream.clear()
  const reply = await rig.ask({ model, tools, messages: [question, message, ...results], ...more })
  const parts = rig.upstream.requests[0]?.json().contents[1].parts
  return { ...reply, signatures: parts?.map((part: any) => part.thoughtSignature) }
}

const bare = ({ id, type, function: fn }: any): object => ({ id, type, function: fn })

/** What clients keep of a message. */
const kept: Record<string, (message: any) => any> = {
  everything: (message) => message,
  'the calls with what is in them': ({ role, tool_calls }) => ({ role, tool_calls }),
  'the details': ({ role, tool_calls, reasoning_details }) => ({
    role,
    tool_calls: tool_calls.map(bare),
    reasoning_details,
  }),
  "nothing beyond OpenAI's own": ({ role, tool_calls }) => ({
    role,
    tool_calls: tool_calls.map(bare),
  }),
}

describe.each([false, true])('streamed: %p', (stream) => {
  test('the first of calls side by side is signed', async () => {
    const message = await firstAnswer(stream)
    const [first, second] = message.tool_calls
    expect(first.extra_content).toEqual({ google: { thought_signature: signature } })
    expect(second.extra_content).toBeUndefined()
    expect(message.reasoning_details).toEqual([
      {
        type: 'reasoning.encrypted',
        index: 0,
        id: first.id,
        data: signature,
        format: 'google-gemini-v1',
      },
    ])
  })

  test.each(Object.entries(kept))('a client that keeps %s goes on', async (_, keep) => {
    const reply = await goOn(keep(await firstAnswer(stream)))
    expect(reply.status).toBe(200)
    expect(reply.json.choices[0].message.content).toBe('The tool says: result 0')
    expect(reply.signatures).toEqual([signature, undefined])
    expect(reply.dropped).toEqual([])
  })
})

test.each([false, true])('a caller of Responses goes on, streamed: %p', async (stream) => {
  const functions = tools.map((tool) => ({ type: 'function', strict: false, ...tool.function }))
  const client = rig.client()
  const request = { model: `gemini/${model}`, tools: functions as never }
  const first = stream
    ? await client.responses.stream({ ...request, input: 'Weather?' }).finalResponse()
    : await client.responses.create({ ...request, input: 'Weather?' })
  const calls = first.output.filter(({ type }) => type === 'function_call') as any[]
  expect(calls).toHaveLength(2)
  const results = calls.map(({ call_id }) => ({
    type: 'function_call_output' as const,
    call_id,
    output: 'sunny',
  }))
  // All that was said, only the calls, or the id of what was said.
  const histories: readonly object[] = [
    { input: [{ role: 'user', content: 'Weather?' }, ...first.output, ...results] },
    { input: [{ role: 'user', content: 'Weather?' }, ...calls, ...results] },
    { previous_response_id: first.id, input: results },
  ]
  for (const history of histories) {
    rig.upstream.clear()
    const next = await client.responses.create({ ...request, ...history } as never)
    expect((next as { output_text: string }).output_text).toBe('The tool says: sunny')
    const { parts } = rig.upstream.requests[0]!.json().contents[1]
    expect(parts.map((part: any) => part.thoughtSignature)).toEqual([signature, undefined])
  }
})

test('calls that another model made are marked as such', async () => {
  const message = await firstAnswer(false)
  const foreign = {
    role: 'assistant',
    tool_calls: message.tool_calls.map(({ function: fn }: any, i: number) => ({
      id: `foreign_${i}`,
      type: 'function',
      function: fn,
    })),
  }
  const reply = await goOn(foreign)
  expect(reply.status).toBe(200)
  expect(reply.signatures).toEqual([unsigned, undefined])
  const older = await goOn(foreign, { model: 'gemini-2.5-flash-tools' })
  expect(older.status).toBe(200)
  expect(older.signatures).toEqual([undefined, undefined])
})

test.each([
  ['another function', 'now', '{"city":"mock"}', unsigned],
  ['other arguments', 'get_weather', '{"city":"Bern"}', unsigned],
  ['the same call, written otherwise', 'get_weather', '{ "city": "mock" }', signature],
])('%s with the same id', async (_, name, input, expected) => {
  const { tool_calls: calls } = await firstAnswer(false)
  const { id } = calls[0]
  const call = { id, type: 'function', function: { name, arguments: input } }
  const reply = await goOn({ role: 'assistant', tool_calls: [call] })
  expect(reply.signatures).toEqual([expected])
})

test('an id that comes again without a signature has none', async () => {
  const answer = (more: object) => ({
    candidates: [
      {
        content: { parts: [{ functionCall: { id: 'same', name: 'now', args: {} }, ...more }] },
        finishReason: 'STOP',
      },
    ],
  })
  for (const [more, expected] of [
    [{ thoughtSignature: 'b25l' }, 'b25l'],
    [{}, unsigned],
  ] as const) {
    rig.upstream.clear()
    rig.upstream.reply([{ json: answer(more) }])
    const { message } = (await rig.ask({ model, tools })).json.choices[0]
    const { role, tool_calls: calls } = message
    const call = { ...calls[0], extra_content: undefined }
    rig.upstream.reply({ json: answer({}) })
    const reply = await goOn({ role, tool_calls: [call] })
    expect(reply.signatures).toEqual([expected])
  }
})

test('a signature that is not the call’s own is refused by the vendor, and the caller told', async () => {
  const { role, tool_calls: calls } = await firstAnswer(false)
  const extra = { google: { thought_signature: 'Zm9yZWlnbg==' } }
  const message = { role, tool_calls: [{ ...calls[0], extra_content: extra }, calls[1]] }
  const { status, json } = await goOn(message)
  expect(status).toBe(400)
  expect(json.error.message).toContain('Thought signature is not valid')
})

test('the signature of a text goes back on it', async () => {
  const reasoning = { model: 'gemini-3-flash-reason', reasoning_effort: 'low' }
  const { json } = await rig.ask(reasoning)
  const { message } = json.choices[0]
  rig.upstream.clear()
  const reply = await rig.ask({ ...reasoning, messages: [question, message, question] })
  expect(reply.status).toBe(200)
  expect(reply.dropped).toEqual([])
  expect(rig.upstream.requests[0]!.json().contents[1].parts).toEqual([
    { text: 'Hello there', thoughtSignature: signatureOf('', {}) },
  ])
})

describe('the memory of signatures', () => {
  const key = callKey('p', { id: 'call_1', name: 'f', args: {} })
  const hour = 60 * 60 * 1000

  test('forgets after an hour', () => {
    const memory = createSignatureMemory()
    memory.remember(key, 'sig', 1000)
    expect(memory.recall(key, 1000 + hour)).toBe('sig')
    expect(memory.recall(key, 1001 + hour)).toBeUndefined()
    expect(memory.size).toBe(0)
  })

  test('forgets what was not used for longest, and never holds more than it may', () => {
    const memory = createSignatureMemory(3)
    for (const id of ['a', 'b', 'c']) memory.remember(id, id, 0)
    expect(memory.recall('a', 0)).toBe('a')
    memory.remember('d', 'd', 0)
    expect(['a', 'b', 'c', 'd'].map((id) => memory.recall(id, 0))).toEqual([
      'a',
      undefined,
      'c',
      'd',
    ])
    expect(memory.size).toBe(3)
  })

  test('is bounded in size as well as in number', () => {
    const memory = createSignatureMemory()
    const large = 'x'.repeat(3 * 1024 * 1024)
    for (let at = 0; at < 40; at++) memory.remember(`k${at}`, large, 0)
    expect(memory.size).toBeLessThan(11)
    memory.remember('huge', 'x'.repeat(5 * 1024 * 1024), 0)
    expect(memory.recall('huge', 0)).toBeUndefined()
  })

  test('holds ten thousand', () => {
    const memory = createSignatureMemory()
    for (let at = 0; at < 10_005; at++) memory.remember(`k${at}`, 's', 0)
    expect(memory.size).toBe(10_000)
    expect(memory.recall('k4', 0)).toBeUndefined()
    expect(memory.recall('k5', 0)).toBe('s')
  })
})
