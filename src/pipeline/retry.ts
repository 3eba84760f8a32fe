import type { RetrySettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import type { GatewayError } from '#core/errors.ts'

import { failureClass } from './failure.ts'
import type { FailureClass } from './failure.ts'

// What to do after an attempt failed. Pure: the same facts give the same step.

/** The next step of a call. */
export type Step =
  /** The same provider again, with the same key or with another. */
  | { readonly kind: 'retry'; readonly waitMs: number; readonly otherKey: boolean }
  /** The same provider with another key, at once. */
  | { readonly kind: 'rotate' }
  /** The next candidate of the plan. */
  | { readonly kind: 'next' }
  /** Nothing else would help, or nothing else is allowed. */
  | { readonly kind: 'stop' }

/** What the decision depends on. */
export interface Situation {
  readonly call: Call
  readonly error: GatewayError
  readonly settings: RetrySettings
  /** Retries of this candidate so far, the first attempt not among them. */
  readonly retries: number
  /** Keys of this candidate that have neither failed nor been used in this call. */
  readonly freshKeys: number
  /** The provider's retry budget has something left. */
  readonly budgetLeft: boolean
  /** Of the call; 0 when it has ended, and endless when absent. */
  readonly timeLeftMs?: number | undefined
  /** The candidate stands in for what the caller asked for, which may take what this one cannot. */
  readonly isFallback?: boolean | undefined
  /** In [0, 1). */
  readonly random: number
}

/** A provider that asks for more patience than this is left for the next candidate. */
const maxPatienceMs = 30_000
/** The same for one that was asked too often: others have room. */
const maxPatienceWithLimitMs = 5000

/** Retries that a key gets before another one is tried: a timeout may be of its queue, a breakdown hardly is. */
const retriesOfOneKey: Partial<Record<FailureClass, number>> = {
  timeout: 1,
  overloaded: 2,
  server: 2,
}

const stop: Step = { kind: 'stop' }
const next: Step = { kind: 'next' }
const rotate: Step = { kind: 'rotate' }

/** Decides the next step after a failure that came before anything reached the caller. */
export function nextStep(situation: Situation): Step {
  const { call, error, settings, retries, freshKeys, budgetLeft } = situation
  const what = failureClass(error)
  if (endsTheCall(what, situation) || situation.timeLeftMs === 0) return stop
  if (!canBeSentAgain(call)) return stop
  const mayRetry = retries < settings.maxRetries && budgetLeft
  switch (what) {
    case 'auth':
    case 'permission':
    case 'quota':
      // Another key is no repetition: it costs no retry.
      return freshKeys > 0 ? rotate : next
    case 'rate_limit':
      if (freshKeys > 0) return rotate
      return mayRetry ? patiently(situation, what) : next
    case 'network':
    case 'server':
    case 'overloaded':
    case 'timeout':
    case 'malformed':
      if (!mayRetry || !isSafe(call, what, error)) return next
      return patiently(situation, what)
    case 'caller':
    case 'cancelled':
    case 'content_policy':
    case 'context_length':
    case 'gateway':
    case 'unsupported':
      return next
    case 'not_found':
      // What one account has, another does not know; asking each of them changes nothing anywhere.
      return freshKeys > 0 && isOfAnAccount(call) ? rotate : next
  }
}

/** Failures after which no other candidate is asked: the request is wrong, or nobody waits any more. */
function endsTheCall(what: FailureClass, { error, isFallback = false }: Situation): boolean {
  if (what === 'cancelled' || error.kind === 'shutting_down') return true
  // What cannot be said in the dialect of a fallback is for that reason not wrong.
  return what === 'caller' && error.upstream === undefined && !isFallback
}

/** A body that was forwarded while it arrived is gone. */
function canBeSentAgain({ body }: Call): boolean {
  return body.kind !== 'stream'
}

function patiently(situation: Situation, what: FailureClass): Step {
  const waitMs = waitBefore(situation)
  if (waitMs > (what === 'rate_limit' ? maxPatienceWithLimitMs : maxPatienceMs)) return next
  // Who has no time to wait may still be served elsewhere.
  if (situation.timeLeftMs !== undefined && waitMs >= situation.timeLeftMs) return next
  const { retries, freshKeys } = situation
  const otherKey = freshKeys > 0 && retries >= (retriesOfOneKey[what] ?? Number.POSITIVE_INFINITY)
  return { kind: 'retry', waitMs, otherKey }
}

/** Full jitter below an exponential ceiling, and never sooner than the provider asked for. */
export function waitBefore({ error, settings, retries, random }: Omit<Situation, 'call'>): number {
  const ceiling = Math.min(settings.maxBackoffMs, settings.initialBackoffMs * 2 ** retries)
  const own = Math.round(ceiling * random)
  return Math.max(own, error.upstream?.retryAfterMs ?? 0)
}

/** Asks about something, or for all of its kind, that belongs to the account of one key. */
export function isOfAnAccount({ method, endpoint }: Call): boolean {
  if (!/^(?:file|batch|container|video|upload)_/.test(endpoint)) return false
  return (
    method === 'GET' || (endpoint in ENDPOINTS && pathOf(endpoint as KnownEndpoint).includes('{'))
  )
}

function pathOf(endpoint: KnownEndpoint): string {
  return ENDPOINTS[endpoint].path
}

/** Operations that leave something behind are repeated only when the provider cannot have seen them. */
const leavesSomething =
  /^(?:file_upload|upload_|batch_create|batch_cancel|container_|video_generation|video_remix|image_|passthrough)/

/** Whether a call may be sent twice without anything of the second being left behind. */
export function leavesNothing({ endpoint }: Call): boolean {
  return endpoint in ENDPOINTS && !leavesSomething.test(endpoint)
}

function isSafe(call: Call, what: FailureClass, error: GatewayError): boolean {
  if (call.method === 'GET') return true
  const neverArrived = what === 'network' && error.kind === 'upstream_unreachable'
  if (neverArrived || error.kind === 'connect_timeout') return true
  return leavesNothing(call)
}
