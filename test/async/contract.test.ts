import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { chat, gate, startRig } from './rig.ts'
import type { Answer, Rig } from './rig.ts'

// Status codes, envelopes and stubs of both doors.

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const submitted = { 'x-bf-async': 'true' }
const audio = new Uint8Array([0xff, 0xfb, 0x90, 0x64])

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ client: { allow_direct_keys: true } })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

/** Holds the provider's next answer until the gate is opened. */
function held(): ReturnType<typeof gate> {
  const hold = gate()
  rig.upstream.clear()
  rig.upstream.reply({
    gate: hold.opened,
    json: { id: 'x', object: 'chat.completion', choices: [] },
  })
  return hold
}

describe('headers on the operations', () => {
  test('a chat completion: stubs with the id of the job until there is an answer', async () => {
    const hold = held()
    const first = await rig.post('/openai/v1/chat/completions', chat, submitted)
    expect(first.status).toBe(200)
    expect(first.body.id).toMatch(uuid)
    expect(first.body).toMatchObject({
      object: 'chat.completion',
      model: 'openai/gpt-4o-mini',
      choices: [],
    })
    const poll = { 'x-bf-async-id': first.body.id }
    await rig.upstream.waitFor(1)
    // The body of a poll is nobody's business, and a poll wins over a submission.
    const second = await rig.post('/openai/chat/completions', 'not json', { ...poll, ...submitted })
    expect(second).toMatchObject({ status: 200, body: { id: first.body.id, choices: [] } })
    expect(second.headers.get('x-bf-async-status')).toBe('processing')
    hold.open()
    const envelope = await rig.ended(`/v1/async/jobs/${first.body.id}`)
    const last = await rig.post('/openai/v1/chat/completions', {}, poll)
    expect(last.status).toBe(200)
    expect(last.body).toEqual(envelope.body.result)
    expect(last.headers.get('x-bifrost-provider')).toBe('openai')
    expect(rig.upstream.requests).toHaveLength(1)
  })

  test('a response: status says where it is', async () => {
    const hold = held()
    const body = { model: 'openai/gpt-4o-mini', input: 'Hello' }
    const { body: first } = await rig.post('/openai/v1/responses', body, submitted)
    expect(first).toMatchObject({ object: 'response', status: 'pending', output: [] })
    await rig.upstream.waitFor(1)
    const poll = { 'x-bf-async-id': first.id }
    const { body: second } = await rig.post('/openai/v1/responses', {}, poll)
    expect(second).toMatchObject({ id: first.id, status: 'processing' })
    hold.open()
    await rig.ended(`/v1/async/responses/${first.id}`)
  })

  test('a failed job is the HTTP error it would have been, and is not worth asking again', async () => {
    rig.upstream.clear()
    rig.upstream.reply({
      status: 400,
      json: { error: { message: 'no such thing', type: 'invalid_request_error', code: 'bad' } },
    })
    const { body } = await rig.post('/openai/v1/chat/completions', chat, submitted)
    const envelope = await rig.ended(`/v1/async/chat/completions/${body.id}`)
    expect(envelope).toMatchObject({
      status: 200,
      body: {
        status: 'failed',
        status_code: 400,
        error: { is_bifrost_error: false, error: { message: 'no such thing', code: 'bad' } },
      },
    })
    const poll = await rig.post('/openai/v1/chat/completions', {}, { 'x-bf-async-id': body.id })
    expect(poll.status).toBe(400)
    expect(poll.body).toEqual(envelope.body.error)
    expect(poll.headers.get('x-should-retry')).toBe('false')
  })

  test.each([
    ['/embeddings', { model: 'openai/text-embedding-3-small', input: 'x' }],
    ['/completions', { model: 'openai/gpt-3.5-turbo-instruct', prompt: 'x' }],
    ['/moderations', { model: 'openai/omni-moderation-latest', input: 'x' }],
    ['/images/generations', { model: 'openai/gpt-image-1', prompt: 'x' }],
  ])('%s can be a job, too', async (path, body) => {
    rig.upstream.clear()
    const { body: stub } = await rig.post(`/openai/v1${path}`, body, submitted)
    const { body: envelope } = await rig.ended(`/v1/async/jobs/${stub.id}`)
    expect(envelope).toMatchObject({ status: 'completed', status_code: 200 })
    const poll = { 'x-bf-async-id': stub.id }
    expect((await rig.post(`/openai/v1${path}`, {}, poll)).body).toEqual(envelope.result)
  })

  test('bytes come back as they are, and in base64 in the envelope', async () => {
    rig.upstream.clear()
    rig.upstream.reply({ headers: { 'content-type': 'audio/mpeg' }, chunks: [audio] })
    const speech = { model: 'openai/tts-1', input: 'x', voice: 'alloy' }
    const { body: stub } = await rig.post('/openai/v1/audio/speech', speech, submitted)
    const { body: envelope } = await rig.ended(`/v1/async/audio/speech/${stub.id}`)
    expect(envelope.result).toEqual({
      audio: Buffer.from(audio).toString('base64'),
      content_type: 'audio/mpeg',
    })
    const response = await fetch(`${rig.gateway.url}/openai/v1/audio/speech`, {
      method: 'POST',
      headers: { 'x-bf-async-id': stub.id },
      body: '{}',
    })
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(audio)
  })

  test.each([
    ['with a mark of its order of bytes', [0xef, 0xbb, 0xbf, 0x68, 0x69], 'hi'],
    ['of another encoding than UTF-8', [0x68, 0xe9], 'h\ufffd'],
  ])(
    'text %s comes back as the same bytes, and readable in the envelope',
    async (_, bytes, text) => {
      rig.upstream.clear()
      rig.upstream.reply({
        headers: { 'content-type': 'text/plain' },
        chunks: [new Uint8Array(bytes)],
      })
      const url = `${rig.gateway.url}/openai/v1/audio/transcriptions`
      const post = (headers: Record<string, string>): Promise<Response> => {
        const form = new FormData()
        form.set('model', 'openai/whisper-1')
        form.set('file', new Blob([audio]), 'a.mp3')
        return fetch(url, { method: 'POST', body: form, headers })
      }
      const { id } = (await (await post(submitted)).json()) as { id: string }
      const { body } = await rig.ended(`/v1/async/audio/transcriptions/${id}`)
      expect(body).toMatchObject({ status: 'completed', result: { text } })
      const response = await post({ 'x-bf-async-id': id })
      expect([...new Uint8Array(await response.arrayBuffer())]).toEqual(bytes)
      expect(response.headers.get('content-type')).toBe('text/plain')
    },
  )

  test('a form reaches the provider as it came', async () => {
    rig.upstream.clear()
    const form = new FormData()
    form.set('model', 'openai/whisper-1')
    form.set('file', new Blob([audio]), 'a.mp3')
    const init = { method: 'POST', body: form, headers: submitted }
    const url = `${rig.gateway.url}/openai/v1/audio/transcriptions`
    const stub = (await (await fetch(url, init)).json()) as { id: string }
    const { body } = await rig.ended(`/v1/async/audio/transcriptions/${stub.id}`)
    expect(body.status).toBe('completed')
    const sent = rig.upstream.requests[0]!
    expect(Buffer.from(sent.body).includes(Buffer.from(audio))).toBe(true)
    expect(sent.headers.get('content-type')).toStartWith('multipart/form-data; boundary=')
  })

  test('a stream is refused, in the words of its door', async () => {
    const body = { ...chat, stream: true }
    expect(await rig.post('/openai/v1/chat/completions', body, submitted)).toMatchObject({
      status: 400,
      body: { error: { message: 'streaming is not supported for async requests' } },
    })
    expect(await rig.post('/v1/async/chat/completions', body)).toMatchObject({
      status: 400,
      body: { error: { message: 'stream is not supported for async chat completions' } },
    })
  })

  test('operations that cannot be jobs say so; files are done at once', async () => {
    const video = { model: 'openai/sora-2', prompt: 'x' }
    expect(await rig.post('/openai/v1/videos', video, submitted)).toMatchObject({
      status: 400,
      body: { error: { message: 'async operation is not supported on this route' } },
    })
    rig.upstream.clear()
    rig.upstream.reply({ json: { object: 'list', data: [] } })
    expect(await rig.get('/openai/v1/files', submitted)).toMatchObject({
      status: 200,
      body: { object: 'list' },
    })
  })

  test('what is wrong with a request is said at once', async () => {
    rig.upstream.clear()
    expect(
      await rig.post('/openai/v1/chat/completions', { model: 'openai/x' }, submitted),
    ).toMatchObject({ status: 400, body: { error: { param: 'messages' } } })
    expect(rig.upstream.requests).toHaveLength(0)
  })
})

