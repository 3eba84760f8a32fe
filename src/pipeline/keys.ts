import type { Key, ProviderSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

const batchOperation = /^(file|batch|container|upload)_/

/**
 * The keys of a provider that may serve a call, before one is drawn; `mayPin`: the caller's choice of a key counts. Throws `no_key_for_model` naming what
 * excluded them all, so that the reason is in the answer and not in the source.
 */
export function eligibleKeys(
  settings: ProviderSettings,
  call: Call,
  model: string | undefined,
  mayPin: boolean,
): readonly Key[] {
  const { keys, name } = settings
  if (keys.length === 0) {
    const which = model === undefined ? '' : ` and model '${model}'`
    throw new GatewayError(
      'no_key_for_model',
      `No keys are configured for provider '${name}'${which}.`,
    )
  }
  const pinned = mayPin ? pinnedKeys(keys, call) : keys
  if (pinned.length === 1 && pinned[0]!.enabled && allows(pinned[0]!, model)) return pinned
  const usable = pinned.filter((key) => key.enabled && allows(key, model))
  if (usable.length === 0) {
    const what = model === undefined ? 'this request' : `model '${model}'`
    throw new GatewayError(
      'no_key_for_model',
      `No enabled key of provider '${name}' supports ${what}.`,
      { param: model === undefined ? undefined : 'model' },
    )
  }
  if (!batchOperation.test(call.endpoint)) return usable
  // Keys marked for the batch API serve it alone; a configuration without any such mark uses them all.
  const marked = usable.filter((key) => key.useForBatchApi)
  return marked.length > 0 ? marked : usable
}

/** One key, drawn by weight; with all weights zero each is as likely. `random` is in [0, 1). */
export function drawKey(keys: readonly Key[], random: number): Key {
  if (keys.length === 1) return keys[0]!
  let sum = 0
  for (const key of keys) sum += key.weight
  if (sum <= 0) return keys[Math.floor(random * keys.length)]!
  let rest = random * sum
  for (const key of keys) {
    rest -= key.weight
    if (rest < 0) return key
  }
  // Rounding may leave a sliver; it belongs to the last key that has weight.
  return keys.findLast((key) => key.weight > 0)!
}

function allows(key: Key, model: string | undefined): boolean {
  if (model === undefined) return true
  const { aliases, blacklistedModels, models } = key
  const meant = aliases.size === 0 ? undefined : aliases.get(model.toLowerCase())
  if (blacklistedModels.has(model)) return false
  if (meant !== undefined && blacklistedModels.has(meant)) return false
  return !models || models.has(model) || meant !== undefined
}

function pinnedKeys(keys: readonly Key[], call: Call): readonly Key[] {
  const id = call.headers['x-bf-api-key-id']
  const name = call.headers['x-bf-api-key']
  if (id === undefined && name === undefined) return keys
  const found = keys.filter((key) => (id === undefined ? key.name === name : key.id === id))
  if (found.length === 0) {
    const pin = id === undefined ? `name '${name}'` : `id '${id}'`
    throw new GatewayError('no_key_for_model', `No key with ${pin} is configured.`)
  }
  return found
}
