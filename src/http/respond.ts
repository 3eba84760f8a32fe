import type { Call } from '#core/call.ts'
import { errorEnvelope } from '#core/errors.ts'
import type { Attempted, ErrorContext, GatewayError } from '#core/errors.ts'
import { isEventStream } from '#lib/sse.ts'
import type { Outcome, Sink } from '#pipeline/outcome.ts'

import { headersAhead, headerText, responseHeaders } from './answer-headers.ts'

/** The outcome of a call as an HTTP response. */
export function respond(call: Call, outcome: Outcome): Response {
  const { status, headers: own } = outcome
  // What has no place for `extra_fields`, and what was decided before the first event of a stream, whose last has it all.
  if (call.trace.isDetailed && (outcome.kind !== 'json' || call.endpoint === 'passthrough')) {
    own['x-bf-trace'] = call.trace.header()
  }
  switch (outcome.kind) {
    case 'empty':
      return new Response(null, { status, headers: responseHeaders(call, outcome) })
    case 'json': {
      const headers = responseHeaders(call, outcome, 'application/json')
      return new Response(outcome.text, { status, headers })
    }
    case 'stream': {
      const { contentType, contentLength } = outcome
      const isEvents = isEventStream(contentType)
      if (!isEvents && contentLength !== undefined) own['content-length'] = contentLength
      const headers = responseHeaders(call, outcome, contentType)
      return new Response(streamOf(outcome.pump), { status, headers })
    }
  }
}

/** A stream of events whose outcome is not known yet, with what is known of the call. `pump` writes all of it. */
export function respondAhead(call: Call, pump: (sink: Sink) => Promise<void>): Response {
  const headers = headersAhead(call, 'text/event-stream; charset=utf-8')
  return new Response(streamOf(pump), { headers })
}

/** A body that Bun reads without a queue between: what `pump` writes leaves when it flushes. */
function streamOf(pump: (sink: Sink) => Promise<void>): ReadableStream {
  return new ReadableStream({
    type: 'direct',
    async pull(controller) {
      try {
        await pump(controller)
      } catch {
        // The pump has settled and logged the call. A rejection cuts the connection, as it should; Bun prints what
        // the rejection holds, so it holds nothing.
        await Promise.reject()
      }
      controller.close()
    },
  })
}

/** An error as an HTTP response in the seed envelope, with the hints that OpenAI SDKs act upon. */
export function respondError(error: GatewayError, context: ErrorContext, id: string): Response {
  const headers: Record<string, string> = {
    ...error.relayed,
    'content-type': 'application/json',
    'x-request-id': id,
    'x-bifrost-request-type': context.requestType,
  }
  const { attempted } = error
  const provider = attempted?.provider ?? context.provider
  if (provider !== undefined) headers['x-bifrost-provider'] = headerText(provider)
  if (context.modelRequested !== undefined) {
    headers['x-bifrost-original-model'] = headerText(context.modelRequested)
  }
  if (attempted) tellAttempt(headers, attempted)
  if (!error.retryable) headers['x-should-retry'] = 'false'
  // Statuses that SDKs would not try again on their own.
  else if (error.status === 424 || error.status === 498) headers['x-should-retry'] = 'true'
  // What is still coming of the body has no reader any more.
  if (error.kind === 'request_timeout') headers['connection'] = 'close'
  const { retryAfterMs } = error
  if (retryAfterMs !== undefined) {
    headers['retry-after-ms'] = String(Math.round(retryAfterMs))
    headers['retry-after'] = String(Math.ceil(retryAfterMs / 1000))
  }
  const envelope = errorEnvelope(error, context, id)
  return new Response(JSON.stringify(envelope), { status: envelope.status_code, headers })
}

function tellAttempt(
  headers: Record<string, string>,
  { model, fallbackIndex, latencyMs }: Attempted,
): void {
  if (model !== undefined) headers['x-bifrost-resolved-model'] = headerText(model)
  if (fallbackIndex > 0) headers['x-bifrost-fallback-index'] = String(fallbackIndex)
  if (latencyMs !== undefined) {
    headers['x-bifrost-upstream-latency-ms'] = String(Math.round(latencyMs))
  }
}
