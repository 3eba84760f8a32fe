import { expect, test } from 'bun:test'

import { Gate } from '#pipeline/gate.ts'

// What the sockets cannot show: limits that change while calls wait.

const limits = { concurrency: 1, bufferSize: 10, dropExcess: false, provider: 'p' }
const stay = new AbortController().signal

test('calls are let in as they came, one for each that leaves', async () => {
  const gate = new Gate()
  const order: number[] = []
  expect(gate.enter(limits, stay)).toBeUndefined()
  const waiting = [1, 2, 3].map((n) => gate.enter(limits, stay)?.then(() => order.push(n)))
  gate.leave()
  gate.leave()
  await waiting[0]
  await waiting[1]
  expect([order, gate.inFlight, gate.waiting]).toEqual([[1, 2], 1, 1])
})

test('nobody overtakes those who wait, not even when there is room again', () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  void gate.enter(limits, stay)
  expect(gate.enter({ ...limits, concurrency: 5 }, stay)).toBeInstanceOf(Promise)
})

test('a higher limit lets several in at the next chance, a lower one none', () => {
  const gate = new Gate()
  const wide = { ...limits, concurrency: 3 }
  void gate.enter(limits, stay)
  for (let n = 0; n < 3; n++) void gate.enter(n === 2 ? wide : limits, stay)
  gate.leave()
  expect([gate.inFlight, gate.waiting]).toEqual([3, 0])
  void gate.enter(limits, stay)
  gate.leave()
  gate.leave()
  expect([gate.inFlight, gate.waiting]).toEqual([1, 1])
})

test('a caller who is gone already takes no place in the queue', async () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  const gone = AbortSignal.abort()
  const refused = await gate.enter(limits, gone)?.catch((error: { kind: string }) => error.kind)
  expect([refused, gate.waiting]).toEqual(['client_closed', 0])
})

test('a full queue says how full it is', () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  expect(() => gate.enter({ ...limits, bufferSize: 0 }, stay)).toThrow(
    "Provider 'p' has 1 requests in flight and 0 waiting",
  )
})
