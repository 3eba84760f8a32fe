import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { decidingFor } from './candidates.ts'
import { failureClass, timerOf } from './failure.ts'
import { hedgePlan, hedgeReason } from './hedge-plan.ts'
import { Keyring } from './keyring.ts'
import type { Outcome } from './outcome.ts'
import { race } from './race.ts'
import type { After, Lane } from './race.ts'
import type { Settle } from './record.ts'
import { targetOf } from './routing.ts'
import type { Leg } from './routing.ts'
import { takeSeat } from './seat.ts'
import type { Services } from './services.ts'
import { nameOf } from './standing.ts'
import { Verdict } from './verdict.ts'

// Hedging: a call that takes longer than nearly all calls of its target gets a second candidate.

/** Hedges since the start, for metrics. */
export interface HedgeTotals {
  /** Calls that might have been hedged. */
  calls: number
  /** Of those, how many were given a second candidate: the extra calls. */
  started: number
  /** Of those, how many were answered by the second. */
  won: number
  /** How many were slow enough but beyond the permitted share. */
  held: number
}

/** How many extra calls hedging may cause; one per process. */
export interface Hedges {
  readonly totals: Readonly<HedgeTotals>
  /** A call came that might be hedged. Adds `maxShare` of an extra call to what its provider may cause. */
  earn(provider: string, maxShare: number): void
  /** Whether the next call of the provider could be given an extra one, if it earned `maxShare`. Changes nothing. */
  mayStart(provider: string, maxShare: number): boolean
  /** Takes one extra call; false when that would be more than the share. */
  spend(provider: string): boolean
  won(): void
}

/** Extra calls that a quiet time may save up. */
const maxSaved = 10

export function createHedges(): Hedges {
  const totals: HedgeTotals = { calls: 0, started: 0, won: 0, held: 0 }
  /** Provider names come from the configuration, so there are not many. */
  const saved = new Map<string, number>()
  return {
    totals,
    earn(provider, maxShare) {
      totals.calls++
      saved.set(provider, Math.min(maxSaved, (saved.get(provider) ?? 0) + maxShare))
    },
    mayStart(provider, maxShare) {
      return (saved.get(provider) ?? 0) + maxShare >= 1 - 1e-9
    },
    spend(provider) {
      const left = saved.get(provider) ?? 0
      // Sums of shares like 0.07 fall short of whole numbers by a rounding.
      if (left < 1 - 1e-9) {
        totals.held++
        return false
      }
      saved.set(provider, left - 1)
      totals.started++
      return true
    },
    won() {
      totals.won++
    },
  }
}

/**
 * How long the first candidate is given alone, in milliseconds; undefined when the call is not to be hedged. That is
 * wanted by header or configuration, a second call must do no harm, and enough must be known of the target.
 */
export function hedgeDelay(
  call: Call,
  leg: Leg,
  key: Key | undefined,
  snapshot: Snapshot,
  services: Pick<Services, 'health' | 'hedges'>,
): number | undefined {
  const plan = hedgePlan(call, leg, key, snapshot, services)
  if (plan.kind === 'unwanted') return undefined
  if (plan.kind === 'unsafe') {
    if (call.trace.isDetailed) call.trace.add('attempt', `not hedged: ${hedgeReason(plan)}`)
    return undefined
  }
  services.hedges.earn(leg.settings.name, snapshot.client.hedging.maxShare)
  if (plan.kind === 'unknown') {
    call.trace.add('attempt', `not hedged: ${hedgeReason(plan)}`)
    return undefined
  }
  if (call.trace.isDetailed) {
    const ms = Math.round(plan.delayMs)
    call.trace.add('attempt', `hedged after ${ms} ms: ${hedgeReason(plan)}`, { hedge_after_ms: ms })
  }
  return plan.delayMs
}

/** What is needed of a call to ask two candidates at once. */
export interface Hedging {
  readonly call: Call
  readonly snapshot: Snapshot
  readonly services: Services
  readonly settle: Settle
  readonly holding: { release: (() => void) | undefined }
  /** Where the first is asked, whose seat `holding` has. */
  readonly leg: Leg
  readonly key: Key | undefined
  /** The candidate after it. */
  readonly next: Leg | undefined
  readonly delayMs: number
  readonly after?: After
  /** Sends one attempt. */
  ask(target: Target, lane: Lane, verdict: Verdict): Promise<Outcome>
}

