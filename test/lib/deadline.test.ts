import { expect, test } from 'bun:test'

import { inMs, release, watch, watched } from '#lib/deadline.ts'
import type { Deadline } from '#lib/deadline.ts'

function expiring(ms: number): { deadline: Deadline; expired: Promise<void>; count: () => number } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let count = 0
  const deadline: Deadline = {
    at: inMs(ms),
    expired: () => {
      count++
      resolve()
    },
  }
  return { deadline, expired: promise, count: () => count }
}

test('deadlines expire once each, whatever the order they were watched in', async () => {
  const before = watched()
  const all = [1, 3, 2].map(expiring)
  for (const { deadline } of all) watch(deadline)
  watch(all[0]!.deadline)
  expect(watched()).toBe(before + 3)
  await Promise.all(all.map(({ expired }) => expired))
  expect(all.map(({ count }) => count())).toEqual([1, 1, 1])
  expect(watched()).toBe(before)
})

test('a moved deadline expires at its new time, a released one never', async () => {
  const moved = expiring(1_000_000)
  const released = expiring(1)
  watch(moved.deadline)
  watch(released.deadline)
  release(released.deadline)
  release(released.deadline)
  moved.deadline.at = inMs(1)
  await moved.expired
  expect(released.count()).toBe(0)
})

test('what expires may release a neighbour that is due in the same tick, and watch itself again', async () => {
  const victim = expiring(1)
  const last = expiring(1)
  const again: Deadline = {
    at: inMs(1),
    expired() {
      release(victim.deadline)
      again.at = Number.POSITIVE_INFINITY
      watch(again)
    },
  }
  watch(again)
  watch(victim.deadline)
  watch(last.deadline)
  await last.expired
  expect(victim.count()).toBe(0)
  expect(again.next).toBeDefined()
  release(again)
})
