import { expect, test } from 'bun:test'

import { array, assert, nat, property } from 'fast-check'

import { createFairQueue } from '#pipeline/jobs-queue.ts'

test('owners take turns, however much one of them has', () => {
  const queue = createFairQueue()
  for (let i = 0; i < 4; i++) queue.add(`a${i}`, 'a')
  queue.add('b0', 'b')
  queue.add('c0', 'c')
  queue.add('a0', 'a')
  expect(queue.size).toBe(6)
  const taken: string[] = []
  for (let next = queue.take(); next; next = queue.take()) {
    taken.push(next.id)
    queue.done(next.owner)
  }
  expect(taken).toEqual(['a0', 'b0', 'c0', 'a1', 'a2', 'a3'])
})

test('whoever has the least running is next', () => {
  const queue = createFairQueue()
  for (let i = 0; i < 3; i++) queue.add(`a${i}`, 'a')
  expect([queue.take()?.id, queue.take()?.id]).toEqual(['a0', 'a1'])
  queue.add('b0', 'b')
  queue.add('b1', 'b')
  expect([queue.take()?.id, queue.take()?.id, queue.take()?.id]).toEqual(['b0', 'b1', 'a2'])
  expect(queue.take()).toBeUndefined()
})

test('property: everything that is added is taken once, and nobody is passed over by more than one', () => {
  assert(
    property(array(nat(4), { maxLength: 60 }), nat(5), (owners, places) => {
      const queue = createFairQueue()
      const waiting = new Map<string, number>()
      for (const [i, owner] of owners.entries()) {
        queue.add(String(i), String(owner))
        waiting.set(String(owner), (waiting.get(String(owner)) ?? 0) + 1)
      }
      const taken = new Set<string>()
      const running: string[] = []
      for (let next = queue.take(); next; next = queue.take()) {
        const mine = running.filter((owner) => owner === next.owner).length
        for (const [owner, left] of waiting) {
          if (left === 0) continue
          expect(running.filter((other) => other === owner).length).toBeGreaterThanOrEqual(mine)
        }
        expect(taken.has(next.id)).toBe(false)
        taken.add(next.id)
        waiting.set(next.owner, waiting.get(next.owner)! - 1)
        running.push(next.owner)
        if (running.length > places) queue.done(running.shift()!)
      }
      expect(taken.size).toBe(owners.length)
      expect(queue.size).toBe(0)
    }),
  )
})
