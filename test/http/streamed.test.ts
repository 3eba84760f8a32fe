import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import { CHAT, startRig } from '../pipeline/rig.ts'
import type { Rig } from '../pipeline/rig.ts'

// Whether a stream is expected is the operation's to say, and not any field that is called so.

let rig: Rig
beforeEach(async () => {
  rig = await startRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const whole = { id: 'x', object: 'thing', text: 'hello' }
const event = '{"type":"transcript.text.done","text":"hello"}'

function form(path: string, fields: Record<string, string>): Promise<Response> {
  const body = new FormData()
  body.set('model', 'openai/m')
  for (const [name, value] of Object.entries(fields)) body.set(name, value)
  for (const name of ['file', 'image']) body.set(name, new File(['abc'], 'a.bin'))
  return fetch(`${rig.gateway.url}/openai/v1${path}`, { method: 'POST', body })
}

describe('an operation without streams takes "stream" for any other field', () => {
  test.each<[string, string, object]>([
    ['embeddings', 'embedding', { model: 'm', input: 'x', stream: true }],
    ['moderations', 'moderation', { model: 'm', input: 'x', stream: true }],
    ['responses/input_tokens', 'count_tokens', { model: 'm', input: 'x', stream: true }],
    ['responses/compact', 'compaction', { model: 'm', input: 'x', stream: true }],
    ['chat/completions', 'chat_completion', { ...CHAT, model: 'm', stream_format: 'sse' }],
    ['images/generations', 'image_generation', { prompt: 'x', stream_format: 'sse' }],
  ])('POST /%s', async (path, type, body) => {
    rig.upstream.reply({ json: whole })
    const response = await rig.post(`/${path}`, body)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ ...whole, extra_fields: { request_type: type } })
    expect(rig.upstream.requests[0]!.json()).toEqual(body)
    expect(rig.upstream.requests).toHaveLength(1)
  })

  test.each(['/audio/translations', '/images/variations'])('a form of %s', async (path) => {
    rig.upstream.reply({ json: whole })
    const response = await form(path, { stream: 'true' })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject(whole)
  })
})

describe('the field "stream" of a form', () => {
  test.each(['true', 'True', 'TRUE', 't', '1'])('asks for one with %p', async (stream) => {
    rig.upstream.reply({ sse: [event] })
    const response = await form('/audio/transcriptions', { stream })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(await response.text()).toContain('data: {"type":"transcript.text.done"')
  })

  test.each(['false', 'False', '0', ''])('asks for none with %p', async (stream) => {
    rig.upstream.reply({ json: whole })
    const response = await form('/audio/transcriptions', { stream })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject(whole)
  })
})

test('a model that cannot stream its transcript answers whole, and that is its answer', async () => {
  rig.upstream.reply({ json: { text: 'hello', usage: { type: 'duration', seconds: 3 } } })
  const response = await form('/audio/transcriptions', { stream: 'true' })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(await response.json()).toMatchObject({ text: 'hello' })
  expect((await rig.settled()).message).toBe('request served')
  expect(rig.upstream.requests).toHaveLength(1)
})
