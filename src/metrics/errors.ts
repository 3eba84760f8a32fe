import type { GatewayError } from '#core/errors.ts'
import type { FailureClass } from '#pipeline/failure.ts'

/** `error_type` in Bifrost's vocabulary. */
export function errorType(error: GatewayError | undefined, what: FailureClass | undefined): string {
  switch (error?.kind) {
    case 'queue_full':
    case 'shutting_down':
      return 'bifrost_dropped'
    case 'egress_forbidden':
    case 'origin_forbidden':
    case 'caller_forbidden':
      return 'policy_access_denied'
    case 'provider_not_configured':
    case 'no_key_for_model':
    case 'unsupported_endpoint':
      return 'caller_model_not_available'
    default:
      return what === undefined ? '_OTHER' : typeOfClass(what)
  }
}

const types: Readonly<Record<FailureClass, string>> = {
  caller: 'caller_invalid_request',
  context_length: 'caller_invalid_request',
  content_policy: 'caller_invalid_request',
  unsupported: 'caller_model_not_available',
  auth: 'provider_auth_failed',
  permission: 'provider_auth_failed',
  quota: 'provider_billing',
  not_found: 'caller_model_unknown',
  rate_limit: 'provider_rate_limited',
  overloaded: 'provider_overloaded',
  server: 'provider_server_error',
  timeout: 'provider_timeout',
  network: 'provider_connection_failed',
  malformed: 'provider_server_error',
  cancelled: 'caller_cancelled',
  gateway: 'bifrost_internal',
}

export function typeOfClass(what: FailureClass): string {
  return types[what]
}
