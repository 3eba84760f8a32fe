import type { GatewayError } from '#core/errors.ts'
import type { FailureClass } from '#pipeline/failure.ts'

/** What the class of a failure does not tell. */
const byKind: Partial<Record<GatewayError['kind'], string>> = {
  queue_full: 'bifrost_dropped',
  shutting_down: 'bifrost_dropped',
  egress_forbidden: 'policy_access_denied',
  origin_forbidden: 'policy_access_denied',
  caller_forbidden: 'policy_access_denied',
  virtual_key_required: 'policy_access_denied',
  virtual_key_not_found: 'policy_access_denied',
  virtual_key_blocked: 'policy_access_denied',
  provider_blocked: 'policy_provider_blocked',
  model_blocked: 'policy_model_blocked',
  credentials_exhausted: 'provider_credentials_exhausted',
  provider_not_configured: 'caller_model_not_available',
  no_key_for_model: 'caller_model_not_available',
  unsupported_endpoint: 'caller_model_not_available',
}

/** `error_type` in Bifrost's vocabulary. */
export function errorType(error: GatewayError | undefined, what: FailureClass | undefined): string {
  const own = error && byKind[error.kind]
  return own ?? (what === undefined ? '_OTHER' : typeOfClass(what))
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
