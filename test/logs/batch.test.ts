import { expect, test } from 'bun:test'

import { Batch } from '#store/logs-batch.ts'
import { PARCEL_TEXTS, ParcelReader } from '#store/logs-parcel.ts'
import type { ParcelText } from '#store/logs-parcel.ts'
import type { LogRow } from '#store/logs-schema.ts'
import { NAMED, NUMBERS } from '#store/logs-tables.ts'

import { row } from './row.ts'

/** Everything that a row is said to have, by the columns of the log. */
function readOf(reader: ParcelReader): Record<string, unknown> {
  const { atMs: at_ms, status, dropped, stream, secrets } = reader
  return {
    ...{ at_ms, status, dropped, bytes: stream, secrets },
    ...Object.fromEntries(NUMBERS.map((name, place) => [name, reader.number(place)])),
    ...Object.fromEntries(
      NAMED.map((name, place) => [name, reader.names[reader.nameOf(place)]] as const),
    ),
    ...Object.fromEntries(PARCEL_TEXTS.map((name) => [name, reader.text(name)])),
  }
}

function rowsIn(batch: Batch): Record<string, unknown>[] {
  const reader = new ParcelReader(batch.parcel())
  return Array.from({ length: reader.count }, (_, i) => {
    reader.goTo(i)
    return readOf(reader)
  })
}

/** What a row is to arrive as. */
function columnsOf(call: LogRow): Record<string, unknown> {
  const isBytes = call.answer instanceof Uint8Array
  const or = (value: number | undefined): number | null => value ?? null
  return {
    ...{ at_ms: call.atMs, status: call.status, dropped: call.dropped, secrets: call.secrets },
    ...{ id: call.id, session_id: call.sessionId, usage: call.usage, error: call.error },
    ...{ trail: call.trail, metadata: call.metadata, trace: call.trace, asked: call.asked },
    request: call.request,
    answer: isBytes ? undefined : call.answer,
    bytes: isBytes ? call.answer : undefined,
    ...{ stream: call.stream ? 1 : 0, status_code: call.statusCode, latency_ms: call.latencyMs },
    ...{ queued_ms: call.queuedMs, upstream_ms: call.upstreamMs },
    ...{ first_token_ms: or(call.firstTokenMs), prompt_tokens: or(call.promptTokens) },
    ...{ completion_tokens: or(call.completionTokens), total_tokens: or(call.totalTokens) },
    ...{ cached_read_tokens: or(call.cachedTokens), cost: or(call.cost) },
    ...{ fallback_index: call.fallbackIndex, retries: call.retries, attempts: call.attempts },
    ...{ object: call.object, provider: call.provider, model: call.model },
    ...{ model_used: call.modelUsed, key_id: call.keyId, key_name: call.keyName },
    ...{ virtual_key_id: call.virtualKeyId, virtual_key_name: call.virtualKeyName },
    ...{ team_id: call.teamId, team_name: call.teamName, customer_id: call.customerId },
    ...{ customer_name: call.customerName, user_id: call.userId, user_name: call.userName },
    ...{ routing_rule_id: call.ruleId, routing_rule_name: call.ruleName },
    ...{ routing_engines: call.engines, cache_hit_type: call.cacheHitType },
    ...{ user_agent: call.userAgent, stop_reason: undefined, app: undefined },
  }
}

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
  const bytes = row('bytes', { answer: new TextEncoder().encode('data: 1\n\n') })
  const rows = [full as unknown as LogRow, row('bare'), bytes, row('last', { trace: 'end' })]
  const batch = new Batch(rows.length)
  for (const each of rows) batch.add(each)
  expect(batch.count).toBe(4)
  expect(rowsIn(batch)).toEqual(rows.map(columnsOf))
  const { secretLists } = new ParcelReader(structuredClone(batch.parcel()))
  expect(secretLists.flat()).toEqual(['a-secret\nof two lines', 'another one'])
})

test('one batch comes after the other, and brings nothing of it along', () => {
  const batch = new Batch(2)
  batch.add(row('a', { provider: 'p', request: 'long '.repeat(100), secrets: ['a-secret'] }))
  batch.add(row('b', { answer: new Uint8Array(3) }))
  expect(batch.chars).toBe(503)
  batch.clear()
  const next = row('c', { provider: 'q', request: 'short' })
  batch.add(next)
  expect(batch.parcel().streams).toBeUndefined()
  expect(rowsIn(batch)).toEqual([columnsOf(next)])
  expect(batch.chars).toBe(5)
})

test('texts that take more room than there is find more, for once', () => {
  const batch = new Batch(20)
  const usual = batch.parcel().texts.byteLength
  const rows = Array.from({ length: 20 }, (_, i) =>
    row(`${i}`, { request: '界'.repeat(100_000), answer: `${i}` }),
  )
  for (const each of rows) batch.add(each)
  expect(batch.parcel().texts.byteLength).toBeGreaterThan(usual)
  expect(rowsIn(batch)).toEqual(rows.map(columnsOf))
  batch.clear()
  expect(batch.parcel().texts.byteLength).toBe(usual)
})

test('half a pair is replaced, and counts for one unit', () => {
  const batch = new Batch(1)
  batch.add(row('a', { request: 'a\ud83db' }))
  const reader = new ParcelReader(batch.parcel())
  reader.goTo(0)
  const packed = (name: ParcelText): number | undefined => reader.packed(name)?.chars
  expect([packed('request'), packed('answer')]).toEqual([3, undefined])
  expect(reader.text('request')).toBe('a\ufffdb')
})

test('a row that there is no room for is refused, and harms no other', () => {
  const batch = new Batch(1)
  batch.add(row('a'))
  expect(() => batch.add(row('b'))).toThrow(RangeError)
  batch.clear()
  const broken = row('c', { provider: 'p', trace: 'x', answer: new Uint8Array(1) })
  Object.defineProperty(broken, 'secrets', { value: undefined })
  expect(() => batch.add(broken)).toThrow()
  const whole = row('d', { request: 'whole' })
  batch.add(whole)
  expect(rowsIn(batch)).toEqual([columnsOf(whole)])
})

test('no more of what was asked crosses over than there is time for', () => {
  const batch = new Batch(6)
  const words = 'many words '.repeat(30)
  batch.add(row('1', { asked: words }))
  batch.maxAsked = 256
  batch.add(row('2', { asked: words }))
  batch.add(row('3', { asked: `${'汉'.repeat(255)}ab汉` }))
  batch.add(row('4', { asked: `${'汉'.repeat(256)}ab` }))
  batch.add(row('5', { asked: 'short' }))
  // Half of a word might be half of a key: what begins with a long one is cut where keys are taken out.
  batch.add(row('6', { asked: 'y'.repeat(3000) }))
  expect(rowsIn(batch).map(({ asked }) => asked)).toEqual([
    words,
    words.slice(0, 253),
    '汉'.repeat(255),
    '汉'.repeat(256),
    'short',
    'y'.repeat(256 + 2048),
  ])
})
