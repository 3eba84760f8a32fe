// The official SDK straight at the mock: what the SDK accepts here, it must accept through the gateway.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { inflateSync } from 'node:zlib'

import OpenAI, { NotFoundError, toFile } from 'openai'

import { startUpstream, type Upstream } from '../helpers/upstream.ts'

let upstream: Upstream
let client: OpenAI

beforeAll(async () => {
  upstream = await startUpstream()
  client = new OpenAI({ apiKey: 'k', baseURL: `${upstream.url}/v1`, maxRetries: 0 })
})
afterAll(() => upstream.stop())

const hello = [{ role: 'user' as const, content: 'hello over there' }]
const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { enum: ['celsius', 'kelvin'] },
        days: { type: 'integer', minimum: 2 },
        more: { type: 'string' },
      },
      required: ['city', 'unit', 'days'],
    },
  },
}
const clock = {
  type: 'function' as const,
  function: { name: 'clock', parameters: { type: 'object', properties: {}, required: [] } },
}
const shape = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    tags: { type: 'array', items: { $ref: '#/$defs/tag' }, minItems: 1 },
    next: { anyOf: [{ $ref: '#' }, { type: 'null' }] },
  },
  required: ['name', 'tags'],
  additionalProperties: false,
  $defs: { tag: { const: 'a' } },
}

const structured = { type: 'json_schema' as const, name: 'shape', schema: shape, strict: true }

