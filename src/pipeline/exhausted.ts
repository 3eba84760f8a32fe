import { GatewayError } from '#core/errors.ts'

import type { FailureClass } from './failure.ts'

/** The provider will have none of the key, whatever is asked with it. */
export function isRefusal({ upstream }: GatewayError, what: FailureClass): boolean {
  return (
    what === 'auth' || (upstream !== undefined && upstream.status > 400 && upstream.status < 404)
  )
}

/** What a caller is told whose own key it was not: a 401 would be about theirs. */
export function exhausted(last: GatewayError): GatewayError {
  const { attempted, message, relayed, status } = last
  const error = new GatewayError(
    'credentials_exhausted',
    `Provider '${attempted?.provider}' refused every key of ours, the last one with status ${status}: ${message}`,
    { cause: last, ...(relayed && { relayed }) },
  )
  error.attempted = attempted
  return error
}
