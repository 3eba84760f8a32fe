import { expect, test } from 'bun:test'

import { standingOf } from '#lib/threads.ts'

test.if(process.platform === 'linux')('a thread that works is seen to have a core', () => {
  const before = standingOf(process.pid)!
  expect(before.isRunnable).toBe(true)
  let standing = before
  while (standing.ranMs === before.ranMs) standing = standingOf(process.pid)!
  expect(standing.ranMs).toBeGreaterThan(before.ranMs)
})

test('of a thread that is not there nothing is known', () => {
  expect(standingOf(0)).toBeUndefined()
})
