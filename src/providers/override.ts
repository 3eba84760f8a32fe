import type { ProviderSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'

/**
 * Where the configuration of a custom provider sends this operation instead: a full URL, or a path below the base URL
 * of the configuration. Undefined where it says nothing. The stream of an operation may have a place of its own.
 */
export function overrideOf(call: Call, settings: ProviderSettings): string | undefined {
  const overrides = settings.custom?.requestPathOverrides
  return (
    overrides && (overrides[requestType(call.endpoint, call.stream)] ?? overrides[call.endpoint])
  )
}

/** The same as a URL; undefined where the configuration says nothing. */
export function overriddenUrl(call: Call, settings: ProviderSettings): string | undefined {
  const override = overrideOf(call, settings)
  if (override === undefined || override.startsWith('http')) return override
  return (settings.network.baseUrl ?? '') + override
}
