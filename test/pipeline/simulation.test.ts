import { beforeAll, describe, expect, test } from 'bun:test'

import type { Key } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'
import { failureClass } from '#pipeline/failure.ts'
import { createHealth } from '#pipeline/health.ts'
import type { Health, TargetName, Ticket } from '#pipeline/health.ts'
import { Keyring } from '#pipeline/keyring.ts'
import { createRetryBudget } from '#pipeline/retry-budget.ts'
import type { RetryBudget } from '#pipeline/retry-budget.ts'
import { nextStep } from '#pipeline/retry.ts'

// A hundred thousand calls through the very steps that decide about real ones, on a clock of its own: 200 calls a
// second for 500 seconds, to a provider with four keys and another one behind it.
//
//     0 – 150 s   all is well
//   150 – 250 s   the first key fails always, the third one every other ten seconds, the fourth is refused now and then
//   250 – 330 s   all is well
//   330 – 380 s   the provider is down, whatever the key
//   380 – 500 s   all is well

const calls = 100_000
const everyMs = 5
const weights = [4, 3, 2, 1] as const
const shareOf = weights.map((weight) => weight / 10)
const breaker = { enabled: true, errorRate: 0.5, minFailures: 5, openMs: 5000, maxOpenMs: 60_000 }
const retry = { maxRetries: 2, initialBackoffMs: 100, maxBackoffMs: 1000 }
const model = 'm'

function key(name: string, weight: number): Key {
  return {
    id: name,
    name,
    value: new Secret(name),
    models: undefined,
    blacklistedModels: new Set(),
    weight,
    enabled: true,
    useForBatchApi: false,
    aliases: new Map(),
    vendor: {},
  }
}

/** The same numbers in every run. */
function seeded(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Event {
  readonly atMs: number
  readonly run: () => void
}

/** What is to happen, soonest first. */
class Agenda {
  readonly #heap: Event[] = []

  add(atMs: number, run: () => void): void {
    const heap = this.#heap
    let at = heap.push({ atMs, run }) - 1
    for (let up = (at - 1) >> 1; at > 0 && heap[up]!.atMs > atMs; up = (at - 1) >> 1) {
      const below = heap[at]!
      heap[at] = heap[up]!
      heap[up] = below
      at = up
    }
  }

  take(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ;) {
      const left = 2 * at + 1
      const right = left + 1
      const side = right < heap.length && heap[right]!.atMs < heap[left]!.atMs ? right : left
      if (side >= heap.length || heap[side]!.atMs >= heap[at]!.atMs) return first
      const above = heap[at]!
      heap[at] = heap[side]!
      heap[side] = above
      at = side
    }
  }
}

const upstream = (status: number, retryAfterMs?: number) =>
  new GatewayError('upstream_error', 'no', {
    upstream: {
      status,
      message: 'no',
      type: null,
      code: null,
      param: null,
      retryAfterMs,
      extra: {},
    },
  })
const broken = upstream(500)
const tooFast = upstream(429, 2000)

/** What a target does with a call that arrives now; undefined = it serves. */
type Behaviour = (
  target: TargetName,
  nowMs: number,
  random: () => number,
) => GatewayError | undefined

interface Options {
  readonly behave: Behaviour
  readonly latencyMs?: (target: TargetName) => number
  readonly leastLoaded?: boolean
  readonly seed: number
}

interface Attempt {
  readonly atMs: number
  readonly provider: string
  readonly key: string
  readonly ok: boolean
}

interface Run {
  readonly attempts: readonly Attempt[]
  /** How each call ended: the provider that served it, or undefined. */
  readonly served: readonly (string | undefined)[]
  /** Candidates that were begun, which is what budgets grow with. */
  readonly begun: Readonly<Record<string, number>>
  readonly retries: Readonly<Record<string, number>>
  readonly rotations: number
  readonly underway: number
  readonly probes: number
}

