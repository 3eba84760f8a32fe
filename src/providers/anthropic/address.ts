import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'

import type { Target } from '../provider.ts'

/** The vendor's own host. */
export const ownHost = 'https://api.anthropic.com'

/** The URL that the API's paths follow; a configured base URL may already end with the version. */
export function baseOf({ settings }: Target): string {
  const base = settings.network.baseUrl ?? ownHost
  return base.endsWith('/v1') ? base : `${base}/v1`
}

/** Where a call goes, with what the configuration of a custom provider says about its path. */
export function urlOf(path: string, call: Call, target: Target): string {
  const overrides = target.settings.custom?.requestPathOverrides
  const override =
    overrides && (overrides[requestType(call.endpoint, call.stream)] ?? overrides[call.endpoint])
  if (override === undefined) return baseOf(target) + path
  if (override.startsWith('http')) return override
  return (target.settings.network.baseUrl ?? ownHost) + override
}
