import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { Facts } from '#core/trace.ts'

import type { KeyFacts } from './keyring.ts'
import { isBatch, pinOf, whyNot } from './keys.ts'
import { rankOf } from './ranks.ts'
import { isOfAnAccount } from './retry.ts'
import type { Leg } from './routing.ts'
import { targetOf } from './routing.ts'
import { fullness } from './seat.ts'
import type { Services } from './services.ts'
import { readSession } from './sessions.ts'
import type { Session } from './sessions.ts'
import { sharesOf } from './shares.ts'
import { nameOf } from './standing.ts'

// What is known of a candidate before it is asked: for whoever asks it, and for whoever asks why.

/** What decides between the keys of one candidate, as they stand when it is asked. */
export interface Deciding extends KeyFacts {
  /** The caller's session, where it has one and there is something to choose. */
  readonly session: Session | undefined
}

/** Reads nothing yet: the facts are looked up when keys are drawn. */
export function decidingFor(
  leg: Leg,
  call: Call,
  snapshot: Snapshot,
  { gates, health, sessions }: Services,
): Deciding {
  const provider = leg.settings.name
  const rank = rankOf(leg, call, snapshot)
  const session = leg.keys.length > 1 && !isOfAnAccount(call) ? readSession(call) : undefined
  return {
    session,
    rank,
    isFull: fullness(leg.settings, gates.of(provider)),
    isOut: (key) => health.standing(nameOf(leg, key), performance.now()) === 'out',
    load:
      snapshot.client.loadBalancing === 'least_loaded'
        ? (key) => health.load(nameOf(leg, key), performance.now())
        : undefined,
    preferred: session && sessions.get(provider, session.id, performance.now()),
  }
}

/** Notes the key that is asked; and why it is, for those who want to know. */
export function noteKey(leg: Leg, call: Call, key: Key, deciding: Deciding): void {
  const { trace } = call
  if (!trace.isDetailed) {
    trace.add('key', key.name)
    return
  }
  const why = choiceOf(leg, call, key, deciding)
  const facts = { provider: leg.settings.name, key: key.name, why }
  trace.add('key', `${key.name}, ${why}`, facts)
}

function choiceOf(leg: Leg, call: Call, key: Key, deciding: Deciding): string {
  if (leg.keys.length === 1) {
    const isNamed = leg.index === 0 && (call.pin ?? pinOf(call)) !== undefined
    return isNamed ? 'the one that was named' : 'the only one'
  }
  if (key.id === deciding.preferred) return "the session's own"
  if (isOfAnAccount(call)) return 'the next by id'
  if (deciding.rank) return 'drawn by weight among the cheapest'
  return deciding.load ? 'the less busy of two drawn by weight' : 'drawn by weight'
}

/** What is said of each key of a provider. */
export interface KeyVerdict {
  readonly name: string
  readonly id: string
  /** `allowed`, or why it is not asked, or not now. */
  readonly verdict: string
  /** As the provider knows it, where the key has a name of its own for it. */
  readonly model?: string | undefined
  /** How likely it is the first that is asked, from 0 to 1; absent for keys that cannot be. */
  readonly share?: number | undefined
}

const maxKeys = 50

/**
 * The keys of a candidate, those that may be asked first and the likeliest of them first, as JSON. `keys_omitted`
 * counts those beyond fifty.
 */
export function keysOf(
  leg: Leg,
  call: Call,
  deciding: Deciding,
  { health }: Pick<Services, 'health'>,
): { readonly keys: readonly KeyVerdict[]; readonly keys_omitted?: number } {
  const { settings, model } = leg
  const shares = leg.keys.length === 0 ? undefined : sharesOf(leg.keys, deciding)
  const nowMs = performance.now()
  const mayServe = new Set(leg.keys)
  const verdicts = settings.keys.map((key): KeyVerdict => {
    const { name, id } = key
    if (!mayServe.has(key)) return { name, id, verdict: exclusion(key, call, leg) }
    const share = shares?.get(key)
    const known = targetOf(leg, key).model
    return {
      name,
      id,
      verdict:
        health.reason(nameOf(leg, key), nowMs) ??
        (deciding.isFull?.(key) === true
          ? 'busy: as many calls in flight as it may have'
          : 'allowed'),
      ...(known !== model && { model: known }),
      ...(share !== undefined && { share: Math.round(share * 1e6) / 1e6 }),
    }
  })
  const rank = ({ share, verdict }: KeyVerdict): number =>
    share ?? (verdict === 'allowed' ? -1 : -2)
  const keys = verdicts.toSorted((a, b) => rank(b) - rank(a)).slice(0, maxKeys)
  const omitted = verdicts.length - keys.length
  return omitted > 0 ? { keys, keys_omitted: omitted } : { keys }
}

/** Why a key of the provider may not serve this call. */
function exclusion(key: Key, call: Call, { model, grant }: Leg): string {
  const why = whyNot(key, model, grant)
  if (why !== undefined) return why
  if (call.caller.directKey) return 'the caller brought a key'
  return isBatch(call) && !key.useForBatchApi ? 'not marked for the batch API' : 'another was named'
}

/** Keys that the sentence about a candidate names; its facts name more. */
const maxNamed = 6

/** Notes the candidates and their keys as they stand now, in the order they will be asked. */
export function noteCandidates(
  legs: readonly Leg[],
  call: Call,
  snapshot: Snapshot,
  services: Services,
): void {
  for (const leg of legs) {
    const { settings, model, index } = leg
    const found = keysOf(leg, call, decidingFor(leg, call, snapshot, services), services)
    const facts: Facts = {
      provider: settings.name,
      ...(model !== undefined && { model }),
      fallback_index: index,
      ...found,
    }
    const names = found.keys.slice(0, maxNamed).map(inWords)
    const more = settings.keys.length > names.length ? ', …' : ''
    const what = model === undefined ? settings.name : `${settings.name}/${model}`
    call.trace.add(
      'candidate',
      names.length === 0 ? what : `${what}: ${names.join(', ')}${more}`,
      facts,
    )
  }
}

function inWords({ name, verdict, share }: KeyVerdict): string {
  const isPlain = verdict === 'allowed'
  if (share === undefined) return isPlain ? name : `${name} ${verdict}`
  const percent = `${name} ${Math.round(share * 100)}%`
  return isPlain ? percent : `${percent} (${verdict})`
}
