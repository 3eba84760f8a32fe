import type { Key, ProviderSettings } from '#config/snapshot.ts'
import { isUnrestricted, whyNotModel } from '#config/virtual-key.ts'
import type { Grant } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

import { modelBlocked, noKeyGranted } from './grants.ts'

/** The only key that may serve; an id counts more than a name, and neither means every key. */
export interface Pin {
  readonly keyId?: string | undefined
  readonly keyName?: string | undefined
}

/** The caller's choice of a key. */
export function pinOf({ headers }: Call): Pin | undefined {
  const keyId = headers['x-bf-api-key-id']
  const keyName = headers['x-bf-api-key']
  return keyId === undefined && keyName === undefined ? undefined : { keyId, keyName }
}

const batchOperation = /^(file|batch|container|upload)_/

/** Whether keys that are marked for the batch API serve the call alone. */
export function isBatch({ endpoint }: Call): boolean {
  return batchOperation.test(endpoint)
}

/**
 * The keys of a provider that may serve a call, before one is drawn; with `pin` only those it names, with `grant` only
 * those that it allows. Throws `no_key_for_model` or `model_blocked` naming what excluded them all, so that the reason
 * is in the answer and not in the source.
 */
export function eligibleKeys(
  settings: ProviderSettings,
  call: Call,
  model: string | undefined,
  pin: Pin | undefined,
  grant?: Grant,
): readonly Key[] {
  const { keys, name } = settings
  if (keys.length === 0) {
    const which = model === undefined ? '' : ` and model: ${model}`
    throw new GatewayError('no_key_for_model', `No keys found for provider: ${name}${which}.`)
  }
  const forBatch = isBatch(call)
  const pinned = pin ? pinnedKeys(keys, pin) : keys
  const usable =
    pinned === keys
      ? known(settings, model, forBatch, grant)
      : serving(pinned, model, forBatch, grant)
  if (usable.length === 0) {
    if (call.trace.isDetailed) {
      call.trace.add('candidate', `no key of ${name} may serve`, {
        provider: name,
        model,
        keys: pinned.slice(0, maxTold).map((key) => {
          return { name: key.name, id: key.id, verdict: whyNot(key, model, grant) }
        }),
      })
    }
    if (grant && pinned.some((key) => whyNot(key, model) === undefined)) {
      // Some key would do, were it not for the virtual key.
      const isModel = pinned.some(
        (key) => isGranted(key, grant) && whyNot(key, model) === undefined,
      )
      throw isModel && model !== undefined
        ? modelBlocked(call, model, grant)
        : noKeyGranted(call, name)
    }
    const what = model === undefined ? 'this request' : `model: ${model}`
    throw new GatewayError(
      'no_key_for_model',
      `No keys found that support ${what}. Provider '${name}' has none that is enabled for it.`,
      { param: model === undefined ? undefined : 'model' },
    )
  }
  return usable
}

/** Keys of which it is said why they may not serve. */
const maxTold = 50

/** Model names come from callers: as many lists are remembered for each provider. */
const maxLists = 1000

type Lists<T extends object> = WeakMap<T, Map<string, readonly Key[]>>

/** What has been found out about a provider as one snapshot has it; forgotten with the snapshot. */
const lists: Lists<ProviderSettings> = new WeakMap()

/** Of all virtual keys together, of which there may be many. */
const maxGrantLists = 10_000

/** What virtual keys may have of a provider. */
let ofGrants: { readonly lists: Lists<Grant>; count: number } = { lists: new WeakMap(), count: 0 }

/** The same list for the same question, so that a thousand keys are looked through once and not at every call. */
function known(
  settings: ProviderSettings,
  model: string | undefined,
  forBatch: boolean,
  given: Grant | undefined,
): readonly Key[] {
  const { keys } = settings
  const grant = given && !(given.keyIds === undefined && isUnrestricted(given)) ? given : undefined
  if (keys.length === 1) return whyNot(keys[0]!, model, grant) === undefined ? keys : none
  const own = grant ? listsOf(grant, ofGrants.lists) : listsOf(settings, lists)
  const question = `${forBatch ? 'batch' : ''}\n${model ?? '\n'}`
  let found = own.get(question)
  if (!found) {
    found = serving(keys, model, forBatch, grant)
    if (grant && ++ofGrants.count > maxGrantLists) ofGrants = { lists: new WeakMap(), count: 0 }
    if (own.size >= maxLists) own.delete(own.keys().next().value!)
    own.set(question, found)
  }
  return found
}

