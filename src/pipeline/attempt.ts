import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { readAnswer } from './answer.ts'
import { decidingFor, noteCandidates, noteKey } from './candidates.ts'
import { dispatch } from './dispatch.ts'
import type { Upstream } from './dispatch.ts'
import { exhausted, isRefusal } from './exhausted.ts'
import { failureClass, timerOf } from './failure.ts'
import { sendParts } from './fan-out.ts'
import { hedged, hedgeDelay } from './hedge.ts'
import type { Hedging } from './hedge.ts'
import { Keyring } from './keyring.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { nextStep } from './retry.ts'
import { targetOf } from './routing.ts'
import type { Leg, Plan } from './routing.ts'
import { takeSeat } from './seat.ts'
import type { Services } from './services.ts'
import { endsSession, roamingSession } from './sessions.ts'
import { inOrder, nameOf } from './standing.ts'
import { asEnded, timeLeft } from './total.ts'
import { Verdict } from './verdict.ts'
import { pause } from './wait.ts'

/** What one call holds until it is settled. */
export interface Holding {
  release: (() => void) | undefined
}

/** What a call needs of its surroundings while it is attempted. */
interface Attempting {
  readonly call: Call
  readonly snapshot: Snapshot
  readonly services: Services
  readonly settle: Settle
  readonly holding: Holding
}

/** A candidate could not serve the call. */
class Failed {
  readonly error: GatewayError
  /** No other candidate may be asked. */
  readonly isFinal: boolean

  constructor(error: GatewayError, isFinal: boolean) {
    this.error = error
    this.isFinal = isFinal
  }
}

/**
 * Walks the plan until a candidate serves. Nothing has reached the caller when a candidate fails: streams are held
 * until their first event. Throws the error of the first candidate when all have failed, since that is the one the
 * caller asked for, or the error that forbids going on.
 */
export async function attempt(
  call: Call,
  plan: Plan,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
  holding: Holding,
): Promise<Outcome> {
  const attempting: Attempting = { call, snapshot, services, settle, holding }
  let first: GatewayError | undefined
  const legs = inOrder(plan, call, snapshot, services)
  if (call.trace.isDetailed) noteCandidates(legs, call, snapshot, services)
  for (let at = 0; at < legs.length; at++) {
    const leg = legs[at]!
    if (first) call.trace.add('route', `fallback ${leg.index}: ${leg.settings.name}`)
    const result = await tryLeg(leg, legs[at + 1], attempting)
    if (!(result instanceof Failed)) {
      const { fallbackIndex } = settle.books
      if (fallbackIndex > 0) result.headers['x-bifrost-fallback-index'] = String(fallbackIndex)
      if (legs.length > 1) settleSession(call, settle.books, services)
      return result
    }
    if (result.isFinal) throw result.error
    // A candidate that came last because it is out is still what the caller asked for.
    if (!first || leg.index === 0) first = result.error
  }
  throw first ?? new GatewayError('internal', 'The plan of this request holds no candidate.')
}

/** A session stays where it was served; only one that no caller and no rule has bound to a provider. */
function settleSession(call: Call, books: Settle['books'], { sessions }: Services): void {
  const session = roamingSession(call)
  if (!session) return
  const home = books.fallbackIndex > 0 ? books.provider : undefined
  sessions.settle(home, session.id, performance.now(), session.ttlMs)
}

