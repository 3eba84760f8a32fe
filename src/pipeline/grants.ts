import type { Snapshot } from '#config/snapshot.ts'
import { isUnrestricted, whyNotModel } from '#config/virtual-key.ts'
import type { Grant, VirtualKey } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

import { isModelKey, namedModels } from './named-models.ts'

// What a virtual key may have, asked of every candidate of every call before it is one.

/** The virtual key of a call as its snapshot has it; undefined for calls without one. */
export function virtualKeyOf(call: Call, { governance }: Snapshot): VirtualKey | undefined {
  const { owner } = call.caller
  if (!owner || !governance) return undefined
  const key = governance.byId.get(owner.virtualKeyId)
  if (!key) throw new GatewayError('virtual_key_not_found', 'There is no such virtual key.')
  return key
}

/**
 * What a call may have of a provider; undefined when that is everything. Throws `provider_blocked` when it is nothing
 * at all.
 */
export function grantFor(call: Call, provider: string, snapshot: Snapshot): Grant | undefined {
  const key = virtualKeyOf(call, snapshot)
  if (!key) return undefined
  const grant = key.grants.get(provider)
  if (grant || key.allowsAllProviders) return grant
  throw new GatewayError(
    'provider_blocked',
    `The virtual key '${key.owner.virtualKeyName}' may not use provider '${provider}'.`,
  )
}

/** Throws `model_blocked` for calls whose model, or whose models, a grant does not let through whatever the key. */
export function checkModels(call: Call, model: string | undefined, grant: Grant): void {
  if (isUnrestricted(grant)) return
  if (model !== undefined) {
    if (hasOtherModel(call)) throw anyModel(call, grant)
    // What is not on the list may still be the alias of a key for what is.
    if (whyNotModel(grant, model) === 'blacklisted') throw modelBlocked(call, model, grant)
    return
  }
  const named = namedModels(call)
  if (named === 'any') throw anyModel(call, grant)
  for (const each of named) {
    const own = withoutProvider(each, grant)
    if (whyNotModel(grant, own) !== undefined) throw modelBlocked(call, each, grant)
  }
}

/** Some providers take `MODEL` for `model`, and the last one for the one that counts. */
function hasOtherModel({ body }: Call): boolean {
  if (body.kind !== 'json') return false
  return body.scan.members.some(({ key }) => key !== 'model' && isModelKey(key))
}

/** Bodies that are passed through name models as the gateway does, or as the provider does. */
export function withoutProvider(model: string, { provider }: Grant): string {
  const prefix = `${provider}/`
  return model.startsWith(prefix) ? model.slice(prefix.length) : model
}

/** The refusal of a model. */
export function modelBlocked(call: Call, model: string, { provider }: Grant): GatewayError {
  const shown = JSON.stringify(model.slice(0, 200).toWellFormed())
  return new GatewayError(
    'model_blocked',
    `The virtual key '${nameIn(call)}' may not use the model ${shown} of provider '${provider}'.`,
    { param: 'model' },
  )
}

/** The refusal of what may be about any model. */
export function anyModel(call: Call, { provider }: Grant): GatewayError {
  return new GatewayError(
    'model_blocked',
    `The virtual key '${nameIn(call)}' may use only some models of provider '${provider}', and this request does not say which it is for.`,
    { param: 'model' },
  )
}

/** The refusal of a call that no key may serve of those that its virtual key may use. */
export function noKeyGranted(call: Call, provider: string): GatewayError {
  return new GatewayError(
    'no_key_for_model',
    `The virtual key '${nameIn(call)}' may use none of the keys of provider '${provider}' that would do.`,
  )
}

function nameIn({ caller }: Call): string {
  return caller.owner?.virtualKeyName ?? ''
}