function simulate({ behave, latencyMs = () => 200, leastLoaded, seed }: Options): Run {
  const random = seeded(seed)
  const agenda = new Agenda()
  const health: Health = createHealth(() => breaker)
  const legs = [
    { provider: 'main', keys: weights.map((weight, n) => key(`k${n + 1}`, weight)) },
    { provider: 'spare', keys: [key('s', 1)] },
  ]
  const budgets: Record<string, RetryBudget> = {
    main: createRetryBudget(),
    spare: createRetryBudget(),
  }
  const attempts: Attempt[] = []
  const served: (string | undefined)[] = []
  const begun: Record<string, number> = { main: 0, spare: 0 }
  const retries: Record<string, number> = { main: 0, spare: 0 }
  let rotations = 0
  let nowMs = 0
  const call = { endpoint: 'chat_completion', method: 'POST', body: { kind: 'json' } } as never

  /** As `inOrder` does it. */
  function ordered() {
    const isOut = ({ provider, keys }: (typeof legs)[number]): boolean =>
      keys.every((one) => health.reason({ provider, key: one.id, model }, nowMs) !== undefined)
    return [...legs.filter((leg) => !isOut(leg)), ...legs.filter(isOut)]
  }

  /** As `tryLeg` does it. */
  function begin(order: readonly (typeof legs)[number][], at: number): void {
    const leg = order[at]
    if (!leg) {
      served.push(undefined)
      return
    }
    const { provider, keys } = leg
    const budget = budgets[provider]!
    const named = (one: Key): TargetName => ({ provider, key: one.id, model })
    const ring = new Keyring(keys, {
      random,
      isOut: (one) => health.standing(named(one), nowMs) === 'out',
      load: leastLoaded ? (one) => health.load(named(one), nowMs) : undefined,
    })
    budget.earn()
    begun[provider]!++
    let tried = 0
    const send = (): void => {
      const target = named(ring.current!)
      const beganMs = nowMs
      const ticket = health.began(target, nowMs)
      const failure = behave(target, nowMs, random)
      attempts.push({ atMs: nowMs, provider, key: target.key, ok: !failure })
      const tookMs = latencyMs(target) * (0.5 + random())
      agenda.add(nowMs + (failure ? tookMs / 4 : tookMs), () =>
        failure ? failed(ticket, failure) : succeeded(ticket, beganMs),
      )
    }
    const succeeded = (ticket: Ticket, beganMs: number): void => {
      health.succeeded(ticket, nowMs, nowMs - beganMs)
      served.push(provider)
    }
    const failed = (ticket: Ticket, error: GatewayError): void => {
      health.failed(ticket, nowMs, failureClass(error), error.upstream?.retryAfterMs)
      const step = nextStep({
        call,
        error,
        settings: retry,
        retries: tried,
        freshKeys: ring.left,
        budgetLeft: budget.hasLeft,
        random: random(),
      })
      if (step.kind === 'next' || step.kind === 'stop') begin(order, at + 1)
      else if (step.kind === 'rotate') {
        rotations++
        ring.rotate()
        send()
      } else {
        budget.spend()
        retries[provider]!++
        tried++
        agenda.add(nowMs + step.waitMs, () => {
          if (step.otherKey) ring.rotate()
          send()
        })
      }
    }
    send()
  }

  for (let n = 0; n < calls; n++) agenda.add(n * everyMs, () => begin(ordered(), 0))
  for (let event = agenda.take(); event; event = agenda.take()) {
    nowMs = event.atMs
    event.run()
  }
  const states = health.snapshot(nowMs)
  return {
    attempts,
    served,
    begun,
    retries,
    rotations,
    underway: states.reduce((sum, { underway }) => sum + underway, 0),
    probes: states.filter(({ isProbed }) => isProbed).length,
  }
}

const badFromMs = 150_000
const badToMs = 250_000
const downFromMs = 330_000
const downToMs = 380_000

const behave: Behaviour = ({ provider, key: name }, nowMs, random) => {
  if (provider === 'spare') return undefined
  if (nowMs >= downFromMs && nowMs < downToMs) return broken
  if (nowMs < badFromMs || nowMs >= badToMs) return undefined
  if (name === 'k1') return broken
  if (name === 'k3') return Math.floor(nowMs / 10_000) % 2 === 0 ? broken : undefined
  return name === 'k4' && random() < 0.2 ? tooFast : undefined
}

/** Share of the attempts at the main provider that each key got. */
function shares({ attempts }: Run, fromMs: number, toMs: number): number[] {
  const own = attempts.filter(
    ({ atMs, provider }) => provider === 'main' && atMs >= fromMs && atMs < toMs,
  )
  return weights.map((_, n) => own.filter((one) => one.key === `k${n + 1}`).length / own.length)
}

function print(title: string, facts: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`  ${title}: ${JSON.stringify(facts)}\n`)
}

const rounded = (values: readonly number[]): number[] =>
  values.map((value) => Math.round(value * 1000) / 1000)

