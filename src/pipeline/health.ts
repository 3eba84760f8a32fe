import type { FailureClass } from './failure.ts'
import { createTail } from './tail.ts'
import type { Tail } from './tail.ts'

// What the gateway has learnt of its targets: a target is one key of one provider, asked for one model. Nothing here
// reads a clock; every method is told the time, in milliseconds of `performance.now()`.

/** Whether a target should be asked. */
export type Standing =
  | 'ready'
  /** It was out, and one call may see whether it is back. */
  | 'probe'
  | 'out'

/** Names a target. */
export interface TargetName {
  readonly provider: string
  /** The key's id; empty where no key of ours is used. */
  readonly key: string
  /** Empty where the call names none. */
  readonly model: string
}

/** How the circuit breaker of a target behaves. */
export interface BreakerSettings {
  readonly enabled: boolean
  /** Share of failed calls, 0 to 1, from which a target is out. */
  readonly errorRate: number
  /** Failures, weighted by age, below which a rate says nothing. */
  readonly minFailures: number
  /** How long it is out the first time; doubled for each failed probe. */
  readonly openMs: number
  readonly maxOpenMs: number
}

/** A call that is under way, as its target's memory knows it. */
export interface Ticket {
  readonly target: TargetName
  readonly state: State
}

/** What a latency was measured to. */
export type Awaited = 'first' | 'whole'

export interface Health {
  standing(target: TargetName, nowMs: number): Standing
  /** A call goes out. Give the ticket to exactly one of `succeeded`, `failed` and `abandoned`. */
  began(target: TargetName, nowMs: number): Ticket
  /** `what` tells what was waited for: the first event of a stream, or the whole answer. */
  succeeded(ticket: Ticket, nowMs: number, latencyMs: number, what?: Awaited): void
  failed(ticket: Ticket, nowMs: number, what: FailureClass, retryAfterMs: number | undefined): void
  /** It ended in a way that says nothing about the target. */
  abandoned(ticket: Ticket): void
  /** It had not answered after `beyondMs`; another target was asked as well and was faster. */
  overtaken(ticket: Ticket, beyondMs: number, what: Awaited): void
  /** What 95 in 100 of its answers stay below, in milliseconds; undefined before `minSeen` were seen. */
  p95(target: TargetName, what: Awaited, minSeen: number): number | undefined
  /** How many of its answers are remembered; older ones count less. */
  seen(target: TargetName, what: Awaited): number
  /**
   * Smaller is better: expected milliseconds times the calls that are under way. Of a target that was not asked lately
   * ever less is expected, so that a slow one gets the chance to show that it no longer is.
   */
  load(target: TargetName, nowMs: number): number
  /** Why a target is out, for the trace; undefined when it is not. */
  reason(target: TargetName, nowMs: number): string | undefined
  /**
   * Nothing is known any more of a provider, or of one of its keys: what is behind the name is another one now. How
   * calls end that are under way says nothing of it.
   */
  forget(provider: string, key?: string): void
  /** All targets that are known, for metrics; as many as are remembered at most. */
  snapshot(nowMs: number): readonly TargetState[]
}

/** A target as metrics tell of it. */
export interface TargetState extends TargetName {
  readonly standing: Standing
  /** How often in a row its breaker opened; 0 = it is closed. */
  readonly trips: number
  /** Calls under way. */
  readonly underway: number
  /** What it took lately to answer, in milliseconds; 0 when it never did. */
  readonly latencyMs: number
  /** One call looks whether it is back. */
  readonly isProbed: boolean
}

/** After ten seconds half of what was seen is forgotten. */
const halfLifeMs = 10_000
/** Model names come from callers: what is known is bounded, and the oldest is forgotten. */
const maxTargets = 10_000
/** A probe that never ended does not keep the target out. */
const probeMs = 30_000
const latencyWeight = 0.2
const latencyHalfLifeMs = 30_000
/** Keys that were refused are looked at again after this long; the account may have been paid. */
const refusedMs: Partial<Record<FailureClass, number>> = {
  auth: 60_000,
  quota: 60_000,
  permission: 30_000,
}
const tooFastMs = 1000
const maxTooFastMs = 60_000

interface State {
  good: number
  bad: number
  /** When `good` and `bad` were last brought up to date. */
  seenAtMs: number
  /** Failures since it last served. */
  inARow: number
  outUntilMs: number
  /** How often in a row it went out. */
  trips: number
  probeUntilMs: number
  latencyMs: number
  underway: number
  /** What it is about is there no longer. */
  isPast: boolean
  readonly tails: { first: Tail | undefined; whole: Tail | undefined }
}

