import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, named, oneOf, open } from './fields.ts'

const rate = (description: string) =>
  Type.Optional(
    Type.Union(
      [
        Type.Number({ minimum: 0, maximum: 1_000_000 }),
        closed({
          base: Type.Number({ minimum: 0, maximum: 1_000_000 }),
          tiers: Type.Array(
            closed({
              above: Type.Integer({ minimum: 0, maximum: 1_000_000_000 }),
              rate: Type.Number({ minimum: 0, maximum: 1_000_000 }),
            }),
          ),
        }),
      ],
      { description },
    ),
  )

const date = (description: string) =>
  Type.Optional(
    Type.String({
      pattern: '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2})?(Z|[+-]\\d{2}:\\d{2}))?$',
      examples: ['2026-12-01', '2026-12-01T00:00:00Z'],
      description,
    }),
  )

/** One entry of `prices`. */
export const PriceConfig = closed({
  provider: Type.Optional(
    Type.String({ minLength: 1, description: 'One provider; without it, all of them.' }),
  ),
  model: Type.String({
    minLength: 1,
    description: 'A name as the provider knows it; `*` at its end stands for any rest.',
  }),
  from: date('First moment, UTC unless it says otherwise.'),
  until: date('Moment from which it no longer counts.'),
  service_tier: Type.Optional(
    oneOf(['flex', 'priority', 'fast', 'batch'], {
      description: 'Only for calls that this tier served; without it, for the other ones.',
    }),
  ),
  input: rate('US dollars for a million input tokens.'),
  output: rate('For a million output tokens.'),
  cache_read: rate('For a million input tokens read from a cache.'),
  cache_write: rate('For a million input tokens written to a cache.'),
  cache_write_1h: rate('The same, kept for an hour.'),
  reasoning: rate('For a million tokens of reasoning.'),
  citation: rate('For a million tokens of citations.'),
  audio_input: rate('For a million audio tokens of the input.'),
  audio_output: rate('For a million audio tokens of the output.'),
  image_input: rate('For a million image tokens of the input.'),
  image_output: rate('For a million image tokens of the output.'),
  audio_hour: rate('For an hour of recorded input.'),
  request: rate('For one request.'),
  search: rate('For one search of the web.'),
  character: rate('For a million characters of a text that is spoken.'),
  image: rate('For one picture that is made.'),
  pixel: rate('For a million pixels of pictures that are made.'),
  video_second: rate('For a second of film that is made.'),
})

/** One entry of Bifrost's `governance.pricing_overrides`. */
export const PricingOverride = open({
  ...named('id name'),
  scope: Type.Optional(Type.String()),
  scope_kind: Type.Optional(Type.String()),
  provider_key_id: Type.Optional(Type.String()),
  virtual_key_id: Type.Optional(Type.String()),
  provider: Type.Optional(Type.String()),
  provider_id: Type.Optional(Type.String()),
  match_type: Type.Optional(oneOf(['exact', 'wildcard'])),
  pattern: Type.String({ minLength: 1 }),
  request_types: Type.Optional(Type.Array(Type.String())),
  patch: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  pricing_patch: Type.Optional(
    Type.Union([Type.String(), Type.Record(Type.String(), Type.Unknown())]),
  ),
})

export type PriceConfig = Static<typeof PriceConfig>
export type PricingOverride = Static<typeof PricingOverride>
