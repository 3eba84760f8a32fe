import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, flag, idle, secret, words } from './fields.ts'

// Who may call, and with what. Budgets and limits are accepted wherever they may stand.

const identified = {
  id: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'Unique; derived from the name when left out.',
    }),
  ),
  name: Type.String({ minLength: 1, maxLength: 255, description: 'Unique; shown in logs.' }),
}

const limited = {
  budgets: idle(Type.Unknown()),
  budget: idle(Type.Unknown()),
  budget_id: idle(Type.Unknown()),
  rate_limit: idle(Type.Unknown()),
  rate_limit_id: idle(Type.Unknown()),
  calendar_aligned: idle(Type.Boolean()),
}

const output = { description: 'Output of the API, ignored.' }
const dated = {
  created_at: Type.Optional(Type.Unknown(output)),
  updated_at: Type.Optional(Type.Unknown(output)),
}

function reference(description: string) {
  return Type.Optional(Type.Union([Type.String(), Type.Null()], { description }))
}

const GrantConfig = closed({
  id: Type.Optional(Type.Unknown(output)),
  virtual_key_id: Type.Optional(Type.Unknown(output)),
  provider: Type.String({ minLength: 1 }),
  weight: Type.Optional(
    Type.Union([Type.Number({ minimum: 0, maximum: 1_000_000 }), Type.Null()], {
      description:
        'Share of the calls whose model names no provider. Absent or null: only for calls that name it.',
    }),
  ),
  allowed_models: Type.Optional(
    words(
      'Names, `regex:` and a pattern, or `["*"]` = all, as when absent. Empty = none (with `"version": 1`: all).',
    ),
  ),
  blacklisted_models: Type.Optional(words('Never served, whatever `allowed_models` says.')),
  key_ids: Type.Optional(
    words(
      'Ids or names of the keys that may serve, or `["*"]` = all, as when absent. Empty = none (with `"version": 1`: all).',
    ),
  ),
  ...limited,
})

export type GrantConfig = Static<typeof GrantConfig>

export const VirtualKeyConfig = closed({
  ...identified,
  description: Type.Optional(Type.String()),
  value: secret({ description: 'What callers send; usually `sk-bf-` and something random.' }),
  is_active: Type.Optional(flag(true)),
  expires_at: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'From this moment on it is refused: `2027-01-31T00:00:00Z`.',
    }),
  ),
  delete_after_expire: idle(Type.Boolean()),
  team_id: reference('Whose it is; not beside `customer_id`.'),
  customer_id: reference('Whose it is; not beside `team_id`.'),
  access_profile_id: idle(Type.Unknown()),
  provider_configs: Type.Optional(
    Type.Array(GrantConfig, {
      description:
        'The providers that it may use; none besides (with `"version": 1`: without any, all).',
    }),
  ),
  allow_all_providers: Type.Optional(
    flag(false, 'It may use providers that `provider_configs` does not name as well.'),
  ),
  mcp_configs: idle(Type.Unknown()),
  disable_content_logging: Type.Optional(
    Type.Union([Type.Boolean(), Type.Null()], {
      description:
        'Whether the log leaves out what its calls say. Absent or null: as `client` has it.',
    }),
  ),
  ...limited,
  ...dated,
})

export type VirtualKeyConfig = Static<typeof VirtualKeyConfig>

export const TeamConfig = closed({
  ...identified,
  customer_id: reference('Whose team it is.'),
  business_unit_id: idle(Type.Unknown()),
  source_id: idle(Type.Unknown()),
  profile: idle(Type.Unknown()),
  config: idle(Type.Unknown()),
  claims: idle(Type.Unknown()),
  virtual_key_count: Type.Optional(Type.Unknown(output)),
  ...limited,
  ...dated,
})

export type TeamConfig = Static<typeof TeamConfig>

export const CustomerConfig = closed({ ...identified, ...limited, ...dated })

export type CustomerConfig = Static<typeof CustomerConfig>
