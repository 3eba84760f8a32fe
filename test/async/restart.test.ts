import { expect, test } from 'bun:test'

import { startUpstream } from '../helpers/upstream.ts'
import { createFolder } from './folder.ts'
import { gate } from './rig.ts'

// What becomes of jobs when their process ends, one way or another.

const path = '/v1/async/chat/completions'
const ask = (content: string): object => ({
  model: 'openai/gpt-4o-mini',
  messages: [{ role: 'user', content }],
})
const quick = { lease_in_seconds: 0.3 }
const timeoutMs = 30_000

test(
  'after a kill what ran and what waited runs again, once the lease is over',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url, { async: { ...quick, concurrency: 1 } })
    upstream.reply({ gate: gate().opened, json: {} })
    let gateway = await folder.start()
    const running = (await gateway.post(path, ask('one'))).body.id
    await upstream.waitFor(1)
    const waiting = (await gateway.post(path, ask('two'))).body.id
    await gateway.kill()
    gateway = await folder.start()
    for (const id of [running, waiting]) {
      const { body } = await gateway.ended(`${path}/${id}`)
      expect(body).toMatchObject({ status: 'completed' })
    }
    const asked = upstream.requests.map((request): string => request.json().messages[0].content)
    expect(asked.toSorted()).toEqual(['one', 'one', 'two'])
    // What has ended stays, also over another kill.
    await gateway.kill()
    gateway = await folder.start()
    expect((await gateway.get(`${path}/${running}`)).status).toBe(200)
    expect(upstream.requests).toHaveLength(3)
  },
  timeoutMs,
)

test(
  'on_restart: fail ends what may have been charged, and runs what was not begun',
  async () => {
    await using upstream = await startUpstream()
    const config = { async: { ...quick, concurrency: 1, on_restart: 'fail' } }
    await using folder = createFolder(upstream.url, config)
    upstream.reply({ gate: gate().opened, json: {} })
    let gateway = await folder.start()
    const named = { 'x-request-id': 'mine' }
    const running = (await gateway.post(path, ask('one'), named)).body.id
    await upstream.waitFor(1)
    const waiting = (await gateway.post(path, ask('two'))).body.id
    await gateway.kill()
    gateway = await folder.start()
    expect((await gateway.ended(`${path}/${running}`)).body).toMatchObject({
      status: 'failed',
      status_code: 500,
      error: {
        event_id: 'mine',
        error: { code: 'job_interrupted' },
        extra_fields: { request_type: 'chat_completion' },
      },
    })
    const poll = { 'x-bf-async-id': running }
    const polled = await gateway.post('/openai/v1/chat/completions', {}, poll)
    expect(polled.headers.get('x-request-id')).toBe('mine')
    expect((await gateway.ended(`${path}/${waiting}`)).body).toMatchObject({ status: 'completed' })
    expect(upstream.requests).toHaveLength(2)
  },
  timeoutMs,
)

test(
  'a job that brings down its process again and again ends after max_starts',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url, { async: { ...quick, max_starts: 2 } })
    const never = { gate: gate().opened, json: {} }
    upstream.reply([never, never, never])
    let gateway = await folder.start()
    const { id } = (await gateway.post(path, ask('one'))).body
    await upstream.waitFor(1)
    await gateway.kill()
    gateway = await folder.start()
    await upstream.waitFor(2)
    await gateway.kill()
    gateway = await folder.start()
    expect((await gateway.ended(`${path}/${id}`)).body).toMatchObject({ status: 'failed' })
    expect(upstream.requests).toHaveLength(2)
  },
  timeoutMs,
)

test(
  'a key of the caller is never written down; without it the job ends and says why',
  async () => {
    await using upstream = await startUpstream()
    const config = { async: { ...quick, concurrency: 1 }, client: { allow_direct_keys: true } }
    await using folder = createFolder(upstream.url, config)
    const key = 'sk-direct-canary-0123456789'
    const mine = { authorization: `Bearer ${key}`, 'x-mine': `the ${key} again` }
    upstream.reply({ gate: gate().opened, json: {} })
    let gateway = await folder.start()
    const running = (await gateway.post(path, ask('one'), mine)).body.id
    const [sent] = await upstream.waitFor(1)
    expect(sent!.headers.get('authorization')).toBe(mine.authorization)
    const waiting = (await gateway.post(path, ask('two'), mine)).body.id
    expect(folder.holds(running)).toBe(true)
    expect(folder.holds(key)).toBe(false)
    await gateway.kill()
    gateway = await folder.start()
    for (const id of [running, waiting]) {
      expect((await gateway.ended(`${path}/${id}`, mine)).body).toMatchObject({
        status: 'failed',
        error: { error: { code: 'job_key_lost' } },
      })
    }
    expect(upstream.requests).toHaveLength(1)
    expect(folder.holds(key)).toBe(false)
  },
  timeoutMs,
)

test(
  'a header that names an author is no secret, so that its job outlives the process',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url, { async: quick })
    upstream.reply([
      { gate: gate().opened, json: {} },
      { gate: gate().opened, json: {} },
    ])
    let gateway = await folder.start()
    const plain = { 'x-bf-dim-author': 'somebody', 'x-coauthors': 'nobody' }
    const secret = { 'x-authorization': 'canary-of-a-name' }
    const kept = (await gateway.post(path, ask('one'), plain)).body.id
    const lost = (await gateway.post(path, ask('two'), secret)).body.id
    await upstream.waitFor(2)
    expect(folder.holds('canary-of-a-name')).toBe(false)
    await gateway.kill()
    gateway = await folder.start()
    expect((await gateway.ended(`${path}/${kept}`)).body.status).toBe('completed')
    expect((await gateway.ended(`${path}/${lost}`)).body.status).toBe('failed')
  },
  timeoutMs,
)

