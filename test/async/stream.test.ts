import { afterAll, beforeAll, expect, test } from 'bun:test'

import OpenAI from 'openai'

import { startUpstream } from '../helpers/upstream.ts'
import { createFolder } from './folder.ts'
import { chat, gate, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Requests for streams as jobs: followed while the answer comes, read afterwards, resumed in between.

const streamed = { ...chat, stream: true }
const submitted = { 'x-bf-async': 'true' }

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ async: { allow_stream: true } })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const chunk = (content: string | undefined, finish: string | null = null): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-4o-mini',
    choices: [{ index: 0, delta: content === undefined ? {} : { content }, finish_reason: finish }],
  })

const story = ['Once', ' upon', ' a', ' time'].map((word) => chunk(word))
const whole = [...story, chunk(undefined, 'stop'), '[DONE]']

interface Event {
  readonly id: string
  readonly data: any
}

/** The events of a stream; `upTo` leaves it after so many. `onOpen` is called once it has been answered. */
async function read(
  url: string,
  lastId?: string,
  upTo = Infinity,
  onOpen: () => void = () => {},
): Promise<Event[]> {
  const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId }
  const response = await fetch(url, { headers })
  expect(response.status).toBe(200)
  onOpen()
  const events: Event[] = []
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of response.body!) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      if (part.startsWith(':')) continue
      const [, id = '', data = ''] = /^(?:id: (\S+)\n)?(?:event: .*\n)?data: (.*)$/.exec(part) ?? []
      events.push({ id, data: data === '[DONE]' ? data : JSON.parse(data) })
      if (events.length >= upTo) return events
    }
  }
  return events
}

const textOf = (events: readonly Event[]): string =>
  events.map(({ data }) => data.choices?.[0]?.delta.content ?? '').join('')

async function submit(): Promise<{ id: string; url: string }> {
  const { status, body } = await rig.post('/openai/v1/chat/completions', streamed, submitted)
  expect(status).toBe(200)
  expect(body).toMatchObject({ object: 'chat.completion', choices: [] })
  return { id: body.id, url: `${rig.gateway.url}/v1/async/jobs/${body.id}/stream` }
}

test('a stream is followed while it comes, left, resumed, and read again afterwards', async () => {
  rig.upstream.clear()
  const hold = gate()
  rig.upstream.reply({ sse: whole, gate: [undefined, undefined, hold.opened] })
  const { id, url } = await submit()
  const first = await read(url, undefined, 2)
  expect(textOf(first)).toBe('Once upon')
  // An event that has not been yet is waited for.
  const later = read(url, '1-999999')
  expect(first.map((event) => event.id)).toEqual(['1-1', '1-2'])
  expect((await rig.get(`/v1/async/jobs/${id}`)).body).toMatchObject({ status: 'processing' })
  hold.open()
  const second = await read(url, '1-2')
  expect(textOf(second)).toBe(' a time')
  expect(second.at(-1)!.data).toBe('[DONE]')
  expect((await rig.ended(`/v1/async/jobs/${id}`)).body).toMatchObject({ status: 'completed' })
  expect(await later).toEqual([])
  expect(await read(url)).toEqual([...first, ...second])
  expect(await read(url, '1-2')).toEqual(second)
  expect(await read(url, second.at(-1)!.id)).toEqual([])
  expect(rig.upstream.requests).toHaveLength(1)
})

