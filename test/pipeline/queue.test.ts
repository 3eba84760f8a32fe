import { describe, expect, test } from 'bun:test'

import { watched } from '#lib/deadline.ts'
import { Secret } from '#lib/secret.ts'
import { Gate } from '#pipeline/gate.ts'
import { FairQueue } from '#pipeline/queue.ts'
import type { Place } from '#pipeline/queue.ts'
import { callerOf } from '#pipeline/seat.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { until } from './rig.ts'

const limits = { concurrency: 1, bufferSize: 100, dropExcess: false, provider: 'p' }
const stay = new AbortController().signal

function drained<T>(queue: FairQueue<T>): T[] {
  const taken: T[] = []
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next)
  return taken
}

describe('a fair queue', () => {
  test('serves callers in turns, each first come, first served', () => {
    const queue = new FairQueue<string>()
    for (const item of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2']) queue.add(item[0]!, item)
    expect(queue.size).toBe(7)
    expect(drained(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4'])
    expect([queue.size, queue.take()]).toEqual([0, undefined])
  })

  test('gives a caller who comes later the last turn, and one who left none', () => {
    const queue = new FairQueue<string>()
    const places = ['a1', 'a2', 'b1', 'b2'].map((item) => queue.add(item[0]!, item))
    expect(queue.take()).toBe('a1')
    queue.add('c', 'c1')
    queue.remove(places[2]!)
    queue.remove(places[2]!)
    queue.remove(places[0]!)
    expect(drained(queue)).toEqual(['b2', 'a2', 'c1'])
  })

  test('is the same as a slow one that is obviously right', () => {
    let seed = 7
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return seed % below
    }
    const queue = new FairQueue<number>()
    let lanes: { caller: string; items: number[] }[] = []
    const places = new Map<number, Place<number>>()
    for (let step = 0; step < 20_000; step++) {
      const what = random(5)
      if (what < 2) {
        const caller = String(random(6))
        places.set(step, queue.add(caller, step))
        const lane = lanes.find((one) => one.caller === caller)
        if (lane) lane.items.push(step)
        else lanes.push({ caller, items: [step] })
      } else if (what === 2 && places.size > 0) {
        const [item, place] = [...places][random(places.size)]!
        queue.remove(place)
        places.delete(item)
        for (const lane of lanes) lane.items = lane.items.filter((one) => one !== item)
      } else {
        const [lane] = lanes
        const expected = lane?.items.shift()
        if (lane) lanes = [...lanes.slice(1), lane]
        const taken = queue.take()
        expect(taken).toBe(expected)
        if (taken !== undefined) places.delete(taken)
      }
      lanes = lanes.filter(({ items }) => items.length > 0)
      expect(queue.size).toBe(places.size)
    }
  })
})

test('a caller with many calls waiting delays another by one', async () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  const order: string[] = []
  const wait = (caller: string): unknown =>
    gate.enter(limits, stay, caller)?.then(() => order.push(caller))
  for (let n = 0; n < 20; n++) wait('loud')
  const quiet = wait('quiet')
  gate.leave()
  gate.leave()
  await quiet
  expect(order).toEqual(['loud', 'quiet'])
})

test('nobody waits longer than the settings say, and leaves nothing behind', async () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  const before = watched()
  const waiting = gate.enter({ ...limits, maxWaitMs: 1 }, stay)
  expect(watched()).toBe(before + 1)
  const error = await waiting?.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'queue_full', code: 'queue_timeout', retryAfterMs: 1000 })
  expect([gate.waiting, watched()]).toEqual([0, before])
  gate.leave()
  expect(gate.enter(limits, stay)).toBeUndefined()
})

test('whoever is let in or leaves is not waited for any more', async () => {
  const gate = new Gate()
  void gate.enter(limits, stay)
  const before = watched()
  const leaving = new AbortController()
  const gone = gate.enter({ ...limits, maxWaitMs: 60_000 }, leaving.signal)
  const served = gate.enter({ ...limits, maxWaitMs: 60_000 }, stay)
  leaving.abort()
  expect(await gone?.catch((thrown: { kind: string }) => thrown.kind)).toBe('client_closed')
  gate.leave()
  await served
  expect([gate.waiting, gate.inFlight, watched()]).toEqual([0, 1, before])
})

const chat = (model: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
})

test('a call that waits too long is refused with 503 and told when to come back', async () => {
  await using upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [{ value: 'k' }],
          network_config: { base_url: upstream.url },
          concurrency_and_buffer_size: {
            concurrency: 1,
            buffer_size: 10,
            max_wait_in_seconds: 0.05,
          },
        },
      },
    },
  })
  const gate = Promise.withResolvers<void>()
  upstream.reply({ gate: gate.promise, json: {} })
  const url = `${gateway.url}/openai/v1/chat/completions`
  const first = fetch(url, chat('openai/echo'))
  await upstream.waitFor(1)
  const late = await fetch(url, chat('openai/echo'))
  expect(late.status).toBe(503)
  expect(late.headers.get('retry-after')).toBe('1')
  expect(((await late.json()) as any).error.code).toBe('queue_timeout')
  gate.resolve()
  await first
  await gateway.stop()
})

