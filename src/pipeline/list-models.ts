import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { locate } from '#lib/json.ts'
import type { Target } from '#providers/provider.ts'

import { attempt } from './attempt.ts'
import type { Holding } from './attempt.ts'
import { Books } from './books.ts'
import { noteCandidates } from './candidates.ts'
import { exhausted, isRefusal } from './exhausted.ts'
import { extraFields, wantsExtraFields, withExtraFields } from './extra.ts'
import { failureClass } from './failure.ts'
import { listElements } from './models.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { targetOf } from './routing.ts'
import type { Leg, Plan } from './routing.ts'
import type { Services } from './services.ts'

// The models of a provider: what each of its keys may use, and not what one of them may that was drawn by chance.

/** More keys than these are not asked for one list. */
const maxKeys = 100
/** Keys that are asked at once. */
const maxAtOnce = 8

/** Whether all keys are asked, instead of one that is drawn. */
export function asksEveryKey({ endpoint }: Call, { legs }: Plan): boolean {
  return endpoint === 'list_models' && legs[0].keys.length > 0
}

/** What a key came to. */
type Listed = { readonly key: Key; readonly books: Books } & (
  | { readonly outcome: Outcome & { readonly kind: 'json' }; readonly error?: undefined }
  | { readonly error: GatewayError }
)

/**
 * One list out of those of all keys, each model once, with `extra_fields.key_statuses` saying what each key came to.
 * Throws what the first key was refused with when none of them has a list.
 */
export async function listEveryKey(
  call: Call,
  { legs: [leg] }: Plan,
  snapshot: Snapshot,
  services: Services,
  settle: Settle,
): Promise<Outcome> {
  const { trace } = call
  const keys = leg.keys.slice(0, maxKeys)
  if (trace.isDetailed) noteCandidates([leg], call, snapshot, services)
  if (leg.keys.length > 1) trace.add('key', `each of ${keys.length} keys is asked`)
  const listed: Listed[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < keys.length; at = next++) {
      listed[at] = await listOne(keys[at]!, leg, call, snapshot, services)
    }
  }
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, keys.length) }, work))
  for (const one of listed) tell(one, call)
  const served = listed.flatMap((one) => (one.error ? [] : [one]))
  const [first = listed[0]!] = served
  settle.books.adopt(first.books)
  for (const { books } of listed) {
    settle.books.attempts += books.attempts
    for (const failed of books.failed ?? []) settle.books.failedTry(failed)
  }
  if (first.error) {
    const errors = listed.flatMap(({ error }) => error ?? [])
    const isOver = errors.length > 1 && errors.every((one) => isRefusal(one, failureClass(one)))
    throw isOver ? exhausted(errors.at(-1)!) : first.error
  }
  const text = merged(served.map(({ outcome }) => outcome.text))
  settle.books.answered(text)
  settle.success(undefined)
  return {
    ...first.outcome,
    text: withStatuses(text, listed, targetOf(leg, first.key), call, snapshot),
  }
}

async function listOne(
  key: Key,
  leg: Leg,
  call: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<Listed> {
  const books = new Books(call, false)
  const part: Settle = { success() {}, failure() {}, isSettled: false, books }
  const held: Holding = { release: undefined }
  // What is decided on the way is summed up for each key.
  const own: Call = { ...call, trace: new Trace(call.startedAt) }
  try {
    const plan: Plan = { legs: [{ ...leg, keys: [key] }] }
    const outcome = await attempt(own, plan, snapshot, services, part, held)
    if (outcome.kind === 'json') return { key, books, outcome }
    throw new GatewayError('upstream_malformed', 'No list of models came.')
  } catch (thrown) {
    return { key, books, error: toGatewayError(thrown) }
  } finally {
    held.release?.()
  }
}

function tell(one: Listed, { trace }: Call): void {
  const { key, books, error } = one
  const { provider } = books
  if (error) {
    const facts = { provider, key: key.name, failure: error.kind, status: error.upstream?.status }
    trace.add('attempt', `${key.name}: ${error.kind}`, facts)
  } else if (trace.isDetailed) {
    const models = listElements(one.outcome.text).length
    trace.add('attempt', `${key.name} lists ${models} models`, { provider, key: key.name, models })
  }
}

/** The first list, with the models of the others after its own. */
function merged([first = '', ...others]: readonly string[]): string {
  const data = others.length === 0 ? undefined : locate(first, ['data'])
  if (!data) return first
  const models = new Map<unknown, string>()
  for (const text of [first, ...others]) {
    for (const element of listElements(text)) {
      const { id } = JSON.parse(element) as { id?: unknown }
      if (!models.has(id)) models.set(id, element)
    }
  }
  return `${first.slice(0, data.start)}[${[...models.values()].join(',')}]${first.slice(data.end)}`
}

function withStatuses(
  text: string,
  listed: readonly Listed[],
  target: Target,
  call: Call,
  snapshot: Snapshot,
): string {
  if (!wantsExtraFields(call, snapshot)) return text
  const statuses = `"key_statuses":${JSON.stringify(listed.map(statusOf))}`
  const own = locate(text, ['extra_fields'])
  if (!own || text[own.start] !== '{') {
    const json = extraFields(call, target, performance.now() - call.startedAt, 0)
    const close = text.lastIndexOf('}')
    return withExtraFields(text, close, true, `${json.slice(0, -1)},${statuses}}`)
  }
  const trace = call.trace.isDetailed ? `,"trace":${JSON.stringify(call.trace.shown())}` : ''
  const more = `${text.slice(own.start, own.end - 1)},${statuses}${trace}}`
  return text.slice(0, own.start) + more + text.slice(own.end)
}

function statusOf({ key, books, error }: Listed): object {
  const status = { key_id: key.id, provider: books.provider }
  if (!error) return { ...status, status: 'success' }
  const { message, status: code } = error
  return { ...status, status: 'failed', error: { message, code: error.code, status_code: code } }
}
