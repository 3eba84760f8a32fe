import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type OpenAI, toFile } from 'openai'

import { BYTES } from './bodies.ts'
import type { Answer, Rig } from './rig.ts'
import { fieldsOf, json, startRig } from './rig.ts'

// Files from every source the SDK takes, uploads in parts, batches, and lists of many pages.

const page = (ids: string[], hasMore: boolean, more: object = {}): Answer =>
  json({ object: 'list', data: ids.map((id) => ({ id })), has_more: hasMore, ...more })

let rig: Rig
let client: OpenAI
let folder: string
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
  folder = await mkdtemp(join(tmpdir(), 'sdk-files-'))
  await writeFile(join(folder, 'data.bin'), BYTES)
})
afterAll(async () => {
  await rig.stop()
  await rm(folder, { recursive: true })
})

const hex = Buffer.from(BYTES).toString('hex')
const file = { id: 'file_1', object: 'file', bytes: 256, filename: 'data.bin', purpose: 'batch' }

describe('files.create takes', () => {
  test.each([
    ['a File', () => new File([BYTES], 'data.bin')],
    ['a read stream', () => createReadStream(join(folder, 'data.bin'))],
    ['a buffer by toFile', () => toFile(Buffer.from(BYTES), 'data.bin')],
    ['an async iterable by toFile', () => toFile(halves(), 'data.bin')],
    [
      'the answer of a fetch',
      () => fetch(`data:application/octet-stream;base64,${btoa(binary())}`),
    ],
    ['a file of Bun', () => Bun.file(join(folder, 'data.bin'))],
  ])('%s', async (_, source) => {
    rig.answers(json(file))
    const upload = (await source()) as File
    const created = await client.files.create({ file: upload, purpose: 'batch' })
    expect(created).toMatchObject(file)
    const fields = await fieldsOf(rig.received[0]!)
    expect(fields).toEqual(await fieldsOf(rig.sent[0]!))
    // The SDK writes the fields in the order in which they became ready.
    expect(fields.map(([name]) => name).toSorted()).toEqual(['file', 'purpose'])
    expect(Object.fromEntries(fields)['file']).toEndWith(hex)
  })

  test('a file of ten megabytes', async () => {
    rig.answers(json(file))
    const body = Buffer.alloc(10_000_000, 'line of text\n')
    await client.files.create({ file: new File([body], 'big.jsonl'), purpose: 'batch' })
    const form = await new Response(rig.received[0]?.body, {
      headers: { 'content-type': rig.received[0]?.headers.get('content-type') ?? '' },
    }).formData()
    const received = form.get('file') as File
    expect(Buffer.from(await received.arrayBuffer()).equals(body)).toBe(true)
  })
})

test('files.content gives the bytes as they are', async () => {
  const headers = {
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment; filename="a"',
  }
  rig.answers(() => new Response(BYTES, { headers }))
  const content = await client.files.content('file_1')
  expect(new Uint8Array(await content.arrayBuffer())).toEqual(BYTES)
  expect(content.headers.get('content-disposition')).toBe(headers['content-disposition'])
})

test('an upload in parts', async () => {
  rig.answers(
    json({ id: 'upload_1', status: 'pending' }),
    json({ id: 'part_1', object: 'upload.part' }),
    json({ id: 'part_2', object: 'upload.part' }),
    json({ id: 'upload_1', status: 'completed', file }),
  )
  const upload = await client.uploads.create({
    bytes: 256,
    filename: 'data.bin',
    mime_type: 'application/octet-stream',
    purpose: 'batch',
  })
  const parts = []
  for (const half of [BYTES.slice(0, 128), BYTES.slice(128)]) {
    parts.push(await client.uploads.parts.create(upload.id, { data: new File([half], 'part') }))
  }
  const done = await client.uploads.complete(upload.id, { part_ids: parts.map(({ id }) => id) })
  expect(done.file?.id).toBe('file_1')
  const sent = await Promise.all(rig.received.slice(1, 3).map(fieldsOf))
  expect(sent.map((fields) => fields[0]?.[1].split(' ').at(-1)).join('')).toBe(hex)
  expect(rig.received[3]?.json()).toEqual({ part_ids: ['part_1', 'part_2'] })
})

test('a batch from upload to results', async () => {
  const line = {
    custom_id: 'a',
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt-6-luna' },
  }
  const batch = { id: 'batch_1', object: 'batch', output_file_id: 'file_2' }
  const output = `${JSON.stringify({ custom_id: 'a', response: { status_code: 200 } })}\n`
  rig.answers(
    json(file),
    json({ ...batch, status: 'validating', output_file_id: null }),
    json({ ...batch, status: 'completed' }),
    () => new Response(output, { headers: { 'content-type': 'application/octet-stream' } }),
  )
  const input = new File([`${JSON.stringify(line)}\n`], 'batch.jsonl')
  const uploaded = await client.files.create({ file: input, purpose: 'batch' })
  const created = await client.batches.create({
    input_file_id: uploaded.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  expect(created.status).toBe('validating')
  const done = await client.batches.retrieve(created.id)
  const result = await client.files.content(done.output_file_id ?? '')
  expect(await result.text()).toBe(output)
})

describe('lists of many pages', () => {
  test.each([
    ['files', () => client.files.list({ limit: 2, purpose: 'batch' }), '?limit=2&purpose=batch'],
    ['batches', () => client.batches.list({ limit: 2 }), '?limit=2'],
    ['fineTuning.jobs', () => client.fineTuning.jobs.list({ limit: 2 }), '?limit=2'],
    ['vectorStores', () => client.vectorStores.list({ limit: 2 }), '?limit=2'],
    ['chat.completions', () => client.chat.completions.list({ limit: 2 }), '?limit=2'],
    [
      'responses.inputItems',
      () => client.responses.inputItems.list('resp_1', { limit: 2 }),
      '?limit=2',
    ],
  ] as const)('for await walks %s', async (_, list, query) => {
    rig.answers(page(['a', 'b'], true), page(['c', 'd'], true), page(['e'], false))
    const ids: unknown[] = []
    for await (const item of list() as AsyncIterable<{ id?: string }>) ids.push(item.id)
    expect(ids).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(rig.received.map((request) => request.query)).toEqual([
      query,
      `${query}&after=b`,
      `${query}&after=d`,
    ])
  })

  test('conversation items follow last_id', async () => {
    rig.answers(page(['a'], true, { last_id: 'cursor' }), page(['b'], false, { last_id: 'end' }))
    const ids = await Array.fromAsync(client.conversations.items.list('conv_1'), (item) => item.id)
    expect(ids).toEqual(['a', 'b'])
    expect(rig.received[1]?.query).toBe('?after=cursor')
  })

  test('getNextPage and hasNextPage', async () => {
    rig.answers(page(['a'], true), page(['b'], false))
    const first = await client.files.list()
    expect(first.hasNextPage()).toBe(true)
    const second = await first.getNextPage()
    expect(second.data.map(({ id }) => id)).toEqual(['b'])
    expect(second.hasNextPage()).toBe(false)
  })
})

async function* halves(): AsyncGenerator<Uint8Array> {
  yield BYTES.slice(0, 128)
  yield BYTES.slice(128)
}

function binary(): string {
  return String.fromCharCode(...BYTES)
}
