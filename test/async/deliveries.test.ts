import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'

import { startUpstream } from '../helpers/upstream.ts'
import { createFolder } from './folder.ts'
import { secret, startReceiver } from './receiver.ts'
import type { Message } from './receiver.ts'
import { chat, gate, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Webhooks of the configuration that are told of every job, and what is known of deliveries afterwards.

const path = '/v1/async/chat/completions'
const quickly = {
  retry_backoff_initial_seconds: 0.01,
  retry_backoff_max_seconds: 0.02,
  allow_private_network: true,
}

let receiver: ReturnType<typeof startReceiver>
let other: ReturnType<typeof startReceiver>
beforeAll(() => {
  receiver = startReceiver()
  other = startReceiver()
})
afterAll(async () => {
  await receiver.stop()
  await other.stop()
})

const hook = (more: object = {}): object => ({
  name: 'hook',
  url: receiver.url,
  secret,
  every_job: true,
  ...quickly,
  ...more,
})

const delivered = (rig: Rig): Promise<unknown> =>
  rig.gateway.logged(({ message }) => message === 'a webhook was delivered')

/** Whom it was put in to tell of a job, told or not; it is put in as the job ends. */
async function toldOf(rig: Rig, job: string): Promise<string[]> {
  const { body } = await rig.get(`/api/webhooks/deliveries?async_job_id=${job}&limit=1000`)
  const found = new Map<string, string>()
  for (const each of [...body.deliveries, ...body.waiting]) {
    found.set(each.webhook_id, each.endpoint_id)
  }
  return [...found.values()].toSorted()
}

/** By the book (Standard Webhooks 1.0.0) and with another library than the gateway's. */
async function isSigned({ headers, text }: Message, key: string): Promise<boolean> {
  const raw = Uint8Array.from(atob(key.replace(/^whsec_/, '')), (char) => char.charCodeAt(0))
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const imported = await crypto.subtle.importKey('raw', raw, hmac, false, ['verify'])
  const signed = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${text}`
  const [version, signature = ''] = headers.get('webhook-signature')!.split(',')
  const bytes = Uint8Array.from(atob(signature), (char) => char.charCodeAt(0))
  const age = Math.abs(Date.now() / 1000 - Number(headers.get('webhook-timestamp')))
  const isRight = await crypto.subtle.verify(
    'HMAC',
    imported,
    bytes,
    new TextEncoder().encode(signed),
  )
  return version === 'v1' && age < 300 && isRight
}

test('a webhook that is told of every job hears of both doors, once each, and the named one too', async () => {
  receiver.clear()
  other.clear()
  const named = { name: 'other', url: other.url, secret, ...quickly }
  await using rig = await startRig({ webhooks: [hook(), named] })
  const first = (await rig.post('/openai/v1/chat/completions', chat, { 'x-bf-async': 'true' })).body
  await receiver.arrived(1)
  const also = { 'x-bf-async-webhook': 'other' }
  const second = (await rig.post(path, chat, also)).body
  await receiver.arrived(2)
  await other.arrived(1)
  // Naming it does not tell it twice.
  const third = (await rig.post(path, chat, { 'x-bf-async-webhook': 'hook' })).body
  await receiver.arrived(3)
  expect(receiver.messages.map(({ body }) => body.data.job_id)).toEqual([
    first.id,
    second.id,
    third.id,
  ])
  expect(new Set(receiver.messages.map(({ id }) => id)).size).toBe(3)
  expect(await toldOf(rig, first.id)).toEqual(['hook'])
  expect(await toldOf(rig, second.id)).toEqual(['hook', 'other'])
  expect(await toldOf(rig, third.id)).toEqual(['hook'])
  expect(other.messages.map(({ body }) => body.data.job_id)).toEqual([second.id])
  for (const message of receiver.messages) {
    expect(await isSigned(message, secret)).toBe(true)
    expect(await isSigned({ ...message, text: `${message.text} ` }, secret)).toBe(false)
    expect(message.headers.get('x-bifrost-event')).toBe('async_job.completed')
    const { type, timestamp, event, created_at: at, data } = message.body
    expect([type, timestamp]).toEqual([event, at])
    // Where it says that the result is, it is.
    expect((await rig.get(data.result_url)).body).toMatchObject({ status: 'completed' })
  }
})

test('it is told of the events that it wants, and of none while it is disabled', async () => {
  receiver.clear()
  other.clear()
  const failures = hook({ events: ['async_job.failed'] })
  const off = hook({ name: 'off', url: other.url, disabled: true })
  await using rig = await startRig({ webhooks: [failures, off] })
  rig.upstream.reply([{ json: { id: 'x' } }, { status: 400, json: { error: { message: 'no' } } }])
  const first = (await rig.post(path, chat)).body.id
  await rig.ended(`${path}/${first}`)
  const second = (await rig.post(path, chat)).body.id
  await receiver.arrived(1)
  expect(receiver.messages.map(({ body }) => body.type)).toEqual(['async_job.failed'])
  expect(other.messages).toEqual([])
  // Nothing was even put in for events that nobody wants.
  expect(await toldOf(rig, first)).toEqual([])
  expect(await toldOf(rig, second)).toEqual(['hook'])
})

test('a new configuration applies to jobs that were submitted before it, with the new secret', async () => {
  receiver.clear()
  await using rig = await startRig()
  const hold = gate()
  rig.upstream.reply({ gate: hold.opened, json: { id: 'x' } })
  const { id } = (await rig.post(path, chat)).body
  await rig.upstream.waitFor(1)
  const { configPath } = rig.gateway
  const config = await Bun.file(configPath).json()
  const renewed = `whsec_${Buffer.from('another secret of this test').toString('base64')}`
  const webhooks = [hook({ secret: renewed })]
  writeFileSync(configPath, JSON.stringify({ ...config, webhooks }))
  await rig.gateway.logged(({ message }) => message === 'configuration changed')
  hold.open()
  await receiver.arrived(1)
  expect(receiver.messages[0]!.body.data.job_id).toBe(id)
  expect(await isSigned(receiver.messages[0]!, renewed)).toBe(true)
  expect(await isSigned(receiver.messages[0]!, secret)).toBe(false)
})

test('a webhook that a new configuration has no more is given up, and its history stays', async () => {
  receiver.clear()
  await using rig = await startRig({ webhooks: [hook({ every_job: false })] })
  const hold = gate()
  rig.upstream.reply({ gate: hold.opened, json: { id: 'x' } })
  const { id } = (await rig.post(path, chat, { 'x-bf-async-webhook': 'hook' })).body
  await rig.upstream.waitFor(1)
  const { configPath } = rig.gateway
  const { webhooks: _, ...config } = await Bun.file(configPath).json()
  writeFileSync(configPath, JSON.stringify(config))
  await rig.gateway.logged(({ message }) => message === 'configuration changed')
  hold.open()
  await rig.gateway.logged(({ message }) => /nobody configured/.test(String(message)))
  expect((await rig.get('/api/webhooks/hook/deliveries')).body.deliveries).toMatchObject([
    {
      endpoint_id: 'hook',
      async_job_id: id,
      outcome: 'permanent_failure',
      error: 'the webhook is not configured any more',
    },
  ])
  const again = await rig.post(`/api/webhooks/deliveries/msg_x/redeliver`, {})
  expect(again.status).toBe(404)
  expect(receiver.messages).toEqual([])
})

test('after a kill the next process tells those of the configuration, too', async () => {
  receiver.clear()
  await using upstream = await startUpstream()
  const hold = gate()
  receiver.statuses.push(hold.opened.then(() => 0))
  await using folder = createFolder(upstream.url, {
    async: { lease_in_seconds: 0.3 },
    webhooks: [hook({ attempt_timeout_seconds: 0.1 })],
  })
  let gateway = await folder.start()
  const { id } = (await gateway.post(path, chat)).body
  await receiver.arrived(1)
  await gateway.kill()
  gateway = await folder.start()
  await receiver.arrived(2)
  hold.open()
  const [first, second] = receiver.messages
  expect(second).toMatchObject({ id: first!.id, text: first!.text, body: { data: { job_id: id } } })
  expect(upstream.requests).toHaveLength(1)
}, 30_000)

describe('what is known of deliveries', () => {
  test('every try with its answer, when the next one is, and how the webhook is doing', async () => {
    receiver.clear()
    receiver.statuses.push(500, 503)
    const slow = { retry_backoff_initial_seconds: 0.01, headers: { 'x-token': 'token-0123456789' } }
    await using rig = await startRig({ webhooks: [hook({ id: 'w1', ...slow })] })
    const job = (await rig.post(path, chat, { 'x-request-id': 'mine' })).body.id
    await receiver.arrived(3)
    await delivered(rig)
    const list = await rig.get('/api/webhooks/w1/deliveries')
    expect(list.body.pagination).toEqual({ limit: 50, offset: 0, total_count: 3 })
    const [last, middle, first] = list.body.deliveries
    const { id: webhookId } = receiver.messages[0]!
    const common = {
      webhook_id: webhookId,
      endpoint_id: 'w1',
      async_job_id: job,
      request_id: 'mine',
      event: 'async_job.completed',
    }
    expect(first).toMatchObject({
      ...common,
      attempt_no: 1,
      outcome: 'retryable_failure',
      status_code: 500,
      error: 'it answered with status 500',
    })
    expect(middle).toMatchObject({ ...common, attempt_no: 2, status_code: 503 })
    expect(last).toMatchObject({
      ...common,
      attempt_no: 3,
      outcome: 'delivered',
      status_code: 200,
    })
    expect(Date.parse(last.expires_at) - Date.parse(last.created_at)).toBe(30 * 86_400_000)
    const page = await rig.get('/api/webhooks/hook/deliveries?limit=1&offset=1')
    expect(page.body.deliveries).toEqual([middle])

    const one = await rig.get(`/api/webhooks/deliveries/${webhookId}`)
    expect(one.body).toMatchObject({ ...common, status: 'delivered' })
    expect(one.body.attempts).toEqual([first, middle, last])
    expect((await rig.get(`/api/webhooks/deliveries/${middle.id}`)).body).toEqual(one.body)

    const { body: all } = await rig.get('/api/webhooks')
    expect(all).toMatchObject({
      count: 1,
      endpoints: [
        {
          id: 'w1',
          name: 'hook',
          every_job: true,
          consecutive_failures: 0,
          last_success_at: last.created_at,
          last_failure_at: middle.created_at,
          waiting_deliveries: 0,
        },
      ],
    })
    expect(all.endpoints[0]).not.toHaveProperty('secret')
    expect(JSON.stringify(all)).not.toContain('token-0123456789')
    expect((await rig.get('/api/webhooks/w1')).body).toEqual(all.endpoints[0])
    expect(await rig.get('/api/webhooks/none')).toMatchObject({ status: 404 })
  })

  test('one that waits says until when; filters find deliveries with all their tries', async () => {
    receiver.clear()
    receiver.statuses.push(200, 500)
    await using rig = await startRig({
      webhooks: [hook({ retry_backoff_initial_seconds: 3600, retry_backoff_max_seconds: 3600 })],
    })
    await rig.post(path, chat)
    await delivered(rig)
    const job = (await rig.post(path, chat)).body.id
    await rig.gateway.logged(({ message }) => /tried again/.test(String(message)))
    const { id } = receiver.messages[1]!
    const waiting = (await rig.get(`/api/webhooks/deliveries/${id}`)).body
    expect(waiting).toMatchObject({ status: 'waiting', async_job_id: job })
    const inMs = Date.parse(waiting.next_attempt_at) - Date.now()
    expect(inMs).toBeGreaterThan(3_000_000)
    expect(inMs).toBeLessThan(4_000_000)
    expect(waiting.attempts).toMatchObject([{ outcome: 'retryable_failure', status_code: 500 }])

    const everything = (await rig.get('/api/webhooks/deliveries')).body
    expect(everything.pagination.total_count).toBe(2)
    expect(everything.waiting).toMatchObject([{ webhook_id: id, attempts: 1 }])
    for (const [query, count] of [
      [`async_job_id=${job}`, 1],
      ['outcome=delivered', 1],
      ['outcome=exhausted', 0],
      ['event=async_job.failed', 0],
      ['endpoint_id=hook&limit=1', 1],
      ['endpoint_id=none', 0],
    ] as const) {
      const { body } = await rig.get(`/api/webhooks/deliveries?${query}`)
      expect([query, body.deliveries.length]).toEqual([query, count])
      const isElsewhere = query.endsWith('=none')
      expect([query, body.waiting.length]).toEqual([query, isElsewhere ? 0 : 1])
    }
    expect(await rig.get('/api/webhooks/deliveries?limit=x')).toMatchObject({ status: 400 })
    // It waits already.
    const again = await rig.post(`/api/webhooks/deliveries/${id}/redeliver`, {})
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'delivery_waiting' } } })
  })

  test('one that was given up can be made again, as the same message', async () => {
    receiver.clear()
    receiver.statuses.push(500, 410)
    await using rig = await startRig({ webhooks: [hook({ max_retries: 0 })] })
    await rig.post(path, chat)
    await rig.gateway.logged(({ message }) => /given up/.test(String(message)))
    const { id, text } = receiver.messages[0]!
    const given = (await rig.get(`/api/webhooks/deliveries/${id}`)).body
    expect(given).toMatchObject({
      status: 'failed',
      next_attempt_at: null,
      attempts: [{ outcome: 'exhausted' }],
    })
    const redeliver = (which: string) => rig.post(`/api/webhooks/deliveries/${which}/redeliver`, {})
    expect(await redeliver(given.attempts[0].id)).toMatchObject({
      status: 202,
      body: { status: 'queued', webhook_id: id },
    })
    await receiver.arrived(2)
    await rig.gateway.logged(({ message }) => /given up.*410/.test(String(message)))
    expect((await redeliver(id)).status).toBe(202)
    await receiver.arrived(3)
    await delivered(rig)
    expect(receiver.messages.map((message) => [message.id, message.text])).toEqual(
      Array.from({ length: 3 }, () => [id, text]),
    )
    const { body } = await rig.get(`/api/webhooks/deliveries/${id}`)
    expect(body.status).toBe('delivered')
    expect(body.attempts.map(({ outcome }: any) => outcome)).toEqual([
      'exhausted',
      'permanent_failure',
      'delivered',
    ])
    expect(await redeliver('msg_none')).toMatchObject({ status: 404 })
  })

  test('a webhook can be tried out, and nothing is noted of that', async () => {
    receiver.clear()
    receiver.statuses.push(200, 401)
    const off = { ...hook({ name: 'off' }), disabled: true }
    const nowhere = hook({ name: 'nowhere', url: 'http://localhost:1/' })
    const failures = hook({ events: ['async_job.failed'] })
    await using rig = await startRig({ webhooks: [failures, off, nowhere] })
    expect((await rig.post('/api/webhooks/hook/test', '')).body).toEqual({
      delivered: true,
      receiver_status_code: 200,
    })
    const [message] = receiver.messages
    expect(await isSigned(message!, secret)).toBe(true)
    expect(message!.body).toMatchObject({
      event: 'async_job.failed',
      data: { status: 'failed', status_code: 500 },
    })
    expect(message!.body.data.job_id).toStartWith('test-')
    const event = { event: 'async_job.failed' }
    expect((await rig.post('/api/webhooks/hook/test', event)).body).toEqual({
      delivered: false,
      receiver_status_code: 401,
    })
    expect((await rig.post('/api/webhooks/nowhere/test', {})).body).toMatchObject({
      delivered: false,
      error: expect.stringContaining('could not be reached'),
    })
    const unwanted = { event: 'async_job.completed' }
    for (const [name, body, status] of [
      ['hook', unwanted, 400],
      ['off', {}, 400],
      ['none', {}, 404],
    ] as const) {
      expect((await rig.post(`/api/webhooks/${name}/test`, body)).status).toBe(status)
    }
    expect((await rig.get('/api/webhooks/deliveries')).body.pagination.total_count).toBe(0)
  })

  test('nobody from elsewhere learns of it, and without jobs there are none', async () => {
    await using rig = await startRig({ webhooks: [hook()] })
    for (const route of ['/api/webhooks', '/api/webhooks/hook', '/api/webhooks/deliveries']) {
      const answer = await rig.get(route, { 'x-forwarded-for': '127.0.0.1' })
      expect(answer.status).toBe(403)
      expect(JSON.stringify(answer.body)).not.toContain(receiver.url)
    }
    const from = { origin: 'https://evil.example.com' }
    expect((await rig.post('/api/webhooks/hook/test', {}, from)).status).toBe(403)
    await using off = await startRig({ async: { enabled: false } })
    expect(await off.get('/api/webhooks')).toMatchObject({ status: 503 })
  })
})
