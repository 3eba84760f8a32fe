import { describe, expect, test } from 'bun:test'

import { createHealth } from '#pipeline/health.ts'
import { createTail } from '#pipeline/tail.ts'

describe('the slow end of latencies', () => {
  test('is what 95 in 100 stay below, within a tenth', () => {
    const tail = createTail()
    for (let n = 0; n < 100; n++) tail.add(n < 95 ? 200 : 3000)
    expect(tail.p95()).toBeGreaterThanOrEqual(200)
    expect(tail.p95()).toBeLessThan(220)
    tail.add(3000)
    expect(tail.p95()).toBeGreaterThanOrEqual(3000)
  })

  test('forgets what has long been otherwise', () => {
    const tail = createTail()
    for (let n = 0; n < 10_000; n++) tail.add(5000)
    for (let n = 0; n < 4000; n++) tail.add(10)
    expect(tail.p95()).toBeLessThan(20)
  })

  test('takes any number, and speaks for a bounded number of them', () => {
    const tail = createTail()
    expect(tail.p95()).toBe(0)
    for (const ms of [0, -5, 1, 1e12]) tail.add(ms)
    expect(tail.seen).toBe(4)
    for (let n = 0; n < 100_000; n++) tail.add(n)
    expect(tail.seen).toBeLessThan(400)
  })
})

describe('health knows them', () => {
  const target = { provider: 'p', key: 'k', model: 'm' }
  const breaker = { enabled: true, errorRate: 0.5, minFailures: 5, openMs: 5000, maxOpenMs: 60_000 }

  test('of each target, of first events and whole answers apart, and not before it has seen enough', () => {
    const health = createHealth(() => breaker)
    for (let n = 0; n < 20; n++) {
      expect(health.p95(target, 'first', 20)).toBeUndefined()
      health.succeeded(health.began(target, n), n, 100, 'first')
    }
    expect(health.p95(target, 'first', 20)).toBeGreaterThanOrEqual(100)
    expect(health.p95(target, 'whole', 1)).toBeUndefined()
    expect(health.p95({ ...target, key: 'other' }, 'first', 1)).toBeUndefined()
  })

  test('with those that were overtaken, and without those that failed', () => {
    const health = createHealth(() => breaker)
    for (let n = 0; n < 20; n++) health.succeeded(health.began(target, n), n, 100, 'first')
    for (let n = 0; n < 4; n++) health.failed(health.began(target, n), n, 'server', undefined)
    expect(health.p95(target, 'first', 20)).toBeLessThan(120)
    for (let n = 0; n < 4; n++) health.overtaken(health.began(target, n), 900, 'first')
    expect(health.p95(target, 'first', 20)).toBeGreaterThanOrEqual(900)
  })
})