describe('/v1/async', () => {
  test('202 with an envelope, then 200', async () => {
    const hold = held()
    const { status, body } = await rig.post('/v1/async/chat/completions', chat)
    expect(status).toBe(202)
    expect(body.id).toMatch(uuid)
    expect(body.created_at).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(body).toEqual({ id: body.id, status: 'pending', created_at: body.created_at })
    await rig.upstream.waitFor(1)
    const poll = `/v1/async/chat/completions/${body.id}`
    expect(await rig.get(poll)).toMatchObject({ status: 202, body: { status: 'processing' } })
    hold.open()
    const { body: done } = await rig.ended(poll)
    expect(done).toMatchObject({ id: body.id, status: 'completed', status_code: 200 })
    expect(done.result).toMatchObject({ object: 'chat.completion' })
    expect(Date.parse(done.expires_at) - Date.parse(done.completed_at)).toBe(3_600_000)
  })

  test.each([
    ['120', 120],
    ['0', 3600],
    ['-5', 3600],
    ['soon', 3600],
    ['999999999', 30 * 86_400],
  ])('a TTL of %p means %p seconds', async (ttl, seconds) => {
    rig.upstream.clear()
    const headers = { 'x-bf-async-job-result-ttl': ttl }
    const { body } = await rig.post('/v1/async/chat/completions', chat, headers)
    const { body: done } = await rig.ended(`/v1/async/jobs/${body.id}`)
    expect(Date.parse(done.expires_at) - Date.parse(done.completed_at)).toBe(seconds * 1000)
  })

  test('malformed JSON and the wrong method', async () => {
    expect(await rig.post('/v1/async/chat/completions', '{')).toMatchObject({ status: 400 })
    expect(await rig.get('/v1/async/chat/completions')).toMatchObject({ status: 405 })
  })
})

