import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, flag, idle, map, secret, text, url, words } from './fields.ts'

const deployments = Type.Optional(
  map(Type.String(), {
    description: 'The older way to write `aliases`; an alias of the same name wins.',
  }),
)

const awsFields = {
  region: text(),
  access_key: Type.Optional(secret()),
  secret_key: Type.Optional(secret()),
  session_token: Type.Optional(secret()),
  role_arn: Type.Optional(text()),
  external_id: Type.Optional(secret()),
  session_name: Type.Optional(text()),
  project_id: Type.Optional(text()),
}

/** Settings that only one vendor reads. Their field names end in `_key_config`. */
const vendorFields = {
  azure_key_config: Type.Optional(
    closed({
      endpoint: url(),
      client_id: Type.Optional(text()),
      client_secret: Type.Optional(secret()),
      tenant_id: Type.Optional(text()),
      scopes: Type.Optional(words()),
      api_version: Type.Optional(
        text({
          description:
            '`v1` (the default), `preview`, or a date such as `2024-10-21` for the older paths.',
        }),
      ),
      deployments,
    }),
  ),
  vertex_key_config: Type.Optional(
    closed({
      project_id: text(),
      region: text(),
      project_number: Type.Optional(text()),
      auth_credentials: Type.Optional(secret()),
      force_single_region: Type.Optional(Type.Boolean()),
      deployments,
    }),
  ),
  bedrock_key_config: Type.Optional(
    closed({
      ...awsFields,
      arn: Type.Optional(text()),
      deployments,
      batch_s3_config: Type.Optional(
        closed({
          buckets: Type.Optional(
            Type.Array(
              closed({
                bucket_name: Type.String(),
                prefix: Type.Optional(Type.String()),
                is_default: Type.Optional(Type.Boolean()),
              }),
            ),
          ),
        }),
      ),
    }),
  ),
  bedrock_mantle_key_config: Type.Optional(closed(awsFields)),
  vllm_key_config: Type.Optional(closed({ url: url(), model_name: Type.String({ minLength: 1 }) })),
  ollama_key_config: Type.Optional(closed({ url: url() })),
  sgl_key_config: Type.Optional(closed({ url: url() })),
  replicate_key_config: Type.Optional(
    closed({ use_deployments_endpoint: Type.Optional(Type.Boolean()), deployments }),
  ),
  openai_key_config: Type.Optional(closed({ use_responses_api: Type.Optional(Type.Boolean()) })),
}

/** An alias that sets more than the model. Who reads which field is the business of the vendor's adapter. */
export const AliasObject = closed({
  model_id: Type.String({ minLength: 1 }),
  description: Type.Optional(Type.String()),
  model_name: Type.Optional(
    Type.String({ description: 'The model behind a deployment whose name does not say it.' }),
  ),
  model_family: Type.Optional(
    Type.String({ description: 'Whose request format the model takes, such as `anthropic`.' }),
  ),
  region: Type.Optional(text({ description: 'Instead of the region of the key.' })),
  project_id: Type.Optional(text({ description: 'Instead of the project of the key.' })),
  project_number: Type.Optional(text()),
  force_single_region: idle(Type.Boolean()),
  api_version: Type.Optional(text({ description: 'Instead of the API version of the key.' })),
  anthropic_version: Type.Optional(text()),
  endpoint: Type.Optional(url({ description: 'Instead of the endpoint of the key.' })),
  inference_profile_arn: Type.Optional(text()),
  use_deployments_endpoint: idle(Type.Boolean()),
  use_anthropic_endpoints: Type.Optional(
    Type.Boolean({ description: "The deployment takes Anthropic's requests." }),
  ),
})

const alias = Type.Union([Type.String({ minLength: 1 }), AliasObject])

export const KeyConfig = closed({
  id: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      description:
        'Stable handle for the `x-bf-api-key-id` header; derived from the name if absent.',
    }),
  ),
  name: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'Unique in the whole file; `<provider>-key-<n>` if absent.',
    }),
  ),
  value: Type.Optional(
    secret({
      description: 'The key itself, or `env.NAME`. If the variable is not set, the key is skipped.',
    }),
  ),
  models: Type.Optional(
    words(
      'Models this key may serve. Absent or `["*"]` = all. Empty = none (with `"version": 1`: all).',
    ),
  ),
  blacklisted_models: Type.Optional(words('Models this key never serves, whatever `models` says.')),
  weight: Type.Optional(
    Type.Number({ default: 1, minimum: 0, description: 'Share of the calls among usable keys.' }),
  ),
  concurrency: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description:
        'Calls in flight at once with this key; other keys are taken while it has as many. Absent = as many as the provider may have.',
    }),
  ),
  enabled: Type.Optional(flag(true)),
  use_for_batch_api: Type.Optional(flag(false, 'Only such keys serve file and batch calls.')),
  aliases: Type.Optional(
    map(alias, {
      description: "Name a caller may use → the provider's own model id; case is ignored.",
    }),
  ),
  status: Type.Optional(Type.Unknown({ description: 'Output of the API, ignored.' })),
  description: Type.Optional(Type.Unknown({ description: 'Output of the API, ignored.' })),
  ...vendorFields,
})

export type KeyConfig = Static<typeof KeyConfig>
