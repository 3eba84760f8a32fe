import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { streamsOnlyEvents } from '#core/endpoint.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { alarm, release } from '#lib/deadline.ts'
import { failureFrame } from '#pipeline/failure-frame.ts'
import { sayAlive, startKeepAlive } from '#pipeline/keep-alive.ts'
import type { Outcome, Sink } from '#pipeline/outcome.ts'
import { untilAborted } from '#pipeline/relay-bytes.ts'
import { hasLeft } from '#pipeline/total.ts'

import { respond, respondAhead } from './respond.ts'

type Client = Pick<Snapshot['client'], 'headerHoldMs' | 'keepAliveMs'>

/** Whether the headers of the answer are known before the answer is: it can only be events, or an error. */
export function mayGoAhead({ stream, endpoint }: Call): boolean {
  return stream && streamsOnlyEvents(endpoint)
}

/**
 * The answer to a call that streams. Its headers are held for the outcome, so that an early failure is an HTTP status.
 * When the hold is over they go ahead, with what is known by then; comments keep the connection open while the call
 * goes on as ever, and how it turns out comes as events. Throws what `coming` is rejected with before that.
 */
export async function respondHeld(
  call: Call,
  coming: Promise<Outcome>,
  client: Client,
): Promise<Response> {
  const hold = alarm(client.headerHoldMs)
  try {
    const outcome = await Promise.race([coming, hold.rung])
    if (outcome !== 'late') return respond(call, outcome)
  } finally {
    release(hold.deadline)
  }
  call.trace.add('stream', 'nothing came in time: the headers go ahead')
  return respondAhead(call, (sink) => pump(call, coming, client.keepAliveMs, sink))
}

async function pump(
  call: Call,
  coming: Promise<Outcome>,
  keepAliveMs: number,
  sink: Sink,
): Promise<void> {
  sayAlive(sink)
  const keepAlive = startKeepAlive(sink, keepAliveMs, () => !call.signal.aborted)
  const outcome = await coming.catch(toGatewayError)
  release(keepAlive)
  if ('pump' in outcome) return await outcome.pump(sink)
  // The call has been settled. Whoever has left cannot be written to.
  if (hasLeft(call.signal)) return
  const error = outcome instanceof GatewayError ? outcome : noStream()
  const frame = failureFrame(call, call.provider, error, 0)
  await untilAborted(Promise.all([sink.write(frame), sink.flush()]), call.signal)
}

function noStream(): GatewayError {
  return new GatewayError('internal', 'The answer is no stream, and its headers have said so.')
}
