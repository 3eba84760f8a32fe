import type { Failure } from '#config/expression.ts'
import type { Facts } from '#config/facts.ts'
import { holds } from '#config/guards.ts'
import type { Guard } from '#config/guards.ts'
import type { RoutingRule, RoutingSettings, RuleScope, RuleTarget } from '#config/rule.ts'
import type { Snapshot } from '#config/snapshot.ts'
import type { Call, Fallback } from '#core/call.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { CallFacts } from './call-facts.ts'
import { candidatesFor } from './rule-index.ts'

// Routing rules: the operator's word on where a call goes, before anything is planned for it.

/** What decides besides the call and the configuration. */
export interface Chance {
  /** In [0, 1). */
  readonly random: () => number
  /** Since 1970. */
  readonly nowMs: () => number
}

const real: Chance = { random: Math.random, nowMs: Date.now }

/**
 * The call as the first rule that matches has it, or the very same call when none does. Only calls that name a model
 * are routed: what is asked about a file or a batch has to be asked where that is. Never throws.
 */
export function route(call: Call, snapshot: Snapshot, chance: Chance = real): Call {
  if (snapshot.routing.rules.length === 0) return call
  // The paths of `/models/{model}` hold the name of the model, which is there what the question is about.
  if (call.model === undefined || call.path.startsWith('/models/')) return call
  return routed(call, snapshot, chance)
}

function routed(call: Call, snapshot: Snapshot, chance: Chance): Call {
  const { maxChainDepth } = snapshot.routing
  const facts = new CallFacts(call, chance.nowMs())
  let seen: Set<string> | undefined
  let decided: Choice | undefined
  let fallbacksOf: RoutingRule | undefined
  for (let depth = 0; depth < maxChainDepth; depth++) {
    const choice = choose(call, snapshot.routing, facts, chance)
    if (!choice) break
    const { rule, target } = choice
    decided = choice
    if (rule.fallbacks.length > 0) fallbacksOf = rule
    seen ??= new Set([stateOf(facts)])
    facts.provider = target.provider ?? facts.provider
    facts.model = target.model ?? facts.model
    call.trace.add('route', `rule '${rule.name}' leads to ${facts.provider}/${facts.model}`, {
      rule_id: rule.id,
      rule_name: rule.name,
      ...(target.key && { key: target.key.name }),
      ...(call.trace.isDetailed && rule.targets.length > 1 && { targets: drawnFrom(rule) }),
    })
    if (!rule.chain) break
    const state = stateOf(facts)
    if (seen.has(state)) break
    seen.add(state)
  }
  if (!decided) return call
  const { key } = decided.target
  const { provider, model } = facts
  const moved = provider !== call.provider
  return {
    ...call,
    provider,
    model,
    fallbacks: fallbacksFor(call, facts, fallbacksOf, snapshot),
    rule: { id: decided.rule.id, name: decided.rule.name },
    // A key that the caller picked is one of the provider it asked for.
    ...((key || moved) && { pin: { keyId: key?.id } }),
  }
}

const maxTargetsTold = 20

/** Between what was drawn, for the trace. */
function drawnFrom({ targets }: RoutingRule): readonly object[] {
  const sum = targets.reduce((total, { weight }) => total + weight, 0)
  return targets.slice(0, maxTargetsTold).map(({ provider, model, key, weight }) => ({
    provider,
    model,
    key: key?.name,
    share: sum <= 0 ? 1 / targets.length : weight / sum,
  }))
}

interface Choice {
  readonly rule: RoutingRule
  readonly target: RuleTarget
}

/** Rules of which a detailed trace says why they did not match. */
const maxTold = 50
/** Failures of which any trace tells. */
const maxFailuresTold = 5

function choose(
  call: Call,
  routing: RoutingSettings,
  facts: CallFacts,
  chance: Chance,
): Choice | undefined {
  if (call.trace.isDetailed) return chooseAloud(call, routing, facts, chance)
  let failures = 0
  for (const { rule, guards, isSure } of candidatesFor(routing, facts)) {
    if (rule.scope !== 'global' && !isInScope(rule, facts)) continue
    if (!isSure) {
      if (!allHold(guards, facts)) continue
      const verdict = rule.condition!.test(facts)
      if (verdict === false) continue
      if (verdict !== true) {
        if (failures++ < maxFailuresTold) tell(call, rule, failure(verdict))
        continue
      }
    }
    const target = drawTarget(rule.targets, chance.random())
    const reason = whyNotThere(target, call, facts)
    if (reason === undefined) return { rule, target }
    tell(call, rule, reason)
  }
  return undefined
}

function allHold(guards: readonly Guard[], facts: Facts): boolean {
  for (const guard of guards) if (!holds(guard, facts)) return false
  return true
}

