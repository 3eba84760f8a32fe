import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import { expectedCost } from './costs.ts'
import { isOfAnAccount } from './retry.ts'
import { targetOf } from './routing.ts'
import type { Leg } from './routing.ts'

// Which keys of a candidate are asked before others, where that is not for the dice to say.

/** Smaller is sooner; keys of the same rank are drawn by weight. */
export type Rank = (key: Key) => number

/**
 * The rank of the keys for this call; undefined where all are alike. What belongs to an account is looked for in the
 * order of the keys' ids, so that the same list is always asked of the same account first. Where the cheapest is wanted,
 * a key for which the model is a cheaper one comes first.
 */
export function rankOf(leg: Leg, call: Call, snapshot: Snapshot): Rank | undefined {
  if (leg.keys.length < 2) return undefined
  if (isOfAnAccount(call)) return byId(leg.keys)
  return snapshot.client.loadBalancing === 'cost' ? byCost(leg, call, snapshot) : undefined
}

/** Places in the order of the ids, for the lists that are remembered. */
const places = new WeakMap<readonly Key[], ReadonlyMap<Key, number>>()

function byId(keys: readonly Key[]): Rank {
  let known = places.get(keys)
  if (!known) {
    const sorted = keys.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    known = new Map(sorted.map((key, place) => [key, place]))
    places.set(keys, known)
  }
  return (key) => known.get(key) ?? 0
}

interface Models {
  /** What they were found for. */
  readonly asked: string | undefined
  readonly found: readonly (string | undefined)[]
}

const models = new WeakMap<readonly Key[], Models>()

/** What a candidate's model is with one key or another, as the provider knows it; each once. */
export function modelsOf(leg: Leg): readonly (string | undefined)[] {
  const { keys, model: asked } = leg
  if (keys.length === 0) return [asked]
  const known = models.get(keys)
  if (known && known.asked === asked) return known.found
  const found = [...new Set(keys.map((key) => targetOf(leg, key).model))]
  models.set(keys, { asked, found })
  return found
}

function byCost(leg: Leg, call: Call, snapshot: Snapshot): Rank | undefined {
  const found = modelsOf(leg)
  if (found.length < 2) return undefined
  const costs = new Map<string | undefined, number>()
  for (const model of found) {
    // What has no known price may be any; it is asked when the others cannot be.
    costs.set(model, expectedCost(call, leg.settings, model, snapshot) ?? Number.POSITIVE_INFINITY)
  }
  if (new Set(costs.values()).size < 2) return undefined
  return (key) => costs.get(targetOf(leg, key).model) ?? Number.POSITIVE_INFINITY
}

/** Those of the lowest rank. */
export function foremost(keys: readonly Key[], rank: Rank | undefined): readonly Key[] {
  if (!rank || keys.length < 2) return keys
  let lowest = Number.POSITIVE_INFINITY
  for (const key of keys) lowest = Math.min(lowest, rank(key))
  return keys.filter((key) => rank(key) === lowest)
}
