import type { Key, ProviderSettings, Snapshot } from '#config/snapshot.ts'
import { whyNotModel } from '#config/virtual-key.ts'
import type { Grant } from '#config/virtual-key.ts'
import type { Call, Fallback } from '#core/call.ts'
import { ENDPOINTS, requestType } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Provider, Target } from '#providers/provider.ts'
import { providerFor, PROVIDERS } from '#providers/registry.ts'

import { countsHere } from './count.ts'
import { checkModels, grantFor, modelBlocked } from './grants.ts'
import { eligibleKeys, pinOf } from './keys.ts'
import { withTimeouts } from './timeouts.ts'

/** One candidate: a provider and a model, with the keys that may serve it. */
export interface Leg {
  /** 0 for what the caller asked for, 1 … for its fallbacks. */
  readonly index: number
  readonly provider: Provider
  readonly settings: ProviderSettings
  /** What the caller's virtual key may have of the provider; undefined = everything. */
  readonly grant?: Grant | undefined
  /** Empty where none is needed: keyless providers, and keys that callers bring. */
  readonly keys: readonly Key[]
  /** Without the provider prefix, aliases unresolved. */
  readonly model: string | undefined
}

/** Where a call may go, best first. */
export interface Plan {
  readonly legs: readonly [Leg, ...Leg[]]
}

/**
 * What the caller asked for, and then its fallbacks as far as they can serve the call. Throws a 400 that names
 * provider and operation when nothing can; what is wrong with the first candidate is then what is said.
 */
export function plan(call: Call, snapshot: Snapshot): Plan {
  const { fallbacks } = call
  if (fallbacks === undefined) return { legs: [legFor(call, call, 0, snapshot)] }
  const legs: Leg[] = []
  let reason: GatewayError | undefined
  for (const [index, wanted] of [call, ...fallbacks].entries()) {
    try {
      legs.push(legFor(call, wanted, index, snapshot))
    } catch (thrown) {
      const error = toGatewayError(thrown)
      call.trace.add(
        'route',
        `${wanted.provider}/${wanted.model} is no candidate: ${error.message}`,
      )
      // What somebody may not have is not to be had by naming something else behind it.
      if (index === 0 && isForbidden(error)) throw error
      reason ??= error
    }
  }
  const [first, ...rest] = legs
  if (!first) throw reason ?? notConfigured(call.provider)
  return { legs: [first, ...rest] }
}

/** Why a provider is no candidate for a call; undefined when it is one. */
export function whyNoLeg(
  call: Call,
  wanted: Fallback,
  snapshot: Snapshot,
): GatewayError | undefined {
  try {
    legFor(call, wanted, 0, snapshot)
    return undefined
  } catch (thrown) {
    return toGatewayError(thrown)
  }
}

function isForbidden({ kind }: GatewayError): boolean {
  return kind === 'provider_blocked' || kind === 'model_blocked'
}

/** A leg with one of its keys, as an attempt sees it. */
export function targetOf({ provider, settings, model }: Leg, key: Key | undefined): Target {
  const resolved = key && model !== undefined ? alias(key.aliases, model) : model
  return { provider, settings, key, model: resolved }
}

/** A candidate as far as it can serve the call. Throws a 400 that says why it cannot. */
export function legFor(call: Call, wanted: Fallback, index: number, snapshot: Snapshot): Leg {
  // First of all, so that who may not use a provider does not learn either whether it is there.
  const grant = call.caller.owner && grantFor(call, wanted.provider, snapshot)
  const settings = snapshot.providers.get(wanted.provider)
  const provider = settings && providerFor(settings)
  if (!settings || !provider) throw notConfigured(wanted.provider)
  const name = wanted.provider
  if (!offers(call, provider.offers, provider.passthrough) && !countsHere(call, provider)) {
    throw unsupported(call, name)
  }
  const allowed = settings.custom?.allowedRequests
  if (allowed && !allowed.has(requestType(call.endpoint, call.stream)))
    throw unsupported(call, name)
  const { model } = wanted
  if (grant) checkModels(call, model, grant)
  const leg = { index, provider, settings: withTimeouts(settings, call), model, grant }

  if (call.caller.directKey) {
    // A key is only ever shown to the provider it was brought for.
    if (name !== call.provider) {
      throw new GatewayError(
        'no_key_for_model',
        `The caller's own key is for '${call.provider}' and not sent to '${name}'.`,
      )
    }
    call.trace.add('key', 'direct key of the caller')
    return withoutKey(leg, call, grant)
  }
  if (settings.keys.length === 0 && provider.keyless) return withoutKey(leg, call, grant)
  const pin = index === 0 ? (call.pin ?? pinOf(call)) : wanted
  return { ...leg, keys: eligibleKeys(settings, call, model, pin, grant) }
}

/** Where there is no key there is no alias either: the model is what it is called. */
function withoutKey(leg: Omit<Leg, 'keys'>, call: Call, grant: Grant | undefined): Leg {
  const { model } = leg
  if (grant && model !== undefined && whyNotModel(grant, model) !== undefined) {
    throw modelBlocked(call, model, grant)
  }
  return { ...leg, keys: [] }
}

function alias(aliases: ReadonlyMap<string, string>, model: string): string {
  return aliases.size === 0 ? model : (aliases.get(model.toLowerCase()) ?? model)
}

function offers(call: Call, offered: ReadonlySet<KnownEndpoint>, passthrough: boolean): boolean {
  return call.endpoint in ENDPOINTS ? offered.has(call.endpoint as KnownEndpoint) : passthrough
}

function unsupported(call: Call, provider: string): GatewayError {
  return new GatewayError(
    'unsupported_endpoint',
    `Provider '${provider}' does not support ${requestType(call.endpoint, call.stream)} (${call.method} ${call.path}).`,
  )
}

function notConfigured(name: string): GatewayError {
  const hint = PROVIDERS.get(name)?.keyEnv[0]
  const how = hint ? ` Set ${hint} or add it to config.json.` : ' Add it to config.json.'
  return new GatewayError('provider_not_configured', `Provider '${name}' is not configured.${how}`)
}