describe('chat', () => {
  test('echoes', async () => {
    const { data: answer, request_id } = await client.chat.completions
      .create({ model: 'echo', messages: hello })
      .withResponse()
    expect(answer.choices[0]).toMatchObject({
      index: 0,
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'hello over there', refusal: null },
    })
    expect(answer.choices[0]!.message).not.toHaveProperty('tool_calls')
    expect(answer.usage!.total_tokens).toBe(
      answer.usage!.prompt_tokens + answer.usage!.completion_tokens,
    )
    expect(request_id).toStartWith('req_')
  })

  test('streams word by word; usage only when asked', async () => {
    const plain = []
    const stream = await client.chat.completions.create({
      model: 'echo',
      messages: hello,
      stream: true,
    })
    for await (const chunk of stream) plain.push(chunk)
    expect(plain.map((chunk) => chunk.choices[0]!.delta.content)).toEqual([
      '',
      'hello',
      ' over',
      ' there',
      undefined,
    ] as never)
    expect(plain.at(-1)!.choices[0]!.finish_reason).toBe('stop')
    expect(plain.every((chunk) => !('usage' in chunk))).toBe(true)

    const helper = client.chat.completions.stream({
      model: 'echo',
      messages: hello,
      n: 2,
      stream_options: { include_usage: true },
    })
    const final = await helper.finalChatCompletion()
    expect(final.choices.map(({ message }) => message.content)).toEqual([
      'hello over there',
      'hello over there',
    ])
    expect(final.usage!.completion_tokens).toBeGreaterThan(0)
  })

  test('calls tools, one or all, and answers with the result', async () => {
    const one = await client.chat.completions.create({
      model: 'tools',
      messages: hello,
      tools: [weather, clock],
    })
    expect(one.choices[0]!.finish_reason).toBe('tool_calls')
    expect(one.choices[0]!.message.content).toBeNull()
    expect(one.choices[0]!.message.tool_calls).toMatchObject([
      {
        type: 'function',
        function: { name: 'weather', arguments: '{"city":"mock","unit":"celsius","days":2}' },
      },
    ])
    const both = await client.chat.completions
      .stream({
        model: 'tools',
        messages: hello,
        tools: [weather, clock],
        parallel_tool_calls: true,
      })
      .finalChatCompletion()
    expect(
      both.choices[0]!.message.tool_calls!.map((call) => call.type === 'function' && call.function),
    ).toMatchObject([{ name: 'weather' }, { name: 'clock', arguments: '{}' }])
    const named = await client.chat.completions.create({
      model: 'tools',
      messages: hello,
      tools: [weather, clock],
      tool_choice: { type: 'function', function: { name: 'clock' } },
    })
    expect(named.choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'clock' } }])
  })

  test('runTools goes round once, unary and streamed', async () => {
    const tool = {
      type: 'function' as const,
      function: {
        name: 'double',
        description: 'twice as much',
        parameters: {
          type: 'object' as const,
          properties: { n: { type: 'number' as const, minimum: 21 } },
          required: ['n'],
        },
        parse: (text: string): { n: number } => JSON.parse(text),
        function: ({ n }: { n: number }) => String(n * 2),
      },
    }
    const unary = client.chat.completions.runTools({
      model: 'tools',
      messages: hello,
      tools: [tool],
    })
    expect(await unary.finalContent()).toBe('The tool says: 42')
    const streamed = client.chat.completions.runTools({
      model: 'tools',
      messages: hello,
      tools: [tool],
      stream: true,
    })
    expect(await streamed.finalContent()).toBe('The tool says: 42')
  })

  test('parses structured answers, refuses, reasons and runs out', async () => {
    const format = {
      type: 'json_schema' as const,
      json_schema: { name: 'shape', schema: shape, strict: true },
    }
    const parsed = await client.chat.completions.create({
      model: 'json',
      messages: hello,
      response_format: format,
    })
    expect(JSON.parse(parsed.choices[0]!.message.content!)).toEqual({ name: 'mock', tags: ['a'] })
    const viaParse = await client.chat.completions.parse({
      model: 'json',
      messages: hello,
      response_format: { type: 'json_object' },
    })
    expect(viaParse.choices[0]!.message.content).toBe('{}')

    const refused = await client.chat.completions
      .stream({ model: 'refuse', messages: hello })
      .finalChatCompletion()
    expect(refused.choices[0]!.message.refusal).toBe('I cannot help with that.')

    const reasoned = await client.chat.completions.create({ model: 'reason', messages: hello })
    expect(reasoned.choices[0]!.message).toMatchObject({
      content: 'hello over there',
      reasoning_content: 'The user said: hello over there',
    })
    expect(reasoned.usage!.completion_tokens_details!.reasoning_tokens).toBeGreaterThan(0)

    const cut = await client.chat.completions.create({
      model: 'length',
      messages: hello,
      max_completion_tokens: 2,
    })
    expect(cut.choices[0]).toMatchObject({
      finish_reason: 'length',
      message: { content: 'hello over' },
    })
  })

  test('what was not to be stored is not', async () => {
    const { id } = await client.chat.completions.create({ model: 'echo', messages: hello })
    const gone = await client.chat.completions.retrieve(id).catch((error: unknown) => error)
    expect(gone).toBeInstanceOf(NotFoundError)
  })

  test('stored completions live their whole life', async () => {
    const made = []
    for (const topic of ['a', 'b', 'b']) {
      made.push(
        await client.chat.completions.create({
          model: 'stored',
          messages: hello,
          store: true,
          metadata: { topic },
        }),
      )
    }
    const [first, second, third] = made
    const listed = []
    for await (const one of client.chat.completions.list({ metadata: { topic: 'b' }, limit: 1 })) {
      listed.push(one.id)
    }
    expect(listed).toEqual([second!.id, third!.id])
    expect(await client.chat.completions.retrieve(first!.id)).toMatchObject({
      metadata: { topic: 'a' },
    })
    await client.chat.completions.update(first!.id, { metadata: { topic: 'c' } })
    expect(await client.chat.completions.retrieve(first!.id)).toMatchObject({
      metadata: { topic: 'c' },
    })
    const messages = await client.chat.completions.messages.list(first!.id)
    expect(messages.data).toMatchObject(hello)
    expect(await client.chat.completions.delete(first!.id)).toMatchObject({ deleted: true })
    const gone = await client.chat.completions.retrieve(first!.id).catch((error: unknown) => error)
    expect(gone).toBeInstanceOf(NotFoundError)
  })
})

test('completions, unary and streamed', async () => {
  const unary = await client.completions.create({ model: 'echo', prompt: ['a b', 'c'], n: 2 })
  expect(unary.choices.map(({ text, index }) => [index, text])).toEqual([
    [0, 'a b'],
    [1, 'a b'],
    [2, 'c'],
    [3, 'c'],
  ])
  let text = ''
  const stream = await client.completions.create({ model: 'echo', prompt: 'a b', stream: true })
  for await (const chunk of stream) text += chunk.choices[0]!.text
  expect(text).toBe('a b')
})

