import type { Key } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import type { Health, TargetName } from './health.ts'
import type { Leg, Plan } from './routing.ts'

/** How a candidate with one of its keys is known to `Health`. */
export function nameOf({ settings, model }: Leg, key: Key | undefined): TargetName {
  return { provider: settings.name, key: key?.id ?? '', model: model ?? '' }
}

/**
 * The candidates in the order they are tried: those that stand first, each group in the order of the plan. None is
 * left out, so that a plan whose candidates are all out is still tried.
 */
export function inOrder({ legs }: Plan, call: Call, health: Health): readonly Leg[] {
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
  return [...standing, ...out]
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
