import { describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Call } from '#core/call.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { Books } from '#pipeline/books.ts'
import { createHealth } from '#pipeline/health.ts'
import { createHedges, hedgeDelay } from '#pipeline/hedge.ts'
import { race } from '#pipeline/race.ts'
import type { Lane } from '#pipeline/race.ts'
import type { Settle } from '#pipeline/record.ts'
import { plan } from '#pipeline/routing.ts'
import { Overtaken } from '#pipeline/verdict.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

// Which calls are hedged, when, and how many: tables, and a simulation on a clock of its own.

const breaker = { enabled: true, errorRate: 0.5, minFailures: 5, openMs: 5000, maxOpenMs: 60_000 }

function snapshotOf(client: object = {}, hedging?: boolean) {
  const { snapshot } = loadConfig({
    text: JSON.stringify({
      client,
      providers: {
        openai: {
          keys: [{ value: 'k1' }, { value: 'k2' }],
          ...(hedging !== undefined && { hedging }),
        },
      },
    }),
    path: 'config.json',
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
    detected: [],
  })
  return snapshot!
}

function callOf(more: Partial<Call> = {}): Call {
  return {
    id: 'call',
    endpoint: 'chat_completion',
    method: 'POST',
    path: '/chat/completions',
    query: '',
    body: { kind: 'json', text: '{}', value: {}, scan: undefined as never },
    modelRequested: 'openai/m',
    provider: 'openai',
    model: 'm',
    stream: true,
    wantsUsage: false,
    caller: { directKey: undefined, azureEndpoint: undefined },
    headers: {},
    signal: new AbortController().signal,
    startedAt: 0,
    trace: new Trace(0),
    ...more,
  }
}

const bodyOf = (value: Record<string, unknown>): Call['body'] => ({
  kind: 'json',
  text: JSON.stringify(value),
  value,
  scan: undefined as never,
})

/** The delay of a call at a target that has answered a hundred times in 300 ms. */
function delayOf(call: Call, client: object = {}, hedging?: boolean, latencyMs = 300) {
  const snapshot = snapshotOf(client, hedging)
  const health = createHealth(() => breaker)
  const [leg] = plan(callOf(), snapshot).legs
  const key = leg.keys[0]
  const target = { provider: 'openai', key: key!.id, model: 'm' }
  for (let n = 0; n < 100; n++) {
    health.succeeded(health.began(target, n), n, latencyMs, 'first')
  }
  return hedgeDelay(call, leg, key, snapshot, { health, hedges: createHedges() })
}

const on = { hedging: { enabled: true } }
const asks = (value: string) => callOf({ headers: { 'x-bf-hedge': value } })

describe('a call is hedged', () => {
  test.each([
    ['never by itself', callOf(), {}, undefined, false],
    ['where the configuration says so', callOf(), on, undefined, true],
    ['where its provider says so', callOf(), {}, true, true],
    ['not where its provider says no', callOf(), on, false, false],
    ['when it asks for it', asks('true'), {}, undefined, true],
    ['not when it asks for none', asks('false'), on, true, false],
    ['not when it leaves a file', callOf({ endpoint: 'file_upload' }), on, true, false],
    ['not when it makes images', callOf({ endpoint: 'image_generation' }), on, true, false],
    ['not when it takes an unknown route', callOf({ endpoint: 'passthrough' }), on, true, false],
    ['not when it names no model', callOf({ model: undefined }), on, true, false],
    ['not in the background', callOf({ body: bodyOf({ background: true }) }), on, true, false],
    [
      'not in a conversation that the provider keeps',
      callOf({ body: bodyOf({ conversation: 'c' }) }),
      on,
      true,
      false,
    ],
    [
      'not after a response that only one account has',
      callOf({ body: bodyOf({ previous_response_id: 'r' }) }),
      on,
      true,
      false,
    ],
    [
      'not with a body that is gone',
      callOf({ body: { kind: 'stream', stream: new ReadableStream(), contentType: undefined } }),
      on,
      true,
      false,
    ],
    [
      'not before whole answers were seen, when it wants one',
      callOf({ stream: false }),
      on,
      true,
      false,
    ],
  ] as const)('%s', (_, call, client, hedging, wanted) => {
    expect(delayOf(call, client, hedging) !== undefined).toBe(wanted)
  })

  test('after the 95th percentile of its target, within bounds', () => {
    const bounds = {
      hedging: { enabled: true, min_delay_in_seconds: 0.2, max_delay_in_seconds: 2 },
    }
    expect(delayOf(callOf(), bounds)).toBeWithin(300, 331)
    expect(delayOf(callOf(), bounds, undefined, 10)).toBe(200)
    expect(delayOf(callOf(), bounds, undefined, 50_000)).toBe(2000)
  })
})

