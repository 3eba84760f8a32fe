import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { inStep } from '#lib/cohort.ts'
import type { Secret } from '#lib/secret.ts'
import { noResources } from '#providers/provider.ts'
import type { Outbound, Resources, Target } from '#providers/provider.ts'

import { authorize } from './authorize.ts'
import { Connection } from './connection.ts'
import { countHere, countsHere, ESTIMATED } from './count.ts'
import { asContinued, inOwnInput } from './echo.ts'
import { sessionOf } from './fetch-session.ts'
import { answerHeaders, outboundHeaders, plainHeaders } from './forward.ts'
import { noteHeaders } from './policies.ts'
import { poolOptions } from './pools.ts'
import { isKnownReachable, noteReachable, permit, placeOf, probe } from './reach.ts'
import type { Place } from './reach.ts'
import { redact } from './redact.ts'
import { fetchResources } from './resources.ts'
import type { Services } from './services.ts'
import { asSeenBy } from './stored.ts'
import { fetchProxy } from './tunnel.ts'

/** An upstream answer whose status line has arrived and was a success. */
export interface Upstream {
  readonly response: Response
  readonly connection: Connection
  readonly outbound: Outbound
  readonly target: Target
  /** What was sent as the key, so that it can be kept out of what comes back. */
  readonly credential: Secret | undefined
  /** `performance.now()` when the request was sent. */
  readonly sentAt: number
}

const maxErrorBytes = 1024 * 1024
const errorBodyMs = 10_000

/**
 * Sends one attempt and waits for its status line. This is the only place that opens connections to providers.
 * Throws `GatewayError`: the provider's refusal, a timer, a network failure or the caller's departure.
 * On success the caller of this function owns `connection` and must `close` it. `pool` is of the provider's `Pools`.
 */
export function dispatch(
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  pool: number,
): Promise<Upstream> {
  const { provider } = target
  const seen = asSeenBy(call, target, snapshot, services)
  if (countsHere(call, provider)) {
    return countHere(seen, target).then((counted) =>
      knownAnswer(counted, ESTIMATED, call, target, services),
    )
  }
  if (provider.resources) return withResources(seen, call, target, snapshot, services, pool)
  return ask(compose(seen, target, noResources, snapshot), call, target, snapshot, services, pool)
}

async function withResources(
  seen: Call,
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  pool: number,
): Promise<Upstream> {
  let resources: Resources
  try {
    resources = await fetchResources(seen, target)
  } catch (thrown) {
    throw inOwnInput(seen, thrown)
  }
  const outbound = compose(seen, target, resources, snapshot)
  return await ask(outbound, call, target, snapshot, services, pool)
}

function ask(
  outbound: Outbound,
  call: Call,
  target: Target,
  snapshot: Snapshot,
  services: Services,
  pool: number,
): Promise<Upstream> {
  return outbound.known === undefined
    ? send(call, target, outbound, snapshot, services, pool, true)
    : Promise.resolve(knownAnswer(outbound, {}, call, target, services))
}

/**
 * What this target is sent for a call as it sees it (`asSeenBy`). Throws the 400 of a call that it cannot take, or not
 * without leaving something out.
 */
export function compose(
  seen: Call,
  target: Target,
  resources: Resources,
  snapshot: Snapshot,
): Outbound {
  let outbound: Outbound
  try {
    outbound = asContinued(seen, target.provider.request(seen, target, resources))
  } catch (thrown) {
    throw inOwnInput(seen, thrown)
  }
  if (outbound.dropped.length > 0) refuseOrNote(seen, outbound, target, snapshot)
  return outbound
}

/** An answer that nobody had to be asked for. */
function knownAnswer(
  outbound: Outbound,
  headers: Readonly<Record<string, string>>,
  call: Call,
  target: Target,
  { inflight }: Services,
): Upstream {
  return {
    response: new Response(outbound.known, {
      headers: { ...headers, 'content-type': 'application/json' },
    }),
    connection: new Connection(call.signal, target.settings.network.timers.totalMs, inflight),
    outbound,
    target,
    credential: undefined,
    sentAt: performance.now(),
  }
}

/** A caller who asked for strictness gets an error instead of a request with something missing. */
function refuseOrNote(call: Call, outbound: Outbound, target: Target, snapshot: Snapshot): void {
  const { name } = target.settings
  const asked = call.headers['x-bf-strict']
  const isStrict = asked === undefined ? snapshot.client.strictParams : asked === 'true'
  if (isStrict) {
    const [param] = outbound.dropped
    throw new GatewayError(
      'invalid_request',
      `Provider '${name}' cannot take ${outbound.dropped.map((each) => `'${each}'`).join(', ')}, and x-bf-strict forbids leaving it out.`,
      { param, code: 'unsupported_parameter' },
    )
  }
  call.trace.add('params', `left out ${outbound.dropped.join(', ')}`)
}

