import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, flag, oneOf } from './fields.ts'

/** Who a rule is for, most particular first: in this order rules are looked at. */
export const RULE_SCOPES = ['virtual_key', 'user', 'team', 'customer', 'global'] as const

const RuleTarget = closed({
  provider: Type.Optional(
    Type.String({ minLength: 1, description: 'Left out: the one the call already has.' }),
  ),
  model: Type.Optional(
    Type.String({ minLength: 1, description: 'Left out: the one the call already has.' }),
  ),
  key_id: Type.Optional(
    Type.String({ minLength: 1, description: 'Id of the only key that may serve.' }),
  ),
  provider_key_name: Type.Optional(
    Type.String({ minLength: 1, description: 'The same by its name.' }),
  ),
  weight: Type.Optional(
    Type.Number({
      default: 1,
      minimum: 0,
      maximum: 1_000_000,
      description: 'Share of the calls among the targets of the rule; all zero means equal shares.',
    }),
  ),
})

const RuleFallback = Type.Union([
  Type.String({ minLength: 1 }),
  closed({
    provider: Type.Optional(Type.String({ minLength: 1 })),
    model: Type.Optional(Type.String({ minLength: 1 })),
    key_id: Type.Optional(Type.String({ minLength: 1 })),
  }),
])

export const RoutingRuleConfig = closed(
  {
    id: Type.Optional(
      Type.String({ minLength: 1, description: 'Derived from the name when left out.' }),
    ),
    name: Type.String({ minLength: 1, maxLength: 255, description: 'Unique; shown in traces.' }),
    description: Type.Optional(Type.String()),
    enabled: Type.Optional(flag(true)),
    cel_expression: Type.Optional(
      Type.String({
        default: '',
        maxLength: 4096,
        description: 'A condition in CEL; empty = every call that names a model.',
      }),
    ),
    targets: Type.Array(RuleTarget, { description: 'Of several, one is drawn by weight.' }),
    fallbacks: Type.Optional(
      Type.Array(RuleFallback, {
        description:
          'For calls that name none themselves: `provider/model`, or `provider/` for the model of the target.',
      }),
    ),
    scope: Type.Optional(oneOf(RULE_SCOPES, { default: 'global' })),
    scope_id: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'Whose, when it is not global.' }),
    ),
    priority: Type.Optional(
      Type.Integer({
        default: 0,
        minimum: -1_000_000,
        maximum: 1_000_000,
        description: 'Within a scope the lowest comes first, and what stands first among equals.',
      }),
    ),
    chain_rule: Type.Optional(
      flag(false, 'Look at all rules again with the provider and model that this one led to.'),
    ),
    query: Type.Optional(
      Type.Unknown({ description: 'The condition as an editor keeps it; not read.' }),
    ),
  },
  { description: 'The first rule that matches decides where a call goes.' },
)

export type RoutingRuleConfig = Static<typeof RoutingRuleConfig>