describe('a hundred thousand calls', () => {
  let run: Run

  beforeAll(() => {
    run = simulate({ behave, seed: 1 })
  })

  test('all end, and nearly all are served', () => {
    const unserved = run.served.filter((provider) => provider === undefined).length
    print('calls', {
      ended: run.served.length,
      unserved,
      attempts: run.attempts.length,
      rotations: run.rotations,
    })
    expect(run.served).toHaveLength(calls)
    expect(unserved).toBe(0)
    expect([run.underway, run.probes]).toEqual([0, 0])
  })

  test('are spread by weight within 2 % while all is well', () => {
    const well = shares(run, 0, badFromMs)
    const afterwards = shares(run, downToMs + 60_000, calls * everyMs)
    print('shares', { well: rounded(well), afterwards: rounded(afterwards) })
    for (const [n, share] of shareOf.entries()) {
      expect(Math.abs(well[n]! - share)).toBeLessThan(0.02)
      expect(Math.abs(afterwards[n]! - share)).toBeLessThan(0.02)
    }
    const spare = run.attempts.filter(
      ({ provider, atMs }) => provider === 'spare' && atMs < badFromMs,
    )
    expect(spare).toHaveLength(0)
  })

  test('leave a key that fails within a second, and look at it ever less often', () => {
    const asked = run.attempts.filter(
      ({ key: name, atMs }) => name === 'k1' && atMs >= badFromMs && atMs < badToMs,
    )
    const late = asked.filter(({ atMs }) => atMs >= badFromMs + 1000)
    print('failing key', { asked: asked.length, afterOneSecond: late.length })
    // 5, 10, 20, 40 and 60 s between two looks: no more than five in a hundred seconds, each with its retries.
    expect(late.length).toBeLessThanOrEqual(5 * (1 + retry.maxRetries))
    // The others share its calls as their weights say.
    const [, second = 0, , fourth = 0] = shares(run, badFromMs + 1000, badToMs)
    expect(second / fourth).toBeGreaterThan(2)
  })

  test('come back to a key within its longest rest', () => {
    const back = (name: string, sinceMs: number): number => {
      const found = run.attempts.find(
        ({ key: one, atMs, ok }) => one === name && ok && atMs >= sinceMs,
      )
      return (found?.atMs ?? Number.POSITIVE_INFINITY) - sinceMs
    }
    const afterBad = weights.map((_, n) => back(`k${n + 1}`, badToMs))
    const afterDown = weights.map((_, n) => back(`k${n + 1}`, downToMs))
    print('recovery in ms', { afterBad, afterDown })
    for (const ms of [...afterBad, ...afterDown]) {
      expect(ms).toBeLessThanOrEqual(breaker.maxOpenMs + 2000)
    }
    // Whoever was only refused for being too fast does not rest longer than it asked for.
    expect(afterBad[3]).toBeLessThanOrEqual(2500)
  })

  test('are served by the other provider while the main one is down', () => {
    const during = run.attempts.filter(({ atMs }) => atMs >= downFromMs + 1000 && atMs < downToMs)
    const main = during.filter(({ provider }) => provider === 'main').length
    print('while the provider is down', { main, spare: during.length - main })
    expect(main / during.length).toBeLessThan(0.02)
  })

  test('are repeated no more often than the budget allows', () => {
    const started = run.begun['main']!
    const repeated = run.retries['main']!
    const inTrouble = run.attempts.filter(
      ({ atMs, provider }) =>
        provider === 'main' &&
        ((atMs >= badFromMs && atMs < badToMs) || (atMs >= downFromMs && atMs < downToMs)),
    ).length
    print('retries', {
      calls: started,
      retries: repeated,
      amplification: (started + repeated) / started,
      attemptsInTrouble: inTrouble,
    })
    expect(repeated).toBeGreaterThan(0)
    expect(repeated).toBeLessThanOrEqual(10 + 0.2 * started)
    expect(run.attempts.length).toBe(
      started + run.begun['spare']! + repeated + run.retries['spare']! + run.rotations,
    )
  })
})

test('without a breaker to help, retries still stay a fifth of the calls when every call fails', () => {
  const down = simulate({ behave: () => broken, seed: 2 })
  const amplification = (down.begun['main']! + down.retries['main']!) / down.begun['main']!
  print('everything is down', { ...down.begun, retries: down.retries, amplification })
  for (const provider of ['main', 'spare']) {
    expect(down.retries[provider]).toBeLessThanOrEqual(10 + 0.2 * down.begun[provider]!)
  }
  // Nobody is left out for ever: whatever the breakers say, each call is tried somewhere.
  expect(down.attempts.length).toBeGreaterThanOrEqual(calls)
  expect([down.underway, down.probes]).toEqual([0, 0])
})

test('a slow key gets less than its share when load counts, and its share when it does not', () => {
  const latencyMs = ({ key: name }: TargetName): number => (name === 'k1' ? 4000 : 200)
  const byWeight = simulate({ behave: () => undefined, latencyMs, seed: 3 })
  const byLoad = simulate({ behave: () => undefined, latencyMs, seed: 3, leastLoaded: true })
  const whole = calls * everyMs
  const [weighted = 0] = shares(byWeight, 0, whole)
  const [loaded = 0] = shares(byLoad, 0, whole)
  print('slow key', { byWeight: weighted, byLoad: loaded })
  expect(Math.abs(weighted - shareOf[0]!)).toBeLessThan(0.02)
  expect(loaded).toBeLessThan(0.6 * shareOf[0]!)
})
