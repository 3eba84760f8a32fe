import type { Elysia } from 'elysia'

import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { ENDPOINTS, requestType } from '#core/endpoint.ts'
import type { Endpoint, EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { run } from '#pipeline/run.ts'

import { assertPlainPath, knownProvider, providerFromQuery } from './address.ts'
import { answerAsync, refuseJob, speaksOfJob } from './async.ts'
import { defaultProvider, DEPLOYMENT_PROVIDER, readDeployment } from './azure.ts'
import { readCaller } from './caller.ts'
import { describeOperation } from './document.ts'
import type { Gateway } from './gateway.ts'
import { mayGoAhead, respondHeld } from './hold.ts'
import { arrive, isExplained, takeIn } from './intake.ts'
import type { Arrival, RouteHints } from './intake.ts'
import { listModels } from './models.ts'
import { readBytes } from './read.ts'
import { noteAnswer, noteRefusal } from './refusal.ts'
import { respond, respondError } from './respond.ts'
import { pathOf } from './target.ts'

/** The same routes answer under all of these; the doubled ones are for SDKs that add `/openai` themselves. */
const prefixes = ['/openai', '/openai/v1', '/openai/openai', '/openai/openai/v1'] as const

/** For SDKs whose endpoint is `/openai`, and for those whose endpoint is the gateway itself. */
const deploymentPrefixes = ['/openai/openai/deployments', '/openai/deployments'] as const

/**
 * Adds the OpenAI surface: every endpoint of the table, the paths of deployments, and a door for everything else. To the
 * app itself: what an app takes over from another one, route by route, takes as long as making it.
 */
export function addOpenai(app: Elysia, gateway: Gateway): void {
  for (const prefix of prefixes) {
    for (const [name, facts] of Object.entries<EndpointFacts>(ENDPOINTS)) {
      const endpoint = name as KnownEndpoint
      const path = prefix + elysiaPath(facts.path)
      const handle = handlerOf(gateway, endpoint, prefix.length)
      const hidden = prefix !== '/openai/v1'
      const detail = describeOperation(endpoint, facts, hidden)
      // The body is read and validated by `takeIn`, once, keeping its text; Elysia would parse and copy it.
      app.route(facts.method, path, handle, { parse: 'none', detail })
    }
  }
  for (const prefix of deploymentPrefixes) {
    app.post(`${prefix}/*`, ({ request }) => serveDeployment(gateway, request, prefix.length), {
      parse: 'none',
      detail: { hide: true },
    })
  }
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'] as const) {
    for (const prefix of prefixes) {
      app.route(
        method,
        `${prefix}/*`,
        ({ request }) => passThrough(gateway, request, prefix.length),
        {
          parse: 'none',
          detail: { hide: true },
        },
      )
    }
  }
}

function handlerOf(
  gateway: Gateway,
  endpoint: KnownEndpoint,
  prefixLength: number,
): (context: { request: Request }) => Promise<Response> {
  if (endpoint === 'list_models') {
    return ({ request }) => models(gateway, request, prefixLength)
  }
  // Elysia answers HEAD by doing all that GET does; the provider knows better how much of that is needed.
  return ({ request }) =>
    request.method === 'HEAD'
      ? passThrough(gateway, request, prefixLength)
      : serve(gateway, endpoint, request, prefixLength)
}

/**
 * What a HEAD of any route comes to, with the body that `gateway.perform` may have for it: over HTTP an answer to HEAD
 * has none.
 */
export function answerHead(gateway: Gateway, request: Request): Promise<Response> {
  const path = pathOf(request.url)
  const { length } = prefixes.findLast((prefix) => path.startsWith(`${prefix}/`)) ?? prefixes[0]
  return path.slice(length) === ENDPOINTS.list_models.path
    ? models(gateway, request, length)
    : passThrough(gateway, request, length)
}

/** A call for each provider comes of it, or none. */
async function models(gateway: Gateway, request: Request, prefixLength: number): Promise<Response> {
  const arrival = arrive(request, prefixLength)
  const response = await listModels(gateway, arrival)
  noteAnswer(gateway, arrival, 'list_models', response.status)
  return response
}

function elysiaPath(path: string): string {
  return path.replace(/\{\w+\.\.\.\}/g, '*').replace(/\{(\w+)\}/g, ':$1')
}

function serve(
  gateway: Gateway,
  endpoint: KnownEndpoint,
  request: Request,
  prefixLength: number,
): Promise<Response> {
  const arrival = arrive(request, prefixLength)
  return answer(gateway, endpoint, arrival, {
    defaultProvider: defaultProvider(arrival.headers['user-agent']),
  })
}

