import type { ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { elementsOf, listElements } from '#pipeline/models.ts'
import { run } from '#pipeline/run.ts'
import { providerFor } from '#providers/registry.ts'

import { knownProvider, providerFromQuery } from './address.ts'
import { defaultProvider } from './azure.ts'
import { readCaller } from './caller.ts'
import type { Gateway } from './gateway.ts'
import { isExplained } from './intake.ts'
import type { Arrival } from './intake.ts'
import { noteRefusal } from './refusal.ts'
import { respond, respondError } from './respond.ts'

/** A provider that has not listed its models by then is left out of the list. */
const patienceMs = 10_000
const freshMs = 60_000
/** A list that lacks a provider's models is made anew sooner. */
const incompleteFreshMs = 5000

interface Merged {
  readonly text: string
  /** Whether every provider answered. */
  readonly complete: boolean
}

interface Listed {
  readonly snapshot: Snapshot
  readonly until: number
  readonly text: string
}

/** Virtual keys whose lists are kept; the one whose list is oldest is forgotten first. */
const maxCached = 200
/** By the id of the virtual key that they are for; empty for callers without one. */
const cache = new Map<string, Listed>()
const pending = new Map<string, { readonly snapshot: Snapshot; readonly merged: Promise<Merged> }>()

/**
 * `GET /models`: every configured provider's models with prefixed ids, or one provider's when the query or a
 * header names it, or the caller brings a key for one. A provider that fails is left out; only when all of them fail is the answer an error.
 */
export async function listModels(gateway: Gateway, arrival: Arrival): Promise<Response> {
  const snapshot = gateway.snapshot()
  const context = { provider: undefined, modelRequested: undefined, requestType: 'list_models' }
  let isCall = false
  try {
    const caller = readCaller(arrival.headers, snapshot)
    const named = providerFromQuery(arrival)
    const header = arrival.headers['x-bf-list-models-provider']?.toLowerCase()
    const wanted = named.provider ?? (header === 'all' ? undefined : header)
    // A caller's own key is for one provider, and none of the others is shown it.
    const sole = caller.directKey && defaultProvider(arrival.headers['user-agent'])
    const provider = knownProvider(wanted, snapshot) ?? sole
    gateway.patient(arrival.request)
    if (provider !== undefined) {
      const call = listCall(provider, arrival, caller, arrival.request.signal, named.query)
      const perform = gateway.perform ?? run
      isCall = true
      return respond(call, await perform(call, snapshot, gateway.services))
    }
    if (gateway.perform) {
      return jsonAnswer(await explained(gateway, snapshot, arrival, caller), arrival)
    }
    return jsonAnswer(await forAnybody(gateway, snapshot, arrival, caller), arrival)
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (!isCall) noteRefusal(gateway, arrival, context.requestType, error)
    return respondError(error, context, arrival.id)
  }
}

function jsonAnswer(text: string, { id }: Arrival): Response {
  const headers = {
    'content-type': 'application/json',
    'x-request-id': id,
    'x-bifrost-request-type': 'list_models',
  }
  return new Response(text, { headers })
}

/** What would be done to make the list: of each provider, with its keys, as for one that is named. */
async function explained(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<string> {
  const candidates: unknown[] = []
  const trace: object[] = []
  for (const provider of listable(snapshot, caller)) {
    const call = listCall(provider, arrival, caller, arrival.request.signal, '')
    try {
      const outcome = await gateway.perform!(call, snapshot, gateway.services)
      const text = outcome.kind === 'json' ? outcome.text : '{}'
      const { candidates: own = [] } = JSON.parse(text) as { candidates?: unknown[] }
      candidates.push(...own)
    } catch (thrown) {
      candidates.push({ provider, error: { message: toGatewayError(thrown).message } })
    }
    trace.push(...traceOf(call))
  }
  return JSON.stringify({
    object: 'explanation',
    request_type: 'list_models',
    stream: false,
    config_generation: snapshot.generation,
    merged: true,
    candidates,
    trace,
  })
}

function traceOf({ trace, provider }: Call): object[] {
  return trace.shown().map((decision) => ({ ...decision, provider }))
}

/**
 * The list that is made for all callers, or all with the same virtual key, without what the headers of one say. Who asks
 * for an explanation gets one that was made anew, and how.
 */
function forAnybody(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<string> {
  if (!isExplained(arrival.headers)) {
    return cached(gateway, snapshot, { ...arrival, headers: {} }, caller)
  }
  const asked = { ...arrival, headers: { 'x-bf-explain': 'true' } }
  return merge(gateway, snapshot, asked, caller).then(({ text }) => text)
}

async function cached(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<string> {
  const owner = caller.owner?.virtualKeyId ?? ''
  const kept = cache.get(owner)
  if (kept?.snapshot === snapshot && kept.until > performance.now()) return kept.text
  const coming = pending.get(owner)
  if (coming?.snapshot === snapshot) return (await coming.merged).text
  const merged = merge(gateway, snapshot, arrival, caller)
  pending.set(owner, { snapshot, merged })
  try {
    const { text, complete } = await merged
    const until = performance.now() + (complete ? freshMs : incompleteFreshMs)
    cache.delete(owner)
    if (cache.size >= maxCached) cache.delete(cache.keys().next().value!)
    cache.set(owner, { snapshot, until, text })
    return text
  } finally {
    pending.delete(owner)
  }
}

async function merge(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<Merged> {
  const providers = listable(snapshot, caller)
  const lists = await Promise.all(
    providers.map((name) => listOne(gateway, snapshot, name, arrival, caller)),
  )
  const failed = lists.find(({ error }) => error !== undefined)?.error
  if (failed && lists.every(({ error }) => error !== undefined)) throw failed
  const data = lists.flatMap(({ models }) => models).join(',')
  const statuses = lists.flatMap((list) => list.statuses).join(',')
  const isTold = isExplained(arrival.headers)
  const trace = isTold ? `,"trace":${JSON.stringify(lists.flatMap((list) => list.trace))}` : ''
  const extra = `{"request_type":"list_models","key_statuses":[${statuses}]${trace}}`
  const text = `{"object":"list","data":[${data}],"extra_fields":${extra}}`
  return { text, complete: failed === undefined }
}

function listable(snapshot: Snapshot, { owner }: Call['caller']): string[] {
  const key = owner && snapshot.governance?.byId.get(owner.virtualKeyId)
  const able = [...snapshot.providers.values()].filter((settings) => {
    if (key && !key.allowsAllProviders && !key.grants.has(settings.name)) return false
    const provider = providerFor(settings)
    return provider?.offers.has('list_models') && (provider.keyless || hasKey(settings))
  })
  // The built-in one stands in for providers only as long as there are none.
  const real = able.filter(({ origin }) => origin !== 'built-in')
  return (real.length > 0 ? real : able).map(({ name }) => name)
}

function hasKey(settings: ProviderSettings): boolean {
  return settings.keys.some((key) => key.enabled)
}

/** What a provider came to. */
interface ProvidersList {
  /** As JSON, and so are the statuses. */
  readonly models: readonly string[]
  /** What each of its keys came to. */
  readonly statuses: readonly string[]
  readonly trace: readonly object[]
  readonly error: GatewayError | undefined
}

async function listOne(
  gateway: Gateway,
  snapshot: Snapshot,
  provider: string,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<ProvidersList> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(tooSlow(provider)), patienceMs)
  const call = listCall(provider, arrival, caller, controller.signal, '')
  try {
    const outcome = await run(call, snapshot, gateway.services)
    if (outcome.kind !== 'json') throw new GatewayError('upstream_malformed', 'No list came.')
    const { text } = outcome
    const statuses = elementsOf(text, ['extra_fields', 'key_statuses'])
    return { models: listElements(text), statuses, trace: traceOf(call), error: undefined }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    const { message, code, status } = error
    const told = { provider, status: 'failed', error: { message, code, status_code: status } }
    return { models: [], statuses: [JSON.stringify(told)], trace: traceOf(call), error }
  } finally {
    clearTimeout(timer)
  }
}

/** Why the call of a list ends that nobody has left: whoever asked for it waits still. */
function tooSlow(provider: string): GatewayError {
  return new GatewayError(
    'total_timeout',
    `Provider '${provider}' did not list its models within ${patienceMs} ms.`,
  )
}

function listCall(
  provider: string,
  arrival: Arrival,
  caller: Call['caller'],
  signal: AbortSignal,
  query: string,
): Call {
  return {
    id: arrival.id,
    endpoint: 'list_models',
    method: 'GET',
    path: '/models',
    query,
    body: { kind: 'none' },
    modelRequested: undefined,
    provider,
    model: undefined,
    stream: false,
    wantsUsage: false,
    caller,
    headers: arrival.headers,
    signal,
    startedAt: arrival.startedAt,
    trace: new Trace(arrival.startedAt, isExplained(arrival.headers)),
  }
}
