import type { Key, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import { toGatewayError } from '#core/errors.ts'
import type { GatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { noResources } from '#providers/provider.ts'
import type { Outbound, Resources, Target } from '#providers/provider.ts'

import { decidingFor, keysOf } from './candidates.ts'
import type { Deciding, KeyVerdict } from './candidates.ts'
import { countsHere } from './count.ts'
import { compose } from './dispatch.ts'
import { failureClass } from './failure.ts'
import { outboundHeaders } from './forward.ts'
import { hedgeForecast } from './hedge-plan.ts'
import { isAboutResponse } from './lifecycle.ts'
import { asksEveryKey } from './list-models.ts'
import type { Outcome } from './outcome.ts'
import { placeholder, withoutSecrets } from './redacted.ts'
import type { Shown } from './redacted.ts'
import { nextStep } from './retry.ts'
import { targetOf } from './routing.ts'
import type { Leg } from './routing.ts'
import { planned } from './run.ts'
import type { Services } from './services.ts'
import { sharesOf } from './shares.ts'
import { inOrder } from './standing.ts'
import { asSeenBy } from './stored.ts'

/** What a target would be sent. */
interface Sent extends Shown {
  readonly dropped_params: readonly string[]
  /** Set where the call takes several requests; shown is the first. */
  readonly requests?: number
  /** URLs whose content would be fetched first and stand in the body. */
  readonly fetches?: readonly string[]
}

/** What would happen with some of the keys of a candidate. */
type Prospect = { readonly keys: readonly string[]; readonly model?: string | undefined } & (
  | { readonly request: Sent }
  /** Nothing would be sent: the answer is known, or found here. */
  | { readonly answered: string }
  | { readonly error: object }
)

/** Keys of one candidate for which the request is composed; most of them are sent the same. */
const maxComposed = 8
/** A body of more characters is not worth composing again and again. */
const largeChars = 1024 * 1024

/**
 * What `run` would do with a call: the same plan, the same order and the same requests, of which none is sent. The
 * outcome is a JSON object; nothing the process knows is changed. Throws `GatewayError` as `run` would before it asks
 * anybody.
 */
export async function explain(
  call: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<Outcome> {
  if (isAboutResponse(call)) {
    call.trace.add('route', "asked of the gateway's own store first, which this does not look into")
  }
  const { whole, plan } = await planned(call, snapshot, services)
  const legs = inOrder(plan, whole, snapshot, services)
  const candidates: object[] = []
  const [first, second] = legs
  for (const leg of legs) {
    const prospects = await prospectsOf(leg, whole, snapshot, services)
    // Only a call's first attempt is hedged.
    const more = leg === first && { hedging: hedgingOf(leg, second, whole, snapshot, services) }
    candidates.push({ ...prospects, ...more })
  }
  const explanation = {
    object: 'explanation',
    request_type: requestType(call.endpoint, call.stream),
    model_requested: call.modelRequested,
    provider: first?.settings.name,
    model: first?.model,
    stream: call.stream,
    config_generation: snapshot.generation,
    candidates,
    trace: call.trace.shown(),
  }
  return {
    kind: 'json',
    status: 200,
    headers: {},
    target: { settings: first!.settings, model: first!.model },
    text: JSON.stringify(explanation),
  }
}

/** Whether a second candidate would be asked beside this one, for each key that may be the first. */
function hedgingOf(
  leg: Leg,
  next: Leg | undefined,
  call: Call,
  snapshot: Snapshot,
  services: Services,
): object {
  const shares = sharesOf(leg.keys, decidingFor(leg, call, snapshot, services))
  const keys = leg.keys.length === 0 ? [undefined] : leg.keys.filter((key) => shares.get(key)! > 0)
  return hedgeForecast(leg, keys, next, call, snapshot, services)
}

async function prospectsOf(
  leg: Leg,
  call: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<object> {
  const { settings, model, index } = leg
  const deciding = decidingFor(leg, call, snapshot, services)
  const found = keysOf(leg, call, deciding, services)
  const everyKey = asksEveryKey(call, { legs: [leg] })
  const gate = services.gates.of(settings.name)
  const isLarge = call.body.kind === 'json' && call.body.text.length > largeChars
  const keys = likeliest(leg, deciding, isLarge ? 1 : maxComposed)
  const prospects: Prospect[] = []
  for (const key of keys) {
    const prospect = await prospectOf(leg, key, call, snapshot, services)
    const text = JSON.stringify(prospect)
    const same = prospects.findIndex((other) => JSON.stringify({ ...other, keys: [] }) === text)
    const names = key === undefined ? [] : [key.name]
    if (same === -1) prospects.push({ ...prospect, keys: names })
    else prospects[same] = { ...prospects[same]!, keys: [...prospects[same]!.keys, ...names] }
  }
  return {
    fallback_index: index,
    provider: settings.name,
    model,
    ...found,
    ...(everyKey && { every_key: true, keys: found.keys.map(asAsked) }),
    in_flight: gate.inFlight,
    waiting: gate.waiting,
    may_retry: gate.retries.hasLeft && settings.network.retry.maxRetries > 0,
    prospects,
  }
}

/** Where each key is asked, none is more likely than another. */
function asAsked(key: KeyVerdict): KeyVerdict {
  return key.share === undefined ? key : { ...key, share: 1 }
}

/** The keys that may be asked, the likeliest first. */
function likeliest(leg: Leg, deciding: Deciding, most: number): readonly (Key | undefined)[] {
  if (leg.keys.length === 0) return [undefined]
  const shares = sharesOf(leg.keys, deciding)
  return leg.keys.toSorted((a, b) => (shares.get(b) ?? -1) - (shares.get(a) ?? -1)).slice(0, most)
}

async function prospectOf(
  leg: Leg,
  key: Key | undefined,
  given: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<Prospect> {
  // What is decided on the way is said with the request, once for each key.
  const call: Call = { ...given, trace: new Trace(given.startedAt) }
  const target = targetOf(leg, key)
  const base = { keys: [], model: target.model }
  try {
    const seen = asSeenBy(call, target, snapshot, services)
    if (countsHere(call, target.provider)) {
      return { ...base, answered: 'The tokens are counted here: the provider does not count.' }
    }
    const parts = target.provider.fanOut?.(seen, target)
    const part = parts?.calls[0] ?? seen
    const urls = target.provider.resources?.(part, target) ?? []
    const outbound = compose(part, target, standIns(urls), snapshot)
    if (outbound.known !== undefined) {
      return { ...base, answered: 'The answer is known without asking.' }
    }
    const shown = await shownRequest(part, target, outbound, snapshot)
    const fetches = urls.slice(0, 20).map((url) => withoutSecrets(target, call).url(url))
    const request: Sent = {
      ...shown,
      dropped_params: outbound.dropped,
      ...(parts && { requests: parts.calls.length }),
      ...(fetches.length > 0 && { fetches }),
    }
    return { ...base, request }
  } catch (thrown) {
    return { ...base, error: refusalOf(toGatewayError(thrown), call, leg, services) }
  }
}

/** What would be fetched, as if it had been. */
function standIns(urls: readonly string[]): Resources {
  if (urls.length === 0) return noResources
  const base64 = btoa('not fetched')
  return new Map(
    urls.map((url) => {
      const isDocument = /\.pdf(?:$|[?#])/i.test(url)
      return [url, { mediaType: isDocument ? 'application/pdf' : 'image/png', base64 }]
    }),
  )
}

async function shownRequest(
  call: Call,
  target: Target,
  outbound: Outbound,
  snapshot: Snapshot,
): Promise<Shown> {
  const { provider, settings, key } = target
  const { method, url, body } = outbound
  const headers = outboundHeaders(call, snapshot.client, settings, outbound)
  const secrets = withoutSecrets(target, call)
  const source = provider.credential?.(call, target)
  const credential = call.caller.directKey ?? key?.value
  if (source || (credential && !credential.isEmpty)) {
    await provider.authorize({ method, url, body, headers }, placeholder, Date.now())
  }
  return secrets.request({ method, url, headers, body })
}

function refusalOf(error: GatewayError, call: Call, leg: Leg, { gates }: Services): object {
  const { settings } = leg
  const step = nextStep({
    call,
    error,
    settings: settings.network.retry,
    retries: 0,
    freshKeys: leg.keys.length - 1,
    budgetLeft: gates.of(settings.name).retries.hasLeft,
    isFallback: leg.index > 0,
    random: 0,
  })
  const { message, code, param, kind } = error
  return {
    kind,
    message,
    code,
    param: param ?? null,
    class: failureClass(error),
    status: error.status,
    next: step.kind,
  }
}