test('never more extra calls than the share, however slow everything is', () => {
  const hedges = createHedges()
  for (let n = 1; n <= 1000; n++) {
    hedges.earn('p', 0.07)
    hedges.spend('p')
    expect(hedges.totals.started).toBeLessThanOrEqual(n * 0.07 + 1e-6)
  }
  expect(hedges.totals).toEqual({ calls: 1000, started: 70, won: 0, held: 930 })
  for (let n = 0; n < 100_000; n++) hedges.earn('p', 0.07)
  let saved = 0
  while (hedges.spend('p')) saved++
  expect(saved).toBe(10)
  expect(hedges.spend('other')).toBeFalse()
})

/** A clock that stands still until it is told to go on to whatever comes next. */
function createClock() {
  let events: { atMs: number; happen: () => void }[] = []
  const clock = {
    nowMs: 0,
    after: (ms: number, happen: () => void): (() => void) => {
      const event = { atMs: clock.nowMs + ms, happen }
      events.push(event)
      return () => void (events = events.filter((one) => one !== event))
    },
    until: async <T>(running: Promise<T>): Promise<T> => {
      let isOver = false
      const over = (): void => void (isOver = true)
      running.then(over, over)
      for (;;) {
        // What an event sets off takes a few turns of promises.
        for (let turn = 0; turn < 8; turn++) await Promise.resolve()
        if (isOver) return await running
        const next = events.toSorted((a, b) => a.atMs - b.atMs)[0]
        if (!next) throw new Error('nothing comes any more')
        events = events.filter((one) => one !== next)
        clock.nowMs = next.atMs
        next.happen()
      }
    },
  }
  return clock
}

/** Numbers in [0, 1) that are the same every time. */
function createRandom(): () => number {
  let state = 12345
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

const settle: Settle = {
  success() {},
  failure() {},
  isSettled: false,
  books: new Books(callOf(), false),
}

/** 300 ms, and 5 s in one of twenty calls. */
async function simulate(count: number, client: object) {
  const clock = createClock()
  const random = createRandom()
  const snapshot = snapshotOf(client)
  const health = createHealth(() => breaker)
  const hedges = createHedges()
  const latencies: number[] = []
  let asked = 0
  for (let n = 0; n < count; n++) {
    const call = callOf()
    const [leg] = plan(call, snapshot).legs
    const began = clock.nowMs
    const ask = (which: number, signal: AbortSignal): Promise<string> => {
      asked++
      const beganMs = clock.nowMs
      const key = leg.keys[which]!
      const ticket = health.began({ provider: 'openai', key: key.id, model: 'm' }, beganMs)
      const latencyMs = random() < 0.05 ? 5000 : 200 + 200 * random()
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const cancel = clock.after(latencyMs, () => {
        health.succeeded(ticket, clock.nowMs, clock.nowMs - beganMs, 'first')
        resolve('answer')
      })
      signal.addEventListener('abort', () => {
        cancel()
        const { reason } = signal
        if (reason instanceof Overtaken && reason.beyondMs !== undefined) {
          health.overtaken(ticket, reason.beyondMs, 'first')
        } else health.abandoned(ticket)
        reject(new GatewayError('client_closed', 'gone'))
      })
      return promise
    }
    const delayMs = hedgeDelay(call, leg, leg.keys[0], snapshot, { health, hedges })
    await clock.until(
      delayMs === undefined
        ? ask(0, call.signal)
        : race({
            call,
            settle,
            holding: { release: undefined },
            delayMs,
            after: clock.after,
            first: (lane: Lane) => ask(0, lane.call.signal),
            second: (lane: Lane) => (hedges.spend('openai') ? ask(1, lane.call.signal) : undefined),
          }),
    )
    latencies.push(clock.nowMs - began)
  }
  latencies.sort((a, b) => a - b)
  return {
    p50: latencies[Math.floor(count * 0.5)]!,
    p99: latencies[Math.floor(count * 0.99)]!,
    extra: asked / count - 1,
    totals: hedges.totals,
  }
}

test('with one slow call in twenty, the 99th percentile falls by half for at most 7 % extra calls', async () => {
  const plain = await simulate(10_000, {})
  const hedged = await simulate(10_000, on)
  expect(plain).toMatchObject({ p99: 5000, extra: 0 })
  expect(hedged.p99).toBeLessThanOrEqual(plain.p99 / 2)
  expect(hedged.extra).toBeGreaterThan(0)
  expect(hedged.extra).toBeLessThanOrEqual(0.07)
  expect(hedged.totals.started).toBe(Math.round(hedged.extra * 10_000))
  expect(hedged.p50).toBeLessThanOrEqual(plain.p50 * 1.1)
})

async function failureOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
  } catch (thrown) {
    return (thrown as Error).message
  }
  return 'it did not fail'
}

