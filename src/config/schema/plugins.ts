import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, count, flag, map, named, oneOf, open, secret, text, words } from './fields.ts'

/** One entry of `plugins`; what its `config` may hold depends on the name. */
export const PluginConfig = open({
  enabled: Type.Optional(Type.Boolean()),
  name: Type.Optional(Type.String()),
  config: Type.Optional(Type.Unknown()),
  ...named('path version placement order'),
})

const PushGateway = closed({
  enabled: Type.Optional(flag(false)),
  push_gateway_url: Type.Optional(text()),
  job_name: Type.Optional(Type.String({ minLength: 1, default: 'bifrost' })),
  instance_id: Type.Optional(Type.String()),
  push_interval: Type.Optional(count({ default: 15, minimum: 1, maximum: 300 })),
  basic_auth: Type.Optional(closed({ username: secret(), password: secret() })),
})

/** `config` of the plugin `telemetry`. */
export const TelemetryConfig = closed({
  push_gateway: Type.Optional(PushGateway),
  custom_labels: Type.Optional(Type.Unknown()),
  metrics_enabled: Type.Optional(Type.Unknown()),
})

const collector = {
  enabled: Type.Optional(Type.Boolean()),
  name: Type.Optional(Type.String()),
  service_name: Type.Optional(Type.String({ minLength: 1, default: 'bifrost' })),
  collector_url: Type.Optional(text()),
  protocol: Type.Optional(oneOf(['http', 'grpc'])),
  trace_type: Type.Optional(Type.String()),
  headers: Type.Optional(map(secret())),
  tls_ca_cert: Type.Optional(text()),
  insecure: Type.Optional(Type.Boolean()),
  metrics_enabled: Type.Optional(flag(false)),
  metrics_endpoint: Type.Optional(text()),
  metrics_push_interval: Type.Optional(count({ default: 15, minimum: 1, maximum: 300 })),
  request_headers: Type.Optional(words()),
  disable_content_logging: Type.Optional(flag(false)),
  disable_root_span_content: Type.Optional(flag(false)),
  group_traces_by_session: Type.Optional(flag(false)),
  plugin_span_filter: Type.Optional(Type.Unknown()),
  forward_raw_request_response: Type.Optional(flag(false)),
}

const Collector = closed(collector)

/** `config` of the plugin `otel`. */
export const OtelConfig = closed({ ...collector, profiles: Type.Optional(Type.Array(Collector)) })

export type PluginConfig = Static<typeof PluginConfig>
export type TelemetryConfig = Static<typeof TelemetryConfig>
export type CollectorConfig = Static<typeof Collector>
export type OtelConfig = Static<typeof OtelConfig>
