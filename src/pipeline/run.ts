import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'

import { attempt } from './attempt.ts'
import type { Holding } from './attempt.ts'
import { answerStored, isAboutResponse } from './lifecycle.ts'
import type { Outcome } from './outcome.ts'
import { plan } from './routing.ts'
import type { Services } from './services.ts'
import { mayContinue, withStored } from './stored.ts'

/**
 * The story of a call: answer from the store, or plan where it may go, try, and settle. The snapshot is the one the call started with.
 * Throws only `GatewayError`, and only after the call has been settled.
 */
export async function run(call: Call, snapshot: Snapshot, services: Services): Promise<Outcome> {
  const holding: Holding = { release: undefined }
  const settle = services.recorder.open(call, () => holding.release?.())
  try {
    const stored = isAboutResponse(call) && (await answerStored(call, snapshot, services))
    if (stored) {
      settle.success(undefined)
      return stored
    }
    const whole = mayContinue(call) ? await withStored(call, snapshot, services) : call
    return await attempt(whole, plan(whole, snapshot), snapshot, services, settle, holding)
  } catch (thrown) {
    const error = toGatewayError(thrown)
    settle.failure(error)
    throw error
  }
}
