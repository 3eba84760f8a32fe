import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { readAnswer } from './answer.ts'
import { dispatch } from './dispatch.ts'
import type { Upstream } from './dispatch.ts'
import { failureClass } from './failure.ts'
import { sendParts } from './fan-out.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import type { Plan } from './routing.ts'
import type { Services } from './services.ts'

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
      const waiting = enter(call, target, snapshot, services)
      if (waiting) {
        await waiting
        call.trace.add('queue', 'waited for a free place')
      }
      const gate = services.gates.of(target.settings.name)
      const pool = gate.pools.take()
      holding.release = () => {
        gate.pools.give(pool)
        gate.leave()
      }
      const parts = target.provider.fanOut?.(call, target)
      if (parts) {
        const send = (part: Call, books: Settle) =>
          serve(part, target, snapshot, services, books, pool)
        return await sendParts(parts, send, settle)
      }
      return await serve(call, target, snapshot, services, settle, pool)
    } catch (thrown) {
      failure = toGatewayError(thrown)
      call.trace.add(
        'attempt',
        `${target.settings.name}: ${failure.kind} (${failureClass(failure)})`,
      )
      holding.release?.()
      holding.release = undefined
    }
  }
  throw failure ?? new GatewayError('internal', 'The plan of this request holds no candidate.')
}

async function serve(
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
  pool: number,
): Promise<Outcome> {
  const upstream = await dispatch(call, target, snapshot, services, pool)
  try {
    return await readAnswer(call, upstream, snapshot, settle)
  } catch (thrown) {
    throw giveUp(upstream, thrown)
  }
}

function enter(
  call: Call,
  { settings }: Target,
  snapshot: Snapshot,
  services: Services,
): Promise<void> | undefined {
  const { concurrency, bufferSize, name } = settings
  const { dropExcessRequests } = snapshot.client
  return services.gates
    .of(name)
    .enter({ concurrency, bufferSize, dropExcess: dropExcessRequests, provider: name }, call.signal)
}

/** Nothing more is read from an upstream whose answer was of no use. */
function giveUp(upstream: Upstream, thrown: unknown): GatewayError {
  const error = upstream.connection.explain(thrown, upstream.target.settings.name)
  upstream.connection.abort(error)
  upstream.connection.close()
  return error
}
