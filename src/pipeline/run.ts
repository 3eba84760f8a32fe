import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'

import { attempt } from './attempt.ts'
import type { Holding } from './attempt.ts'
import type { Outcome } from './outcome.ts'
import { plan } from './routing.ts'
import type { Services } from './services.ts'

/**
 * The story of a call: plan where it may go, try, settle. The snapshot is the one the call started with.
 * Throws only `GatewayError`, and only after the call has been settled.
 */
export async function run(call: Call, snapshot: Snapshot, services: Services): Promise<Outcome> {
  const holding: Holding = { release: undefined }
  const settle = services.recorder.open(call, () => holding.release?.())
  try {
    return await attempt(call, plan(call, snapshot), snapshot, services, settle, holding)
  } catch (thrown) {
    const error = toGatewayError(thrown)
    settle.failure(error)
    throw error
  }
}
