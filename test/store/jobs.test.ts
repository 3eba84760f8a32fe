import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { messageOf } from '#pipeline/webhooks-message.ts'
import { createDb } from '#store/db.ts'
import type { Db } from '#store/db.ts'
import { createDeliveryStore } from '#store/deliveries.ts'
import { createDeliveryHistory } from '#store/delivery-history.ts'
import { createJobStore } from '#store/jobs.ts'
import type { Ending, JobStore, NewJob } from '#store/jobs.ts'

const log = createLogger({ level: 'error', style: 'json', write() {} })
const bounds = { maxQueued: 10, maxBytes: 1_000_000 }
const done: Ending = { state: 'completed', statusCode: 200, headers: {}, result: '{}' }
const lost: Ending = { state: 'failed', statusCode: 500, headers: {}, result: '{"lost":1}' }
const adoption = {
  onRestart: 'retry',
  maxStarts: 3,
  leaseMs: 100,
  interrupted: () => lost,
  keyLost: () => lost,
} as const

function job(id: string, more: Partial<NewJob> = {}): NewJob {
  return {
    id,
    owner: '',
    endpoint: 'chat_completion',
    model: 'm',
    provider: 'openai',
    requestId: 'r',
    request: '{}',
    body: '{}',
    ttlMs: 1000,
    idempotencyKey: undefined,
    bodyHash: 'h',
    holdsKey: false,
    webhook: undefined,
    streams: false,
    ...more,
  }
}