describe('responses', () => {
  const flat = [weather, clock].map(({ function: { name, parameters } }) => ({
    type: 'function' as const,
    name,
    parameters,
    strict: false,
  }))

  test('echo, with what the request said', async () => {
    const answer = await client.responses.create({
      model: 'echo',
      input: 'hello over there',
      instructions: 'be brief',
      metadata: { a: 'b' },
    })
    expect(answer).toMatchObject({
      status: 'completed',
      output_text: 'hello over there',
      instructions: 'be brief',
      metadata: { a: 'b' },
      error: null,
    })
  })

  test.each(['echo', 'tools', 'reason', 'json', 'refuse', 'length'])(
    'the strict stream helper accepts %s',
    async (model) => {
      const stream = client.responses.stream({
        model,
        input: 'hello over there and beyond',
        tools: [...flat, { type: 'custom', name: 'free' }],
        parallel_tool_calls: true,
        ...(model === 'json' ? { text: { format: structured } } : {}),
      })
      const numbers: number[] = []
      stream.on('event', (event) => {
        numbers.push(event.sequence_number)
      })
      const final = await stream.finalResponse()
      expect(numbers).toEqual(numbers.map((_, at) => at))
      const again = await client.responses.retrieve(final.id)
      expect(final.output.map(({ id, type }) => [id, type])).toEqual(
        again.output.map(({ id, type }) => [id, type]),
      )
      expect(final.status).toBe(model === 'length' ? 'incomplete' : 'completed')
      if (model === 'tools') {
        expect(final.output.map(({ type }) => type)).toEqual([
          'function_call',
          'function_call',
          'custom_tool_call',
        ])
      }
      if (model === 'reason')
        expect(final.usage!.output_tokens_details.reasoning_tokens).toBeGreaterThan(0)
      if (model === 'json')
        expect(final.output_parsed).toEqual({ name: 'mock', tags: ['a'] } as never)
    },
  )

  test('parse reads structured answers', async () => {
    const answer = await client.responses.parse({
      model: 'json',
      input: 'x',
      text: { format: structured },
    })
    expect(JSON.parse(answer.output_text)).toEqual({ name: 'mock', tags: ['a'] })
  })

  test('a tool result is answered with text, in a conversation by id', async () => {
    const first = await client.responses.create({ model: 'tools', input: 'hi', tools: flat })
    const [call] = first.output
    if (call?.type !== 'function_call') throw new Error('no call')
    const second = await client.responses.create({
      model: 'tools',
      previous_response_id: first.id,
      tools: flat,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: 'sunny' }],
    })
    expect(second.output_text).toBe('The tool says: sunny')
  })

  test('background, retrieve, replay, cancel, input items, count, compact, delete', async () => {
    const started = await client.responses.create({ model: 'echo', input: 'a b', background: true })
    expect(started.status).toBe('queued')
    expect((await client.responses.retrieve(started.id)).status).toBe('in_progress')
    const done = await client.responses.retrieve(started.id)
    expect(done).toMatchObject({ status: 'completed', output_text: 'a b' })

    const replayed = []
    const stream = await client.responses.retrieve(started.id, { stream: true, starting_after: 3 })
    for await (const event of stream) replayed.push(event)
    expect(replayed[0]).toMatchObject({ type: 'response.output_text.delta', sequence_number: 4 })
    expect(replayed.at(-1)).toMatchObject({ type: 'response.completed' })

    const other = await client.responses.create({ model: 'echo', input: 'x', background: true })
    expect(await client.responses.cancel(other.id)).toMatchObject({ status: 'cancelled' })
    const items = await client.responses.inputItems.list(started.id)
    expect(items.data).toMatchObject([{ type: 'message', content: [{ text: 'a b' }] }])
    expect(await client.responses.inputTokens.count({ input: 'abcd' })).toMatchObject({
      object: 'response.input_tokens',
      input_tokens: 4,
    })
    const compacted = await client.responses.compact({ model: 'echo', input: 'hello' })
    expect(compacted.output.map(({ type }) => type)).toEqual(['message', 'compaction'])
    await client.responses.delete(started.id)
    expect(
      await client.responses.retrieve(started.id).catch((error: unknown) => error),
    ).toBeInstanceOf(NotFoundError)
  })
})

test('embeddings are unit vectors, the same in both encodings', async () => {
  const ask = { model: 'embed', input: ['a', 'b'], dimensions: 16 }
  const base64 = await client.embeddings.create(ask)
  const float = await client.embeddings.create({ ...ask, encoding_format: 'float' })
  expect(float.data).toHaveLength(2)
  for (const [at, { embedding }] of float.data.entries()) {
    expect(embedding).toHaveLength(16)
    expect(Math.hypot(...embedding)).toBeCloseTo(1)
    expect(base64.data[at]!.embedding).toEqual(embedding)
  }
  expect(float.data[0]!.embedding).not.toEqual(float.data[1]!.embedding)
})

