import { expect, test } from 'bun:test'

import { Value } from '@sinclair/typebox/value'

import { configJsonSchema } from '#config/schema-document.ts'
import { ClientConfig } from '#config/schema/client.ts'
import { ConfigFile } from '#config/schema/file.ts'
import { NetworkConfig } from '#config/schema/provider.ts'

function described(properties: object, names: readonly string[]): string[] {
  return Object.entries(properties).flatMap(([name, schema]) =>
    names.includes(name) && typeof schema.description === 'string' ? [name] : [],
  )
}

test('the document is plain JSON and closed at its top', () => {
  const schema = configJsonSchema()
  expect(schema).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: false,
  })
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema)
})

test('what we added to Bifrost’s format says what it does', () => {
  const ours = {
    network: [
      'connect_timeout_in_seconds',
      'response_headers_timeout_in_seconds',
      'first_token_timeout_in_seconds',
      'stream_total_timeout_in_seconds',
    ],
    client: [
      'extra_fields',
      'stream_extra_fields',
      'usage_cost',
      'stream_keep_alive_in_seconds',
      'stream_header_hold_in_seconds',
      'drain_timeout_in_seconds',
    ],
  }
  expect(described(NetworkConfig.properties, ours.network).toSorted()).toEqual(
    ours.network.toSorted(),
  )
  expect(described(ClientConfig.properties, ours.client).toSorted()).toEqual(ours.client.toSorted())
})

test('every section of Bifrost’s file is known', () => {
  const sections =
    '$schema server version source_of_truth encryption_key setup_token env_label auth_config client ' +
    'framework providers governance webhooks mcp vector_store config_store logs_store plugins websocket ' +
    'large_payload_optimization feature_flags skills_registry circuit_breaker_config alerting ' +
    'guardrails_config audit_logs cluster_config load_balancer_config scim_config access_profiles'
  const own = ['response_store', 'async', 'prices', 'metrics', 'tracing']
  expect(Object.keys(ConfigFile.properties).toSorted()).toEqual(
    [...sections.split(' '), ...own].toSorted(),
  )
})

test('defaults in the schema are valid themselves', () => {
  expect(Value.Check(NetworkConfig, Value.Default(NetworkConfig, {}))).toBe(true)
  expect(Value.Check(ClientConfig, Value.Default(ClientConfig, {}))).toBe(true)
})
