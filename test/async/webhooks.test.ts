import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import OpenAI from 'openai'

import { createWebhooks } from '#pipeline/webhooks.ts'
import { createDb } from '#store/db.ts'
import { createDeliveryStore } from '#store/deliveries.ts'
import { createDeliveryHistory } from '#store/delivery-history.ts'
import { createJobStore } from '#store/jobs.ts'

import { accepted } from '../config/rig.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { createFolder } from './folder.ts'
import { secret, startReceiver } from './receiver.ts'
import { chat, gate, startRig } from './rig.ts'

// Signed messages about ended jobs.

const path = '/v1/async/chat/completions'
const toHook = { 'x-bf-async-webhook': 'hook' }
const quickly = {
  retry_backoff_initial_seconds: 0.01,
  retry_backoff_max_seconds: 0.02,
  allow_private_network: true,
}

let receiver: ReturnType<typeof startReceiver>
beforeAll(() => {
  receiver = startReceiver()
})
afterAll(() => receiver.stop())

const hook = (more: object = {}): object => ({
  webhooks: [{ name: 'hook', url: receiver.url, secret, ...quickly, ...more }],
})

test('a completed job is told, signed so that the SDK accepts it', async () => {
  receiver.clear()
  await using rig = await startRig(hook({ headers: { 'x-team': 'blue' } }))
  const { id } = (await rig.post(path, chat, toHook)).body
  await receiver.arrived(1)
  const [message] = receiver.messages
  expect(message!.body).toMatchObject({
    type: 'async_job.completed',
    data: { job_id: id, request_type: 'chat_completion', status: 'completed', status_code: 200 },
  })
  expect(message!.body.data).not.toHaveProperty('response')
  expect(message!.headers.get('x-team')).toBe('blue')
  const client = new OpenAI({ apiKey: 'x' })
  const event: unknown = await client.webhooks.unwrap(message!.text, message!.headers, secret)
  expect(event).toEqual(message!.body)
  const forged = `${message!.text} `
  const refusal = await client.webhooks.unwrap(forged, message!.headers, secret).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(refusal).toBeInstanceOf(Error)
})

test('the answer goes along when that is wanted and it is not too large; errors always do', async () => {
  receiver.clear()
  await using rig = await startRig(hook({ include_response: true, max_response_payload_kbs: 1 }))
  rig.upstream.reply([
    { json: { id: 'small', object: 'chat.completion' } },
    { json: { id: 'large', object: 'chat.completion', padding: 'x'.repeat(2000) } },
    { status: 400, json: { error: { message: 'no' } } },
  ])
  for (let i = 1; i <= 3; i++) {
    await rig.post(path, chat, toHook)
    await receiver.arrived(i)
  }
  const [small, large, failed] = receiver.messages.map(({ body }) => body)
  expect(small.data.response).toMatchObject({ id: 'small' })
  expect(large.data).toMatchObject({ status: 'completed', response_omitted: true })
  expect(failed).toMatchObject({
    type: 'async_job.failed',
    data: { status_code: 400, error: { error: { message: 'no' } } },
  })
})

test('what is refused is sent again, the same, until it is accepted', async () => {
  receiver.clear()
  receiver.statuses.push(500, 503)
  await using rig = await startRig(hook())
  await rig.post(path, chat, toHook)
  await receiver.arrived(3)
  expect(new Set(receiver.messages.map(({ id }) => id)).size).toBe(1)
  expect(new Set(receiver.messages.map(({ text }) => text)).size).toBe(1)
})

test('what is accepted is not sent again, however long or slow the rest of the answer is', async () => {
  receiver.clear()
  await using rig = await startRig(hook({ attempt_timeout_seconds: 0.2 }))
  const long = 'x'.repeat(2 * 1024 * 1024)
  const slow = new ReadableStream({ start: (controller) => controller.enqueue('and') })
  for (const answer of [long, slow]) {
    receiver.statuses.push(new Response(answer))
    const { id } = (await rig.post(path, chat, toHook)).body
    const search = `/api/webhooks/deliveries?async_job_id=${id}`
    let { deliveries } = (await rig.get(search)).body
    while (deliveries.length === 0) deliveries = (await rig.get(search)).body.deliveries
    expect(deliveries).toMatchObject([{ outcome: 'delivered', status_code: 200 }])
  }
})

test('after max_retries it is given up, and the log says so', async () => {
  receiver.clear()
  receiver.statuses.push(500, 302, 500, 500)
  await using rig = await startRig(hook({ max_retries: 2 }))
  await rig.post(path, chat, toHook)
  const line = await rig.gateway.logged(({ message }) => /given up/.test(String(message)))
  expect(line).toMatchObject({ level: 'error', webhook: 'hook', attempts: 3 })
  expect(receiver.messages).toHaveLength(3)
})

test('events that are not wanted are not sent', async () => {
  receiver.clear()
  await using rig = await startRig(hook({ events: ['async_job.failed'] }))
  rig.upstream.reply([{ json: { id: 'x' } }, { status: 400, json: { error: { message: 'no' } } }])
  const first = (await rig.post(path, chat, toHook)).body.id
  await rig.ended(`${path}/${first}`)
  await rig.post(path, chat, toHook)
  await receiver.arrived(1)
  expect(receiver.messages.map(({ body }) => body.type)).toEqual(['async_job.failed'])
})

