import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, duration, flag, oneOf, words } from './fields.ts'

const Signal = closed({
  source: Type.Optional(oneOf(['response_header'])),
  header_name: Type.String({ minLength: 1, maxLength: 200 }),
  header_value: Type.Optional(Type.String({ description: 'The whole value, in any case.' })),
  header_contains: Type.Optional(
    Type.String({ minLength: 1, description: 'Part of the value, in any case.' }),
  ),
})

export const BreakerPolicyConfig = closed({
  id: Type.Optional(Type.String()),
  name: Type.String({ minLength: 1, maxLength: 255, description: 'Unique; shown in traces.' }),
  description: Type.Optional(Type.String()),
  enabled: Type.Optional(flag(true)),
  primary_provider: Type.String({ minLength: 1 }),
  primary_model: Type.Optional(Type.String({ description: 'Left out or empty: every model.' })),
  primary_key_ids: Type.Optional(words('Only these keys are passed over; empty: all.')),
  fallback_provider: Type.String({ minLength: 1 }),
  fallback_model: Type.Optional(
    Type.String({ description: 'Left out or empty: the model that was asked for.' }),
  ),
  condition: closed({
    operator: Type.Optional(oneOf(['OR', 'AND'])),
    signals: Type.Array(Signal, { minItems: 1, maxItems: 20 }),
  }),
  default_cooldown: Type.Optional(
    duration({ default: '30s', description: 'How long it is passed over.' }),
  ),
  cooldown_header: Type.Optional(
    Type.String({ description: 'A response header that says so instead, in milliseconds.' }),
  ),
})

export const BreakerConfig = closed(
  { policies: Type.Optional(Type.Array(BreakerPolicyConfig, { maxItems: 1000 })) },
  { description: 'What is passed over for a while when the headers of its answers say so.' },
)

export type BreakerPolicyConfig = Static<typeof BreakerPolicyConfig>