function listsOf<T extends object>(place: T, all: Lists<T>): Map<string, readonly Key[]> {
  let own = all.get(place)
  if (!own) all.set(place, (own = new Map()))
  return own
}

const none: readonly Key[] = []

/** Those that are on and allow the model. Keys marked for the batch API serve it alone; without any mark all do. */
function serving(
  keys: readonly Key[],
  model: string | undefined,
  forBatch: boolean,
  grant: Grant | undefined,
): readonly Key[] {
  const usable = keys.filter((key) => whyNot(key, model, grant) === undefined)
  if (!forBatch) return usable
  const marked = usable.filter((key) => key.useForBatchApi)
  return marked.length > 0 ? marked : usable
}

/** Fewer keys are walked through as fast. */
const manyKeys = 16

/** Sums of the weights up to each key, for the lists that are remembered. */
const sums = new WeakMap<readonly Key[], Float64Array>()

/** One key, drawn by weight; with all weights zero each is as likely. `random` is in [0, 1). */
export function drawKey(keys: readonly Key[], random: number): Key {
  if (keys.length === 1) return keys[0]!
  if (keys.length >= manyKeys) return drawBySum(keys, random)
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

/** The same by bisection: the first key whose sum is beyond the mark. */
function drawBySum(keys: readonly Key[], random: number): Key {
  const sumUpTo = sumsOf(keys)
  const sum = sumUpTo.at(-1)!
  if (sum <= 0) return keys[Math.floor(random * keys.length)]!
  const mark = random * sum
  let low = 0
  let high = keys.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sumUpTo[middle]! > mark) high = middle
    else low = middle + 1
  }
  // Rounding may leave a sliver here as well.
  return sumUpTo[low]! > mark ? keys[low]! : keys.findLast((key) => key.weight > 0)!
}

/** The keys of long lists by their ids. */
const ids = new WeakMap<readonly Key[], ReadonlyMap<string, Key>>()

/** The key of the list that has this id. */
export function keyById(keys: readonly Key[], id: string): Key | undefined {
  if (keys.length < manyKeys) return keys.find((key) => key.id === id)
  let found = ids.get(keys)
  if (!found) {
    found = new Map(keys.map((key) => [key.id, key]))
    ids.set(keys, found)
  }
  return found.get(id)
}

function sumsOf(keys: readonly Key[]): Float64Array {
  let found = sums.get(keys)
  if (!found) {
    let sum = 0
    found = Float64Array.from(keys, (key) => (sum += key.weight))
    sums.set(keys, found)
  }
  return found
}

/** Why a key does not serve a model. */
export type WhyNot =
  | 'disabled'
  | 'model blacklisted'
  | 'model not allowed'
  | 'not for this virtual key'
  | 'model blacklisted for this virtual key'
  | 'model not allowed for this virtual key'

function isGranted({ id }: Key, { keyIds }: Grant): boolean {
  return keyIds === undefined || keyIds.has(id)
}

/** Why a key does not serve a model, whoever asks, or who asks with `grant`; undefined when it does. */
export function whyNot(key: Key, model: string | undefined, grant?: Grant): WhyNot | undefined {
  const why = whyNever(key, model)
  if (why !== undefined || !grant) return why
  if (!isGranted(key, grant)) return 'not for this virtual key'
  if (model === undefined) return undefined
  const meant = key.aliases.size === 0 ? undefined : key.aliases.get(model.toLowerCase())
  const verdict = whyNotModel(grant, model, meant)
  return verdict === undefined ? undefined : `model ${verdict} for this virtual key`
}

function whyNever(key: Key, model: string | undefined): WhyNot | undefined {
  if (!key.enabled) return 'disabled'
  if (model === undefined) return undefined
  const { aliases, blacklistedModels, models } = key
  const meant = aliases.size === 0 ? undefined : aliases.get(model.toLowerCase())
  if (blacklistedModels.has(model)) return 'model blacklisted'
  if (meant !== undefined && blacklistedModels.has(meant)) return 'model blacklisted'
  return !models || models.has(model) || meant !== undefined ? undefined : 'model not allowed'
}

function pinnedKeys(keys: readonly Key[], { keyId: id, keyName: name }: Pin): readonly Key[] {
  if (id === undefined && name === undefined) return keys
  const found = keys.filter((key) => (id === undefined ? key.name === name : key.id === id))
  if (found.length === 0) {
    const pin =
      id === undefined
        ? `No key found with name '${name}'`
        : `No supported key found with id '${id}'`
    throw new GatewayError('no_key_for_model', `${pin}.`)
  }
  return found
}