/** One candidate, with as many keys and repetitions as its settings and the failures allow. */
async function tryLeg(
  leg: Leg,
  next: Leg | undefined,
  attempting: Attempting,
): Promise<Outcome | Failed> {
  const { call, snapshot, services, holding } = attempting
  const { settings } = leg
  const { health } = services
  const { retries: budget } = services.gates.of(settings.name)
  const deciding = decidingFor(leg, call, snapshot, services)
  const { session } = deciding
  const keys = new Keyring(leg.keys, deciding)
  budget.earn()
  const { books } = attempting.settle
  books.fallbackIndex = leg.index
  books.provider = settings.name
  let refused = 0
  for (let retries = 0; ;) {
    let verdict: Verdict | undefined
    let sentAt: number | undefined
    try {
      const waiting = takeSeat(call, settings, keys, snapshot, services, holding)
      if (waiting) await queued(waiting, books, call)
      if (keys.current) noteKey(leg, call, keys.current, deciding)
      books.keyId = keys.current?.id
      books.keyName = keys.current?.name
      books.attempts++
      books.retries = retries
      sentAt = performance.now()
      const key = keys.current
      // Only a call's first attempt: what is tried again is not in a hurry any more.
      const delayMs =
        books.attempts > 1 ? undefined : hedgeDelay(call, leg, key, snapshot, services)
      let outcome: Outcome
      if (delayMs === undefined) {
        // Who waits has not been sent anywhere yet, and that is no sign of how a target does.
        verdict = new Verdict(attempting.settle, health, call, nameOf(leg, key))
        outcome = await once(targetOf(leg, key), attempting, verdict)
        verdict.committed(outcome)
      } else {
        const ask: Hedging['ask'] = (target, lane, lanes) =>
          once(target, { ...attempting, call: lane.call, holding: lane.holding }, lanes)
        outcome = await hedged({ ...attempting, leg, key, next, delayMs, ask })
      }
      if (session && keys.current && books.keyId === keys.current.id) {
        const now = performance.now()
        const { id } = keys.current
        services.sessions.keep(settings.name, session.id, id, now, session.ttlMs)
        // What has been promised may still be broken off.
        if (verdict) verdict.broken = () => services.sessions.forget(settings.name, session.id, id)
      }
      return outcome
    } catch (thrown) {
      const error = asEnded(toGatewayError(thrown), call)
      const what = failureClass(error)
      const ms = sentAt === undefined ? undefined : performance.now() - sentAt
      const { model } = targetOf(leg, keys.current)
      error.attempted = {
        provider: settings.name,
        model,
        fallbackIndex: leg.index,
        latencyMs: error.fault === 'provider' ? ms : undefined,
      }
      holding.release?.()
      verdict?.failed(error, what)
      if (session && keys.current && endsSession(what)) {
        services.sessions.forget(settings.name, session.id, keys.current.id)
      }
      const step = nextStep({
        call,
        error,
        settings: settings.network.retry,
        retries,
        freshKeys: keys.left,
        budgetLeft: budget.hasLeft,
        isFallback: leg.index > 0,
        timeLeftMs: call.signal.aborted ? 0 : timeLeft(call),
        random: Math.random(),
      })
      books.failedTry({
        provider: settings.name,
        model,
        key: keys.current?.name,
        failureClass: what,
        status: error.status,
        afterMs: sentAt && sentAt - call.startedAt,
        ms,
        isUnsent: sentAt === undefined,
      })
      call.trace.add('attempt', `${settings.name}: ${error.kind} (${what}), then ${step.kind}`, {
        provider: settings.name,
        model,
        key: keys.current?.name,
        failure: error.kind,
        class: what,
        status: error.upstream?.status,
        timer: timerOf(error),
        ms: ms && Math.round(ms),
        next: step.kind,
        wait_ms: step.kind === 'retry' ? step.waitMs : undefined,
        other_key: step.kind === 'retry' ? step.otherKey : undefined,
      })
      if (isRefusal(error, what)) refused++
      if (step.kind === 'stop' || step.kind === 'next') {
        // The refusal of an only key is the provider's answer, in its own words.
        const isOver = refused > 1 && refused === leg.keys.length
        return new Failed(isOver ? exhausted(error) : error, step.kind === 'stop')
      }
      if (step.kind === 'rotate') keys.rotate()
      else {
        budget.spend()
        retries++
        const end = await pause(step.waitMs, call.signal, services.inflight)
        if (end) return new Failed(end, true)
        if (step.otherKey) keys.rotate()
      }
    }
  }
}

async function queued(waiting: Promise<void>, books: Settle['books'], call: Call): Promise<void> {
  const since = performance.now()
  try {
    await waiting
  } finally {
    const ms = performance.now() - since
    books.queuedMs += ms
    call.trace.add('queue', `waited ${Math.round(ms)} ms`, { ms: Math.round(ms) })
  }
}

function once(target: Target, attempting: Attempting, settle: Settle): Promise<Outcome> {
  const { call, snapshot, services, holding } = attempting
  const gate = services.gates.of(target.settings.name)
  const pool = gate.pools.take()
  const giveSeat = holding.release
  holding.release = () => {
    holding.release = undefined
    gate.pools.give(pool)
    giveSeat?.()
  }
  const parts = target.provider.fanOut?.(call, target)
  if (parts) {
    const send = (part: Call, books: Settle) => serve(part, target, snapshot, services, books, pool)
    return sendParts(parts, send, settle)
  }
  return serve(call, target, snapshot, services, settle, pool)
}

async function serve(
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
  pool: number,
): Promise<Outcome> {
  const { books } = settle
  books.model = target.model
  books.sent(performance.now())
  let upstream: Upstream
  try {
    upstream = await dispatch(call, target, snapshot, services, pool)
  } catch (thrown) {
    books.received(performance.now())
    throw thrown
  }
  books.sent(upstream.sentAt)
  if (call.trace.isDetailed) tellAnswered(call, upstream)
  books.credential = upstream.credential
  try {
    const outcome = await readAnswer(call, upstream, snapshot, settle)
    const latencyMs = Math.round(performance.now() - upstream.sentAt)
    outcome.headers['x-bifrost-upstream-latency-ms'] = String(latencyMs)
    return outcome
  } catch (thrown) {
    books.received(performance.now())
    throw giveUp(upstream, thrown)
  }
}

/** Only for those who asked: what went well is otherwise not worth a word. */
function tellAnswered(call: Call, { target, response, sentAt }: Upstream): void {
  const { settings, model, key } = target
  const { status } = response
  call.trace.add('attempt', `${settings.name} answered with status ${status}`, {
    provider: settings.name,
    model,
    key: key?.name,
    status,
    ms: Math.round(performance.now() - sentAt),
  })
}

/** Nothing more is read from an upstream whose answer was of no use. */
function giveUp(upstream: Upstream, thrown: unknown): GatewayError {
  const error = upstream.connection.explain(thrown, upstream.target.settings.name)
  upstream.connection.abort(error)
  upstream.connection.close()
  return error
}
