import type { NetworkConfig } from './schema/provider.ts'
import type { RetrySettings } from './snapshot.ts'

const defaultInitialMs = 500
const defaultMaxMs = 5000
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** When a failed call is tried again. The newer spelling of a setting wins over the older. */
export function buildRetries(network: NetworkConfig): RetrySettings {
  const initial = network.retry_backoff_initial ?? network.retry_backoff_initial_ms
  const most = network.retry_backoff_max ?? network.retry_backoff_max_ms
  const initialBackoffMs = durationMs(initial) ?? defaultInitialMs
  return {
    maxRetries: network.max_retries ?? 0,
    initialBackoffMs,
    maxBackoffMs: Math.max(initialBackoffMs, durationMs(most) ?? defaultMaxMs),
  }
}

/** A number is milliseconds; text has a unit. */
export function durationMs(value: number | string | undefined): number | undefined {
  if (typeof value !== 'string') return value
  const [, amount, unit] = /^([0-9.]+)(ms|s|m|h)$/.exec(value) ?? []
  return unit === undefined ? undefined : Number(amount) * unitMs[unit]!
}