function recording(): Promise<File> {
  return toFile(Buffer.from('RIFF'), 'speech.wav')
}

describe('audio', () => {
  test('speech', async () => {
    const wav = await client.audio.speech.create({
      model: 'speech',
      input: 'hi',
      voice: 'alloy',
      response_format: 'wav',
    })
    expect(wav.headers.get('content-type')).toBe('audio/wav')
    const bytes = Buffer.from(await wav.arrayBuffer())
    expect(bytes.toString('latin1', 0, 4)).toBe('RIFF')
    expect(bytes.readUInt32LE(40)).toBe(bytes.length - 44)
    const sse = await client.audio.speech.create({
      model: 'speech',
      input: 'hi',
      voice: 'alloy',
      response_format: 'wav',
      stream_format: 'sse',
    })
    const audio = [...(await sse.text()).matchAll(/"audio":"([^"]*)"/g)].map(([, base64]) =>
      Buffer.from(base64!, 'base64'),
    )
    expect(Buffer.concat(audio)).toEqual(bytes)
  })

  test('transcriptions and translations', async () => {
    const heard = 'I heard 4 bytes of speech.wav.'
    const model = 'whisper'
    const { transcriptions, translations } = client.audio
    expect((await transcriptions.create({ model, file: await recording() })).text).toBe(heard)
    for (const response_format of ['text', 'srt', 'vtt'] as const) {
      const text = await transcriptions.create({ model, file: await recording(), response_format })
      expect(text).toContain(heard)
    }
    const verbose = await transcriptions.create({
      model,
      file: await recording(),
      response_format: 'verbose_json',
    })
    expect(verbose.segments![0]!.text).toBe(heard)
    expect((await translations.create({ model, file: await recording() })).text).toBe(heard)
    const stream = await transcriptions.create({ model, file: await recording(), stream: true })
    let text = ''
    for await (const event of stream)
      if (event.type === 'transcript.text.delta') text += event.delta
    expect(text).toBe(heard)
  })
})

/** Signature, checksums and pixels, as a decoder would look at them. */
function expectPng(bytes: Buffer): void {
  expect(bytes.toString('latin1', 0, 8)).toBe('\u0089PNG\r\n\u001a\n')
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at)
    expect(bytes.readUInt32BE(end)).toBe(Bun.hash.crc32(bytes.subarray(at + 4, end)))
    chunks.set(bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, end))
    at = end + 4
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND'])
  expect(inflateSync(chunks.get('IDAT')!)).toHaveLength(4)
}

test('images: generated, edited, varied, streamed', async () => {
  const made = await client.images.generate({ model: 'image', prompt: 'p', n: 2 })
  expect(made.data).toHaveLength(2)
  expectPng(Buffer.from(made.data![0]!.b64_json!, 'base64'))
  const image = await toFile(Buffer.from('x'), 'x.png')
  const edited = await client.images.edit({ image, prompt: 'p' })
  expect(edited.data).toHaveLength(1)
  const varied = await client.images.createVariation({ image, response_format: 'url' })
  expect(varied.data![0]!.url).toStartWith('data:image/png;base64,')
  const types = []
  const stream = await client.images.generate({ prompt: 'p', stream: true, partial_images: 2 })
  for await (const event of stream) types.push(event.type)
  expect(types).toEqual([
    'image_generation.partial_image',
    'image_generation.partial_image',
    'image_generation.completed',
  ])
})

test('moderations', async () => {
  const { results } = await client.moderations.create({ input: ['peace', 'some violence'] })
  expect(results.map(({ flagged }) => flagged)).toEqual([false, true])
})

test('models', async () => {
  const ids = []
  for await (const { id } of client.models.list()) ids.push(id)
  expect(ids).toContain('echo')
  expect((await client.models.retrieve('org/any:name')).id).toBe('org/any:name')
  expect(await client.models.delete('x')).toMatchObject({ deleted: true })
  const missing = await client.models.retrieve('missing').catch((error: unknown) => error)
  expect(missing).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
})

