import { afterAll, describe, expect, test } from 'bun:test'

import OpenAI, { APIError } from 'openai'

import { errorEnvelope, GatewayError } from '#core/errors.ts'
import { DONE, errorFrame, KEEP_ALIVE } from '#openai/frames.ts'

const context = { provider: 'openai', modelRequested: 'openai/m', requestType: 'x_stream' }
const failure = new GatewayError('idle_timeout', 'The provider\nfell silent.', { param: 'stream' })
const envelope = errorEnvelope(failure, context, 'ev_1')
const envelopeJson = JSON.stringify(envelope)
const facts = { ...envelope.error }

let frames = ''
const server = Bun.serve({
  port: 0,
  fetch: () => new Response(frames, { headers: { 'content-type': 'text/event-stream' } }),
})
afterAll(() => server.stop(true))
const client = new OpenAI({ apiKey: 'none', baseURL: server.url.href, maxRetries: 0 })

async function readChat() {
  const stream = await client.chat.completions.create({ model: 'm', messages: [], stream: true })
  return read(stream)
}

async function readResponses() {
  return read(await client.responses.create({ model: 'm', input: 'hi', stream: true }))
}

/** What a consumer of the stream sees: its events, and what ended it when that was an error. */
async function read(stream: AsyncIterable<unknown>) {
  const events: unknown[] = []
  try {
    for await (const event of stream) events.push(event)
  } catch (error) {
    if (!(error instanceof APIError)) throw error
    return { events, error }
  }
  return { events, error: undefined }
}

const chunk = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [] })}\n\n`
const created = `event: response.created\ndata: ${JSON.stringify({ type: 'response.created', sequence_number: 0, response: { id: 'r', output: [] } })}\n\n`
const raised = {
  code: 'upstream_idle_timeout',
  type: 'timeout_error',
  param: 'stream',
  status: undefined,
  message: 'The provider\nfell silent.',
}

describe('the OpenAI SDK', () => {
  test('passes over keep-alive comments and stops at the end mark', async () => {
    frames = KEEP_ALIVE + chunk + KEEP_ALIVE + DONE + chunk
    const { events, error } = await readChat()
    expect(events).toHaveLength(1)
    expect(error).toBeUndefined()
  })

  test.each(['chat', 'events'] as const)('raises the error of a %s stream', async (framing) => {
    frames = chunk + errorFrame(framing, envelopeJson, facts)
    const { events, error } = await readChat()
    expect(events).toHaveLength(1)
    expect(error).toMatchObject(raised)
  })

  test('raises the error of a Responses stream', async () => {
    frames = created + errorFrame('responses', envelopeJson, facts, 1)
    const { events, error } = await readResponses()
    expect(events).toHaveLength(1)
    expect(error).toMatchObject(raised)
  })

  test('raises through the helper of Responses streams', async () => {
    frames = created + errorFrame('responses', envelopeJson, facts, 1)
    const stream = client.responses.stream({ model: 'm', input: 'hi' })
    const { events, error } = await read(stream)
    expect(events).toHaveLength(1)
    expect(error).toMatchObject(raised)
  })

  test('raises even when all it knows is a message', async () => {
    frames = created + errorFrame('responses', '{}', { message: 'Gone.' })
    expect((await readResponses()).error).toMatchObject({
      message: 'Gone.',
      code: null,
      param: null,
    })
  })
})

describe('error frames', () => {
  test('of chat and other streams are the envelope', () => {
    for (const framing of ['chat', 'events'] as const) {
      expect(errorFrame(framing, envelopeJson, facts)).toBe(`data: ${envelopeJson}\n\n`)
    }
  })

  test('of Responses streams are a typed event with everything the envelope says', () => {
    const [event, data, ...rest] = errorFrame('responses', envelopeJson, facts, 7).split('\n')
    expect(event).toBe('event: error')
    expect(rest).toEqual(['', ''])
    expect(JSON.parse(data?.replace(/^data: /, '') ?? '')).toEqual({
      type: 'error',
      sequence_number: 7,
      code: 'upstream_idle_timeout',
      message: 'The provider\nfell silent.',
      param: 'stream',
      event_id: 'ev_1',
      is_bifrost_error: true,
      status_code: 504,
      error: envelope.error,
      extra_fields: { provider: 'openai', model_requested: 'openai/m', request_type: 'x_stream' },
    })
  })

  test('keep what a provider added to its error', () => {
    const json = JSON.stringify({ ...envelope, error: { ...envelope.error, inner: { a: 1 } } })
    const [, data] = errorFrame('responses', json, facts).split('\n')
    expect(JSON.parse(data?.slice(6) ?? '').error).toEqual({ ...envelope.error, inner: { a: 1 } })
  })

  test.each(['chat', 'responses', 'events'] as const)(
    'of a %s stream stay one event when the envelope has line ends',
    (framing) => {
      const pretty = JSON.stringify(envelope, null, 2).replace('{\n', '{\r\n\r\n')
      const lines = errorFrame(framing, pretty, facts).split(/\r\n|\r|\n/)
      expect(lines.filter((line) => line.startsWith('data: '))).toHaveLength(1)
      expect(lines.filter((line) => line === '')).toHaveLength(2)
      const data = lines.find((line) => line.startsWith('data: '))?.slice(6) ?? ''
      expect(JSON.parse(data).error).toEqual(envelope.error)
    },
  )
})