test('the log knows the calls of a job', async () => {
  await using logging = await startRig({}, true)
  const named = { 'x-request-id': 'mine' }
  const { body } = await logging.post('/v1/async/chat/completions', chat, named)
  await logging.ended(`/v1/async/jobs/${body.id}`)
  const search = `/api/logs?metadata_isAsyncRequest=true&metadata_async_job_id=${body.id}`
  let found = await logging.get(search)
  while (found.body.logs.length === 0) {
    await Bun.sleep(10)
    found = await logging.get(search)
  }
  expect(found.body.logs).toHaveLength(1)
  expect(JSON.stringify(found.body.logs[0])).toContain('mine')
  expect(logging.upstream.requests[0]!.headers.has('x-bf-lh-isasyncrequest')).toBe(false)
})

test('a header that every call has to have is asked for when a job comes, and not when it runs', async () => {
  const names = ['authorization', 'traceparent', 'cookie', 'x-tenant']
  await using strict = await startRig({ client: { required_headers: names } })
  const given = Object.fromEntries(names.map((name) => [name, 'given']))
  expect(await strict.post('/v1/async/chat/completions', chat)).toMatchObject({
    status: 400,
    body: { error: { code: 'header_required' } },
  })
  const { body } = await strict.post('/v1/async/chat/completions', chat, given)
  expect((await strict.ended(`/v1/async/jobs/${body.id}`, given)).body).toMatchObject({
    status: 'completed',
  })
  expect(strict.upstream.requests).toHaveLength(1)
})

