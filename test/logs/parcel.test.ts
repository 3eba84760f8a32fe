import { expect, test } from 'bun:test'

import { parcelMemory, parcelOf, rowsOf } from '#store/logs-parcel.ts'
import type { LogRow } from '#store/logs-schema.ts'

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
  const { rows: arrived, secrets } = rowsOf(structuredClone(parcelOf(rows, memory)), memory)
  expect(arrived as unknown[]).toEqual(expected)
  expect(secrets).toEqual(['a-secret\nof two lines', 'another one'])
})

test('more rows than the memory is for are refused', () => {
  expect(() => parcelOf([row('a'), row('b')], parcelMemory(1))).toThrow(RangeError)
})
