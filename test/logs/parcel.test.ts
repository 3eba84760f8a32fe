import { expect, test } from 'bun:test'

import { parcelMemory, parcelOf, rowsOf } from '#store/logs-parcel.ts'
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
  const memory = parcelMemory(rows.length)
  const { rows: arrived, secrets } = rowsOf(parcelOf(rows, memory), memory.numbers)
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

test('texts that take more room than there is find more, for once', () => {
  const memory = parcelMemory(20)
  const long = '界'.repeat(100_000)
  const usual = memory.texts.length
  const rows = Array.from({ length: 20 }, (_, i) => row(`${i}`, { request: long, answer: `${i}` }))
  const parcel = parcelOf(rows, memory)
  expect(parcel.texts.byteLength).toBeGreaterThan(usual)
  const arrived = rowsOf(parcel, memory.numbers).rows.map(unpacked)
  expect(arrived.every(({ request }) => request === long)).toBe(true)
  expect(arrived.map(({ answer }) => answer)).toEqual(rows.map((_, i) => `${i}`))
  expect(parcelOf([row('a')], memory).texts.byteLength).toBe(usual)
})

test('half a pair is replaced, and counts for one unit', () => {
  const memory = parcelMemory(1)
  const [{ request }] = rowsOf(
    parcelOf([row('a', { request: 'a\ud83db' })], memory),
    memory.numbers,
  ).rows as [LogRow]
  expect(charsIn(request!)).toBe(3)
  expect(stringOf(request!)).toBe('a\ufffdb')
})

test('more rows than the memory is for are refused', () => {
  expect(() => parcelOf([row('a'), row('b')], parcelMemory(1))).toThrow(RangeError)
})
