import type { Key } from '#config/snapshot.ts'

import type { KeyFacts } from './keyring.ts'
import { foremost } from './ranks.ts'

/** More keys than these are not compared with each other to say how likely each is. */
const maxCompared = 300

/** How likely each of the keys is to be the first that a `Keyring` draws, from 0 to 1; together 1. */
export function sharesOf(keys: readonly Key[], facts: KeyFacts): ReadonlyMap<Key, number> {
  const pool = drawnFrom(keys, facts)
  const drawn = byWeight(pool)
  const { load } = facts
  const isAnyUp = pool.some((key) => !facts.isOut(key))
  if (!load || !isAnyUp || pool.length === 1 || pool.length > maxCompared) return drawn
  const shares = new Map(pool.map((key) => [key, 0]))
  for (const [one, share] of drawn) {
    if (share === 0) continue
    for (const [other, second] of byWeight(pool.filter((key) => key !== one))) {
      const key = load(other) < load(one) ? other : one
      shares.set(key, shares.get(key)! + share * second)
    }
  }
  return shares
}

/** The session's own key; or those that can be used now; or those that are not full; or all, to be waited for. */
function drawnFrom(keys: readonly Key[], facts: KeyFacts): readonly Key[] {
  const { isOut, isFull, preferred, rank } = facts
  const free = isFull ? keys.filter((key) => !isFull(key)) : keys
  const up = free.filter((key) => !isOut(key))
  const known = preferred === undefined ? undefined : up.find(({ id }) => id === preferred)
  if (known) return [known]
  if (up.length > 0) return foremost(up, rank)
  return free.length > 0 && keys.every(isOut) ? foremost(free, rank) : keys
}

/** What drawing one by weight comes to over many draws. */
function byWeight(keys: readonly Key[]): Map<Key, number> {
  let sum = 0
  for (const key of keys) sum += key.weight
  return new Map(keys.map((key) => [key, sum <= 0 ? 1 / keys.length : key.weight / sum]))
}
