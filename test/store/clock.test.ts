import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createDb } from '#store/db.ts'
import type { Delivery } from '#store/deliveries.ts'
import { createDeliveryStore } from '#store/deliveries.ts'
import { createJobStore } from '#store/jobs.ts'
import type { Ending, NewJob } from '#store/jobs.ts'

import { response, ROOMY, storeRig } from './rig.ts'

// The wall clock is put back or ahead while jobs, deliveries and responses are kept: nothing is lost, nothing is done
// twice, and nothing waits for longer than it would have.

const dayMs = 86_400_000
const leaseMs = 30_000
const backMs = [-60 * 60_000, -dayMs, -400 * dayMs]
const done: Ending = { state: 'completed', statusCode: 200, headers: {}, result: '{}' }
const lost: Ending = { state: 'failed', statusCode: 500, headers: {}, result: '{}' }
const adoption = {
  onRestart: 'retry',
  maxStarts: 3,
  leaseMs,
  interrupted: () => lost,
  keyLost: () => lost,
} as const
const bounds = { maxQueued: 10, maxBytes: 1_000_000 }
const ttlMs = 3_600_000

const job: NewJob = {
  id: 'a',
  owner: '',
  endpoint: 'chat_completion',
  model: 'm',
  provider: 'openai',
  requestId: 'r',
  request: '{}',
  body: '{}',
  ttlMs,
  idempotencyKey: undefined,
  bodyHash: 'h',
  holdsKey: false,
  webhook: 'hook',
  streams: false,
}

function rig() {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-clock-'))
  const clock = { now: Date.UTC(2026, 10, 21) }
  const log = createLogger({ level: 'error', style: 'json', write() {} })
  const db = createDb({ path: join(dir, 'asbru.db'), log })
  const now = (): number => clock.now
  return {
    clock,
    jobs: createJobStore(db, now, (webhook) => (webhook === undefined ? [] : [webhook])),
    deliveries: createDeliveryStore(db, now),
    [Symbol.dispose]() {
      db.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

describe('a job', () => {
  test.each([...backMs, dayMs])('under way is still its worker’s after a step of %d ms', (step) => {
    using own = rig()
    const { jobs, clock } = own
    jobs.submit(job, 'w1', leaseMs, bounds)
    jobs.claim('a', 'w1', leaseMs)
    clock.now += step
    // A process renews its leases before it looks for those of others.
    expect([...jobs.renew('w1', leaseMs)]).toEqual(['a'])
    jobs.adopt(adoption)
    expect(jobs.claim('a', 'w2', leaseMs)).toBeUndefined()
    expect(jobs.finish('a', 'w1', done)).toBe(true)
    expect(jobs.find('a', '')).toMatchObject({
      completedAtMs: clock.now,
      expiresAtMs: clock.now + ttlMs,
    })
  })

  test.each([...backMs, dayMs])('whose worker is gone waits for no other day: %d ms', (step) => {
    using own = rig()
    const { jobs, clock } = own
    jobs.submit(job, 'w1', leaseMs, bounds)
    jobs.claim('a', 'w1', leaseMs)
    clock.now += step
    jobs.adopt(adoption)
    expect(jobs.claim('a', 'w2', leaseMs)).toMatchObject({ id: 'a', starts: 2 })
  })

  test.each(backMs)('that has ended is still there after a step of %d ms', (step) => {
    using own = rig()
    const { jobs, clock } = own
    jobs.submit(job, 'w1', leaseMs, bounds)
    jobs.claim('a', 'w1', leaseMs)
    jobs.finish('a', 'w1', done)
    clock.now += step
    jobs.sweep(10)
    expect(jobs.find('a', '')).toMatchObject({ state: 'completed' })
  })
})

describe('a webhook', () => {
  const longestMs = 3_600_000

  test.each(backMs)('that is to be told is told after a step of %d ms', (step) => {
    using own = rig()
    const { jobs, deliveries, clock } = own
    jobs.submit(job, 'w1', leaseMs, bounds)
    jobs.claim('a', 'w1', leaseMs)
    jobs.finish('a', 'w1', done)
    const take = (): readonly Delivery[] => deliveries.take('hook', 10, leaseMs, 1000, longestMs)
    const [first] = take()
    const failed = { outcome: 'retryable_failure', statusCode: 500, error: 'no' } as const
    deliveries.settle(first!, failed, clock.now + longestMs)
    expect(take()).toEqual([])
    clock.now += step - 1
    if (-step >= longestMs) expect(take()).toMatchObject([{ id: first!.id, attempts: 2 }])
    expect(take()).toEqual([])
    clock.now += 2 * longestMs
    expect(take()).toHaveLength(1)
  })
})

describe('a response', () => {
  test.each(backMs)('kept before a step of %d ms and after it can be read', async (step) => {
    using own = storeRig()
    const { store, clock } = own
    clock.nowMs = Date.UTC(2026, 10, 21)
    const limits = { ...ROOMY, maxAgeMs: dayMs }
    store.put(response('a'), limits)
    clock.nowMs += step
    store.put(response('b', { previousId: 'a' }), limits)
    await store.sweep(limits)
    expect(await store.get('a', '', limits)).toBeDefined()
    expect((await store.chain('b', '', limits)).kind).not.toBe('missing')
  })

  test('that is made while the clock is ahead outlives no other when it is put right', async () => {
    using own = storeRig()
    const { store, clock } = own
    const limits = { ...ROOMY, maxAgeMs: dayMs }
    clock.nowMs += 400 * dayMs
    store.put(response('ahead'), limits)
    clock.nowMs -= 400 * dayMs
    store.put(response('now'), limits)
    clock.nowMs += dayMs + 1
    await store.sweep(limits)
    expect(await store.get('now', '', limits)).toBeUndefined()
    // Bounded by count and size, and by its own time.
    await store.sweep({ ...limits, maxCount: 0 })
    expect(await store.get('ahead', '', limits)).toBeUndefined()
  })
})
