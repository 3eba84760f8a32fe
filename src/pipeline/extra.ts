import type { ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { Outbound, Target } from '#providers/provider.ts'

/** Raw bodies that somebody asked to see in the answer. */
export interface Raw {
  readonly request: string | undefined
  readonly response: string | undefined
}

/**
 * Whether this answer carries `extra_fields` at all. Unknown routes travel unchanged. Who asks for the trace of this
 * very call asks for the place where it stands, whatever is switched off besides.
 */
export function wantsExtraFields(call: Call, snapshot: Snapshot): boolean {
  if (call.endpoint === 'passthrough') return false
  if (call.trace.isDetailed) return true
  return snapshot.client.extraFields && call.headers['x-bf-extra-fields'] !== 'false'
}

/** Which raw bodies the answer repeats: by the provider's configuration, or by header where that is permitted. */
export function rawWanted(
  call: Call,
  settings: ProviderSettings,
  snapshot: Snapshot,
): { request: boolean; response: boolean } {
  const { allowPerRequestRawOverride } = snapshot.client
  const asked = (header: string, configured: boolean): boolean => {
    const value = allowPerRequestRawOverride ? call.headers[header] : undefined
    return value === undefined ? configured : value === 'true'
  }
  return {
    request: asked('x-bf-send-back-raw-request', settings.sendBackRawRequest),
    response: asked('x-bf-send-back-raw-response', settings.sendBackRawResponse),
  }
}

/** The JSON that was sent upstream, for showing it; undefined for other bodies. */
export function sentText(outbound: Outbound): string | undefined {
  if (outbound.headers['content-type'] !== 'application/json') return undefined
  return typeof outbound.body === 'string' ? outbound.body : undefined
}

/**
 * The JSON text of `extra_fields`. `latencyMs` is the time since the request was sent upstream, rounded;
 * `chunkIndex` counts from 0.
 */
export function extraFields(
  call: Call,
  target: Target,
  latencyMs: number,
  chunkIndex: number,
  raw?: Raw,
): string {
  let text = namesOf(call, target)
  text += `,"latency":${Math.round(latencyMs)},"chunk_index":${chunkIndex}`
  if (raw?.request !== undefined) text += `,"raw_request":${raw.request}`
  if (raw?.response !== undefined) text += `,"raw_response":${raw.response}`
  if (call.trace.isDetailed) text += `,"trace":${JSON.stringify(call.trace.shown())}`
  return `${text}}`
}

/** `"extra_fields":…` placed before the closing brace that stands at `close`; nothing else changes. */
export function withExtraFields(
  text: string,
  close: number,
  hasMembers: boolean,
  json: string,
): string {
  return `${text.slice(0, close)}${hasMembers ? ',' : ''}"extra_fields":${json}${text.slice(close)}`
}

const maxKept = 1000
const kept = new WeakMap<ProviderSettings, Map<string, string>>()

/** The part that says which operation, provider and model, which is the same for most calls of a provider. */
function namesOf(call: Call, target: Target): string {
  const { settings, model } = target
  const type = requestType(call.endpoint, call.stream)
  const key = `${type}\n${call.modelRequested}\n${model}`
  let known = kept.get(settings)
  if (!known) kept.set(settings, (known = new Map()))
  const names = known.get(key)
  if (names !== undefined) return names
  let text = `{"request_type":"${type}","provider":${JSON.stringify(settings.name)}`
  if (call.modelRequested !== undefined) {
    text += `,"model_requested":${JSON.stringify(call.modelRequested)}`
  }
  if (model !== undefined) text += `,"model_deployment":${JSON.stringify(model)}`
  if (known.size >= maxKept) known.clear()
  known.set(key, text)
  return text
}
