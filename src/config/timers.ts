import type { NetworkConfig } from './schema/provider.ts'
import type { Timers } from './snapshot.ts'

const defaultRequestSeconds = 300
const defaultIdleSeconds = 120

/** Seconds from the file → whole milliseconds. Zero stays zero, anything else is at least one. */
export function toMs(seconds: number): number {
  return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1000))
}

/**
 * Bifrost reads an explicit 0 in its own two settings as "not set", so it means the default there;
 * in ours it switches the timer off.
 */
export function buildTimers(network: NetworkConfig): Timers {
  const request = network.default_request_timeout_in_seconds || defaultRequestSeconds
  return {
    connectMs: toMs(network.connect_timeout_in_seconds ?? 10),
    headersMs: toMs(network.response_headers_timeout_in_seconds ?? request),
    firstTokenMs: toMs(network.first_token_timeout_in_seconds ?? request),
    idleMs: toMs(network.stream_idle_timeout_in_seconds || defaultIdleSeconds),
    totalMs: toMs(request),
    streamTotalMs: toMs(network.stream_total_timeout_in_seconds ?? 3600),
  }
}