test('a name that is unknown or disabled fails the submission', async () => {
  receiver.clear()
  await using rig = await startRig(hook({ disabled: true }))
  for (const name of ['hook', 'other']) {
    const answer = await rig.post(path, chat, { 'x-bf-async-webhook': name })
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { param: 'x-bf-async-webhook' } },
    })
  }
  expect(rig.upstream.requests).toHaveLength(0)
})

/** One message to `url` in an outbox of its own, under a clock that can be put forward. */
function alone(url: string, more: object) {
  const failed = Promise.withResolvers<string>()
  const log = { level: 'error', debug() {}, info() {}, warn() {}, error: failed.resolve } as const
  const { webhooks } = accepted({
    webhooks: [{ name: 'hook', url: 'https://example.com/', secret, max_retries: 0, ...more }],
  })
  const settings = { ...webhooks.get('hook')!, url }
  const dir = mkdtempSync(join(tmpdir(), 'asbru-hooks-'))
  const db = createDb({ path: join(dir, 'asbru.db'), log })
  const clock = { ahead: 0 }
  const now = (): number => Date.now() + clock.ahead
  const jobs = createJobStore(db, now)
  const job = {
    id: 'a',
    owner: '',
    endpoint: 'chat_completion',
    model: undefined,
    provider: 'openai',
    requestId: 'r',
    request: '{}',
    body: '',
    ttlMs: 1000,
    idempotencyKey: undefined,
    bodyHash: '',
    holdsKey: false,
    webhook: 'hook',
    streams: false,
  }
  jobs.submit(job, 'w', 1000, { maxQueued: 1, maxBytes: 10_000 })
  jobs.cancel('a', '', { state: 'failed', statusCode: 409, headers: {}, result: '{}' })
  const deliveries = createDeliveryStore(db, now)
  const history = createDeliveryHistory(db, now)
  const looks = { taken: 0 }
  const sender = createWebhooks({
    deliveries: {
      ...deliveries,
      take(...wanted) {
        const taken = deliveries.take(...wanted)
        looks.taken += taken.length
        return taken
      },
    },
    history,
    historyMs: () => 1_000_000_000,
    settings: () => new Map([['hook', settings]]),
    log,
  })
  return {
    sender,
    history,
    clock,
    looks,
    failed: failed.promise,
    [Symbol.dispose]() {
      sender.close()
      db.close()
      rmSync(dir, { recursive: true })
    },
  }
}

test('a name that leads into this machine is not called, whatever it looks like', async () => {
  receiver.clear()
  using one = alone(receiver.url, {})
  one.sender.wake()
  expect(await one.failed).toContain('not on the public internet')
  expect(receiver.messages).toHaveLength(0)
})

test('where machines keep what they know about themselves, nothing is sent', async () => {
  using one = alone('http://169.254.169.254/latest', { allow_private_network: true })
  one.sender.wake()
  expect(await one.failed).toContain('nothing is ever sent to')
})

test('a clock that is put forward sends nothing a second time that is on its way', async () => {
  receiver.clear()
  const hold = gate()
  receiver.statuses.push(hold.opened.then(() => 0))
  using one = alone(receiver.url, { allow_private_network: true })
  one.sender.wake()
  await receiver.arrived(1)
  one.clock.ahead = 3_600_000
  one.sender.wake()
  while (one.looks.taken < 2) await Bun.sleep(1)
  hold.open()
  while (one.sender.running > 0) await Bun.sleep(1)
  expect(receiver.messages).toHaveLength(1)
  expect(one.history.attempts('hook', { limit: 10, offset: 0 }).attempts).toMatchObject([
    { outcome: 'delivered', attempt: 1 },
  ])
  expect(one.sender.waiting).toBe(0)
})

test('SIGTERM lets a message arrive that is on its way, and it is not sent again', async () => {
  receiver.clear()
  const hold = gate()
  receiver.statuses.push(hold.opened)
  await using upstream = await startUpstream()
  await using folder = createFolder(upstream.url, hook())
  let gateway = await folder.start()
  const { id } = (await gateway.post(path, chat, toHook)).body
  await receiver.arrived(1)
  const stopped = gateway.terminate()
  // Refusing what is new shows that the signal has arrived; it goes on refusing while there is something to wait for.
  for (let refusals = 0; refusals < 30; await Bun.sleep(5)) {
    if ((await gateway.get('/v1/async/jobs')).status === 503) refusals++
  }
  hold.open()
  await stopped
  gateway = await folder.start()
  const { body } = await gateway.get(`/api/webhooks/deliveries?async_job_id=${id}`)
  expect(body).toMatchObject({ deliveries: [{ outcome: 'delivered' }], waiting: [] })
  expect(receiver.messages).toHaveLength(1)
}, 30_000)

test('a message that was not delivered when the process was killed is delivered by the next one', async () => {
  receiver.clear()
  await using upstream = await startUpstream()
  const hold = gate()
  receiver.statuses.push(hold.opened.then(() => 0))
  await using folder = createFolder(upstream.url, {
    async: { lease_in_seconds: 0.3 },
    ...hook({ attempt_timeout_seconds: 0.5 }),
  })
  let gateway = await folder.start()
  const { id } = (await gateway.post(path, chat, toHook)).body
  await receiver.arrived(1)
  await gateway.kill()
  gateway = await folder.start()
  await receiver.arrived(2)
  hold.open()
  const [first, second] = receiver.messages
  expect(second).toMatchObject({ id: first!.id, text: first!.text, body: { data: { job_id: id } } })
  expect(upstream.requests).toHaveLength(1)
}, 30_000)
