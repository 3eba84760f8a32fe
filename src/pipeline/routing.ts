import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { ENDPOINTS, requestType } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'
import { providerFor, PROVIDERS } from '#providers/registry.ts'

import { drawKey, eligibleKeys } from './keys.ts'

/** Where a call may go, best first, each with the reason it is there. */
export interface Plan {
  readonly candidates: readonly Target[]
}

/** Throws a 400 that names provider and operation when nothing can serve the call. */
export function plan(call: Call, snapshot: Snapshot): Plan {
  const settings = snapshot.providers.get(call.provider)
  const provider = settings && providerFor(settings)
  if (!settings || !provider) throw notConfigured(call.provider)
  if (!offers(call, provider.offers, provider.passthrough)) throw unsupported(call)
  const allowed = settings.custom?.allowedRequests
  if (allowed && !allowed.has(requestType(call.endpoint, call.stream))) throw unsupported(call)

  if (call.caller.directKey) {
    call.trace.add('key', 'direct key of the caller')
    return { candidates: [{ provider, settings, key: undefined, model: call.model }] }
  }
  if (settings.keys.length === 0 && provider.keyless) {
    return { candidates: [{ provider, settings, key: undefined, model: call.model }] }
  }
  const keys = eligibleKeys(settings, call)
  const key = drawKey(keys, keys.length === 1 ? 0 : Math.random())
  call.trace.add('key', key.name)
  const model = call.model === undefined ? undefined : alias(key.aliases, call.model)
  return { candidates: [{ provider, settings, key, model }] }
}

function alias(aliases: ReadonlyMap<string, string>, model: string): string {
  return aliases.size === 0 ? model : (aliases.get(model.toLowerCase()) ?? model)
}

function offers(call: Call, offered: ReadonlySet<KnownEndpoint>, passthrough: boolean): boolean {
  return call.endpoint in ENDPOINTS ? offered.has(call.endpoint as KnownEndpoint) : passthrough
}

function unsupported(call: Call): GatewayError {
  return new GatewayError(
    'unsupported_endpoint',
    `Provider '${call.provider}' does not support ${requestType(call.endpoint, call.stream)} (${call.method} ${call.path}).`,
  )
}

function notConfigured(name: string): GatewayError {
  const hint = PROVIDERS.get(name)?.keyEnv[0]
  const how = hint ? ` Set ${hint} or add it to config.json.` : ' Add it to config.json.'
  return new GatewayError('provider_not_configured', `Provider '${name}' is not configured.${how}`)
}
