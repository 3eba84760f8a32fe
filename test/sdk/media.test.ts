import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { OpenAI } from 'openai'

import { BYTES } from './bodies.ts'
import type { Rig } from './rig.ts'
import { events, fieldsOf, json, startRig } from './rig.ts'

// Answers that are not plain JSON objects: vectors in base64, sound, text, pictures that arrive in parts.

const vectors = (embedding: unknown) =>
  json({
    object: 'list',
    model: 'text-embedding-3-small',
    data: [{ object: 'embedding', index: 0, embedding }],
    usage: { prompt_tokens: 1, total_tokens: 1 },
  })

const sound = () => new File([BYTES], 'a.mp3', { type: 'audio/mpeg' })

const picture = () => new File([BYTES], 'a.png', { type: 'image/png' })

const pictures = (kind: string) => [
  { type: `${kind}.partial_image`, b64_json: 'AAA=', partial_image_index: 0 },
  { type: `${kind}.completed`, b64_json: 'AAAA', usage: { total_tokens: 3 } },
]

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

describe('embeddings', () => {
  const model = 'openai/text-embedding-3-small'
  const vector = [1, -2.5, 0.125]
  const encoded = Buffer.from(new Float32Array(vector).buffer).toString('base64')

  test('the SDK asks for base64 by itself and gives numbers', async () => {
    rig.answers(vectors(encoded))
    const { data } = await client.embeddings.create({ model, input: 'a' })
    expect(data[0]?.embedding).toEqual(vector)
    expect(rig.received[0]?.json()).toEqual({
      model: 'text-embedding-3-small',
      input: 'a',
      encoding_format: 'base64',
    })
  })

  test('floats stay floats when they are asked for', async () => {
    rig.answers(vectors(vector))
    const { data } = await client.embeddings.create({
      model,
      input: ['a'],
      encoding_format: 'float',
    })
    expect(data[0]?.embedding).toEqual(vector)
  })
})

describe('audio.speech', () => {
  const request = { model: 'openai/gpt-4o-mini-tts', input: 'Hi', voice: 'alloy' as const }

  test('sound arrives byte for byte with its content type', async () => {
    rig.answers(() => new Response(BYTES, { headers: { 'content-type': 'audio/mpeg' } }))
    const response = await client.audio.speech.create(request)
    expect(response.headers.get('content-type')).toBe('audio/mpeg')
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(BYTES)
  })

  test('stream_format sse arrives as events', async () => {
    const parts = [
      { type: 'speech.audio.delta', audio: 'AAA=' },
      { type: 'speech.audio.done', usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } },
    ]
    rig.answers(events(...parts))
    const response = await client.audio.speech.create({ ...request, stream_format: 'sse' })
    expect(response.headers.get('content-type')).toStartWith('text/event-stream')
    const data = (await response.text()).split('\n').filter((line) => line.startsWith('data: '))
    expect(data.map((line) => JSON.parse(line.slice(6)) as unknown)).toMatchObject(parts)
  })
})

describe('audio.transcriptions', () => {
  const model = 'openai/whisper-1'

  test.each([
    ['text', 'Hello ü\n', 'text/plain; charset=utf-8'],
    ['srt', '1\n00:00:00,000 --> 00:00:01,000\nHello\n', 'text/plain; charset=utf-8'],
    ['vtt', 'WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n', 'text/vtt'],
  ] as const)('%s is a string', async (format, text, type) => {
    rig.answers(() => new Response(text, { headers: { 'content-type': type } }))
    const result: unknown = await client.audio.transcriptions.create({
      file: sound(),
      model,
      response_format: format,
    })
    expect(result).toBe(text)
    expect(await fieldsOf(rig.received[0]!)).toContainEqual(['response_format', format])
    expect(await fieldsOf(rig.received[0]!)).toContainEqual(['model', 'whisper-1'])
  })

  test('verbose_json keeps every field', async () => {
    const answer = {
      task: 'transcribe',
      language: 'en',
      duration: 1.5,
      text: 'Hi',
      words: [{ word: 'Hi' }],
    }
    rig.answers(json(answer))
    const result = await client.audio.transcriptions.create({
      file: sound(),
      model,
      response_format: 'verbose_json',
    })
    expect(result).toMatchObject(answer)
  })

  test('streams its events', async () => {
    const parts = [
      { type: 'transcript.text.delta', delta: 'Hel' },
      { type: 'transcript.text.delta', delta: 'lo' },
      { type: 'transcript.text.done', text: 'Hello', usage: { type: 'tokens', total_tokens: 3 } },
    ]
    rig.answers(events(...parts))
    const stream = await client.audio.transcriptions.create({
      file: sound(),
      model: 'openai/gpt-4o-transcribe',
      stream: true,
    })
    expect((await Array.fromAsync(stream)) as unknown[]).toMatchObject(parts)
    expect(await fieldsOf(rig.received[0]!)).toContainEqual(['stream', 'true'])
  })

  test('audio.translations gives text too', async () => {
    rig.answers(() => new Response('Hello', { headers: { 'content-type': 'text/plain' } }))
    const result: unknown = await client.audio.translations.create({
      file: sound(),
      model,
      response_format: 'text',
    })
    expect(result).toBe('Hello')
  })
})

describe('images', () => {
  const model = 'openai/gpt-image-1'

  test('images.generate streams partial pictures', async () => {
    rig.answers(events(...pictures('image_generation')))
    const stream = await client.images.generate({
      model,
      prompt: 'A cat',
      stream: true,
      partial_images: 1,
    })
    expect((await Array.fromAsync(stream)) as unknown[]).toMatchObject(pictures('image_generation'))
    expect(rig.received[0]?.json()).toEqual({
      model: 'gpt-image-1',
      prompt: 'A cat',
      stream: true,
      partial_images: 1,
    })
  })

  test('images.edit streams partial pictures', async () => {
    rig.answers(events(...pictures('image_edit')))
    const stream = await client.images.edit({
      model,
      prompt: 'Hat',
      image: picture(),
      stream: true,
    })
    expect((await Array.fromAsync(stream)) as unknown[]).toMatchObject(pictures('image_edit'))
  })

  test('a large picture in base64 arrives whole', async () => {
    const b64_json = Buffer.alloc(1_500_000, 7).toString('base64')
    rig.answers(json({ created: 1, data: [{ b64_json }] }))
    const { data } = await client.images.generate({ model, prompt: 'A cat' })
    expect(data?.[0]?.b64_json === b64_json).toBe(true)
  })
})