test('an SDK that polls with stream: true reads it as any other', async () => {
  rig.upstream.clear()
  const client = new OpenAI({ apiKey: 'dummy-key', baseURL: `${rig.gateway.url}/openai` })
  const params = { model: 'openai/gpt-4o-mini', messages: chat.messages as never, stream: true }
  const direct = await client.chat.completions.create({ ...params, stream: true })
  let expected = ''
  for await (const part of direct) expected += part.choices[0]?.delta.content ?? ''
  expect(expected).not.toBe('')
  const { id } = await submit()
  const poll = { headers: { 'x-bf-async-id': id } }
  const stream = await client.chat.completions.create({ ...params, stream: true }, poll)
  let text = ''
  for await (const part of stream) text += part.choices[0]?.delta.content ?? ''
  expect(text).toBe(expected)

  const asked = { model: 'openai/gpt-4o-mini', input: 'Hello', stream: true } as const
  const stub = await rig.post('/openai/v1/responses', asked, submitted)
  const events: string[] = []
  const response = await client.responses.create(asked, {
    headers: { 'x-bf-async-id': stub.body.id },
  })
  for await (const event of response) events.push(event.type)
  expect(events[0]).toBe('response.created')
  expect(events.at(-1)).toBe('response.completed')
})

test('a stream that breaks is an error to those who follow it, and an HTTP error afterwards', async () => {
  rig.upstream.clear()
  const hold = gate()
  const gates = [...story.map(() => undefined), hold.opened]
  rig.upstream.reply({ sse: story, reset: true, gate: gates })
  const { id, url } = await submit()
  const first = await read(url, undefined, story.length)
  expect(textOf(first)).toBe('Once upon a time')
  const rest = await read(url, first.at(-1)!.id, Infinity, () => hold.open())
  expect(rest).toMatchObject([{ id: '', data: { error: { type: 'api_error' } } }])
  const done = await rig.ended(`/v1/async/jobs/${id}`)
  expect(done.body).toMatchObject({ status: 'failed', status_code: 502 })
  const poll = await rig.post('/openai/v1/chat/completions', {}, { 'x-bf-async-id': id })
  expect(poll).toMatchObject({ status: 502, body: { error: { type: 'api_error' } } })
  for (const { extra_fields: extra } of [rest[0]!.data, poll.body]) {
    expect(extra.request_type).toBe('chat_completion_stream')
  }
})

test('ids that are none, and jobs that are no streams', async () => {
  rig.upstream.clear()
  const { url } = await submit()
  for (const lastId of ['x', '1', '-1-2', '1-2-3']) {
    const response = await fetch(url, { headers: { 'last-event-id': lastId } })
    expect(response.status).toBe(400)
  }
  const { body } = await rig.post('/v1/async/chat/completions', chat)
  expect(await rig.get(`/v1/async/jobs/${body.id}/stream`)).toMatchObject({ status: 400 })
  expect(await rig.get(`/v1/async/jobs/${crypto.randomUUID()}/stream`)).toMatchObject({
    status: 404,
  })
  // Audio that streams is nothing to resume.
  const speech = {
    model: 'openai/gpt-4o-mini-tts',
    input: 'x',
    voice: 'alloy',
    stream_format: 'sse',
  }
  expect(await rig.post('/v1/async/audio/speech', speech)).toMatchObject({
    status: 400,
    body: { error: { message: 'stream is not supported for async speech' } },
  })
})

test('after a kill the text is another one: it is read from the beginning, and never mixed', async () => {
  await using upstream = await startUpstream()
  await using folder = createFolder(upstream.url, {
    async: { allow_stream: true, lease_in_seconds: 0.3 },
  })
  upstream.reply([
    { sse: whole, gate: [undefined, undefined, gate().opened] },
    { sse: [chunk('Another'), chunk(undefined, 'stop'), '[DONE]'] },
  ])
  let gateway = await folder.start()
  const { id } = (await gateway.post('/v1/async/chat/completions', streamed)).body
  const path = `/v1/async/jobs/${id}/stream`
  const first = await read(gateway.url + path, undefined, 2)
  await gateway.kill()
  gateway = await folder.start()
  await gateway.ended(`/v1/async/jobs/${id}`)
  expect(await gateway.get(path, { 'last-event-id': first[1]!.id })).toMatchObject({
    status: 409,
    body: { error: { code: 'stream_restarted' } },
  })
  const again = await read(gateway.url + path)
  expect(textOf(again)).toBe('Another')
  expect(again[0]!.id).toBe('2-1')
}, 30_000)

