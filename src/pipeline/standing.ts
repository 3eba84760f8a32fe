import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import { expectedCost } from './costs.ts'
import type { Health, TargetName } from './health.ts'
import { diverted } from './policies.ts'
import { modelsOf } from './ranks.ts'
import type { Leg, Plan } from './routing.ts'
import type { Services } from './services.ts'
import { roamingSession } from './sessions.ts'
import type { Sessions } from './sessions.ts'

/** How a candidate with one of its keys is known to `Health`. */
export function nameOf({ settings, model }: Leg, key: Key | undefined): TargetName {
  return { provider: settings.name, key: key?.id ?? '', model: model ?? '' }
}

/**
 * The candidates in the order they are tried: those that stand first, each group in the order of the plan, or by price
 * where the configuration wants that; before all others the one that took over the caller's session. None is left out,
 * so that a plan whose candidates are all out is still tried.
 */
export function inOrder(
  plan: Plan,
  call: Call,
  snapshot: Snapshot,
  { health, sessions, tripped }: Pick<Services, 'health' | 'sessions' | 'tripped'>,
): readonly Leg[] {
  const isSteered = snapshot.routing.policies.length > 0
  const legs = isSteered ? diverted(plan.legs, call, snapshot, tripped) : plan.legs
  if (legs.length === 1) return legs
  const nowMs = performance.now()
  const standing: Leg[] = []
  const out: Leg[] = []
  for (const leg of legs) {
    const reason = whyOut(leg, health, nowMs)
    if (reason === undefined) standing.push(leg)
    else {
      out.push(leg)
      call.trace.add('route', `${leg.settings.name}/${leg.model ?? ''} comes last: ${reason}`)
    }
  }
  const byPrice = snapshot.client.loadBalancing === 'cost'
  const ordered = byPrice ? cheapestFirst(standing, call, snapshot) : standing
  return [...homeFirst(ordered, call, sessions), ...out]
}

function homeFirst(legs: readonly Leg[], call: Call, sessions: Sessions): readonly Leg[] {
  const session = roamingSession(call)
  const home = session && sessions.home(session.id, performance.now())
  const found = home === undefined ? undefined : legs.find(({ settings }) => settings.name === home)
  if (!found || found === legs[0]) return legs
  call.trace.add('route', `${home} comes first: it took the session over`)
  return [found, ...legs.filter((leg) => leg !== found)]
}

/** Those whose price is known change places among each other; the others stay where they are. */
function cheapestFirst(legs: readonly Leg[], call: Call, snapshot: Snapshot): readonly Leg[] {
  const costs = new Map<Leg, number>()
  for (const leg of legs) {
    const cost = cheapestOf(leg, call, snapshot)
    if (cost !== undefined) costs.set(leg, cost)
  }
  const sorted = [...costs.keys()].toSorted((a, b) => costs.get(a)! - costs.get(b)!)
  const order = legs.map((leg) => (costs.has(leg) ? sorted.shift()! : leg))
  if (order[0] !== legs[0]) call.trace.add('route', `${order[0]!.settings.name} is the cheapest`)
  return order
}

/** What the call would cost with the key that has the cheapest model for it. */
function cheapestOf(leg: Leg, call: Call, snapshot: Snapshot): number | undefined {
  let lowest: number | undefined
  for (const model of modelsOf(leg)) {
    const cost = expectedCost(call, leg.settings, model, snapshot)
    if (cost !== undefined && (lowest === undefined || cost < lowest)) lowest = cost
  }
  return lowest
}

/** Why none of its keys should be asked now; undefined when one may. */
function whyOut(leg: Leg, health: Health, nowMs: number): string | undefined {
  const keys = leg.keys.length === 0 ? [undefined] : leg.keys
  let reason: string | undefined
  for (const key of keys) {
    const why = health.reason(nameOf(leg, key), nowMs)
    if (why === undefined) return undefined
    reason ??= why
  }
  return reason
}