describe('a race', () => {
  interface Racer {
    readonly lane: Lane
    readonly answer: (text: string) => void
    readonly fail: (what: string) => void
  }

  function start(hasSecond = true, signal = new AbortController().signal) {
    const clock = createClock()
    const racers: Racer[] = []
    const told: unknown[] = []
    const freed: string[] = []
    const enter = (lane: Lane): Promise<string> => {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      racers.push({ lane, answer: resolve, fail: (what) => reject(new Error(what)) })
      if (racers.length === 2) lane.holding.release = () => freed.push('second')
      return promise
    }
    const holding: { release: (() => void) | undefined } = { release: () => freed.push('first') }
    const running = race<string>({
      call: callOf({ signal }),
      settle: { ...settle, books: new Books(callOf(), false) },
      holding,
      delayMs: 100,
      after: clock.after,
      first: enter,
      second: (lane) => (hasSecond ? enter(lane) : undefined),
      decided: (isSecond) => told.push(isSecond ? 'second won' : 'first won'),
      dropped: (_, isSecond) => told.push(isSecond ? 'second dropped' : 'first dropped'),
    })
    running.catch(() => undefined)
    const go = (): Promise<unknown> => clock.until(Promise.resolve())
    /** Lets the delay pass. */
    const pass = (): Promise<unknown> => {
      const { promise, resolve } = Promise.withResolvers<void>()
      clock.after(100, resolve)
      return clock.until(promise)
    }
    return { racers, told, freed, holding, running, go, pass }
  }

  test('begins with one, and ends with it when it is fast', async () => {
    const { racers, told, freed, running, go, pass } = start()
    racers[0]!.answer('fast')
    await go()
    await pass()
    expect([await running, racers.length, told, freed]).toEqual(['fast', 1, [], []])
  })

  test('is over with the first event of a stream, before there is an outcome', async () => {
    const { racers, told, freed, running, pass } = start()
    await pass()
    racers[1]!.lane.first()
    expect([racers[0]!.lane.call.signal.aborted, freed, told]).toEqual([
      true,
      ['first'],
      ['second won'],
    ])
    racers[0]!.answer('too late')
    racers[1]!.answer('here')
    expect(await running).toBe('here')
    expect(racers[1]!.lane.call.signal.aborted).toBeFalse()
  })

  test('gives back everything once, whoever asks for it', async () => {
    const { racers, freed, holding, running, pass } = start()
    await pass()
    racers[0]!.answer('here')
    await running
    expect(freed).toEqual(['second'])
    holding.release?.()
    holding.release?.()
    expect(freed).toEqual(['second', 'first'])
  })

  test('fails with the first when there is no second, or when both do', async () => {
    const alone = start(false)
    await alone.pass()
    alone.racers[0]!.fail('alone')
    expect(await failureOf(alone.running)).toBe('alone')
    const both = start()
    await both.pass()
    both.racers[1]!.fail('second')
    await both.go()
    both.racers[0]!.fail('first')
    expect(await failureOf(both.running)).toBe('first')
    expect(both.told).toEqual(['second dropped'])
    const turned = start()
    await turned.pass()
    turned.racers[0]!.fail('first')
    await turned.go()
    turned.racers[1]!.fail('second')
    expect(await failureOf(turned.running)).toBe('first')
  })

  test('that has failed before the delay asks nobody else', async () => {
    const { racers, running, go, pass } = start()
    racers[0]!.fail('at once')
    await go()
    await pass()
    expect(await failureOf(running)).toBe('at once')
    expect(racers).toHaveLength(1)
  })

  test('ends for both when the caller leaves', async () => {
    const leaving = new AbortController()
    const { racers, pass } = start(true, leaving.signal)
    await pass()
    leaving.abort()
    expect(racers.map(({ lane }) => lane.call.signal.aborted)).toEqual([true, true])
  })
})