/**
 * Asks the first candidate and, if that has not answered after `delayMs`, a second one: another key of the same
 * provider, else the next candidate. Which of them answered is in the header `x-bf-hedged` (`first` or `second`) when
 * both were asked. Throws what the first one threw when neither serves.
 */
export async function hedged(hedging: Hedging): Promise<Outcome> {
  const { call, services, settle, leg, key, delayMs, holding, after } = hedging
  const { books } = settle
  let other: Candidate | undefined
  let winner: 'first' | 'second' | undefined
  let wasHedged = false
  const outcome = await race<Outcome>({
    call,
    settle,
    holding,
    delayMs,
    ...(after && { after }),
    first: (lane) => ask(hedging, { leg, key }, lane),
    second(lane) {
      other = anotherOf(hedging)
      if (!other) return undefined
      if (!services.hedges.spend(leg.settings.name)) {
        call.trace.add('attempt', 'slow, but as many calls are hedged as may be')
        return undefined
      }
      const name = nameIn(other)
      call.trace.add('attempt', `no answer after ${Math.round(delayMs)} ms: ${name} is asked too`)
      wasHedged = true
      books.attempts++
      return askSecond(hedging, other, lane)
    },
    decided(isSecond) {
      winner = isSecond ? 'second' : 'first'
      if (isSecond) services.hedges.won()
      const [fast, slow] = isSecond ? [other!, { leg, key }] : [{ leg, key }, other!]
      call.trace.add('attempt', `${nameIn(fast)} answered first; ${nameIn(slow)} was cancelled`)
    },
    dropped(thrown, isSecond) {
      const error = toGatewayError(thrown)
      const failed = isSecond ? other! : { leg, key }
      const what = failureClass(error)
      books.failedTry({
        provider: failed.leg.settings.name,
        key: failed.key?.name,
        failureClass: what,
        status: error.status,
      })
      call.trace.add('attempt', `${nameIn(failed)}: ${error.kind} (${what}); the other goes on`, {
        timer: timerOf(error),
      })
    },
  })
  if (wasHedged) outcome.headers['x-bf-hedged'] = winner ?? 'first'
  return outcome
}

interface Candidate {
  readonly leg: Leg
  readonly key: Key | undefined
}

function nameIn({ leg, key }: Candidate): string {
  return key ? `${leg.settings.name} (${key.name})` : leg.settings.name
}

/** Somebody else who may be asked now, and who is not known to be in trouble or full. */
function anotherOf({ call, leg, key, next, snapshot, services }: Hedging): Candidate | undefined {
  const others = leg.keys.filter((one) => one !== key)
  for (const [where, keys] of [
    [leg, others],
    [next, next?.keys],
  ] as const) {
    if (!where || !keys) continue
    const isKeyless = where === next && keys.length === 0
    const drawn = new Keyring(keys, decidingFor(where, call, snapshot, services)).current
    if (!drawn && !isKeyless) continue
    const isReady = services.health.standing(nameOf(where, drawn), performance.now()) === 'ready'
    const isFree = services.gates.of(where.settings.name).waiting === 0
    if (isReady && isFree) return { leg: where, key: drawn }
  }
  return undefined
}

async function askSecond(hedging: Hedging, { leg, key }: Candidate, lane: Lane): Promise<Outcome> {
  const { snapshot, services } = hedging
  const { own, call, holding } = lane
  own.provider = leg.settings.name
  own.fallbackIndex = leg.index
  own.keyId = key?.id
  own.keyName = key?.name
  const keys = new Keyring(key ? [key] : [], { isOut: () => false })
  const waiting = takeSeat(call, leg.settings, keys, snapshot, services, holding)
  if (waiting) await waiting
  return await ask(hedging, { leg, key }, lane)
}

async function ask(hedging: Hedging, { leg, key }: Candidate, lane: Lane): Promise<Outcome> {
  const { health } = hedging.services
  const verdict = new Verdict(lane, health, lane.call, nameOf(leg, key))
  try {
    const outcome = await hedging.ask(targetOf(leg, key), lane, verdict)
    verdict.committed(outcome)
    return outcome
  } catch (thrown) {
    const error = toGatewayError(thrown)
    verdict.failed(error, failureClass(error))
    throw error
  }
}
