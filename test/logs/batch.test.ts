import { expect, test } from 'bun:test'

import { Batch } from '#store/logs-batch.ts'
import { rowsOf } from '#store/logs-parcel.ts'
import type { LogRow } from '#store/logs-schema.ts'
import { charsIn, stringOf } from '#store/logs-text.ts'

import { row } from './row.ts'

test('a row arrives as it was sent, with everything that it has', () => {
  const more: Partial<LogRow> = {
    ...{ teamId: 't', teamName: 'T', customerId: 'c', customerName: 'C', userId: 'u' },
    ...{ userName: 'U', ruleId: 'r', ruleName: 'R', engines: 'e', cacheHitType: 'h' },
  }
  const numbers = new Set('atMs statusCode fallbackIndex retries attempts cost'.split(' '))
  const full = { ...row('x'), ...more } as Record<string, unknown>
  // Each member has a value of its own, so that none can stand in the place of another.
  for (const [i, name] of Object.keys(full).entries()) {
    if (name === 'stream') full[name] = true
    else if (name === 'secrets') full[name] = ['a-secret\nof two lines', 'another one']
    else full[name] = numbers.has(name) || /Ms$|Tokens$/.test(name) ? i + 0.5 : `"${i}" ß😀\n`
  }
  full['asked'] = 'what?'
  const bare = row('bare')
  const bytes = row('bytes', { answer: new TextEncoder().encode('data: 1\n\n') })
  const rows = [full as unknown as LogRow, bare, bytes]
  const expected = structuredClone(rows)
  const batch = new Batch(rows.length)
  for (const each of rows) batch.add(each)
  expect(batch.count).toBe(3)
  const { rows: arrived, secrets } = rowsOf(batch.parcel())
  expect(arrived.map(unpacked)).toEqual(expected)
  expect(secrets).toEqual(['a-secret\nof two lines', 'another one'])
})

function unpacked({ request, answer, ...rest }: LogRow): LogRow {
  return {
    ...rest,
    request: request && stringOf(request),
    answer: answer instanceof Uint8Array ? answer : answer && stringOf(answer),
  }
}

test('one batch comes after the other, and brings nothing of it along', () => {
  const batch = new Batch(2)
  batch.add(row('a', { provider: 'p', request: 'long '.repeat(100), secrets: ['a-secret'] }))
  batch.add(row('b', { answer: new Uint8Array(3) }))
  expect(batch.chars).toBe(503)
  batch.clear()
  const next = row('c', { provider: 'q', request: 'short' })
  batch.add(structuredClone(next))
  const { streams, ...parcel } = batch.parcel()
  expect(streams).toBeUndefined()
  const { rows, secrets } = rowsOf(parcel)
  expect(rows.map(unpacked)).toEqual([next])
  expect([secrets, batch.chars]).toEqual([next.secrets, 5])
})

test('texts that take more room than there is find more, for once', () => {
  const batch = new Batch(20)
  const usual = batch.parcel().texts.byteLength
  const long = '界'.repeat(100_000)
  for (let i = 0; i < 20; i++) batch.add(row(`${i}`, { request: long, answer: `${i}` }))
  const parcel = batch.parcel()
  expect(parcel.texts.byteLength).toBeGreaterThan(usual)
  const arrived = rowsOf(parcel).rows.map(unpacked)
  expect(arrived.every(({ request }) => request === long)).toBe(true)
  expect(arrived.map(({ answer }) => answer)).toEqual(arrived.map((_, i) => `${i}`))
  batch.clear()
  expect(batch.parcel().texts.byteLength).toBe(usual)
})

test('half a pair is replaced, and counts for one unit', () => {
  const batch = new Batch(1)
  batch.add(row('a', { request: 'a\ud83db' }))
  const [{ request }] = rowsOf(batch.parcel()).rows as [LogRow]
  expect(charsIn(request!)).toBe(3)
  expect(stringOf(request!)).toBe('a\ufffdb')
})

test('a row that there is no room for is refused, and harms no other', () => {
  const batch = new Batch(1)
  batch.add(row('a'))
  expect(() => batch.add(row('b'))).toThrow(RangeError)
  batch.clear()
  const broken = row('c', { provider: 'p', trace: 5 as unknown as string })
  Object.defineProperty(broken, 'secrets', { value: undefined })
  expect(() => batch.add(broken)).toThrow()
  batch.add(row('d', { request: 'whole' }))
  const [only] = rowsOf(batch.parcel()).rows as [LogRow]
  expect(unpacked(only)).toEqual(row('d', { request: 'whole' }))
})