test('callers are told apart by their key, else their session, else their address', () => {
  const caller = (directKey: string | undefined, session: string | undefined): string =>
    callerOf(
      {
        caller: { directKey: directKey === undefined ? undefined : new Secret(directKey) },
        headers: session === undefined ? {} : { 'x-bf-session-id': session },
        origin: {},
      } as never,
      { addressOf: () => '192.0.2.1' } as never,
    )
  expect(caller('sk-1', 's')).toBe(caller('sk-1', undefined))
  expect(caller('sk-1', 's')).not.toBe(caller('sk-2', 's'))
  expect(caller('sk-1', 's')).not.toContain('sk-1')
  expect(caller(undefined, 's')).toBe('session s')
  expect(caller(undefined, undefined)).toBe('address 192.0.2.1')
})

test('over sockets as well, nobody waits behind all the calls of another', async () => {
  await using upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [{ value: 'k' }],
          network_config: { base_url: upstream.url },
          concurrency_and_buffer_size: { concurrency: 1, buffer_size: 10 },
        },
      },
    },
  })
  const gate = Promise.withResolvers<void>()
  upstream.reply({ gate: gate.promise, json: {} })
  const waiting = async (): Promise<number> => {
    const health: any = await (await fetch(`${gateway.url}/health`)).json()
    return health.components.waiting as number
  }
  const ask = async (session: string): Promise<void> => {
    const init = chat(`openai/${session}`)
    const headers = { 'content-type': 'application/json', 'x-bf-session-id': session }
    const url = `${gateway.url}/openai/v1/chat/completions`
    await (await fetch(url, { ...init, headers })).text()
  }
  const asked = [ask('loud')]
  await upstream.waitFor(1)
  for (const session of ['loud', 'loud', 'loud', 'quiet']) {
    asked.push(ask(session))
    const before = asked.length - 1
    await until(async () => (await waiting()) === before)
  }
  gate.resolve()
  await Promise.all(asked)
  expect(upstream.requests.map((request) => request.json().model)).toEqual([
    'loud',
    'loud',
    'quiet',
    'loud',
    'loud',
  ])
  await gateway.stop()
})

describe('a key with a limit', () => {
  async function start(keys: object[], more: object = {}) {
    const upstream = await startUpstream()
    const gateway = await startGateway({
      config: {
        client: { load_balancing: 'weighted' },
        providers: {
          openai: { keys, network_config: { base_url: upstream.url }, ...more },
        },
      },
    })
    const url = `${gateway.url}/openai/v1/chat/completions`
    return {
      upstream,
      ask: async (init: RequestInit = {}) => {
        const response = await fetch(url, { ...chat('openai/echo'), ...init })
        await response.text()
        return response.status
      },
      keys: () => upstream.requests.map(({ headers }) => headers.get('authorization')!.slice(7)),
      waiting: async () => {
        const health: any = await (await fetch(`${gateway.url}/health`)).json()
        return health.components.waiting as number
      },
      async [Symbol.asyncDispose]() {
        await gateway.stop()
        await upstream.stop()
      },
    }
  }
  const gated = (gate: Promise<void>) => ({ gate, json: { id: 'x', choices: [] } })

  test('is passed over while it has as many calls as it may have', async () => {
    await using rig = await start([
      { value: 'small', concurrency: 1, weight: 1000 },
      { value: 'large', weight: 0.001 },
    ])
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply(Array.from({ length: 4 }, () => gated(gate.promise)))
    const asked = Array.from({ length: 4 }, () => rig.ask())
    await rig.upstream.waitFor(4)
    expect(rig.keys().toSorted()).toEqual(['large', 'large', 'large', 'small'])
    gate.resolve()
    expect(await Promise.all(asked)).toEqual([200, 200, 200, 200])
  })

  test('is waited for when all are full, and whichever is free first is taken', async () => {
    await using rig = await start([
      { value: 'one', concurrency: 1 },
      { value: 'two', concurrency: 2 },
    ])
    const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
    rig.upstream.reply(gates.map(({ promise }) => gated(promise)))
    const asked = Array.from({ length: 3 }, () => rig.ask())
    await rig.upstream.waitFor(3)
    expect(rig.keys().toSorted()).toEqual(['one', 'two', 'two'])
    const late = rig.ask()
    await until(async () => (await rig.waiting()) === 1)
    const freed = rig.keys()[2]!
    gates[2]!.resolve()
    expect(await late).toBe(200)
    expect(rig.keys()[3]).toBe(freed)
    for (const { resolve } of gates) resolve()
    await Promise.all(asked)
    expect(await rig.waiting()).toBe(0)
  })

  test('is free again after a failure, and after a caller who left the queue', async () => {
    await using rig = await start([{ value: 'one', concurrency: 1 }])
    rig.upstream.reply([{ status: 500, json: { error: { message: 'no' } } }])
    expect(await rig.ask()).toBe(500)
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply(gated(gate.promise))
    const first = rig.ask()
    await rig.upstream.waitFor(2)
    const leaving = new AbortController()
    const left = rig.ask({ signal: leaving.signal }).catch(() => 'left')
    await until(async () => (await rig.waiting()) === 1)
    leaving.abort()
    expect(await left).toBe('left')
    await until(async () => (await rig.waiting()) === 0)
    gate.resolve()
    expect(await first).toBe(200)
    expect(await rig.ask()).toBe(200)
    expect(rig.upstream.requests).toHaveLength(3)
  })
})
