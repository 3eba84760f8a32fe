import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, count, duration, flag, idle, oneOf, open, seconds, words } from './fields.ts'

export const USER_AGENT_MATCHES = ['contains', 'starts_with', 'exact', 'regex'] as const

export const ClientConfig = closed({
  drop_excess_requests: Type.Optional(
    flag(false, 'Refuse at once when the queue of a provider is full, instead of waiting.'),
  ),
  allowed_origins: Type.Optional(
    Type.Array(Type.String(), {
      default: [],
      description:
        'Origins that browsers may call from: exact ones, `https://*.example.com`, or `*` for any. Pages on localhost always may.',
    }),
  ),
  allowed_headers: Type.Optional(words('Further headers that browsers may send.')),
  required_headers: Type.Optional(words('A call without one of these headers is refused.')),
  max_request_body_size_mb: Type.Optional(
    Type.Number({ default: 100, exclusiveMinimum: 0, maximum: 1_000_000 }),
  ),
  allow_direct_keys: Type.Optional(flag(false, 'Callers may bring a provider key of their own.')),
  allow_per_request_raw_override: Type.Optional(flag(false)),
  header_filter_config: Type.Optional(
    closed(
      { allowlist: Type.Optional(words()), denylist: Type.Optional(words()) },
      {
        description:
          'Which headers of a caller may be forwarded; `*` matches anything and a denied name wins.',
      },
    ),
  ),
  strict_params: Type.Optional(
    flag(
      false,
      'Refuse a request with a parameter that its provider cannot take, instead of leaving the parameter out.',
    ),
  ),
  extra_fields: Type.Optional(flag(true, 'Add `extra_fields` to answers.')),
  stream_extra_fields: Type.Optional(
    oneOf(['last', 'all'], {
      default: 'last',
      description: 'Which chunks of a stream carry `extra_fields`.',
    }),
  ),
  prometheus_labels: Type.Optional(
    words(
      'Further labels of metrics; a call says their values in `x-bf-dim-NAME` or `x-bf-prom-NAME`.',
    ),
  ),
  usage_cost: Type.Optional(
    flag(false, 'Add `cost` to the `usage` of answers; `null` where the price is not known.'),
  ),
  stream_keep_alive_in_seconds: Type.Optional(
    seconds({
      default: 15,
      description: 'Silence after which a stream gets a comment line; 0 = never.',
    }),
  ),
  stream_header_hold_in_seconds: Type.Optional(
    seconds({
      default: 15,
      description:
        'How long the status of a stream waits for its first meaningful event, so that an early failure can still be an HTTP error; 0 = not at all.',
    }),
  ),
  load_balancing: Type.Optional(
    oneOf(['weighted', 'least_loaded', 'cost'], {
      default: 'weighted',
      description:
        'How a key is chosen: by weight, or the less busy of two that were drawn by weight. With `cost` keys are chosen by weight, and of the providers that a call may go to the cheapest is asked first.',
    }),
  ),
  explain_endpoint: Type.Optional(
    oneOf(['loopback', 'any', 'off'], {
      default: 'loopback',
      description:
        'Who may ask `/api/explain` what would be done with a request: programs on this machine, anybody, or nobody.',
    }),
  ),
  circuit_breaker: Type.Optional(
    closed(
      {
        enabled: Type.Optional(flag(true)),
        error_rate: Type.Optional(
          Type.Number({
            default: 0.5,
            exclusiveMinimum: 0,
            maximum: 1,
            description: 'Share of failed calls from which a key and model are left alone.',
          }),
        ),
        min_failures: Type.Optional(
          count({
            default: 5,
            minimum: 1,
            description: 'Failures below which a rate says nothing.',
          }),
        ),
        open_in_seconds: Type.Optional(
          seconds({ default: 5, description: 'How long; doubled for each failed try.' }),
        ),
        max_open_in_seconds: Type.Optional(seconds({ default: 60 })),
      },
      {
        description:
          'Keys and models that keep failing are not asked for a while, as long as there are others.',
      },
    ),
  ),
  hedging: Type.Optional(
    closed(
      {
        enabled: Type.Optional(
          flag(false, 'For all providers that do not say otherwise; `x-bf-hedge` per request.'),
        ),
        max_share: Type.Optional(
          Type.Number({
            default: 0.07,
            exclusiveMinimum: 0,
            maximum: 1,
            description: 'How many extra calls a provider may cause, as a share of its calls.',
          }),
        ),
        min_delay_in_seconds: Type.Optional(
          seconds({ default: 0.1, description: 'No second candidate is asked sooner.' }),
        ),
        max_delay_in_seconds: Type.Optional(
          seconds({ default: 10, description: 'However slow the first one usually is.' }),
        ),
        min_samples: Type.Optional(
          count({
            default: 20,
            minimum: 1,
            maximum: 100,
            description: 'Answers that a key and model must have given before.',
          }),
        ),
      },
      {
        description:
          'When a call takes longer than 95 in 100 of its key and model, another candidate is asked as well, and the first answer wins.',
      },
    ),
  ),
  rescue_streams: Type.Optional(
    flag(
      false,
      'When a chat stream of plain text breaks half-way, another candidate goes on; `x-bf-rescue` per request.',
    ),
  ),
  drain_timeout_in_seconds: Type.Optional(
    seconds({
      default: 25,
      description: 'How long open calls may go on after SIGTERM; 0 = not at all.',
    }),
  ),

  enable_logging: Type.Optional(flag(true, 'Keep a log of calls.')),
  disable_content_logging: Type.Optional(
    flag(false, 'Keep of each call how it went, and not what was said.'),
  ),
  allow_per_request_content_storage_override: Type.Optional(
    flag(false, 'A request may decide that for itself, by `x-bf-disable-content-logging`.'),
  ),
  log_retention_days: Type.Optional(
    count({
      default: 365,
      minimum: 1,
      maximum: 36_500,
      description: 'After this long a row is gone.',
    }),
  ),
  logging_headers: Type.Optional(
    words('Headers of callers that are kept with the row; those that carry keys never are.'),
  ),
  user_agent_mappings: Type.Optional(
    Type.Array(
      closed({
        pattern: Type.String({ minLength: 1, maxLength: 300 }),
        match_type: Type.Optional(
          oneOf(USER_AGENT_MATCHES, {
            default: 'contains',
            description: 'How the pattern stands in a user agent; `regex` is in RE2 syntax.',
          }),
        ),
        app: Type.String({ minLength: 1, maxLength: 60, description: 'What the log calls it.' }),
        is_active: Type.Optional(flag(true)),
      }),
      {
        maxItems: 500,
        description:
          'Which programs callers are, by their user agents; before the built-in ones, and the first that matches counts.',
      },
    ),
  ),

  initial_pool_size: idle(count({ default: 300 })),
  retain_content_in_object_storage: idle(flag(false)),
  enforce_auth_on_inference: Type.Optional(
    flag(false, 'Refuse calls without a virtual key of `governance.virtual_keys`.'),
  ),
  disable_auth_on_inference: idle(Type.Boolean()),
  dual_credential_conflict_behavior: idle(oneOf(['error', 'prefer_vk', 'prefer_idp'])),
  whitelisted_routes: idle(words()),
  compat: idle(
    closed({
      convert_text_to_chat: Type.Optional(Type.Boolean()),
      convert_chat_to_responses: Type.Optional(Type.Boolean()),
      should_drop_params: Type.Optional(Type.Boolean()),
      should_convert_params: Type.Optional(Type.Boolean()),
      azure_deepseek: Type.Optional(Type.Boolean()),
      force_reasoning_only_models_to_responses: Type.Optional(Type.Boolean()),
    }),
  ),
  enable_litellm_fallbacks: idle(flag(false)),
  async_job_result_ttl: Type.Optional(
    count({ default: 3600, description: 'Seconds that the result of a job is kept.' }),
  ),
  webhook_config: Type.Optional(
    closed({
      delivery_history_retention_days: Type.Optional(
        count({
          default: 30,
          minimum: 1,
          maximum: 3650,
          description: 'How long it is known how the deliveries of webhooks went.',
        }),
      ),
    }),
  ),
  disable_db_pings_in_health: idle(flag(false)),
  dump_errors_in_console_logs: idle(flag(false)),
  hide_deleted_virtual_keys_in_filters: idle(flag(false)),
  hidden_request_types: idle(words()),
  delete_expired_virtual_keys: idle(flag(false)),
  routing_chain_max_depth: Type.Optional(
    count({
      default: 10,
      minimum: 1,
      maximum: 100,
      description: 'How many routing rules may follow one another for one call.',
    }),
  ),
  mcp_agent_depth: idle(count({ default: 10 })),
  mcp_tool_execution_timeout: idle(duration()),
  mcp_tool_sync_interval: idle(duration()),
  mcp_code_mode_binding_level: idle(Type.String()),
  mcp_disable_auto_tool_inject: idle(flag(false)),
  mcp_enable_temp_token_auth: idle(flag(false)),
  mcp_external_client_url: idle(Type.Unknown()),
  mcp_server_auth_mode: idle(oneOf(['headers', 'both', 'oauth'])),
  oauth2_server_config: idle(
    open({
      issuer_url: Type.Optional(Type.String()),
      auth_code_ttl: Type.Optional(Type.Integer()),
      access_token_ttl: Type.Optional(Type.Integer()),
      disable_vk_identity: Type.Optional(Type.Boolean()),
    }),
  ),
  enable_governance: idle(Type.Boolean()),
  enforce_governance_header: Type.Optional(
    Type.Boolean({ description: 'The older name of `enforce_auth_on_inference`.' }),
  ),
  enforce_scim_auth: idle(Type.Boolean()),
})

export type ClientConfig = Static<typeof ClientConfig>
