import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import { chunk, responseEvents } from './answers.ts'
import type { Rig } from './rig.ts'
import { CLIENT_KEY, DONE, events, failureOf, json, startRig } from './rig.ts'

// Whatever goes wrong, and whoever is to blame, the SDK raises the class that callers catch.

const model = 'openai/gpt-6-luna'
const messages = [{ role: 'user' as const, content: 'Hi' }]

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

/** One call per way of answering, so that every one of them is tried with every refusal. */
const CALLS: Record<string, () => PromiseLike<unknown>> = {
  chat: () => client.chat.completions.create({ model, messages }),
  'chat stream': () => client.chat.completions.create({ model, messages, stream: true }),
  responses: () => client.responses.create({ model, input: 'Hi' }),
  'responses stream': () => client.responses.create({ model, input: 'Hi', stream: true }),
  embeddings: () => client.embeddings.create({ model, input: 'Hi' }),
  speech: () => client.audio.speech.create({ model, input: 'Hi', voice: 'alloy' }),
  'an upload': () => client.files.create({ file: new File(['a'], 'a'), purpose: 'batch' }),
  'a relayed route': () => client.vectorStores.retrieve('vs_1'),
}

describe('a refusal of the provider', () => {
  const refusals = [
    [400, OpenAI.BadRequestError],
    [401, OpenAI.AuthenticationError],
    [402, OpenAI.APIError],
    [403, OpenAI.PermissionDeniedError],
    [404, OpenAI.NotFoundError],
    [409, OpenAI.ConflictError],
    [422, OpenAI.UnprocessableEntityError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [502, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
    [529, OpenAI.InternalServerError],
  ] as const
  const table = Object.keys(CALLS).flatMap((name) =>
    refusals.map(([status, raised]) => [name, status, raised.name, raised] as const),
  )

  test.each(table)('%s: %i raises %s with its words', async (name, status, _, raised) => {
    const error = {
      message: 'No, ü',
      type: 'some_type',
      code: 'some_code',
      param: 'messages[0].role',
    }
    rig.answers(json({ error }, { status, headers: { 'x-request-id': 'req_upstream' } }))
    const failure = await failureOf(CALLS[name]!())
    expect(failure).toBeInstanceOf(raised)
    expect(failure).toMatchObject({
      status,
      type: 'some_type',
      code: 'some_code',
      param: 'messages[0].role',
    })
    expect(failure.message).toContain('No, ü')
    expect(failure.requestID).toBeString()
    expect(failure.error).toMatchObject(error)
    expect(rig.received.length).toBe(1)
  })

  test.each([
    ['a string', 400, '{"error":"model not loaded"}', 'model not loaded'],
    ['a flat object', 422, '{"message":"bad temperature","code":"bad"}', 'bad temperature'],
    ['an array', 400, '[{"error":{"message":"in a list","code":400}}]', 'in a list'],
    ['a detail', 422, '{"detail":"unprocessable thing"}', 'unprocessable thing'],
    ['HTML', 502, '<html><body><h1>Bad Gateway</h1></body></html>', '502'],
    ['nothing', 500, '', '500'],
  ])(
    '%s instead of an error object still gives a message and a type',
    async (_, status, text, said) => {
      rig.answers(
        () => new Response(text, { status, headers: { 'content-type': 'application/json' } }),
      )
      const failure = await failureOf(client.chat.completions.create({ model, messages }))
      expect(failure.status as number).toBe(status)
      expect(failure.message).toContain(said)
      expect(failure.type).toBeString()
      expect(failure.error).toMatchObject({ message: expect.any(String) as string })
    },
  )

  test('fields of the error object beyond the four known ones are kept', async () => {
    const error = { message: 'No', type: 't', code: 'c', param: null, details: { deep: [1] } }
    rig.answers(json({ error }, { status: 400 }))
    const failure = await failureOf(client.chat.completions.create({ model, messages }))
    expect(failure.error).toMatchObject({ details: { deep: [1] } })
  })

  test('the envelope says that the provider refused, and which', async () => {
    rig.answers(
      json({ error: { message: 'No', type: 't', code: 'c', param: 'p' } }, { status: 400 }),
    )
    const response = await raw('/chat/completions', JSON.stringify({ model, messages }))
    expect(await response.json()).toMatchObject({
      is_bifrost_error: false,
      status_code: 400,
      error: { message: 'No', type: 't', code: 'c', param: 'p' },
      extra_fields: {
        provider: 'openai',
        model_requested: model,
        request_type: 'chat_completion',
      },
    })
  })
})

describe('an error inside a 200', () => {
  const error = { message: 'Overloaded', type: 'overloaded_error', code: 'overloaded', param: null }

  test.each(['chat', 'responses', 'embeddings'])('%s: an error body is raised', async (name) => {
    rig.answers(json({ error }))
    const failure = await failureOf(CALLS[name]!())
    expect(failure).toBeInstanceOf(OpenAI.InternalServerError)
    expect(failure).toMatchObject({ code: 'overloaded', type: 'overloaded_error' })
    expect(failure.message).toContain('Overloaded')
  })

  test('an error body that names a status is raised with it', async () => {
    rig.answers(json({ error: { ...error, code: 429 } }))
    expect(await failureOf(CALLS['chat']!())).toBeInstanceOf(OpenAI.RateLimitError)
  })

  test('HTML is raised', async () => {
    rig.answers(() => new Response('<html>Hi</html>', { headers: { 'content-type': 'text/html' } }))
    expect(await failureOf(CALLS['chat']!())).toBeInstanceOf(OpenAI.InternalServerError)
  })

  test.each([
    ['chat stream', [{ error }]],
    [
      'responses stream',
      [{ type: 'error', code: 'overloaded', message: 'Overloaded', param: null }],
    ],
  ])('%s: an error as the first event is raised by the call itself', async (name, items) => {
    rig.answers(events(...items))
    const failure = await failureOf(CALLS[name]!())
    expect(failure).toBeInstanceOf(OpenAI.InternalServerError)
    expect(failure.message).toContain('Overloaded')
    expect(failure.code).toBe('overloaded')
  })
})

describe('an error inside a stream', () => {
  const error = { message: 'Overloaded', type: 'overloaded_error', code: 'overloaded', param: null }
  const begun = chunk({ role: 'assistant', content: 'Hel' })
  const created = responseEvents(['Hi']).slice(0, 5)

  test.each([
    ['chat', [begun, { error }]],
    ['chat, with a done mark', [begun, { error }, DONE]],
    ['chat, named', [begun, `event: error\ndata: ${JSON.stringify({ error })}\n\n`]],
  ])('%s', async (_, items) => {
    rig.answers(events(...items))
    const seen: unknown[] = []
    const failure = await failureOf(
      collect(await client.chat.completions.create({ model, messages, stream: true }), seen),
    )
    expect(seen).toMatchObject([begun])
    expect(failure).toMatchObject({ code: 'overloaded', type: 'overloaded_error' })
    expect(failure.message).toContain('Overloaded')
  })

  test('responses', async () => {
    const flat = { type: 'error', code: 'overloaded', message: 'Overloaded', param: null }
    rig.answers(events(...created, { ...flat, sequence_number: 5 }))
    const seen: unknown[] = []
    const stream = await client.responses.create({ model, input: 'Hi', stream: true })
    const failure = await failureOf(collect(stream, seen))
    expect(seen).toMatchObject(created)
    expect(failure).toMatchObject({ code: 'overloaded' })
    expect(failure.message).toContain('Overloaded')
  })

  test('the chat helper rejects', async () => {
    rig.answers(events(begun, { error }))
    const stream = client.chat.completions.stream({ model, messages })
    const failure = await failureOf(stream.finalChatCompletion())
    expect(failure.message).toContain('Overloaded')
  })

  test('a chat stream that stops before its end is an error', async () => {
    rig.answers(events(begun))
    const seen: unknown[] = []
    const stream = await client.chat.completions.create({ model, messages, stream: true })
    const failure = await failureOf(collect(stream, seen))
    expect(seen).toMatchObject([begun])
    expect(failure.code).toBeString()
  })

  test('a Responses stream that stops before its end is an error', async () => {
    rig.answers(events(...created))
    const stream = await client.responses.create({ model, input: 'Hi', stream: true })
    const failure = await failureOf(collect(stream, []))
    expect(failure.message.length).toBeGreaterThan(10)
  })
})

async function collect(stream: AsyncIterable<unknown>, seen: unknown[]): Promise<void> {
  for await (const item of stream) seen.push(item)
}

function raw(path: string, body: string, type = 'application/json'): Promise<Response> {
  return fetch(`${rig.url}/openai/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': type, authorization: `Bearer ${CLIENT_KEY}` },
    body,
  })
}
