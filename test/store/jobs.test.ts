import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createDb } from '#store/db.ts'
import { createJobStore } from '#store/jobs.ts'
import type { Ending, JobStore, NewJob } from '#store/jobs.ts'

const log = createLogger({ level: 'error', style: 'json', write() {} })
const bounds = { maxQueued: 10, maxBytes: 1_000_000 }
const done: Ending = { state: 'completed', statusCode: 200, headers: {}, result: '{}' }
const lost: Ending = { state: 'failed', statusCode: 500, headers: {}, result: '{"lost":1}' }
const adoption = { onRestart: 'retry', maxStarts: 3, interrupted: lost, keyLost: lost } as const

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
function stores(): { one: JobStore; two: JobStore; clock: { now: number } } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-store-'))
  const clock = { now: 1_000_000 }
  const dbs = [0, 1].map(() => createDb({ path: join(dir, 'asbru.db'), log }))
  const [one, two] = dbs.map((db) => createJobStore(db, () => clock.now))
  return {
    one: one!,
    two: two!,
    clock,
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
