import type { ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { listElements } from '#pipeline/models.ts'
import { run } from '#pipeline/run.ts'
import { providerFor } from '#providers/registry.ts'

import { knownProvider, providerFromQuery } from './address.ts'
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

let cache: Listed | undefined
let pending: { readonly snapshot: Snapshot; readonly merged: Promise<Merged> } | undefined

/**
 * `GET /models`: every configured provider's models with prefixed ids, or one provider's when the query or a
 * header names it. A provider that fails is left out; only when all of them fail is the answer an error.
 */
export async function listModels(gateway: Gateway, arrival: Arrival): Promise<Response> {
  const snapshot = gateway.snapshot()
  const context = { provider: undefined, modelRequested: undefined, requestType: 'list_models' }
  let isCall = false
  try {
    const caller = readCaller(arrival.headers, snapshot.client)
    const named = providerFromQuery(arrival)
    const header = arrival.headers['x-bf-list-models-provider']?.toLowerCase()
    const wanted = named.provider ?? (header === 'all' ? undefined : header)
    const provider = knownProvider(wanted, snapshot)
    gateway.patient(arrival.request)
    if (provider !== undefined) {
      const call = listCall(provider, arrival, caller, arrival.request.signal, named.query)
      const perform = gateway.perform ?? run
      isCall = true
      return respond(call, await perform(call, snapshot, gateway.services))
    }
    if (gateway.perform) throw allAreAsked()
    // What a caller's own key may see is nobody else's business, and what its headers say is not for others.
    const text = caller.directKey
      ? (await merge(gateway, snapshot, arrival, caller)).text
      : await cached(gateway, snapshot, { ...arrival, headers: {} }, caller)
    return new Response(text, {
      headers: {
        'content-type': 'application/json',
        'x-request-id': arrival.id,
        'x-bifrost-request-type': 'list_models',
      },
    })
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (!isCall) noteRefusal(gateway, arrival, context.requestType, error)
    return respondError(error, context, arrival.id)
  }
}

function allAreAsked(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'All providers are asked for their models; name one with ?provider= to have that explained.',
    { param: 'provider' },
  )
}

async function cached(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<string> {
  if (cache?.snapshot === snapshot && cache.until > performance.now()) return cache.text
  if (pending?.snapshot === snapshot) return (await pending.merged).text
  const merged = merge(gateway, snapshot, arrival, caller)
  pending = { snapshot, merged }
  try {
    const { text, complete } = await merged
    const until = performance.now() + (complete ? freshMs : incompleteFreshMs)
    cache = { snapshot, until, text }
    return text
  } finally {
    pending = undefined
  }
}

async function merge(
  gateway: Gateway,
  snapshot: Snapshot,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<Merged> {
  const providers = listable(snapshot)
  const lists = await Promise.allSettled(
    providers.map((name) => listOne(gateway, snapshot, name, arrival, caller)),
  )
  const served = lists.flatMap((list) => (list.status === 'fulfilled' ? [list.value] : []))
  const [failed] = lists.flatMap((list) => (list.status === 'rejected' ? [list.reason] : []))
  if (served.length === 0 && failed !== undefined) throw failed
  const text = `{"object":"list","data":[${served.flat().join(',')}],"extra_fields":{"request_type":"list_models"}}`
  return { text, complete: failed === undefined }
}

function listable(snapshot: Snapshot): string[] {
  const able = [...snapshot.providers.values()].filter((settings) => {
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

async function listOne(
  gateway: Gateway,
  snapshot: Snapshot,
  provider: string,
  arrival: Arrival,
  caller: Call['caller'],
): Promise<string[]> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), patienceMs)
  try {
    const call = listCall(provider, arrival, caller, controller.signal, '')
    const outcome = await run(call, snapshot, gateway.services)
    if (outcome.kind !== 'json') throw new GatewayError('upstream_malformed', 'No list came.')
    return listElements(outcome.text)
  } finally {
    clearTimeout(timer)
  }
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
