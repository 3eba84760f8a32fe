import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import { isEventStream } from '#lib/sse.ts'
import type { Outcome, Served } from '#pipeline/outcome.ts'

/** The only one that an answer has of its own when its provider had nothing to say that callers are told. */
const latency = 'x-bifrost-upstream-latency-ms'

/** What all answers of one kind share. */
interface Shared {
  /** Only ever copied. */
  readonly common: Headers
  /** The same with a request id and a latency, which each answer that has no more than these overwrites. */
  readonly reused: Headers
}

/** By what they depend on. Names of models come from callers, so only so many are kept. */
const known = new Map<string, Shared>()
const maxKnown = 500

/**
 * The headers of an answer: what its outcome has, whose it is and what it is. Most of that is the same for all answers
 * of a model, and the engine copies headers about twice as fast as it makes them. The result is good until the next call
 * of this function: a `Response` made with it has its own.
 */
export function responseHeaders(call: Call, outcome: Outcome, contentType = ''): Headers {
  const { common, reused } = sharedBy(call, outcome, contentType)
  const { headers: own } = outcome
  const headers = hasOnlyLatency(own) ? reused : new Headers(common)
  headers.set('x-request-id', call.id)
  for (const name in own) headers.set(name, own[name]!)
  return headers
}

/** The headers of an answer that goes ahead of its outcome: nobody has served it yet. */
export function headersAhead(call: Call, contentType: string): Headers {
  const headers = make(call, undefined, contentType)
  headers.set('x-request-id', call.id)
  return headers
}

function hasOnlyLatency(own: Readonly<Record<string, string>>): boolean {
  let count = 0
  for (const _ in own) count++
  return count === 1 && own[latency] !== undefined
}

function sharedBy(call: Call, { target }: Outcome, contentType: string): Shared {
  const { endpoint, stream, modelRequested = '' } = call
  const { settings, model = '' } = target
  const what = `${endpoint}\n${stream}\n${contentType}\n${settings.name}\n${model}\n${modelRequested}`
  let shared = known.get(what)
  if (!shared) {
    if (known.size >= maxKnown) known.delete(known.keys().next().value!)
    const common = make(call, target, contentType)
    shared = { common, reused: new Headers(common) }
    known.set(what, shared)
  }
  return shared
}

function make(call: Call, served: Served | undefined, contentType: string): Headers {
  const type = requestType(call.endpoint, call.stream)
  const headers = new Headers({ 'x-bifrost-request-type': type })
  if (served) headers.set('x-bifrost-provider', served.settings.name)
  if (call.modelRequested !== undefined) {
    headers.set('x-bifrost-original-model', headerText(call.modelRequested))
  }
  const model = served?.model
  if (model !== undefined) headers.set('x-bifrost-resolved-model', headerText(model))
  if (contentType !== '') headers.set('content-type', contentType)
  if (isEventStream(contentType)) {
    headers.set('cache-control', 'no-cache, no-transform')
    // Tells nginx and its kin not to collect the stream before passing it on.
    headers.set('x-accel-buffering', 'no')
  }
  return headers
}

/** Model names may hold any character, half of a surrogate pair included; header values may not. */
export function headerText(value: string): string {
  return /^[\x20-\x7e]*$/.test(value) ? value : encodeURIComponent(value.toWellFormed())
}
