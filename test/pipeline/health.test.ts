import { describe, expect, test } from 'bun:test'

import { createHealth } from '#pipeline/health.ts'
import type { BreakerSettings, Standing } from '#pipeline/health.ts'

const settings: BreakerSettings = {
  enabled: true,
  errorRate: 0.5,
  minFailures: 5,
  openMs: 5000,
  maxOpenMs: 60_000,
}
const target = { provider: 'openai', key: 'k1', model: 'm' }
const sibling = { ...target, key: 'k2' }

function setup(more: Partial<BreakerSettings> = {}) {
  let nowMs = 1000
  const health = createHealth(() => ({ ...settings, ...more }))
  return {
    health,
    pass(ms: number) {
      nowMs += ms
    },
    call(ok: boolean, which = target) {
      const ticket = health.began(which, nowMs)
      if (ok) health.succeeded(ticket, nowMs, 100)
      else health.failed(ticket, nowMs, 'server', undefined)
    },
    fail(what: Parameters<typeof health.failed>[2], retryAfterMs?: number) {
      health.failed(health.began(target, nowMs), nowMs, what, retryAfterMs)
    },
    standing: (which = target): Standing => health.standing(which, nowMs),
    reason: () => health.reason(target, nowMs),
  }
}

describe('a breaker', () => {
  test('opens when half of the calls fail, and not for a few of many', () => {
    const few = setup()
    for (let n = 0; n < 40; n++) few.call(n % 4 !== 0)
    expect(few.standing()).toBe('ready')
    const many = setup()
    for (let n = 0; n < 4; n++) many.call(false)
    expect(many.standing()).toBe('ready')
    many.call(false)
    expect(many.standing()).toBe('out')
    expect(many.reason()).toContain('breaker')
  })

  test('opens after ten failures in a row, however many calls were served before', () => {
    const busy = setup()
    for (let n = 0; n < 1000; n++) busy.call(true)
    for (let n = 0; n < 9; n++) busy.call(false)
    busy.call(true)
    for (let n = 0; n < 9; n++) busy.call(false)
    expect(busy.standing()).toBe('ready')
    busy.call(false)
    expect(busy.standing()).toBe('out')
  })

  test('is of one target: other keys and other models stay', () => {
    const rig = setup()
    for (let n = 0; n < 6; n++) rig.call(false)
    expect(rig.standing(sibling)).toBe('ready')
    expect(rig.standing({ ...target, model: 'other' })).toBe('ready')
  })

  test('lets one call look, and closes when that is served', () => {
    const rig = setup()
    for (let n = 0; n < 6; n++) rig.call(false)
    rig.pass(5000)
    expect(rig.standing()).toBe('probe')
    const look = rig.health.began(target, 6000)
    expect(rig.standing()).toBe('out')
    rig.health.succeeded(look, 6000, 10)
    expect(rig.standing()).toBe('ready')
  })

  test('stays open twice as long after every failed look, up to a limit', () => {
    const rig = setup()
    for (let n = 0; n < 6; n++) rig.call(false)
    for (const ms of [5000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      rig.pass(ms - 1)
      expect(rig.standing()).toBe('out')
      rig.pass(1)
      expect(rig.standing()).toBe('probe')
      rig.call(false)
    }
  })

  test('does not wait for a look that never ended', () => {
    const rig = setup()
    for (let n = 0; n < 6; n++) rig.call(false)
    rig.pass(5000)
    rig.health.began(target, 6000)
    rig.pass(30_001)
    expect(rig.standing()).toBe('probe')
  })

  test('forgets: failures of long ago do not add up', () => {
    const rig = setup()
    for (let n = 0; n < 20; n++) {
      rig.call(false)
      rig.pass(30_000)
    }
    expect(rig.standing()).toBe('ready')
  })

  test('can be switched off', () => {
    const rig = setup({ enabled: false })
    for (let n = 0; n < 50; n++) rig.call(false)
    expect(rig.standing()).toBe('ready')
  })

  test('is not opened by what callers do wrong', () => {
    const rig = setup()
    for (let n = 0; n < 50; n++) rig.fail('caller')
    expect(rig.standing()).toBe('ready')
  })
})

describe('a key', () => {
  test('that is refused rests a minute, for every model', () => {
    const rig = setup()
    rig.fail('auth')
    expect(rig.standing({ ...target, model: 'other' })).toBe('out')
    expect(rig.reason()).toContain('auth')
    rig.pass(60_001)
    expect(rig.standing()).toBe('ready')
  })

  test('that is too fast rests as long as the provider says, for that model', () => {
    const rig = setup()
    rig.fail('rate_limit', 3000)
    expect(rig.standing()).toBe('out')
    expect(rig.standing({ ...target, model: 'other' })).toBe('ready')
    rig.pass(3001)
    expect(rig.standing()).toBe('ready')
    rig.fail('rate_limit', 3_600_000)
    rig.pass(60_001)
    expect(rig.standing()).toBe('ready')
  })

  test('of a caller is never held against the next caller', () => {
    const rig = setup()
    const ticket = rig.health.began({ ...target, key: '' }, 1000)
    rig.health.failed(ticket, 1000, 'auth', undefined)
    expect(rig.standing({ ...target, key: '' })).toBe('ready')
  })
})

test('load is what a call may expect to wait', () => {
  const { health } = setup()
  health.succeeded(health.began(target, 0), 0, 200)
  health.succeeded(health.began(sibling, 0), 0, 100)
  expect(health.load(sibling, 0)).toBeLessThan(health.load(target, 0))
  for (let n = 0; n < 3; n++) health.began(sibling, 0)
  expect(health.load(sibling, 0)).toBeGreaterThan(health.load(target, 0))
})

test('a target that was slow long ago is worth another try', () => {
  const { health } = setup()
  health.succeeded(health.began(target, 0), 0, 4000)
  health.succeeded(health.began(sibling, 300_000), 300_000, 100)
  expect(health.load(target, 0)).toBeGreaterThan(health.load(sibling, 300_000))
  expect(health.load(target, 300_000)).toBeLessThan(health.load(sibling, 300_000))
})

test('metrics are told of every target', () => {
  const rig = setup()
  for (let n = 0; n < 5; n++) rig.call(false)
  rig.call(true, sibling)
  const seen = (): unknown => rig.health.snapshot(6500)
  expect(rig.health.snapshot(1000)).toEqual([
    { ...target, standing: 'out', trips: 1, underway: 0, latencyMs: 0, isProbed: false },
    { ...sibling, standing: 'ready', trips: 0, underway: 0, latencyMs: 100, isProbed: false },
  ])
  const look = rig.health.began(target, 6500)
  expect(seen()).toMatchObject([{ standing: 'out', underway: 1, isProbed: true }, {}])
  rig.health.failed(look, 6500, 'not_found', undefined)
  expect(seen()).toMatchObject([{ standing: 'probe', underway: 0, isProbed: false }, {}])
})

test('what is known is bounded, whatever model names callers invent', () => {
  const { health } = setup()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < 50_000; n++) {
    const made = { ...target, model: `m${n}` }
    health.failed(health.began(made, n), n, 'permission', undefined)
  }
  Bun.gc(true)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20e6)
})