test('files, uploads and batches', async () => {
  const file = await client.files.create({
    file: await toFile(Buffer.from('abc'), 'a.txt'),
    purpose: 'assistants',
  })
  expect(file).toMatchObject({ bytes: 3, filename: 'a.txt', purpose: 'assistants' })
  expect((await client.files.retrieve(file.id)).id).toBe(file.id)
  expect(await (await client.files.content(file.id)).text()).toBe('abc')

  const lines = ['echo', 'missing'].map((model, at) =>
    JSON.stringify({
      custom_id: `c${at}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model, messages: hello },
    }),
  )
  const input = await client.uploads.create({
    filename: 'in.jsonl',
    purpose: 'batch',
    bytes: lines.join('\n').length,
    mime_type: 'application/jsonl',
  })
  const parts = []
  for (const data of [lines[0]!, `\n${lines[1]!}`]) {
    parts.push(
      await client.uploads.parts.create(input.id, { data: await toFile(Buffer.from(data)) }),
    )
  }
  const short = client.uploads.complete(input.id, { part_ids: [parts[0]!.id] })
  expect(await short.catch((error: unknown) => error)).toMatchObject({ status: 400 })
  const whole = await client.uploads.complete(input.id, { part_ids: parts.map(({ id }) => id) })
  expect(whole).toMatchObject({ status: 'completed', file: { filename: 'in.jsonl' } })
  const dropped = await client.uploads.create({
    filename: 'x',
    purpose: 'batch',
    bytes: 1,
    mime_type: 'x',
  })
  expect((await client.uploads.cancel(dropped.id)).status).toBe('cancelled')

  const batch = await client.batches.create({
    input_file_id: whole.file!.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  expect((await client.batches.retrieve(batch.id)).status).toBe('in_progress')
  const done = await client.batches.retrieve(batch.id)
  expect(done).toMatchObject({
    status: 'completed',
    request_counts: { total: 2, completed: 1, failed: 1 },
  })
  const output = JSON.parse(await (await client.files.content(done.output_file_id!)).text())
  expect(output).toMatchObject({
    custom_id: 'c0',
    response: {
      status_code: 200,
      body: { choices: [{ message: { content: 'hello over there' } }] },
    },
  })
  const errors = JSON.parse(await (await client.files.content(done.error_file_id!)).text())
  expect(errors).toMatchObject({ custom_id: 'c1', response: { status_code: 404 } })

  const stopped = await client.batches.create({
    input_file_id: whole.file!.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  expect((await client.batches.cancel(stopped.id)).status).toBe('cancelled')
  const listed = []
  for await (const { id } of client.batches.list({ limit: 1 })) listed.push(id)
  expect(listed).toEqual([stopped.id, batch.id])

  const ids = []
  for await (const { id } of client.files.list({ limit: 1, order: 'asc' })) ids.push(id)
  expect(ids).toContain(file.id)
  expect(await client.files.delete(file.id)).toMatchObject({ deleted: true })
})

test('videos', async () => {
  const video = await client.videos.create({ model: 'video', prompt: 'p' })
  expect(video.status).toBe('queued')
  expect((await client.videos.retrieve(video.id)).progress).toBe(50)
  expect((await client.videos.retrieve(video.id)).status).toBe('completed')
  expect(
    Buffer.from(await (await client.videos.downloadContent(video.id)).arrayBuffer()),
  ).toHaveLength(16)
  const remix = await client.videos.remix(video.id, { prompt: 'q' })
  expect(remix.remixed_from_video_id).toBe(video.id)
  const listed = []
  for await (const { id } of client.videos.list()) listed.push(id)
  expect(listed).toEqual([remix.id, video.id])
  expect(await client.videos.delete(video.id)).toMatchObject({ deleted: true })
})

test('containers and their files', async () => {
  const { containers } = client
  const container = await containers.create({ name: 'box' })
  expect((await containers.retrieve(container.id)).name).toBe('box')
  const file = await containers.files.create(container.id, {
    file: await toFile(Buffer.from('abc'), 'a.txt'),
  })
  expect(file).toMatchObject({ bytes: 3, path: '/mnt/data/a.txt' })
  const where = { container_id: container.id }
  expect((await containers.files.retrieve(file.id, where)).id).toBe(file.id)
  expect(await (await containers.files.content.retrieve(file.id, where)).text()).toBe('abc')
  const names = []
  for await (const { path } of containers.files.list(container.id)) names.push(path)
  expect(names).toEqual(['/mnt/data/a.txt'])
  await containers.files.delete(file.id, where)
  await containers.delete(container.id)
  const left = []
  for await (const { id } of containers.list()) left.push(id)
  expect(left).toEqual([])
})
