import { expect, test } from 'bun:test'

import { GatewayError } from '#core/errors.ts'
import { createInflight } from '#pipeline/inflight.ts'
import type { Abortable } from '#pipeline/inflight.ts'

function work(ended: string[], name: string): Abortable {
  return { abort: () => void ended.push(name) }
}

test('whatever the order of leaving, the ones that stay are the ones that are ended', () => {
  const ended: string[] = []
  const inflight = createInflight()
  const all = ['a', 'b', 'c', 'd', 'e'].map((name) => work(ended, name))
  for (const one of all) inflight.add(one)
  inflight.add(all[0]!)
  expect(inflight.size).toBe(5)
  inflight.delete(all[1]!)
  inflight.delete(all[1]!)
  inflight.delete(all[4]!)
  inflight.delete(all[0]!)
  expect(inflight.size).toBe(2)
  inflight.endAll(new GatewayError('shutting_down', 'over'))
  expect(ended.toSorted()).toEqual(['c', 'd'])
})

test('what comes after the end is ended as it comes, and may leave while it is being ended', () => {
  const ended: string[] = []
  const inflight = createInflight()
  const leaving: Abortable = {
    abort() {
      ended.push('leaving')
      inflight.delete(leaving)
    },
  }
  inflight.add(leaving)
  inflight.add(work(ended, 'other'))
  inflight.endAll(new GatewayError('shutting_down', 'over'))
  inflight.add(work(ended, 'late'))
  expect(ended).toEqual(['leaving', 'other', 'late'])
  expect(inflight.size).toBe(2)
})
