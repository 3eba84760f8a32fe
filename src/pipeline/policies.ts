import type { BreakerPolicy, Signal } from '#config/policies.ts'
import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { legFor } from './routing.ts'
import type { Leg, Plan } from './routing.ts'

// Breakers that the operator describes by the headers of answers: what a provider announces there, and what comes before
// it for as long as that holds.

/** Until when each policy holds, on the clock of `performance.now()`, by its name. */
export type Tripped = Map<string, number>

const maxCooldownMs = 24 * 3_600_000

/** Looks at the headers of an answer, whatever its status. Only called where there are policies. */
export function noteHeaders(
  headers: Headers,
  call: Call,
  { settings, model, key }: Target,
  { routing }: Snapshot,
  tripped: Tripped,
): void {
  for (const policy of routing.policies) {
    const isMeant = concerns(policy, settings.name, [model, call.model])
    if (!isMeant || (policy.keyIds.size > 0 && !policy.keyIds.has(key?.id ?? ''))) continue
    const shows = (signal: Signal): boolean => isShown(signal, headers)
    const isTold = policy.needsAll ? policy.signals.every(shows) : policy.signals.some(shows)
    if (!isTold) continue
    const ms = cooldownOf(policy, headers)
    tripped.set(policy.name, performance.now() + ms)
    call.trace.add('attempt', `policy '${policy.name}' holds for ${ms} ms`, { policy: policy.name })
  }
}

/**
 * The candidates with what a policy that holds puts before the first of them: its other keys, or the policy's own
 * candidate. What is passed over comes after it, so that something is asked even when that fails too.
 */
export function diverted(
  legs: Plan['legs'],
  call: Call,
  snapshot: Snapshot,
  tripped: Tripped | undefined,
): Plan['legs'] {
  if (!tripped || tripped.size === 0 || call.caller.directKey) return legs
  const [first, ...rest] = legs
  for (const policy of snapshot.routing.policies) {
    const until = tripped.get(policy.name)
    if (until === undefined) continue
    if (until <= performance.now()) {
      tripped.delete(policy.name)
      continue
    }
    if (!concerns(policy, first.settings.name, [first.model])) continue
    const others =
      policy.keyIds.size === 0 ? [] : first.keys.filter(({ id }) => !policy.keyIds.has(id))
    if (policy.keyIds.size > 0 && others.length === first.keys.length) continue
    const found =
      others.length > 0
        ? { ...first, keys: others }
        : instead(policy, first, call, snapshot, legs.length)
    if (!found) continue
    const what = others.length > 0 ? 'its other keys' : policy.fallbackProvider
    call.trace.add('route', `${what} first: policy '${policy.name}' holds`, { policy: policy.name })
    return others.length > 0 ? [found, ...rest] : [found, first, ...rest]
  }
  return legs
}

function instead(
  policy: BreakerPolicy,
  { model }: Leg,
  call: Call,
  snapshot: Snapshot,
  index: number,
): Leg | undefined {
  const wanted = { provider: policy.fallbackProvider, model: policy.fallbackModel ?? model }
  try {
    return legFor(call, wanted, index, snapshot)
  } catch (thrown) {
    const why = toGatewayError(thrown).message
    call.trace.add('route', `policy '${policy.name}' leads nowhere: ${why}`)
    return undefined
  }
}

function concerns(
  policy: BreakerPolicy,
  provider: string,
  models: readonly (string | undefined)[],
): boolean {
  return (
    policy.provider === provider && (policy.model === undefined || models.includes(policy.model))
  )
}

function isShown({ header, value, part }: Signal, headers: Headers): boolean {
  const shown = headers.get(header)?.toLowerCase()
  if (shown === undefined) return false
  if (value !== undefined && shown !== value) return false
  return part === undefined || shown.includes(part)
}

function cooldownOf({ cooldownHeader, cooldownMs }: BreakerPolicy, headers: Headers): number {
  const said = cooldownHeader === undefined ? null : headers.get(cooldownHeader)
  const ms = said === null ? Number.NaN : Number(said)
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, maxCooldownMs) : cooldownMs
}
