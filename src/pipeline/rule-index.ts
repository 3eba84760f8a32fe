import type { Facts } from '#config/facts.ts'
import { holds } from '#config/guards.ts'
import type { Guard } from '#config/guards.ts'
import type { RoutingRule, RoutingSettings } from '#config/rule.ts'

/** A rule that may still match, and what is left to look at. */
export interface Candidate {
  readonly rule: RoutingRule
  readonly guards: readonly Guard[]
  /** Its condition is known to be true. */
  readonly isSure: boolean
}

/** Model names come from callers: for as many calls that differ, what was found out is remembered. */
const maxLists = 1000

/** What has been found out about the rules of one snapshot; forgotten with it. */
const lists = new WeakMap<RoutingSettings, Map<string, readonly Candidate[]>>()

/**
 * The rules that may match a call to this provider, model and operation, in their order. Most conditions speak of
 * these first, so that a hundred rules about other models cost a call no more than one look into a map.
 */
export function candidatesFor(routing: RoutingSettings, facts: Facts): readonly Candidate[] {
  let known = lists.get(routing)
  if (!known) lists.set(routing, (known = new Map()))
  const { provider, model, request_type: type, stream } = facts
  const key = `${model}\n${provider}\n${type}${stream ? '\n' : ''}`
  const found = known.get(key)
  if (found) return found
  if (known.size >= maxLists) known.clear()
  const fresh = routing.rules.flatMap((rule) => candidate(rule, facts) ?? [])
  known.set(key, fresh)
  return fresh
}

function candidate(rule: RoutingRule, facts: Facts): Candidate | undefined {
  if (!rule.enabled) return undefined
  const { condition } = rule
  if (!condition) return { rule, guards: [], isSure: true }
  const left: Guard[] = []
  for (const guard of condition.guards) {
    // A copy: the snapshot's own is frozen, and frozen lists are slow to look through.
    if (guard.name !== '') left.push({ ...guard, texts: [...guard.texts] })
    else if (!holds(guard, facts)) return undefined
  }
  if (!condition.isFixed) return { rule, guards: left, isSure: false }
  const verdict = condition.test(facts)
  if (verdict === false) return undefined
  return { rule, guards: left, isSure: verdict === true }
}