/** A new memory; nothing is known of anybody, so everybody is ready. */
export function createHealth(settings: () => BreakerSettings): Health {
  const states = new Map<string, State>()
  /** How many of them are out or on trial; usually none, and then nobody has to be looked up. */
  let tripped = 0
  /** Per key, whatever the model: its refusals concern them all. */
  const cooling = new Map<string, { untilMs: number; what: FailureClass }>()

  // The same once more, by parts: no text has to be put together for a look, and a thousand keys share the way to the
  // last step.
  const ways = new Map<string, Map<string, Map<string, State>>>()

  function find({ model, provider, key }: TargetName): State | undefined {
    return ways.get(model)?.get(provider)?.get(key)
  }

  function keep({ model, provider, key }: TargetName, state: State): void {
    let providers = ways.get(model)
    if (!providers) ways.set(model, (providers = new Map()))
    let keys = providers.get(provider)
    if (!keys) providers.set(provider, (keys = new Map()))
    keys.set(key, state)
  }

  function drop(name: string, state: State): void {
    states.delete(name)
    if (state.trips > 0) tripped--
    // Calls that are still under way know it, and what becomes of them must not be counted twice.
    state.trips = 0
    const { model, provider, key } = targetOf(name)
    const providers = ways.get(model)
    const keys = providers?.get(provider)
    keys?.delete(key)
    if (keys?.size === 0) providers?.delete(provider)
    if (providers?.size === 0) ways.delete(model)
  }

  function stateOf(target: TargetName): State {
    let state = find(target)
    if (!state) {
      if (states.size >= maxTargets) {
        const [oldest, forgotten] = states.entries().next().value!
        drop(oldest, forgotten)
      }
      state = {
        good: 0,
        bad: 0,
        seenAtMs: 0,
        inARow: 0,
        outUntilMs: 0,
        trips: 0,
        probeUntilMs: 0,
        latencyMs: 0,
        underway: 0,
        isPast: false,
        tails: { first: undefined, whole: undefined },
      }
      states.set(targetName(target), state)
      keep(target, state)
    }
    return state
  }

  function cool(target: TargetName, untilMs: number, what: FailureClass): void {
    if (cooling.size >= maxTargets) cooling.clear()
    cooling.set(keyName(target, what), { untilMs, what })
  }

  /** A key that may not use one model may use others. */
  function keyName({ provider, key, model }: TargetName, what: FailureClass): string {
    return what === 'permission' || what === 'rate_limit'
      ? targetName({ provider, key, model })
      : `${provider}\n${key}`
  }

  function coolingOf(target: TargetName, nowMs: number) {
    if (cooling.size === 0) return undefined
    for (const what of ['auth', 'rate_limit'] as const) {
      const name = keyName(target, what)
      const found = cooling.get(name)
      if (!found) continue
      if (found.untilMs > nowMs) return found
      cooling.delete(name)
    }
    return undefined
  }

  function standing(target: TargetName, nowMs: number): Standing {
    if (target.key !== '' && coolingOf(target, nowMs)) return 'out'
    if (!settings().enabled) return 'ready'
    if (tripped === 0) return 'ready'
    // Whoever only looks leaves nothing to remember.
    const state = find(target)
    if (!state || state.trips === 0) return 'ready'
    if (state.outUntilMs > nowMs) return 'out'
    return state.probeUntilMs > nowMs ? 'out' : 'probe'
  }

  return {
    standing,
    began(target, nowMs) {
      const state = stateOf(target)
      state.underway++
      if (state.trips > 0 && state.outUntilMs <= nowMs) state.probeUntilMs = nowMs + probeMs
      return { target, state }
    },
    succeeded({ state }, nowMs, latencyMs, what = 'whole') {
      ended(state)
      if (state.isPast) return
      decay(state, nowMs)
      const tail = (state.tails[what] ??= createTail())
      tail.add(latencyMs)
      state.good++
      state.inARow = 0
      state.latencyMs =
        state.latencyMs === 0
          ? latencyMs
          : state.latencyMs + latencyWeight * (latencyMs - state.latencyMs)
      if (state.trips === 0) return
      tripped--
      // It is back: what was seen before it went out is no longer true.
      Object.assign(state, { trips: 0, outUntilMs: 0, probeUntilMs: 0, good: 1, bad: 0 })
    },
    failed({ target, state }, nowMs, what, retryAfterMs) {
      ended(state)
      if (state.isPast) return
      // Whatever it said, the look at it is over.
      state.probeUntilMs = 0
      if (what === 'rate_limit') {
        cool(target, nowMs + Math.min(maxTooFastMs, retryAfterMs ?? tooFastMs), what)
        return
      }
      const refused = refusedMs[what]
      if (refused !== undefined) cool(target, nowMs + refused, what)
      if (!blames(what)) return
      decay(state, nowMs)
      state.bad++
      state.inARow++
      const { errorRate, minFailures, openMs, maxOpenMs } = settings()
      const rate = state.bad / (state.good + state.bad)
      const wasProbe = state.trips > 0 && state.outUntilMs <= nowMs
      // Of a busy target the rate tells only after seconds; that nothing is served any more tells sooner.
      const isBad = rate >= errorRate || state.inARow >= 2 * minFailures
      if (!wasProbe && (state.trips > 0 || state.bad < minFailures || !isBad)) return
      if (state.trips === 0) tripped++
      state.trips++
      state.outUntilMs = nowMs + Math.min(maxOpenMs, openMs * 2 ** (state.trips - 1))
    },
    abandoned({ state }) {
      ended(state)
      state.probeUntilMs = 0
    },
    overtaken({ state }, beyondMs, what) {
      ended(state)
      state.probeUntilMs = 0
      // Left out, the slow ones would be missing, and every hedge would make the next one come sooner.
      const tail = (state.tails[what] ??= createTail())
      tail.add(beyondMs)
    },
    p95(target, what, minSeen) {
      // Whoever only looks leaves nothing to remember.
      const tail = find(target)?.tails[what]
      return tail && tail.seen >= minSeen ? tail.p95() : undefined
    },
    seen(target, what) {
      return find(target)?.tails[what]?.seen ?? 0
    },
    load(target, nowMs) {
      const state = find(target)
      if (!state) return 1
      const { latencyMs, underway, seenAtMs } = state
      const faded = latencyMs * 2 ** ((seenAtMs - nowMs) / latencyHalfLifeMs)
      return (faded + 1) * (underway + 1)
    },
    reason(target, nowMs) {
      if (standing(target, nowMs) !== 'out') return undefined
      const cooled = target.key === '' ? undefined : coolingOf(target, nowMs)
      if (cooled)
        return `${cooled.what}, for another ${Math.ceil((cooled.untilMs - nowMs) / 1000)} s`
      const { outUntilMs, trips } = stateOf(target)
      return `breaker open (${trips}), for another ${Math.max(0, Math.ceil((outUntilMs - nowMs) / 1000))} s`
    },
    forget(provider, key) {
      const isMeant = (name: string): boolean => {
        const target = targetOf(name)
        return target.provider === provider && (key === undefined || target.key === key)
      }
      for (const [name, state] of states) {
        if (!isMeant(name)) continue
        drop(name, state)
        state.isPast = true
      }
      for (const name of cooling.keys()) if (isMeant(name)) cooling.delete(name)
    },
    snapshot(nowMs) {
      return Array.from(states, ([name, { trips, underway, latencyMs, probeUntilMs }]) => {
        const target = targetOf(name)
        const isProbed = trips > 0 && probeUntilMs > nowMs
        return {
          ...target,
          standing: standing(target, nowMs),
          trips,
          underway,
          latencyMs,
          isProbed,
        }
      })
    },
  }
}

/** What `targetName` was made of: only a model's name may have line breaks. */
function targetOf(name: string): TargetName {
  const [provider = '', key = '', ...model] = name.split('\n')
  return { provider, key, model: model.join('\n') }
}

function targetName({ provider, key, model }: TargetName): string {
  return `${provider}\n${key}\n${model}`
}

function ended(state: State): void {
  if (state.underway > 0) state.underway--
}

function decay(state: State, nowMs: number): void {
  const share = 2 ** ((state.seenAtMs - nowMs) / halfLifeMs)
  state.good *= share
  state.bad *= share
  state.seenAtMs = nowMs
}

/** Failures that say something about the provider, and not about the request or the account. */
function blames(what: FailureClass): boolean {
  return (
    what === 'server' ||
    what === 'overloaded' ||
    what === 'timeout' ||
    what === 'network' ||
    what === 'malformed'
  )
}
