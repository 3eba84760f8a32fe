import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import type { Upstream } from './dispatch.ts'
import { EventRelay } from './event-relay.ts'
import type { Outcome, Served } from './outcome.ts'
import type { Settle } from './record.ts'

/**
 * Relays server-sent events of the caller's own dialect. Resolves once the first meaningful event is here,
 * so that a failure before it can still be an HTTP status or make room for another candidate: then it throws `GatewayError`.
 */
export async function relayEvents(
  call: Call,
  upstream: Upstream,
  base: { target: Served; status: number; headers: Record<string, string> },
  snapshot: Snapshot,
  settle: Settle,
): Promise<Outcome> {
  const relay = new EventRelay(call, upstream, snapshot, settle)
  await relay.open()
  return {
    ...base,
    kind: 'stream',
    contentType: 'text/event-stream; charset=utf-8',
    contentLength: undefined,
    pump: (sink) => relay.pump(sink),
  }
}
