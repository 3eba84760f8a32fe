import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { readAnswer } from './answer.ts'
import { dispatch } from './dispatch.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import type { Plan } from './routing.ts'
import type { Services } from './run.ts'

/** What one call holds until it is settled. */
export interface Holding {
  release: (() => void) | undefined
}

/**
 * Walks the plan until a candidate serves. Today a plan has one candidate and each is tried once; retries and
 * fallbacks are more turns of this loop. Throws the `GatewayError` of the last attempt.
 */
export async function attempt(
  call: Call,
  plan: Plan,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
  holding: Holding,
): Promise<Outcome> {
  let failure: GatewayError | undefined
  for (const target of plan.candidates) {
    try {
      return await tryOne(call, target, snapshot, services, settle, holding)
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown
      call.trace.add('attempt', `${target.settings.name}: ${thrown.kind}`)
      failure = thrown
      holding.release?.()
      holding.release = undefined
    }
  }
  throw failure ?? new GatewayError('internal', 'The plan of this request holds no candidate.')
}

async function tryOne(
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
  holding: Holding,
): Promise<Outcome> {
  const gate = services.gates.of(target.settings.name)
  const { concurrency, bufferSize, name } = target.settings
  const dropExcess = snapshot.client.dropExcessRequests
  const turn = gate.enter({ concurrency, bufferSize, dropExcess, provider: name }, call.signal)
  if (turn) {
    await turn
    call.trace.add('queue', 'waited for a free place')
  }
  holding.release = () => gate.leave()
  const upstream = await dispatch(call, target, snapshot, services.inflight)
  try {
    return await readAnswer(call, upstream, snapshot, settle)
  } catch (thrown) {
    const error = upstream.connection.explain(thrown, name)
    upstream.connection.abort(error)
    upstream.connection.close()
    throw error
  }
}