function serveDeployment(
  gateway: Gateway,
  request: Request,
  prefixLength: number,
): Promise<Response> {
  const arrival = arrive(request, prefixLength)
  const target = readDeployment(arrival.path)
  if (target instanceof Error) {
    noteAnswer(gateway, arrival, 'unknown', target.status)
    noteRefusal(gateway, arrival, 'unknown', target)
    return Promise.resolve(
      respondError(
        target,
        { provider: DEPLOYMENT_PROVIDER, modelRequested: undefined, requestType: 'unknown' },
        arrival.id,
      ),
    )
  }
  const { endpoint, path, model } = target
  // The version belongs to the path style; what is sent upstream is the versionless form.
  return answer(
    gateway,
    endpoint,
    { ...arrival, path, query: '' },
    { model, defaultProvider: DEPLOYMENT_PROVIDER },
  )
}

async function answer(
  gateway: Gateway,
  endpoint: KnownEndpoint,
  arrival: Arrival,
  hints: RouteHints,
): Promise<Response> {
  const snapshot = gateway.snapshot()
  let call: Call | undefined
  try {
    // Whoever only explains calls submits none.
    if (speaksOfJob(arrival.headers) && !gateway.perform) {
      const ofJob = await answerAsync(gateway, endpoint, arrival, hints)
      if (ofJob) {
        noteAnswer(gateway, arrival, endpoint, ofJob.status)
        return ofJob
      }
    }
    call = await takeIn(endpoint, arrival, hints, snapshot)
    gateway.patient(arrival.request)
    const { perform, services } = gateway
    if (mayGoAhead(call) && !perform) {
      return await respondHeld(call, run(call, snapshot, services), snapshot.client)
    }
    return respond(call, await (perform ?? run)(call, snapshot, services))
  } catch (thrown) {
    return failed(gateway, thrown, endpoint, arrival, call)
  }
}

async function passThrough(
  gateway: Gateway,
  request: Request,
  prefixLength: number,
): Promise<Response> {
  const arrival = arrive(request, prefixLength)
  const snapshot = gateway.snapshot()
  let call: Call | undefined
  try {
    if (/^(?:\/v1)?\/?$/.test(arrival.path)) {
      throw new GatewayError('route_not_found', `There is no operation at ${pathOf(request.url)}.`)
    }
    assertPlainPath(arrival.path)
    const { provider, query } = providerFromQuery(arrival)
    const { headers } = arrival
    if (speaksOfJob(headers)) refuseJob()
    const body = await passedBody(arrival, snapshot)
    gateway.patient(request)
    call = {
      id: arrival.id,
      endpoint: 'passthrough',
      method: request.method,
      path: arrival.path,
      query,
      body,
      modelRequested: undefined,
      provider: knownProvider(provider, snapshot) ?? defaultProvider(headers['user-agent']),
      model: undefined,
      stream: false,
      wantsUsage: false,
      caller: readCaller(headers, snapshot),
      headers,
      origin: request,
      signal: request.signal,
      startedAt: arrival.startedAt,
      trace: new Trace(arrival.startedAt, isExplained(headers)),
    }
    return respond(call, await (gateway.perform ?? run)(call, snapshot, gateway.services))
  } catch (thrown) {
    return failed(gateway, thrown, 'passthrough', arrival, call)
  }
}

async function passedBody(arrival: Arrival, snapshot: Snapshot): Promise<Call['body']> {
  const { request, headers } = arrival
  if (!request.body) return { kind: 'none' }
  const bytes = await readBytes(request, headers, snapshot.client.maxRequestBodyBytes)
  const contentType = headers['content-type'] ?? 'application/octet-stream'
  return bytes.length === 0 ? { kind: 'none' } : { kind: 'bytes', bytes, contentType }
}

function failed(
  gateway: Gateway,
  thrown: unknown,
  endpoint: Endpoint,
  arrival: Arrival,
  call: Call | undefined,
): Response {
  const error = toGatewayError(thrown)
  if (!call) {
    noteAnswer(gateway, arrival, endpoint, error.status)
    noteRefusal(gateway, arrival, endpoint, error)
  }
  return respondError(
    error,
    {
      provider: call?.provider,
      modelRequested: call?.modelRequested,
      requestType: requestType(endpoint, call?.stream ?? false),
      trace: call?.trace ?? unparsed(arrival),
    },
    arrival.id,
  )
}

/** The trace of a request that was refused before it became a call. */
function unparsed({ headers, startedAt }: Arrival): Trace | undefined {
  if (!isExplained(headers)) return undefined
  const trace = new Trace(startedAt, true)
  trace.add('parse', 'refused before it went anywhere')
  return trace
}
