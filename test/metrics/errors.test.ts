import { afterAll, describe, expect, test } from 'bun:test'

import { GatewayError } from '#core/errors.ts'
import type { ErrorKind } from '#core/errors.ts'
import { errorType } from '#metrics/errors.ts'
import { failureClass } from '#pipeline/failure.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// `error_type`, in Bifrost's words.

const upstream = await startUpstream()
afterAll(() => upstream.stop())

describe('what went wrong here', () => {
  const kinds: [ErrorKind, string][] = [
    ['invalid_request', 'caller_invalid_request'],
    ['payload_too_large', 'caller_invalid_request'],
    ['client_closed', 'caller_cancelled'],
    ['model_not_found', 'caller_model_unknown'],
    ['provider_not_configured', 'caller_model_not_available'],
    ['no_key_for_model', 'caller_model_not_available'],
    ['unsupported_endpoint', 'caller_model_not_available'],
    ['virtual_key_required', 'policy_access_denied'],
    ['virtual_key_not_found', 'policy_access_denied'],
    ['virtual_key_blocked', 'policy_access_denied'],
    ['egress_forbidden', 'policy_access_denied'],
    ['provider_blocked', 'policy_provider_blocked'],
    ['model_blocked', 'policy_model_blocked'],
    ['upstream_unreachable', 'provider_connection_failed'],
    ['upstream_reset', 'provider_connection_failed'],
    ['upstream_malformed', 'provider_server_error'],
    ['headers_timeout', 'provider_timeout'],
    ['idle_timeout', 'provider_timeout'],
    ['credentials_exhausted', 'provider_credentials_exhausted'],
    ['queue_full', 'bifrost_dropped'],
    ['shutting_down', 'bifrost_dropped'],
    ['internal', 'bifrost_internal'],
  ]
  test.each(kinds)('%s', (kind, type) => {
    const error = new GatewayError(kind, 'm')
    expect(errorType(error, failureClass(error))).toBe(type)
  })

  test('nobody knows', () => expect(errorType(undefined, undefined)).toBe('_OTHER'))
})

describe('what providers answer', () => {
  test.each([
    [401, 'provider_auth_failed'],
    [402, 'provider_billing'],
    [404, 'caller_model_unknown'],
    [422, 'caller_invalid_request'],
    [429, 'provider_rate_limited'],
    [500, 'provider_server_error'],
    [503, 'provider_overloaded'],
    [504, 'provider_timeout'],
  ])('status %d', async (status, type) => {
    const gateway = await startGateway({
      config: {
        providers: {
          openai: {
            keys: [{ name: 'main', value: 'k' }],
            network_config: { base_url: `${upstream.url}/v1`, max_retries: 0 },
          },
        },
      },
    })
    upstream.reply({ status, json: { error: { message: 'no' } } })
    const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }),
    })
    await response.text()
    const text = await (await fetch(`${gateway.url}/metrics`)).text()
    const [, found] = /^bifrost_error_requests_total\{.*error_type="(\w+)"\} 1$/m.exec(text) ?? []
    expect(found).toBe(type)
    await gateway.stop()
  })
})