/** Two processes' views of one file, under a clock of the test's own. */
function stores(): { one: JobStore; two: JobStore; clock: { now: number }; db: Db } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-store-'))
  const clock = { now: 1_000_000 }
  const dbs = [0, 1].map(() => createDb({ path: join(dir, 'asbru.db'), log }))
  const [one, two] = dbs.map((db) => createJobStore(db, () => clock.now))
  return {
    one: one!,
    two: two!,
    clock,
    db: dbs[0]!,
    [Symbol.dispose]() {
      for (const db of dbs) db.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

test('a job is claimed once, and only its worker ends it', () => {
  using rig = stores()
  const { one, two } = rig
  one.submit(job('a'), 'w1', 100, bounds)
  expect(two.waiting('w2', 10)).toEqual([{ id: 'a', owner: '' }])
  expect(one.claim('a', 'w1', 100)).toMatchObject({ id: 'a', body: '{}' })
  expect(two.claim('a', 'w2', 100)).toBeUndefined()
  expect(two.finish('a', 'w2', done)).toBe(false)
  expect(one.finish('a', 'w1', done)).toBe(true)
  expect(one.finish('a', 'w1', lost)).toBe(false)
  expect(two.find('a', '')).toMatchObject({ state: 'completed', ending: { result: '{}' } })
})

test('a lease that is prolonged is respected; one that is over is not, and who lost it learns so', () => {
  using rig = stores()
  const { one, two, clock } = rig
  one.submit(job('a'), 'w1', 100, bounds)
  one.claim('a', 'w1', 100)
  clock.now += 90
  expect([...one.renew('w1', 100)]).toEqual(['a'])
  clock.now += 90
  two.adopt(adoption)
  expect(two.claim('a', 'w2', 100)).toBeUndefined()
  clock.now += 20
  two.adopt(adoption)
  expect(two.claim('a', 'w2', 100)).toBeDefined()
  expect([...one.renew('w1', 100)]).toEqual([])
  expect(one.finish('a', 'w1', done)).toBe(false)
  expect(two.finish('a', 'w2', done)).toBe(true)
})

test('a job that needs a key waits only for the process that has it', () => {
  using rig = stores()
  const { one, two, clock } = rig
  one.submit(job('a', { holdsKey: true }), 'w1', 100, bounds)
  expect(two.waiting('w2', 10)).toEqual([])
  expect(two.claim('a', 'w2', 100)).toBeUndefined()
  clock.now += 200
  one.renew('w1', 100)
  two.adopt(adoption)
  expect(one.find('a', '')).toMatchObject({ state: 'pending' })
  clock.now += 200
  two.adopt(adoption)
  expect(one.find('a', '')).toMatchObject({ state: 'failed', ending: { result: '{"lost":1}' } })
})

test('time to live counts from the end; what has expired is gone for everybody and then removed', () => {
  using rig = stores()
  const { one, clock } = rig
  one.submit(job('a', { idempotencyKey: 'k' }), 'w1', 100, bounds)
  clock.now += 1_000_000
  expect(one.find('a', '')).toMatchObject({ state: 'pending' })
  one.claim('a', 'w1', 100)
  one.finish('a', 'w1', done)
  clock.now += 999
  expect(one.submit(job('b', { idempotencyKey: 'k' }), 'w1', 100, bounds)).toMatchObject({
    kind: 'same',
    job: { id: 'a' },
  })
  clock.now += 1
  expect(one.find('a', '')).toBeUndefined()
  expect(one.list('', { limit: 10, after: undefined, state: undefined })).toEqual([])
  // Its key stands for nothing any more.
  expect(one.submit(job('b', { idempotencyKey: 'k' }), 'w1', 100, bounds).kind).toBe('made')
  one.sweep(10)
  expect(one.sweep(10)).toBe(false)
  expect(one.find('b', '')).toBeDefined()
})

test('a job that is to be told of is kept until that is done', () => {
  using rig = stores()
  const { one, clock } = rig
  one.submit(job('a', { webhook: 'hook' }), 'w1', 100, bounds)
  one.cancel('a', '', lost)
  clock.now += 5000
  one.sweep(10)
  expect(one.submit(job('a'), 'w1', 100, { ...bounds, maxQueued: 0 }).kind).toBe('full')
  expect(() => one.submit(job('a'), 'w1', 100, bounds)).toThrow()
})

test('room is counted over all jobs, also after they have changed and gone', () => {
  using rig = stores()
  const { one, two, clock } = rig
  const small = { maxQueued: 2, maxBytes: 2500 }
  const body = 'x'.repeat(500)
  expect(one.submit(job('a', { body }), 'w1', 100, small).kind).toBe('made')
  expect(two.submit(job('b', { body }), 'w2', 100, small).kind).toBe('made')
  expect(one.queued()).toBe(2)
  expect(one.submit(job('c', { body: '' }), 'w1', 100, small).kind).toBe('full')
  one.claim('a', 'w1', 100)
  one.finish('a', 'w1', { ...done, result: 'y'.repeat(1000) })
  expect(one.submit(job('c', { body }), 'w1', 100, small).kind).toBe('full')
  clock.now += 2000
  one.sweep(10)
  expect(one.submit(job('c', { body }), 'w1', 100, small).kind).toBe('made')
})

test('a clock that is put back holds up no job of a process that died', () => {
  using rig = stores()
  const { one, two, clock } = rig
  one.submit(job('a'), 'w1', 100, bounds)
  one.claim('a', 'w1', 100)
  clock.now -= 3_600_000
  // Whoever is alive has renewed by its own clock.
  two.adopt({ ...adoption, leaseMs: 3_600_000 })
  expect(two.claim('a', 'w2', 100)).toBeUndefined()
  two.adopt(adoption)
  expect(two.claim('a', 'w2', 100)).toBeDefined()
})

test('what nobody owns is there for whoever knows its id; what somebody owns is not', () => {
  using rig = stores()
  const { one } = rig
  one.submit(job('open'), 'w1', 100, bounds)
  one.submit(job('mine', { owner: 'me' }), 'w1', 100, bounds)
  expect(one.find('open', 'me')).toBeDefined()
  expect(one.find('mine', 'me')).toBeDefined()
  for (const other of ['', 'you']) expect(one.find('mine', other)).toBeUndefined()
  expect(one.cancel('mine', '', lost)).toBeUndefined()
  expect(one.list('me', { limit: 10, after: undefined, state: undefined })).toHaveLength(1)
})

test('deliveries leave a trace, which is bounded in age and in number', () => {
  using rig = stores()
  const { one, clock, db } = rig
  const deliveries = createDeliveryStore(db, () => clock.now)
  const history = createDeliveryHistory(db, () => clock.now)
  for (const id of ['a', 'b', 'c', 'd']) {
    clock.now += 1000
    one.submit(job(id, { webhook: 'hook', requestId: `of ${id}` }), 'w1', 100, bounds)
    one.cancel(id, '', lost)
    const [delivery] = deliveries.take('hook', 10, 100, 1000)
    expect(delivery).toMatchObject({ event: 'async_job.failed', attempts: 1, jobId: id })
    // Nobody else gets it meanwhile.
    expect(deliveries.take('hook', 10, 100, 1000)).toEqual([])
    deliveries.settle(delivery!, { outcome: 'delivered', statusCode: 200, error: undefined })
  }
  const jobsIn = (): string[] =>
    history.attempts('hook', { limit: 10, offset: 0 }).attempts.map(({ jobId }) => jobId)
  expect(jobsIn()).toEqual(['d', 'c', 'b', 'a'])
  expect(history.sweep(2500, 100, 10)).toBe(false)
  expect(jobsIn()).toEqual(['d', 'c', 'b'])
  expect(history.sweep(1_000_000, 1, 1)).toBe(true)
  while (history.sweep(1_000_000, 1, 1));
  expect(jobsIn()).toEqual(['d'])
})

test('a delivery that is made again after its job has expired still says how that ended', () => {
  using rig = stores()
  const { one, clock, db } = rig
  const deliveries = createDeliveryStore(db, () => clock.now)
  const history = createDeliveryHistory(db, () => clock.now)
  one.submit(job('a', { webhook: 'hook', requestId: 'mine' }), 'w1', 100, bounds)
  one.cancel('a', '', lost)
  const [first] = deliveries.take('hook', 10, 100, 1000)
  deliveries.settle(first!, { outcome: 'exhausted', statusCode: 500, error: 'no' })
  clock.now += 5000
  one.sweep(10)
  const [past] = history.find(first!.id)
  expect(history.again(past!)).toBe(true)
  expect(history.again(past!)).toBe(false)
  const [again] = deliveries.take('hook', 10, 100, 1000)
  expect(again).toMatchObject({ id: first!.id, event: 'async_job.failed', job: undefined })
  expect(JSON.parse(messageOf(again!, {} as never))).toMatchObject({
    event: 'async_job.failed',
    data: { job_id: 'a', status: 'failed', result_expired: true },
  })
  deliveries.settle(again!, { outcome: 'delivered', statusCode: 200, error: undefined })
  expect(history.find(first!.id)).toMatchObject([{ requestId: 'mine' }, { requestId: 'mine' }])
})

test('deliveries to nobody any more are given up, and it is known why', () => {
  using rig = stores()
  const { one, db } = rig
  const deliveries = createDeliveryStore(db)
  const history = createDeliveryHistory(db)
  one.submit(job('a', { webhook: 'gone' }), 'w1', 100, bounds)
  one.cancel('a', '', lost)
  expect(history.waiting({}, 10)).toMatchObject([{ jobId: 'a', webhook: 'gone' }])
  expect(deliveries.giveUpOthers(['hook'], 'gone')).toBe(1)
  expect(history.waiting({}, 10)).toEqual([])
  expect(history.health('gone')).toMatchObject({ failures: 1, successAtMs: undefined, waiting: 0 })
  expect(history.search({ outcome: 'permanent_failure' }, { limit: 10, offset: 0 })).toMatchObject({
    total: 1,
    attempts: [{ jobId: 'a', attempt: 1, error: 'gone', statusCode: undefined }],
  })
})