test(
  'a key in the query is sent on and never written down',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url, { async: { ...quick, concurrency: 1 } })
    const keys = ['canary-of-key', 'canary-of-token', 'canary-of-apikey']
    const query = `?a=plain-text&key=${keys[0]}&access_token=${keys[1]}&apikey=${keys[2]}`
    upstream.reply({ gate: gate().opened, json: {} })
    let gateway = await folder.start()
    const running = (await gateway.post(path + query, ask('one'))).body.id
    const [sent] = await upstream.waitFor(1)
    expect(sent!.query).toBe(query)
    const plain = (await gateway.post(`${path}?a=plain-text`, ask('two'))).body.id
    expect(folder.holds('plain-text')).toBe(true)
    expect(keys.filter((key) => folder.holds(key))).toEqual([])
    await gateway.kill()
    upstream.clear()
    gateway = await folder.start()
    const ended = await gateway.ended(`${path}/${running}`)
    expect(ended.body).toMatchObject({ error: { error: { code: 'job_key_lost' } } })
    expect((await gateway.ended(`${path}/${plain}`)).body.status).toBe('completed')
    expect(upstream.requests.map((request) => request.query)).toEqual(['?a=plain-text'])
  },
  timeoutMs,
)

test(
  'a job is no part of the trace of whoever submitted it',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url)
    const gateway = await folder.start()
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
    const headers = {
      traceparent: `00-${trace}-00f067aa0ba902b7-01`,
      tracestate: 'mine=canary-of-the-state',
      'x-kept': 'canary-of-others',
    }
    const { id } = (await gateway.post(path, ask('one'), headers)).body
    await upstream.waitFor(1)
    expect(folder.holds('canary-of-others')).toBe(true)
    expect([folder.holds(trace), folder.holds('canary-of-the-state')]).toEqual([false, false])
    await gateway.ended(`${path}/${id}`)
  },
  timeoutMs,
)

test(
  'SIGTERM lets a running job end, and leaves the waiting ones to the next start',
  async () => {
    await using upstream = await startUpstream()
    await using folder = createFolder(upstream.url, { async: { concurrency: 1 } })
    const hold = gate()
    upstream.reply({ gate: hold.opened, json: { id: 'slow', object: 'chat.completion' } })
    let gateway = await folder.start()
    const running = (await gateway.post(path, ask('one'))).body.id
    await upstream.waitFor(1)
    const waiting = (await gateway.post(path, ask('two'))).body.id
    const ended = gateway.terminate()
    // Refusing what is new shows that the signal has arrived.
    while ((await gateway.get('/v1/async/jobs')).status !== 503) await Bun.sleep(5)
    hold.open()
    await ended
    expect(upstream.requests).toHaveLength(1)
    gateway = await folder.start()
    expect((await gateway.get(`${path}/${running}`)).body).toMatchObject({
      status: 'completed',
      result: { id: 'slow' },
    })
    expect((await gateway.ended(`${path}/${waiting}`)).body).toMatchObject({ status: 'completed' })
    expect(upstream.requests).toHaveLength(2)
  },
  timeoutMs,
)

test(
  'a job that is too slow for the drain window is given back, and runs at the next start without waiting for a lease',
  async () => {
    await using upstream = await startUpstream()
    const config = { client: { drain_timeout_in_seconds: 0.1 }, async: { lease_in_seconds: 3600 } }
    await using folder = createFolder(upstream.url, config)
    upstream.reply({ gate: gate().opened, json: {} })
    let gateway = await folder.start()
    const { id } = (await gateway.post(path, ask('one'))).body
    await upstream.waitFor(1)
    await gateway.terminate()
    gateway = await folder.start()
    expect((await gateway.ended(`${path}/${id}`)).body).toMatchObject({ status: 'completed' })
    expect(upstream.requests).toHaveLength(2)
  },
  timeoutMs,
)

test(
  'an answer in bytes that the drain window cuts short is no failure, and runs again',
  async () => {
    await using upstream = await startUpstream()
    const config = { client: { drain_timeout_in_seconds: 0.1 }, async: { lease_in_seconds: 3600 } }
    await using folder = createFolder(upstream.url, config)
    const speech = { headers: { 'content-type': 'audio/mpeg' }, chunks: ['abc', 'def'] }
    upstream.reply([{ ...speech, gate: gate().opened }, speech])
    let gateway = await folder.start()
    const body = { model: 'openai/tts-1', input: 'x', voice: 'alloy' }
    const { id } = (await gateway.post('/v1/async/audio/speech', body)).body
    await upstream.waitFor(1)
    await gateway.terminate()
    gateway = await folder.start()
    expect((await gateway.ended(`/v1/async/audio/speech/${id}`)).body).toMatchObject({
      status: 'completed',
      result: { audio: Buffer.from('abcdef').toString('base64') },
    })
    expect(upstream.requests).toHaveLength(2)
  },
  timeoutMs,
)
