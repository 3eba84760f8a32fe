import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import { decidingFor } from './candidates.ts'
import type { Health } from './health.ts'
import { leavesNothing } from './retry.ts'
import { targetOf } from './routing.ts'
import type { Leg } from './routing.ts'
import type { Services } from './services.ts'
import { sharesOf } from './shares.ts'
import { nameOf } from './standing.ts'

// Whether a call would be hedged, and with whom: for whoever does it, and for whoever only asks. Nothing changes here.

export type HedgePlan =
  /** Nobody wants it. */
  | { readonly kind: 'unwanted' }
  /** A second call might do harm. */
  | { readonly kind: 'unsafe' }
  /** Fewer answers of this target were seen than say how slow the slow ones are. */
  | { readonly kind: 'unknown'; readonly seen: number; readonly needed: number }
  | { readonly kind: 'after'; readonly delayMs: number; readonly p95Ms: number }

const unwanted: HedgePlan = { kind: 'unwanted' }
const unsafe: HedgePlan = { kind: 'unsafe' }

/** Whether the first attempt of this call gets a second candidate, and after how many milliseconds. */
export function hedgePlan(
  call: Call,
  leg: Leg,
  key: Key | undefined,
  { client }: Snapshot,
  { health }: { readonly health: Health },
): HedgePlan {
  const asked = call.headers['x-bf-hedge']
  const configured = leg.settings.hedging ?? client.hedging.enabled
  if (asked === undefined ? !configured : asked !== 'true') return unwanted
  if (!mayRunTwice(call) || leg.provider.fanOut?.(call, targetOf(leg, key))) return unsafe
  const { minDelayMs, maxDelayMs, minSamples } = client.hedging
  const what = call.stream ? 'first' : 'whole'
  const name = nameOf(leg, key)
  const p95Ms = health.p95(name, what, minSamples)
  if (p95Ms === undefined) {
    return { kind: 'unknown', seen: health.seen(name, what), needed: minSamples }
  }
  return { kind: 'after', delayMs: Math.max(minDelayMs, Math.min(p95Ms, maxDelayMs)), p95Ms }
}

/** Not what leaves something behind, and not what takes part in a conversation that the provider keeps. */
function mayRunTwice(call: Call): boolean {
  const { body, model } = call
  if (model === undefined || !leavesNothing(call)) return false
  if (body.kind !== 'json') return body.kind === 'bytes'
  const { background, conversation, previous_response_id: previous } = body.value
  return background !== true && (conversation ?? previous ?? null) === null
}

/** The reason of a plan, in words. */
export function hedgeReason(plan: HedgePlan): string {
  switch (plan.kind) {
    case 'unwanted':
      return 'neither the caller nor the configuration wants it'
    case 'unsafe':
      return 'a second call of this kind might leave something behind'
    case 'unknown':
      return `too little is known of the latencies of this target: ${plan.seen} of ${plan.needed} answers`
    case 'after':
      return `95 in 100 of its answers begin within ${Math.round(plan.p95Ms)} ms`
  }
}

/** Who may be the second. */
interface Second {
  readonly provider: string
  readonly model: string | undefined
  readonly fallback_index: number
  /** The keys of which one would be asked; empty where none is needed. */
  readonly keys: readonly string[]
}

/** Who would be asked second, as things stand: another key of the same candidate, else the next candidate. */
function secondsOf(
  leg: Leg,
  key: Key | undefined,
  next: Leg | undefined,
  call: Call,
  snapshot: Snapshot,
  services: Services,
): readonly Second[] {
  const seconds: Second[] = []
  const own = leg.keys.filter((one) => one !== key)
  for (const [where, keys] of [
    [leg, own],
    [next, next?.keys],
  ] as const) {
    if (!where || !keys || services.gates.of(where.settings.name).waiting > 0) continue
    const { settings, model, index } = where
    const second = { provider: settings.name, model, fallback_index: index }
    const isReady = (one: Key | undefined): boolean =>
      services.health.standing(nameOf(where, one), performance.now()) === 'ready'
    if (keys.length === 0) {
      if (where === next && isReady(undefined)) return [...seconds, { ...second, keys: [] }]
      continue
    }
    const deciding = decidingFor(where, call, snapshot, services)
    const drawn = [...sharesOf(keys, deciding)].filter(([, share]) => share > 0)
    const able = drawn.filter(([one]) => isReady(one) && deciding.isFull?.(one) !== true)
    if (able.length > 0) seconds.push({ ...second, keys: able.map(([one]) => one.name) })
    // Otherwise it may turn out that the next candidate is asked instead.
    if (able.length === drawn.length) break
  }
  return seconds
}

const maxTold = 8

/** What an explanation says of hedging, as JSON: with each of the keys that may be asked first. */
export function hedgeForecast(
  leg: Leg,
  keys: readonly (Key | undefined)[],
  next: Leg | undefined,
  call: Call,
  snapshot: Snapshot,
  services: Services,
): object {
  const share = snapshot.client.hedging.maxShare
  return keys.slice(0, maxTold).map((key) => {
    const plan = hedgePlan(call, leg, key, snapshot, services)
    const seconds = plan.kind === 'after' ? secondsOf(leg, key, next, call, snapshot, services) : []
    const mayStart = services.hedges.mayStart(leg.settings.name, share)
    return {
      ...(key && { key: key.name }),
      starts: plan.kind === 'after' && seconds.length > 0 && mayStart,
      why:
        plan.kind !== 'after' || seconds.length > 0
          ? hedgeReason(plan)
          : 'there is nobody else who may be asked',
      ...(plan.kind === 'after' && {
        after_ms: Math.round(plan.delayMs),
        seconds,
        within_share: mayStart,
      }),
    }
  })
}