/** The same, and says of each rule why it does not match. */
function chooseAloud(
  call: Call,
  { rules }: RoutingSettings,
  facts: CallFacts,
  chance: Chance,
): Choice | undefined {
  let passed = 0
  let found: Choice | undefined
  for (const rule of rules) {
    let reason = whyNot(rule, facts)
    if (reason === undefined) {
      const target = drawTarget(rule.targets, chance.random())
      reason = whyNotThere(target, call, facts)
      if (reason === undefined) {
        found = { rule, target }
        break
      }
    }
    if (passed++ < maxTold) tell(call, rule, reason)
  }
  if (passed > maxTold) call.trace.add('route', `nor do ${passed - maxTold} more rules match`)
  return found
}

function tell(call: Call, rule: RoutingRule, reason: string): void {
  call.trace.add('route', `rule '${rule.name}' does not match: ${reason}`, {
    rule_id: rule.id,
    rule_name: rule.name,
  })
}

const reasons = {
  model: 'the model is another',
  provider: 'the provider is another',
  request_type: 'the request type is another',
  headers: 'a header is another, or missing',
  params: 'a parameter is another, or missing',
} as const

/** Why a rule does not apply. Says nothing of what the rule compares with, which may be meant to stay unknown. */
function whyNot(rule: RoutingRule, facts: Facts): string | undefined {
  if (!rule.enabled) return 'it is switched off'
  if (!isInScope(rule, facts)) return `the call belongs to another ${rule.scope}, or to none`
  const { condition } = rule
  if (!condition) return undefined
  for (const guard of condition.guards) if (!holds(guard, facts)) return reasons[guard.fact]
  const verdict = condition.test(facts)
  if (typeof verdict === 'object') return failure(verdict)
  return verdict ? undefined : 'its condition is false'
}

function failure({ why }: Failure): string {
  return `its condition cannot be evaluated: ${why}`
}

function isInScope({ scope, scopeId }: RoutingRule, facts: Facts): boolean {
  return scope === 'global' || ownerOf(scope, facts) === scopeId
}

function ownerOf(scope: Exclude<RuleScope, 'global'>, facts: Facts): string {
  switch (scope) {
    case 'virtual_key':
      return facts.virtual_key_id
    case 'user':
      return facts.user_id
    case 'team':
      return facts.team_id
    case 'customer':
      return facts.customer_id
  }
}

/** Why a call cannot be sent where a rule leads, though the rule matches. */
function whyNotThere(target: RuleTarget, call: Call, facts: Facts): string | undefined {
  const provider = target.provider ?? facts.provider
  if (call.caller.directKey && provider !== call.provider) {
    return `the caller's own key is for '${call.provider}' and not sent to '${provider}'`
  }
  if (target.key && target.key.provider !== provider) {
    return `its key '${target.key.name}' is not one of '${provider}'`
  }
  return undefined
}

/** One target, drawn by weight; with all weights zero each is as likely. `random` is in [0, 1). */
export function drawTarget(targets: RoutingRule['targets'], random: number): RuleTarget {
  if (targets.length === 1) return targets[0]
  let sum = 0
  for (const { weight } of targets) sum += weight
  if (sum <= 0) return targets[Math.floor(random * targets.length)]!
  let rest = random * sum
  for (const target of targets) {
    rest -= target.weight
    if (rest < 0) return target
  }
  // Rounding may leave a sliver; it belongs to the last target that has weight.
  return targets.findLast(({ weight }) => weight > 0)!
}

/** The caller's own fallbacks, or else those of the rule, or else those of the provider that the call now goes to. */
function fallbacksFor(
  call: Call,
  { provider, model }: Facts,
  rule: RoutingRule | undefined,
  snapshot: Snapshot,
): readonly Fallback[] | undefined {
  if (call.hasOwnFallbacks) return call.fallbacks
  if (rule) {
    return rule.fallbacks.map((fallback) => ({
      provider: fallback.provider ?? fallback.key?.provider ?? provider,
      model: fallback.model ?? model,
      ...(fallback.key && { keyId: fallback.key.id }),
    }))
  }
  const names = snapshot.providers.get(provider)?.fallbacks ?? []
  return names.length === 0
    ? undefined
    : names.map((name) => named(name, provider, model, snapshot))
}

/** `provider/model`, a provider for the same model, or a bare model of the same provider. */
function named(name: string, provider: string, model: string, snapshot: Snapshot): Fallback {
  const isProvider = (part: string): boolean => snapshot.providers.has(part) || PROVIDERS.has(part)
  if (isProvider(name)) return { provider: name, model }
  const slash = name.indexOf('/')
  const prefix = name.slice(0, Math.max(0, slash))
  return isProvider(prefix) && slash < name.length - 1
    ? { provider: prefix, model: name.slice(slash + 1) }
    : { provider, model: name }
}

function stateOf({ provider, model }: Facts): string {
  return `${provider}\n${model}`
}