describe('whose a job is', () => {
  const mine = { authorization: 'Bearer sk-mine-0123456789' }
  const yours = { authorization: 'Bearer sk-yours-0123456789' }

  test('unknown, foreign, expired and of another kind look the same', async () => {
    rig.upstream.clear()
    const short = { ...mine, 'x-bf-async-job-result-ttl': '1' }
    const { body } = await rig.post('/v1/async/chat/completions', chat, mine)
    const { body: brief } = await rig.post('/v1/async/chat/completions', chat, short)
    const path = `/v1/async/chat/completions/${body.id}`
    const done = await rig.ended(path, mine)
    expect(done.status).toBe(200)
    await rig.ended(`/v1/async/jobs/${brief.id}`, mine)
    const strip = (answer: Answer) => ({
      status: answer.status,
      ...answer.body,
      event_id: undefined,
    })
    let expired = await rig.get(`/v1/async/jobs/${brief.id}`, mine)
    while (expired.status === 200) {
      await Bun.sleep(20)
      expired = await rig.get(`/v1/async/jobs/${brief.id}`, mine)
    }
    const unknown = strip(await rig.get(`/v1/async/jobs/${crypto.randomUUID()}`, mine))
    expect(unknown).toMatchObject({
      status: 404,
      error: { message: 'job not found or expired' },
    })
    for (const answer of [
      expired,
      await rig.get(path, yours),
      await rig.get(path),
      await rig.get(`/v1/async/responses/${body.id}`, mine),
      await rig.get(`/v1/async/jobs/x`, mine),
      await rig.post(`/v1/async/jobs/${body.id}/cancel`, {}, yours),
    ]) {
      expect(strip(answer)).toEqual(unknown)
    }
    const poll = { 'x-bf-async-id': body.id }
    for (const headers of [{ ...poll, ...yours }, poll]) {
      expect(await rig.post('/openai/v1/chat/completions', {}, headers)).toMatchObject({
        status: 404,
        body: { error: { message: 'job not found or expired' } },
      })
    }
    // The key that brought it was used for it, and any way to bring that key will do.
    expect(rig.upstream.requests[0]!.headers.get('authorization')).toBe(mine.authorization)
    expect(await rig.get(path, { 'x-api-key': 'sk-mine-0123456789' })).toMatchObject({
      status: 200,
    })
  })

  test('everybody lists what is theirs, newest first and in pages', async () => {
    const me = { authorization: 'Bearer sk-lister-0123456789' }
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      const { body } = await rig.post('/v1/async/chat/completions', chat, me)
      ids.unshift(body.id)
      await rig.ended(`/v1/async/jobs/${body.id}`, me)
    }
    const first = await rig.get('/v1/async/jobs?limit=2&status=completed', me)
    expect(first.body).toMatchObject({ object: 'list', has_more: true })
    expect(first.body.data.map(({ id }: any) => id)).toEqual(ids.slice(0, 2))
    expect(first.body.data[0]).not.toHaveProperty('result')
    const second = await rig.get(`/v1/async/jobs?after=${ids[1]}`, me)
    expect(second.body).toMatchObject({ data: [{ id: ids[2] }], has_more: false })
    expect((await rig.get('/v1/async/jobs?status=failed', me)).body.data).toEqual([])
    // Without a key there is nothing but the id to tell whose a job is, so nobody elsewhere gets at the ids.
    const nobodys = (await rig.post('/v1/async/chat/completions', chat)).body.id
    await rig.ended(`/v1/async/jobs/${nobodys}`)
    const here = await rig.get('/v1/async/jobs?limit=1')
    expect(here.body.data).toMatchObject([{ id: nobodys, status: 'completed' }])
    const elsewhere = { 'x-forwarded-for': '192.0.2.1' }
    expect(await rig.get('/v1/async/jobs', elsewhere)).toMatchObject({ status: 403 })
    expect((await rig.get('/v1/async/jobs', me)).body.data).toHaveLength(3)
    for (const query of ['limit=0', 'status=x', `after=${crypto.randomUUID()}`]) {
      expect(await rig.get(`/v1/async/jobs?${query}`, me)).toMatchObject({ status: 400 })
    }
  })
})

describe('sent again', () => {
  test('with the same key it is the same job, with another request a conflict', async () => {
    rig.upstream.clear()
    const key = { 'idempotency-key': 'order-1' }
    const first = await rig.post('/v1/async/chat/completions', chat, key)
    const second = await rig.post('/v1/async/chat/completions', chat, key)
    expect(second.body.id).toBe(first.body.id)
    const other = { ...chat, temperature: 0 }
    expect(await rig.post('/v1/async/chat/completions', other, key)).toMatchObject({
      status: 409,
      body: { error: { code: 'idempotency_conflict' } },
    })
    const foreign = { ...key, authorization: 'Bearer sk-else-0123456789' }
    const third = await rig.post('/v1/async/chat/completions', other, foreign)
    expect(third).toMatchObject({ status: 202 })
    await rig.ended(`/v1/async/jobs/${first.body.id}`)
    await rig.ended(`/v1/async/jobs/${third.body.id}`, foreign)
    expect(rig.upstream.requests).toHaveLength(2)
    // Also once it has ended.
    expect(await rig.post('/v1/async/chat/completions', chat, key)).toMatchObject({
      status: 200,
      body: { id: first.body.id, status: 'completed' },
    })
  })
})

test('a cancelled job ends at once, and the provider is not waited for', async () => {
  const hold = held()
  const { body } = await rig.post('/v1/async/chat/completions', chat)
  const [request] = await rig.upstream.waitFor(1)
  const cancelled = await rig.post(`/v1/async/jobs/${body.id}/cancel`, {})
  expect(cancelled).toMatchObject({
    status: 200,
    body: { status: 'failed', status_code: 409, error: { error: { code: 'job_cancelled' } } },
  })
  await request!.closed
  hold.open()
  expect(cancelled.body.error.extra_fields).toEqual({ request_type: 'chat_completion' })
  const other = await rig.post('/v1/async/chat/completions', chat)
  const { body: ended } = await rig.post(`/v1/async/jobs/${other.body.id}/cancel`, {})
  expect(ended.error?.event_id).not.toBe(cancelled.body.error.event_id)
  // Once more changes nothing.
  const again = await rig.post(`/v1/async/jobs/${body.id}/cancel`, {})
  expect(again.body).toEqual(cancelled.body)
})
