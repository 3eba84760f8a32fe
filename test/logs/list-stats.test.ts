import { expect, test } from 'bun:test'

import { createListStats, NO_STATS } from '#store/logs-list-stats.ts'

const stats = { ...NO_STATS, total_requests: 7 }

test('sums that took long are shown for a while, on every page of the same rows', () => {
  let now = 1000
  const sums = createListStats(() => now)
  const first = { status: 'error', providers: 'openai', limit: '10' }
  expect(sums.known(first)).toBeUndefined()
  sums.made(first, stats, 50)
  now += 9999
  const next = { providers: 'openai', status: 'error', limit: '10', cursor: 'x', sort_by: 'cost' }
  expect(sums.known(next)).toBe(stats)
  expect(sums.known({ ...next, status: 'success' })).toBeUndefined()
  now += 2
  expect(sums.known(next)).toBeUndefined()
})

test('sums that are made in no time are never old', () => {
  const sums = createListStats(() => 0)
  sums.made({}, stats, 1)
  expect(sums.known({})).toBeUndefined()
})
