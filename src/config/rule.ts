import type { Condition } from './expression.ts'
import type { BreakerPolicy } from './policies.ts'
import type { RULE_SCOPES } from './schema/rules.ts'

export type RuleScope = (typeof RULE_SCOPES)[number]

/** A key that a rule names. */
export interface PinnedKey {
  readonly id: string
  readonly name: string
  /** Whose it is. */
  readonly provider: string
}

export interface RuleTarget {
  /** Undefined keeps what the call has. */
  readonly provider: string | undefined
  /** Undefined keeps what the call has. */
  readonly model: string | undefined
  readonly key: PinnedKey | undefined
  /** Share among the targets of the rule. */
  readonly weight: number
}

export interface RuleFallback {
  /** Undefined: the provider of the rule's target. */
  readonly provider: string | undefined
  /** Undefined: the model of the rule's target. */
  readonly model: string | undefined
  readonly key: PinnedKey | undefined
}

export interface RoutingRule {
  readonly id: string
  readonly name: string
  readonly enabled: boolean
  /** As written; empty matches every call. */
  readonly expression: string
  /** Undefined matches every call. */
  readonly condition: Condition | undefined
  readonly scope: RuleScope
  /** Empty for the global scope. */
  readonly scopeId: string
  readonly priority: number
  /** All rules are looked at again with what this one led to. */
  readonly chain: boolean
  readonly targets: readonly [RuleTarget, ...RuleTarget[]]
  readonly fallbacks: readonly RuleFallback[]
}

export interface RoutingSettings {
  /** In the order in which they are looked at. */
  readonly rules: readonly RoutingRule[]
  /** How many rules may follow one another for one call. */
  readonly maxChainDepth: number
  /** Breakers by the headers of answers; those that are on. */
  readonly policies: readonly BreakerPolicy[]
}