async function send(
  call: Call,
  target: Target,
  outbound: Outbound,
  snapshot: Snapshot,
  services: Services,
  pool: number,
  mayRenew: boolean,
): Promise<Upstream> {
  const { provider, settings } = target
  const headers = outboundHeaders(call, snapshot.client, settings, outbound)
  const authorizing = authorize(call, target, outbound, headers, services)
  const authorized = authorizing instanceof Promise ? await authorizing : authorizing
  const { credential } = authorized
  // After signing: proxies between here and there may put themselves into it.
  services.outgoing?.addTo(headers, call)

  await inStep
  const { timers } = settings.network
  const totalMs = call.stream ? timers.streamTotalMs : timers.totalMs
  const connection = new Connection(call.signal, totalMs, services.inflight)
  const { sentAt } = connection
  let response: Response
  try {
    if (provider.transport) {
      response = await local(provider.transport, outbound, headers, connection)
    } else {
      const place = placeOf(outbound.url)
      response = await remote(outbound, headers, target, connection, pool, place)
      noteReachable(place, sentAt)
    }
    if (services.tripped && snapshot.routing.policies.length > 0) {
      noteHeaders(response.headers, call, target, snapshot, services.tripped)
    }
  } catch (thrown) {
    const error = connection.explain(thrown, settings.name)
    connection.close()
    throw error
  }
  if (response.status >= 200 && response.status < 300) {
    return { response, connection, outbound, target, credential, sentAt }
  }
  const error = await refusal(response, target, connection, credential)
  connection.close()
  // A token may be withdrawn before it expires; a new one is worth one more try.
  const { source } = authorized
  if (!mayRenew || !source || source.isFixed || !credential || error.status !== 401) throw error
  services.credentials.forget(source, credential)
  return await send(call, target, outbound, snapshot, services, pool, false)
}

/** Not async itself: on the common path it adds no promise to that of `fetch`. */
function remote(
  outbound: Outbound,
  headers: Record<string, string>,
  target: Target,
  connection: Connection,
  pool: number,
  place: Place,
): Promise<Response> {
  const { network, proxyUrl } = target.settings
  const { sentAt } = connection
  const { timers } = network
  const { connectMs, headersMs } = timers
  // A caller's address is not knocked at before it is known to be a public one.
  const connectsFirst =
    connectMs > 0 && (headersMs === 0 || connectMs < headersMs) && !outbound.isCallersAddress
  if (connectsFirst && !isKnownReachable(place, sentAt)) {
    connection.enterConnect(
      connectMs,
      () => probe(proxyUrl?.reveal() ?? outbound.url),
      () => connection.enter('headers_timeout', headersMs, sentAt),
    )
  } else {
    connection.enter('headers_timeout', headersMs, sentAt)
  }
  const options: BunFetchRequestInit & { timeout: false } = {
    method: outbound.method,
    headers,
    signal: connection.signal,
    redirect: 'manual',
    // Bun ends a quiet fetch after five minutes on its own; here only our timers do.
    timeout: false,
  }
  if (outbound.body !== undefined) options.body = outbound.body
  if (proxyUrl) options.proxy = fetchProxy(proxyUrl)!
  const isTls = outbound.url.startsWith('https:')
  // Only measured for direct TLS; everything else stays in the pool it has.
  const usedPool = !proxyUrl && isTls ? pool : 0
  const session = sessionOf(target.settings, usedPool)
  if (session) options.session = session
  else if (usedPool > 0) options.tls = poolOptions(usedPool)
  if (network.enforceHttp2 && isTls) options.protocol = 'http2'
  const check = permit(outbound, target.settings)
  return check ? check.then(() => fetch(outbound.url, options)) : fetch(outbound.url, options)
}

async function local(
  transport: (request: Request) => Promise<Response>,
  outbound: Outbound,
  headers: Record<string, string>,
  connection: Connection,
): Promise<Response> {
  const init: RequestInit = { method: outbound.method, headers, signal: connection.signal }
  if (outbound.body !== undefined) init.body = outbound.body
  const answered = transport(new Request(outbound.url, init))
  return await Promise.race([answered, aborted(connection.signal)])
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
  })
}

async function refusal(
  response: Response,
  target: Target,
  connection: Connection,
  credential: Secret | undefined,
): Promise<GatewayError> {
  const { status } = response
  // Only proxies answer so (RFC 9110 §15.5.8), and a caller's own `fetch` would take it for one of its own and throw.
  if (status === 407) {
    void response.body?.cancel().catch(() => undefined)
    return new GatewayError(
      'upstream_unreachable',
      `Provider '${target.settings.name}' could not be reached: the proxy on the way to it refused (HTTP status 407).`,
    )
  }
  // Beyond 599 there are no statuses, and no answer of ours may have one either.
  if (status < 400 || status > 599) {
    void response.body?.cancel().catch(() => undefined)
    return new GatewayError(
      'upstream_malformed',
      `Provider '${target.settings.name}' answered with HTTP status ${status}, which is no answer to this request.`,
    )
  }
  connection.enter('idle_timeout', errorBodyMs)
  const text = await boundedText(response, maxErrorBytes)
  // A refusal that stops half-way is still a refusal; only the caller's own departure says more.
  const { reason } = connection
  if (reason && reason.kind !== 'idle_timeout') return reason
  const body = redact(text, credential)
  const upstream = target.provider.parseError(status, body, plainHeaders(response.headers))
  const relayed = answerHeaders(plainHeaders(response.headers), target)
  return new GatewayError('upstream_error', upstream.message, { upstream, relayed })
}

/** The body as text, cut at `maxBytes` or where the connection broke. */
async function boundedText(response: Response, maxBytes: number): Promise<string> {
  if (!response.body) return ''
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  try {
    for await (const chunk of response.body) {
      size += chunk.byteLength
      text += decoder.decode(chunk, { stream: true })
      if (size >= maxBytes) break
    }
  } catch {
    // The status line has said what matters; what came of the body goes with it.
    return text
  }
  return text
}
