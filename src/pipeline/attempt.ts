import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import { readAnswer } from './answer.ts'
import { dispatch } from './dispatch.ts'
import type { Upstream } from './dispatch.ts'
import { failureClass } from './failure.ts'
import type { FailureClass } from './failure.ts'
import { sendParts } from './fan-out.ts'
import { Keyring } from './keyring.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { nextStep } from './retry.ts'
import { targetOf } from './routing.ts'
import type { Leg, Plan } from './routing.ts'
import type { Services } from './services.ts'
import { readSession } from './sessions.ts'
import { inOrder, nameOf } from './standing.ts'
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
  for (const leg of inOrder(plan, call, services.health)) {
    if (first) call.trace.add('route', `fallback ${leg.index}: ${leg.settings.name}`)
    const result = await tryLeg(leg, attempting)
    if (!(result instanceof Failed)) {
      if (leg.index > 0) result.headers['x-bifrost-fallback-index'] = String(leg.index)
      return result
    }
    if (result.isFinal) throw result.error
    first ??= result.error
  }
  throw first ?? new GatewayError('internal', 'The plan of this request holds no candidate.')
}

/** One candidate, with as many keys and repetitions as its settings and the failures allow. */
async function tryLeg(leg: Leg, attempting: Attempting): Promise<Outcome | Failed> {
  const { call, snapshot, services, holding } = attempting
  const { settings } = leg
  const { health } = services
  const { retries: budget } = services.gates.of(settings.name)
  // A fallback is no part of the session: what the caller had there is not there.
  const session = leg.index === 0 && leg.keys.length > 1 ? readSession(call.headers) : undefined
  const keys = new Keyring(leg.keys, {
    isOut: (key) => health.standing(nameOf(leg, key), performance.now()) === 'out',
    load:
      snapshot.client.loadBalancing === 'least_loaded'
        ? (key) => health.load(nameOf(leg, key))
        : undefined,
    preferred: session && services.sessions.get(settings.name, session.id, performance.now()),
  })
  budget.earn()
  const { books } = attempting.settle
  books.fallbackIndex = leg.index
  books.provider = settings.name
  for (let retries = 0; ;) {
    if (keys.current) call.trace.add('key', keys.current.name)
    const began = performance.now()
    const ticket = health.began(nameOf(leg, keys.current), began)
    books.keyId = keys.current?.id
    books.keyName = keys.current?.name
    books.attempts++
    books.retries = retries
    try {
      const outcome = await once(targetOf(leg, keys.current), attempting)
      const now = performance.now()
      health.succeeded(ticket, now, now - began)
      if (session && keys.current) {
        services.sessions.keep(settings.name, session.id, keys.current.id, now, session.ttlMs)
      }
      return outcome
    } catch (thrown) {
      const error = toGatewayError(thrown)
      const what = failureClass(error)
      holding.release?.()
      holding.release = undefined
      if (isOfTarget(what)) {
        health.failed(ticket, performance.now(), what, error.upstream?.retryAfterMs)
      } else health.abandoned(ticket)
      const step = nextStep({
        call,
        error,
        settings: settings.network.retry,
        retries,
        freshKeys: keys.left,
        budgetLeft: budget.hasLeft,
        random: Math.random(),
      })
      books.failedTry({
        provider: settings.name,
        key: keys.current?.name,
        failureClass: what,
        status: error.status,
      })
      call.trace.add('attempt', `${settings.name}: ${error.kind} (${what}), then ${step.kind}`)
      if (step.kind === 'stop' || step.kind === 'next') {
        return new Failed(error, step.kind === 'stop')
      }
      if (step.kind === 'rotate') keys.rotate()
      else {
        budget.spend()
        retries++
        if (!(await pause(step.waitMs, call.signal))) return new Failed(gone(), true)
      }
    }
  }
}

/** Whether a failure of this class says anything about who was asked. */
function isOfTarget(what: FailureClass): boolean {
  return what !== 'caller' && what !== 'cancelled' && what !== 'gateway'
}

function gone(): GatewayError {
  return new GatewayError('client_closed', 'The client closed the connection.')
}

async function once(target: Target, attempting: Attempting): Promise<Outcome> {
  const { call, snapshot, services, settle, holding } = attempting
  const waiting = enter(call, target, snapshot, services)
  if (waiting) {
    const waitsSince = performance.now()
    try {
      await waiting
    } finally {
      settle.books.queuedMs += performance.now() - waitsSince
    }
    call.trace.add('queue', 'waited for a free place')
  }
  const gate = services.gates.of(target.settings.name)
  const pool = gate.pools.take()
  holding.release = () => {
    gate.pools.give(pool)
    gate.leave()
  }
  const parts = target.provider.fanOut?.(call, target)
  if (parts) {
    const send = (part: Call, books: Settle) => serve(part, target, snapshot, services, books, pool)
    return await sendParts(parts, send, settle)
  }
  return await serve(call, target, snapshot, services, settle, pool)
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

function enter(
  call: Call,
  { settings }: Target,
  snapshot: Snapshot,
  services: Services,
): Promise<void> | undefined {
  const { concurrency, bufferSize, name } = settings
  const { dropExcessRequests } = snapshot.client
  return services.gates
    .of(name)
    .enter({ concurrency, bufferSize, dropExcess: dropExcessRequests, provider: name }, call.signal)
}

/** Nothing more is read from an upstream whose answer was of no use. */
function giveUp(upstream: Upstream, thrown: unknown): GatewayError {
  const error = upstream.connection.explain(thrown, upstream.target.settings.name)
  upstream.connection.abort(error)
  upstream.connection.close()
  return error
}
