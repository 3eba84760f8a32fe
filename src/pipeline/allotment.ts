import type { Snapshot } from '#config/snapshot.ts'
import type { Grant, VirtualKey } from '#config/virtual-key.ts'
import type { Call, Fallback } from '#core/call.ts'
import { Trace } from '#core/trace.ts'
import { listedModel } from '#prices/price.ts'
import { providerFor } from '#providers/registry.ts'

import { virtualKeyOf } from './grants.ts'
import { pinOf } from './keys.ts'
import { whyNoLeg } from './routing.ts'
import { readSession } from './sessions.ts'

// A virtual key shares out its calls among its providers: those whose caller left the choice.

/** The providers of a virtual key that can serve such a call, the heaviest first. */
type Pool = readonly Grant[]

/**
 * The call with a provider drawn by weight among those of its virtual key, the others behind it as fallbacks unless the
 * caller named some. The very same call where a provider was named, a routing rule has decided, or no provider of the
 * virtual key has a weight and can serve it. Never throws for want of a candidate.
 */
export function allot(call: Call, snapshot: Snapshot, random: () => number = Math.random): Call {
  if (!call.caller.owner || call.namesNoProvider !== true || call.rule) return call
  // A key of the caller's own stays with the provider that it was brought for.
  if (call.model === undefined || call.caller.directKey) return call
  const key = virtualKeyOf(call, snapshot)
  if (!key || key.pool.length === 0) return call
  const pool = poolFor(call, key, snapshot)
  if (pool.length === 0) return call
  const chosen = drawGrant(pool, chanceOf(call, random))
  note(call, key, pool, chosen)
  const { provider } = chosen
  const others = pool.filter((grant) => grant !== chosen)
  return {
    ...call,
    provider,
    fallbacks: fallbacksFor(call, provider, others, snapshot),
  }
}

/** One grant, drawn by weight; with all weights zero each is as likely. `random` is in [0, 1). */
export function drawGrant(pool: Pool, random: number): Grant {
  let sum = 0
  for (const { weight = 0 } of pool) sum += weight
  if (sum <= 0) return pool[Math.floor(random * pool.length)]!
  let rest = random * sum
  for (const grant of pool) {
    rest -= grant.weight ?? 0
    if (rest < 0) return grant
  }
  // Rounding may leave a sliver; it belongs to the last one that has weight.
  return pool.findLast(({ weight = 0 }) => weight > 0)!
}

/** A session is served where it was served before, for as long as the same providers can. */
function chanceOf(call: Call, random: () => number): number {
  const session = readSession(call)
  return session ? Number(Bun.hash.wyhash(session.id) % 1_000_003n) / 1_000_003 : random()
}

/** The caller's own, or else the other providers of the virtual key, or else those of the provider. */
function fallbacksFor(
  call: Call,
  provider: string,
  others: Pool,
  snapshot: Snapshot,
): readonly Fallback[] | undefined {
  if (call.hasOwnFallbacks) return call.fallbacks
  const { model } = call
  if (others.length > 0) return others.map((grant) => ({ provider: grant.provider, model }))
  return provider === call.provider ? call.fallbacks : ownFallbacks(provider, snapshot, model)
}

/** What the configuration has behind a provider, as far as it is for the same model. */
function ownFallbacks(
  provider: string,
  { providers }: Snapshot,
  model: string | undefined,
): readonly Fallback[] | undefined {
  const names = providers.get(provider)?.fallbacks.filter((name) => providers.has(name)) ?? []
  return names.length === 0 ? undefined : names.map((name) => ({ provider: name, model }))
}

/** Model names come from callers: as many lists are remembered for each virtual key. */
const maxLists = 50

/** What has been found out about a virtual key; forgotten with its snapshot. */
const pools = new WeakMap<VirtualKey, Map<string, Pool>>()

function poolFor(call: Call, key: VirtualKey, snapshot: Snapshot): Pool {
  if (call.trace.isDetailed || pinOf(call)) return findPool(call, key, snapshot)
  let own = pools.get(key)
  if (!own) pools.set(key, (own = new Map()))
  const question = `${call.endpoint}\n${call.stream}\n${call.model}`
  let found = own.get(question)
  if (!found) {
    found = findPool(call, key, snapshot)
    if (own.size >= maxLists) own.delete(own.keys().next().value!)
    own.set(question, found)
  }
  return found
}

function findPool(call: Call, key: VirtualKey, snapshot: Snapshot): Pool {
  // What is found out here is said once, and not again by whoever plans.
  const quiet: Call = { ...call, trace: new Trace(call.startedAt) }
  const able = key.pool.filter((grant) => {
    const { provider } = grant
    const error = whyNoLeg(quiet, { provider, model: call.model }, snapshot)
    if (error) leaveOut(call, provider, error.message)
    return error === undefined
  })
  const knowing = able.filter((grant) => knows(grant, call, snapshot))
  if (knowing.length === 0) return able
  return able.filter((grant) => {
    const isLeft = knowing.includes(grant) || !isListed(grant, snapshot)
    if (!isLeft) leaveOut(call, grant.provider, 'it is not known to have the model')
    return isLeft
  })
}

function leaveOut({ trace }: Call, provider: string, why: string): void {
  if (trace.isDetailed) trace.add('route', `${provider} is left out: ${why}`, { provider })
}

/** Whether the provider has the model as far as anybody here knows. */
function knows({ provider, allowed }: Grant, { model = '' }: Call, snapshot: Snapshot): boolean {
  const settings = snapshot.providers.get(provider)!
  if (!allowed.isAll) return true
  const lower = model.toLowerCase()
  return (
    listedModel(settings, model, snapshot) !== undefined ||
    settings.keys.some(({ aliases, models }) => aliases.has(lower) || models?.has(model) === true)
  )
}

/** Whether there is a list of what the provider has: of one's own servers nobody knows. */
function isListed({ provider }: Grant, { providers }: Snapshot): boolean {
  const settings = providers.get(provider)!
  return settings.custom === undefined && providerFor(settings)?.keyless !== true
}

function note(call: Call, { owner }: VirtualKey, pool: Pool, chosen: Grant): void {
  const { trace } = call
  const from = pool.length === 1 ? 'the only one that can serve' : `drawn from ${pool.length}`
  const sum = pool.reduce((total, { weight = 0 }) => total + weight, 0)
  trace.add(
    'route',
    `virtual key '${owner.virtualKeyName}' leads to ${chosen.provider}, ${from}`,
    trace.isDetailed
      ? {
          virtual_key_id: owner.virtualKeyId,
          targets: pool.map(({ provider, weight = 0 }) => {
            return { provider, share: sum <= 0 ? 1 / pool.length : weight / sum }
          }),
        }
      : undefined,
  )
}
