import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'

// Whether a request asks for a stream. Where an operation has none, or the field is another operation's, it is one more
// of those that nobody here knows: it travels, and the answer is expected whole.

function factsOf(endpoint: KnownEndpoint): EndpointFacts {
  return ENDPOINTS[endpoint]
}

/** What a JSON body asks for: `stream: true`, or of sounds `stream_format: "sse"`. */
export function bodyAsksForStream(
  endpoint: KnownEndpoint,
  { stream, stream_format: format }: Readonly<Record<string, unknown>>,
): boolean {
  if (factsOf(endpoint).framing === undefined) return false
  return stream === true || (endpoint === 'speech' && format === 'sse')
}

/** How programs write it: Python's `str(True)` and a one are understood by those who read forms. */
const isTrue = /^(?:true|True|TRUE|t|T|1)$/

/** What the field `stream` of a form asks for; undefined when there is none. */
export function formAsksForStream(endpoint: KnownEndpoint, field: string | undefined): boolean {
  return factsOf(endpoint).framing !== undefined && field !== undefined && isTrue.test(field)
}

/** What the query of an operation without a body asks for. */
export function queryAsksForStream(endpoint: KnownEndpoint, query: string): boolean {
  const { body, framing } = factsOf(endpoint)
  return body === 'none' && framing !== undefined && /[?&]stream=(?:true|1)\b/i.test(query)
}
