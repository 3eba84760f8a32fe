import type { ProviderSettings, Timers } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

// Timers that a caller sets for one request. The provider's configured timers are the upper limits: a caller may be
// less patient than the operator, never more.

const names: Readonly<Record<string, readonly (keyof Timers)[]>> = {
  connect: ['connectMs'],
  headers: ['headersMs'],
  'first-token': ['firstTokenMs'],
  idle: ['idleMs'],
  total: ['totalMs', 'streamTotalMs'],
}
const prefix = 'x-bf-timeout-'
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/**
 * The settings with the timers this request asks for, or the very same object when it asks for none. The headers are
 * `x-bf-timeout-connect` (until a connection stands), `-headers` (from sending to the status line), `-first-token` (from
 * sending to the first event of a stream), `-idle` (between two pieces of a stream) and `-total` (the call as a whole,
 * with all attempts and waits: see `limited`; here it cuts the time of each attempt). A value is milliseconds, or a number with `ms`, `s`, `m` or `h`: `1500`, `1.5s`. What exceeds the provider's
 * own timer is cut to it. Throws a 400 that names the header when a value is none of these, or zero.
 */
export function withTimeouts(settings: ProviderSettings, call: Call): ProviderSettings {
  const { headers } = call
  if (
    headers['x-bf-timeout-connect'] === undefined &&
    headers['x-bf-timeout-headers'] === undefined &&
    headers['x-bf-timeout-first-token'] === undefined &&
    headers['x-bf-timeout-idle'] === undefined &&
    headers['x-bf-timeout-total'] === undefined
  ) {
    return settings
  }
  const timers: { -readonly [name in keyof Timers]: number } = { ...settings.network.timers }
  for (const name in names) {
    const value = headers[prefix + name]
    if (value === undefined) continue
    const asked = readMs(prefix + name, value)
    for (const timer of names[name]!) timers[timer] = shorter(asked, timers[timer])
  }
  // No event comes before the status line: who waits for the one waits no longer for the other.
  if (call.stream && headers['x-bf-timeout-first-token'] !== undefined) {
    timers.headersMs = shorter(timers.firstTokenMs, timers.headersMs)
  }
  const { connectMs, headersMs, firstTokenMs, idleMs } = timers
  const totalMs = call.stream ? timers.streamTotalMs : timers.totalMs
  call.trace.add(
    'route',
    `timers of this request at ${settings.name}: connect ${connectMs} ms, headers ${headersMs} ms, first token ${firstTokenMs} ms, idle ${idleMs} ms, total ${totalMs} ms`,
  )
  return keep(settings, timers)
}

/** Whether the timers are the caller's own, and what they end says little about who was too slow for them. */
export function hasOwnTimers({ headers }: Call): boolean {
  for (const name in names) if (headers[prefix + name] !== undefined) return true
  return false
}

const maxKept = 100
const kept = new WeakMap<ProviderSettings, Map<string, ProviderSettings>>()

/** Credentials and names are remembered per settings object, so the same timers give the same object again. */
function keep(settings: ProviderSettings, timers: Timers): ProviderSettings {
  const key = Object.values(timers).join()
  let known = kept.get(settings)
  if (!known) kept.set(settings, (known = new Map()))
  let derived = known.get(key)
  if (derived) return derived
  derived = { ...settings, network: { ...settings.network, timers } }
  if (known.size >= maxKept) known.clear()
  known.set(key, derived)
  return derived
}

/** The shorter of two timers, of which 0 is endless. */
function shorter(asked: number, limit: number): number {
  return limit === 0 ? asked : Math.min(asked, limit)
}

/** A time as a header has it, in milliseconds. Throws a 400 that names the header. */
export function readMs(name: string, value: string): number {
  const [, amount, unit = 'ms'] = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h)?$/.exec(value.trim()) ?? []
  const ms = Math.ceil(Number(amount) * unitMs[unit]!)
  if (ms > 0) return ms
  throw new GatewayError(
    'invalid_request',
    `Invalid header '${name}': expected milliseconds, or a number with 'ms', 's', 'm' or 'h', above zero; got '${value.slice(0, 100)}'.`,
    { param: name },
  )
}
