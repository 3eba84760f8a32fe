import type { Call } from '#core/call.ts'
import { framingOf, requestType } from '#core/endpoint.ts'
import { errorEnvelope } from '#core/errors.ts'
import type { GatewayError } from '#core/errors.ts'
import { errorFrame } from '#openai/frames.ts'

import { timerOf } from './failure.ts'

/** The error event that ends a stream of `provider` after `chunks` other events, with the envelope's facts in it. */
export function failureFrame(
  call: Call,
  provider: string,
  error: GatewayError,
  chunks: number,
): string {
  call.trace.add('stream', `broke off after ${chunks} events: ${error.kind}`, {
    timer: timerOf(error),
  })
  const context = {
    provider,
    modelRequested: call.modelRequested,
    requestType: requestType(call.endpoint, true),
    trace: call.trace,
  }
  const envelope = errorEnvelope(error, context, call.id)
  return errorFrame(framingOf(call.endpoint), JSON.stringify(envelope), envelope.error, chunks)
}
