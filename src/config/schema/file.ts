import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { BreakerConfig } from './breaker.ts'
import { ClientConfig } from './client.ts'
import { closed, count, flag, idle, map, named, oneOf, open, secret } from './fields.ts'
import { CustomerConfig, TeamConfig, VirtualKeyConfig } from './governance.ts'
import { AsyncConfig, WebhookConfig } from './jobs.ts'
import { LogsStoreConfig } from './logs.ts'
import { PluginConfig } from './plugins.ts'
import { PriceConfig, PricingOverride } from './prices.ts'
import { ProviderConfig } from './provider.ts'
import { RoutingRuleConfig } from './rules.ts'

const switchable = { enabled: Type.Optional(Type.Boolean()) }

/** `config.json` as a whole. What nothing reads yet is open inside, with its known keys listed. */
export const ConfigFile = closed({
  $schema: Type.Optional(Type.String({ description: 'For editors.' })),
  version: Type.Optional(
    Type.Union([Type.Literal(1), Type.Literal(2)], {
      default: 2,
      description: 'What an empty list of models means: 1 = everything, 2 = nothing.',
    }),
  ),
  client: Type.Optional(ClientConfig),
  providers: Type.Optional(
    map(ProviderConfig, {
      description: 'Name → provider. A name that is not built in needs `custom_provider_config`.',
    }),
  ),
  response_store: Type.Optional(
    closed(
      {
        enabled: Type.Optional(flag(true, 'Keep responses at all; off, `store` is always false.')),
        retention_days: Type.Optional(
          Type.Number({
            default: 30,
            minimum: 0,
            maximum: 36_500,
            description: 'After this long a response is gone.',
          }),
        ),
        max_size_mb: Type.Optional(
          Type.Number({
            default: 1024,
            exclusiveMinimum: 0,
            maximum: 1_000_000,
            description: 'Of all responses together; the oldest go first.',
          }),
        ),
        max_count: Type.Optional(
          count({ default: 100_000, description: 'Responses; the oldest go first.' }),
        ),
      },
      {
        description:
          'Responses of providers that keep none themselves, for `previous_response_id` and `GET /responses/{id}`; in `asbru.db` in the app dir.',
      },
    ),
  ),
  async: Type.Optional(AsyncConfig),
  webhooks: Type.Optional(
    Type.Array(WebhookConfig, { description: 'Who may be told how jobs ended, by name.' }),
  ),

  metrics: Type.Optional(
    closed(
      {
        enabled: Type.Optional(flag(true, 'Keep metrics at all; off, `/metrics` is not there.')),
        open: Type.Optional(
          flag(false, 'Let anybody read them, and not only programs on the same machine.'),
        ),
        max_label_sets: Type.Optional(
          count({
            default: 500,
            minimum: 1,
            maximum: 20_000,
            description:
              'Different sets of labels that are told apart; calls beyond share the label value `_other`.',
          }),
        ),
        overhead_components: Type.Optional(
          flag(false, 'Tell where the time of the gateway itself goes, part by part.'),
        ),
      },
      { description: 'What `/metrics` tells Prometheus.' },
    ),
  ),
  tracing: Type.Optional(
    closed(
      {
        enabled: Type.Optional(flag(true)),
        endpoint: Type.String({
          minLength: 1,
          description: 'A collector that takes OTLP over HTTP, such as `http://localhost:4318`.',
        }),
        headers: Type.Optional(map(secret(), { description: 'For the collector.' })),
        service_name: Type.Optional(Type.String({ default: 'asbru', minLength: 1 })),
        sample_rate: Type.Optional(
          Type.Number({
            default: 1,
            minimum: 0,
            maximum: 1,
            description: 'Share of the calls; a trace that a caller began decides for itself.',
          }),
        ),
        content: Type.Optional(flag(false, 'Tell what was said, too.')),
      },
      { description: 'OpenTelemetry traces; without this section there are none.' },
    ),
  ),
  prices: Type.Optional(
    Type.Array(PriceConfig, {
      description:
        'Prices of models, in US dollars, instead of the built-in ones or for models that have none there.',
    }),
  ),

  server: idle(open(named('read_buffer_size'))),
  source_of_truth: idle(oneOf(['split', 'config.json'])),
  encryption_key: idle(secret()),
  setup_token: idle(secret()),
  env_label: idle(Type.String({ maxLength: 10 })),
  auth_config: idle(open(named('admin_username admin_password is_enabled'))),
  framework: idle(open(named('pricing'))),
  governance: Type.Optional(
    closed({
      budgets: idle(Type.Unknown()),
      rate_limits: idle(Type.Unknown()),
      customers: Type.Optional(Type.Array(CustomerConfig)),
      teams: Type.Optional(Type.Array(TeamConfig)),
      routing_rules: Type.Optional(
        Type.Array(RoutingRuleConfig, {
          description: 'Where calls go, by conditions; the first rule that matches decides.',
        }),
      ),
      pricing_overrides: Type.Optional(Type.Array(PricingOverride)),
      model_configs: idle(Type.Unknown()),
      providers: idle(Type.Unknown()),
      auth_config: idle(Type.Unknown()),
      complexity_analyzer_config: idle(Type.Unknown()),
      business_units: idle(Type.Unknown()),
      roles: idle(Type.Unknown()),
      virtual_keys: Type.Optional(
        Type.Array(VirtualKeyConfig, {
          description:
            'Who may call, and with what. Once this is here, a virtual key that is not in it is refused.',
        }),
      ),
    }),
  ),
  mcp: idle(open(named('client_configs tool_manager_config tool_sync_interval tool_groups'))),
  vector_store: idle(open({ ...switchable, ...named('type config') })),
  config_store: idle(open({ ...switchable, ...named('type config vault_store') })),
  logs_store: Type.Optional(LogsStoreConfig),
  plugins: Type.Optional(
    Type.Array(PluginConfig, { description: 'Of these `telemetry` and `otel` have an effect.' }),
  ),
  websocket: idle(open(named('max_connections_per_user transcript_buffer_size pool'))),
  large_payload_optimization: idle(
    open({
      ...switchable,
      ...named(
        'request_threshold_bytes response_threshold_bytes prefetch_size_bytes ' +
          'max_payload_bytes truncated_log_bytes',
      ),
    }),
  ),
  feature_flags: idle(open(named('flags'))),
  skills_registry: idle(open({ ...switchable, ...named('skills') })),
  circuit_breaker_config: Type.Optional(BreakerConfig),
  alerting: idle(open({})),
  guardrails_config: idle(open({})),
  audit_logs: idle(open({})),
  cluster_config: idle(open({})),
  load_balancer_config: idle(open({})),
  scim_config: idle(open({})),
  access_profiles: idle(Type.Unknown()),
})

export type ConfigFile = Static<typeof ConfigFile>
