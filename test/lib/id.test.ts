import { expect, test } from 'bun:test'

import { decodeTime, isValid } from 'ulid'

import { newId } from '#lib/id.ts'

test('an id is a ULID of its millisecond', () => {
  const id = newId(1_700_000_000_123)
  expect(isValid(id)).toBe(true)
  expect(decodeTime(id)).toBe(1_700_000_000_123)
  expect(id < newId(1_700_000_000_124)).toBe(true)
})

test('ids of one millisecond differ, beyond one filling of the pool', () => {
  const ids = Array.from({ length: 5000 }, () => newId(1_700_000_000_123))
  expect(new Set(ids).size).toBe(ids.length)
  const letters = new Set(ids.map((id) => id.slice(10)).join(''))
  expect(letters.size).toBe(32)
})
