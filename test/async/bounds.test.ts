import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { chat, gate, startRig } from './rig.ts'

// Limits of jobs, fairness among those who submit them, and what is said where there can be none.

const path = '/v1/async/chat/completions'
const submitted = { 'x-bf-async': 'true' }

test('only so many run at once, whoever has least running is next, and only so many wait', async () => {
  await using rig = await startRig({
    client: { allow_direct_keys: true },
    async: { concurrency: 1, max_queued: 4 },
  })
  const hold = gate()
  rig.upstream.reply({ gate: hold.opened, json: { id: 'x' } })
  const busy = { authorization: 'Bearer sk-busy-0123456789' }
  const rare = { authorization: 'Bearer sk-rare-0123456789' }
  const ids: [string, Record<string, string>][] = []
  const add = async (headers: Record<string, string>): Promise<void> => {
    ids.push([(await rig.post(path, chat, headers)).body.id, headers])
  }
  await add(busy)
  await rig.upstream.waitFor(1)
  for (let i = 0; i < 3; i++) await add(busy)
  await add(rare)
  const refused = await rig.post(path, chat, busy)
  expect(refused).toMatchObject({
    status: 503,
    body: { error: { code: 'queue_full', type: 'overloaded_error' } },
  })
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(rig.upstream.requests).toHaveLength(1)
  const { body: metrics } = await rig.get('/metrics')
  expect(metrics).toMatch(/^asbru_jobs_running 1$/m)
  expect(metrics).toMatch(/^asbru_jobs_waiting 4$/m)
  expect(metrics).toMatch(/^asbru_webhook_deliveries_waiting 0$/m)
  hold.open()
  for (const [id, headers] of ids) await rig.ended(`${path}/${id}`, headers)
  const who = rig.upstream.requests.map(({ headers }) => headers.get('authorization'))
  expect(who).toHaveLength(5)
  // At its turn in the second round at the latest, and not behind everything that came before.
  expect(who.indexOf(rare.authorization)).toBeLessThanOrEqual(2)
  // There is room again.
  expect((await rig.post(path, chat, busy)).status).toBe(202)
})

test('a thousand jobs of one caller hold up nobody else', async () => {
  await using rig = await startRig({
    client: { allow_direct_keys: true },
    async: { concurrency: 4 },
  })
  const hold = gate()
  rig.upstream.reply(Array.from({ length: 4 }, () => ({ gate: hold.opened, json: { id: 'x' } })))
  const busy = { authorization: 'Bearer sk-busy-0123456789' }
  const rare = { authorization: 'Bearer sk-rare-0123456789' }
  await Promise.all(Array.from({ length: 1000 }, () => rig.post(path, chat, busy)))
  await rig.upstream.waitFor(4)
  const ids: string[] = []
  for (let i = 0; i < 20; i++) ids.push((await rig.post(path, chat, rare)).body.id)
  hold.open()
  for (const id of ids) {
    expect((await rig.ended(`${path}/${id}`, rare)).body.status).toBe('completed')
  }
  const who = rig.upstream.requests.map(({ headers }) => headers.get('authorization'))
  // Both have the same share of what runs: of the first ones after the four that ran, at least nearly half are the
  // rare caller's, and its last one is begun long before those that came first.
  expect(who.slice(4, 24).filter((key) => key === rare.authorization).length).toBeGreaterThan(7)
  expect(who.lastIndexOf(rare.authorization)).toBeLessThan(60)
  // The rest is what the drain window and the next start are for; here nobody waits for it.
}, 30_000)

test('what all jobs together hold is bounded, and who is refused for that is not told of a queue', async () => {
  await using rig = await startRig({ async: { max_size_mb: 0.01 } })
  const large = { ...chat, messages: [{ role: 'user', content: 'x'.repeat(20_000) }] }
  const refused = await rig.post(path, large)
  expect(refused).toMatchObject({
    status: 503,
    body: { error: { code: 'queue_full', message: expect.stringContaining('async.max_size_mb') } },
  })
  // Nobody knows when there will be room.
  expect(refused.headers.has('retry-after')).toBe(false)
  expect((await rig.post(path, chat)).status).toBe(202)
})

test.each([
  ['async', { enabled: false }],
  ['logs_store', { enabled: false }],
])('switched off by %s, the operations say so and the routes are not there', async (name, off) => {
  await using rig = await startRig({ [name]: off })
  for (const headers of [submitted, { 'x-bf-async-id': crypto.randomUUID() }]) {
    const answer = await rig.post('/openai/v1/chat/completions', chat, headers)
    expect(answer).toMatchObject({
      status: 503,
      body: {
        error: { message: 'async operations not available: logs store not configured' },
      },
    })
    expect(answer.headers.get('x-should-retry')).toBe('false')
  }
  expect((await rig.post(path, chat)).status).toBe(404)
  expect((await rig.get('/v1/async/jobs')).status).toBe(404)
  expect(rig.upstream.requests).toHaveLength(0)
})

test('with a file that cannot be one, a job is refused and everything else goes on', async () => {
  await using rig = await startRig()
  mkdirSync(join(dirname(rig.gateway.configPath), 'asbru.db'))
  expect(await rig.post('/openai/v1/chat/completions', chat, submitted)).toMatchObject({
    status: 503,
    body: { error: { code: 'store_unavailable' } },
  })
  expect((await rig.post('/openai/v1/chat/completions', chat)).status).toBe(200)
})

test('an answer that cannot be written yet is written later, and the provider is not asked twice', async () => {
  await using rig = await startRig({ async: { lease_in_seconds: 3600 } })
  const hold = gate()
  rig.upstream.reply({ gate: hold.opened, json: { id: 'late', object: 'chat.completion' } })
  const { id } = (await rig.post(path, chat)).body
  await rig.upstream.waitFor(1)
  const other = new Database(join(dirname(rig.gateway.configPath), 'asbru.db'))
  other.run('BEGIN IMMEDIATE')
  hold.open()
  await rig.gateway.logged(({ message }) => /end of a job/.test(String(message)))
  other.run('ROLLBACK')
  other.close()
  expect((await rig.ended(`${path}/${id}`)).body).toMatchObject({ result: { id: 'late' } })
  expect(rig.upstream.requests).toHaveLength(1)
})
