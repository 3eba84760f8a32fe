import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'

import { allot } from './allotment.ts'
import { attempt } from './attempt.ts'
import type { Holding } from './attempt.ts'
import { answerStored, isAboutResponse } from './lifecycle.ts'
import { asksEveryKey, listEveryKey } from './list-models.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { wantsRescue, withRescue } from './rescue.ts'
import type { Rescuing } from './rescue.ts'
import { plan as planFor } from './routing.ts'
import type { Plan } from './routing.ts'
import { route } from './rules.ts'
import type { Services } from './services.ts'
import { mayContinue, withStored } from './stored.ts'
import { asEnded, limited } from './total.ts'
import type { Limited } from './total.ts'

/**
 * The story of a call: answer from the store, or plan where it may go, try, and settle. The snapshot is the one the call started with.
 * Throws only `GatewayError`, and only after the call has been settled.
 */
export async function run(given: Call, snapshot: Snapshot, services: Services): Promise<Outcome> {
  const holding: Holding = { release: undefined }
  let limit: Limited | undefined
  const settle = services.recorder.open(given, () => {
    limit?.end()
    holding.release?.()
  })
  try {
    limit = limited(given)
    const call = limit?.call ?? given
    const stored = isAboutResponse(call) && (await answerStored(call, snapshot, services))
    if (stored) {
      settle.success(undefined)
      return stored
    }
    const planning = planned(call, snapshot, services, settle)
    const { whole, plan } = planning instanceof Promise ? await planning : planning
    if (asksEveryKey(whole, plan)) {
      return await listEveryKey(whole, plan, snapshot, services, settle)
    }
    if (wantsRescue(whole, snapshot)) {
      const ask: Rescuing['attempt'] = (part, where, books) =>
        attempt(part, where, snapshot, services, books, holding)
      return await withRescue({
        call: whole,
        plan,
        snapshot,
        settle,
        holding,
        services,
        attempt: ask,
      })
    }
    return await attempt(whole, plan, snapshot, services, settle, holding)
  } catch (thrown) {
    const error = asEnded(toGatewayError(thrown), limit?.call ?? given)
    settle.failure(error)
    throw error
  }
}

/** A call with all that belongs to it, and where it may go. */
export interface Planned {
  readonly whole: Call
  readonly plan: Plan
}

/** What comes before anybody is asked; `settle` is told of it. A promise only where something has to be looked up. */
export function planned(
  call: Call,
  snapshot: Snapshot,
  services: Services,
  settle?: Settle,
): Planned | Promise<Planned> {
  const routed = allot(route(call, snapshot), snapshot)
  if (settle && routed.rule) settle.books.rule = routed.rule
  if (!mayContinue(routed)) return { whole: routed, plan: planFor(routed, snapshot) }
  return withStored(routed, snapshot, services).then((whole) => {
    return { whole, plan: planFor(whole, snapshot) }
  })
}
