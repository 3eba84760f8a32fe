import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { describeBytes, isText } from '#pipeline/descriptions.ts'
import { inputOf, outputOf } from '#store/logs-shapes.ts'

import { KEY, logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Forms, sounds and other bodies that are no JSON: what the log has of them.

let rig: LogRig
beforeAll(async () => {
  rig = await logRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const sound = new Uint8Array(5000).map((_, i) => (i * 7) % 256)
const marker = 'RIFFsoundmarker'

function form(fields: Record<string, string>): FormData {
  const made = new FormData()
  for (const [name, value] of Object.entries(fields)) made.append(name, value)
  made.append('file', new File([marker, sound], 'talk "one".wav', { type: 'audio/wav' }))
  return made
}

async function post(
  path: string,
  body: string | FormData,
  headers: Record<string, string>,
): Promise<void> {
  const answer = await fetch(`${rig.gateway.url}${path}`, { method: 'POST', headers, body })
  await answer.arrayBuffer()
}

const one = async (id: string): Promise<any> => await rig.get(`/api/logs/${id}`)

describe('a form', () => {
  test('is kept by its fields, its file by name, type and size', async () => {
    rig.upstream.reply({
      json: { text: 'hello from the recording', usage: { type: 'duration', seconds: 3 } },
    })
    await post(
      '/openai/v1/audio/transcriptions',
      form({ model: 'openai/whisper-1', prompt: 'names: Ödön', language: 'hu' }),
      { 'x-request-id': 'form' },
    )
    const row = await one('form')
    expect(row).toMatchObject({
      object: 'transcription',
      status: 'success',
      transcription_input: {
        prompt: 'names: Ödön',
        language: 'hu',
        file: { content_type: 'audio/wav', bytes: marker.length + sound.length },
      },
      transcription_output: { text: 'hello from the recording' },
      params: { language: 'hu' },
    })
    expect(row.transcription_input.file.filename).toContain('talk')
    expect(JSON.stringify(row)).not.toContain(marker)
    const found = await rig.get('/api/logs?content_search=recording')
    expect(found.logs).toMatchObject([{ id: 'form' }])
    expect((await rig.get('/api/logs?content_search=names')).logs).toMatchObject([{ id: 'form' }])
  })

  test('has lists where a field occurs twice, and no secret', async () => {
    rig.upstream.reply({ json: { text: 'x' } })
    const body = form({ model: 'openai/whisper-1', prompt: `my key is ${KEY}` })
    body.append('timestamp_granularities[]', 'word')
    body.append('timestamp_granularities[]', 'segment')
    await post('/openai/v1/audio/transcriptions', body, { 'x-request-id': 'lists' })
    const row = await one('lists')
    expect(row.transcription_input).toMatchObject({
      timestamp_granularities: ['word', 'segment'],
      prompt: 'my key is [redacted]',
    })
    expect(JSON.stringify(row)).not.toContain(KEY)
  })

  test('that is large is told in few words', async () => {
    rig.upstream.reply({ json: { text: 'x' } })
    const body = new FormData()
    body.append('model', 'openai/whisper-1')
    body.append('file', new File([new Uint8Array(3_000_000)], 'long.wav'))
    await post('/openai/v1/audio/transcriptions', body, { 'x-request-id': 'large' })
    const { raw_request: kept } = await one('large')
    expect(kept.length).toBeLessThan(300)
    expect(JSON.parse(kept).file.bytes).toBe(3_000_000)
  })
})

describe('an answer in bytes', () => {
  const speak = async (id: string, headers: Record<string, string> = {}): Promise<void> => {
    rig.upstream.reply({
      chunks: [marker, sound],
      headers: { 'content-type': 'audio/mpeg' },
    })
    await post(
      '/openai/v1/audio/speech',
      JSON.stringify({ model: 'openai/tts-1', input: 'Say this', voice: 'alloy' }),
      { 'content-type': 'application/json', 'x-request-id': id, ...headers },
    )
  }

  test('is kept by its type and size', async () => {
    await speak('speech')
    const row = await one('speech')
    expect(row).toMatchObject({
      speech_input: { input: 'Say this', voice: 'alloy' },
      speech_output: { content_type: 'audio/mpeg', bytes: marker.length + sound.length },
      content_summary: 'Say this',
    })
    expect(JSON.stringify(row)).not.toContain(marker)
  })

  test('of text is kept as text', async () => {
    rig.upstream.reply({
      text: 'WEBVTT\n\n00:00 --> 00:01\nspoken subtitles\n',
      headers: { 'content-type': 'text/vtt' },
    })
    await post(
      '/openai/v1/audio/transcriptions',
      form({ model: 'openai/whisper-1', response_format: 'vtt' }),
      { 'x-request-id': 'vtt' },
    )
    expect((await one('vtt')).transcription_output).toMatchObject({
      content_type: 'text/vtt',
      text: expect.stringContaining('spoken subtitles'),
    })
    expect((await rig.get('/api/logs?content_search=subtitles')).logs).toMatchObject([
      { id: 'vtt' },
    ])
  })

  test('of an unknown route is kept where it is text', async () => {
    rig.upstream.reply({ json: { anything: 'goes here' } })
    await post('/openai/v1/evals?provider=openai', '{"of": "something"}', {
      'content-type': 'application/json',
      'x-request-id': 'evals',
    })
    expect(await one('evals')).toMatchObject({
      object: 'passthrough',
      passthrough_request_body: { of: 'something' },
      passthrough_response_body: { anything: 'goes here' },
    })
  })

  test('is not kept at all when content is not', async () => {
    await using other = await logRig({ client: { disable_content_logging: true } })
    other.upstream.reply({ json: { text: 'hello' } })
    await fetch(`${other.gateway.url}/openai/v1/audio/transcriptions`, {
      method: 'POST',
      body: form({ model: 'openai/whisper-1', prompt: 'secret' }),
      headers: { 'x-request-id': 'none' },
    })
    expect(await other.get('/api/logs/none')).toMatchObject({
      raw_request: null,
      raw_response: null,
    })
  })
})

test('the file of a caller is theirs, whatever its type', async () => {
  rig.upstream.reply({
    text: '{"line": "of a private file"}',
    headers: { 'content-type': 'application/json' },
  })
  await fetch(`${rig.gateway.url}/openai/v1/files/file-1/content?provider=openai`, {
    headers: { 'x-request-id': 'file' },
  }).then((answer) => answer.text())
  const row = await one('file')
  expect(JSON.parse(row.raw_response)).toEqual({ content_type: 'application/json', bytes: 29 })
})

test('what was cut is told as a text', () => {
  const bytes = new TextEncoder().encode('{"a":"bcdef"}')
  expect(describeBytes('application/json', 13, bytes, 100)).toBe('{"a":"bcdef"}')
  expect(JSON.parse(describeBytes('application/json', 13, bytes, 5))).toEqual({
    content_type: 'application/json',
    bytes: 13,
    text: '{"a":',
  })
  expect(
    ['text/plain', 'application/problem+json', 'audio/mpeg', 'image/svg+xml'].map(isText),
  ).toEqual([true, true, false, false])
})

test('answers are shown under the names of the contract', () => {
  const calls = [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }]
  const message = { role: 'assistant', content: null, tool_calls: calls }
  expect(outputOf('chat_completion', { choices: [{ index: 0, message }] })).toEqual({
    output_message: message,
    tool_calls: calls,
  })
  const item = { type: 'function_call', name: 'f', arguments: '{}' }
  const output = [{ type: 'message', content: [] }, item]
  expect(outputOf('responses', { output })).toEqual({
    responses_output: output,
    tool_calls: [item],
  })
  expect(outputOf('text_completion', { choices: [{ text: 'said' }] })).toEqual({
    output_message: { content: 'said' },
  })
  expect(outputOf('embedding', { data: [] })).toEqual({ embedding_output: { data: [] } })
  expect(outputOf('chat_completion', 'no object')).toEqual({})
  expect(inputOf('image_edit', { model: 'm', prompt: 'a hat', n: 1 })).toEqual({
    image_edit_input: { prompt: 'a hat', n: 1 },
    params: { prompt: 'a hat', n: 1 },
  })
})