test('what was streamed can be resumed after a restart, at both doors, until it expires', async () => {
  await using upstream = await startUpstream()
  await using folder = createFolder(upstream.url, { async: { allow_stream: true } })
  upstream.reply({ sse: whole })
  let gateway = await folder.start()
  const { id } = (await gateway.post('/v1/async/chat/completions', streamed)).body
  const path = `/v1/async/jobs/${id}/stream`
  await gateway.ended(`/v1/async/jobs/${id}`)
  const before = await read(gateway.url + path)
  expect(textOf(before)).toBe('Once upon a time')
  await gateway.kill()
  gateway = await folder.start()
  expect(await read(gateway.url + path)).toEqual(before)
  expect(await read(gateway.url + path, before[1]!.id)).toEqual(before.slice(2))
  const poll = await gateway.post(
    '/openai/v1/chat/completions',
    {},
    { 'x-bf-async-id': id, 'last-event-id': before.at(-2)!.id },
  )
  expect(poll.body).toBe(`id: ${before.at(-1)!.id}\ndata: [DONE]\n\n`)
  expect(upstream.requests).toHaveLength(1)
}, 30_000)

test('a stream that is cancelled ends for its followers with that, and for the provider at once', async () => {
  rig.upstream.clear()
  rig.upstream.reply({ sse: whole, gate: [undefined, undefined, gate().opened] })
  const { id, url } = await submit()
  const [request] = await rig.upstream.waitFor(1)
  const first = await read(url, undefined, 2)
  expect(textOf(first)).toBe('Once upon')
  const following = read(url, first.at(-1)!.id, Infinity, () => {
    void rig.post(`/v1/async/jobs/${id}/cancel`, {})
  })
  await request!.closed
  expect(await following).toMatchObject([{ data: { error: { code: 'job_cancelled' } } }])
  expect(await rig.get(`/v1/async/jobs/${id}/stream`)).toMatchObject({
    status: 409,
    body: { error: { code: 'job_cancelled' } },
  })
})

test('who follows a job that a shutdown leaves for later is cut off, and not told that it was over', async () => {
  await using upstream = await startUpstream()
  await using folder = createFolder(upstream.url, {
    async: { allow_stream: true, concurrency: 1 },
  })
  const hold = gate()
  upstream.reply({ gate: hold.opened, json: { id: 'x', object: 'chat.completion' } })
  let gateway = await folder.start()
  await gateway.post('/v1/async/chat/completions', chat)
  await upstream.waitFor(1)
  const { id } = (await gateway.post('/v1/async/chat/completions', streamed)).body
  const path = `/v1/async/jobs/${id}/stream`
  const response = await fetch(gateway.url + path)
  const following = response.text().then(
    () => 'ended',
    () => 'cut',
  )
  const stopped = gateway.terminate()
  expect(await following).toBe('cut')
  hold.open()
  await stopped
  gateway = await folder.start()
  expect(textOf(await read(gateway.url + path))).not.toBe('')
}, 30_000)

test('a job waits for its provider behind no headers of its own: what it comes to is its status', async () => {
  const client = { stream_header_hold_in_seconds: 0.02 }
  await using own = await startRig({ async: { allow_stream: true }, client })
  const hold = gate()
  const error = { message: 'no', type: 'forbidden', code: 'c' }
  own.upstream.reply([
    { status: 403, json: { error }, gate: hold.opened },
    { sse: whole, gate: [hold.opened] },
  ])
  const { body } = await own.post('/openai/v1/chat/completions', streamed, submitted)
  await own.upstream.waitFor(1)
  // Its headers go ahead: by then those of the job would have, too.
  const direct = await fetch(`${own.gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(streamed),
  })
  expect(direct.headers.get('x-bifrost-provider')).toBeNull()
  hold.open()
  await direct.text()
  const job = `/v1/async/jobs/${body.id}`
  expect((await own.ended(job)).body).toMatchObject({ status: 'failed', status_code: 403 })
  expect((await fetch(`${own.gateway.url}${job}/stream`)).status).toBe(403)
})
