import type { Snapshot } from '#config/snapshot.ts'
import type { Body, Call, FormPart } from '#core/call.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { Cohort } from '#lib/cohort.ts'
import { newId } from '#lib/id.ts'
import { checkModel, checkRequest } from '#openai/check.ts'
import { addField, isForm, partText, readForm } from '#openai/multipart.ts'
import { FORM_FIELDS, OPTIONAL_BODIES } from '#openai/schemas.ts'

import { address, assertPlainPath, fromProblem, readFallbacks } from './address.ts'
import { readCaller } from './caller.ts'
import { headersOf } from './headers.ts'
import { parseJson, readBytes, readText, requireJson } from './read.ts'
import { bodyAsksForStream, formAsksForStream, queryAsksForStream } from './streamed.ts'
import { pathOf, queryOf } from './target.ts'

const arrivals = new Cohort()

/** What is known of a request before its body has been read; errors are reported with it. */
export interface Arrival {
  readonly id: string
  readonly request: Request
  readonly headers: Readonly<Record<string, string>>
  readonly startedAt: number
  /** The path below the surface's prefix, as the caller wrote it. */
  readonly path: string
  /** With its `?`, or empty. */
  readonly query: string
  /** The query's `api-version`, which is no part of `query`. */
  readonly apiVersion?: string | undefined
  /** Whose request it is, where that is known already. */
  readonly virtualKeyId?: string | undefined
  /** It was let in before, when it had all its headers. */
  readonly wasAdmitted?: boolean | undefined
  /** As the caller wrote it, once the body has been read: a refusal after that is told with it. */
  model?: string | undefined
}

/** Fields of a form that speak to the gateway, and that no provider knows. */
const gatewayFields = new Set(['provider', 'fallbacks'])

const idPattern = /^[\w.:-]{1,128}$/

/** The caller's own `x-request-id` when it is a plain token, or a new one. */
export function requestId({ 'x-request-id': own }: Readonly<Record<string, string>>): string {
  return own !== undefined && idPattern.test(own) ? own : newId()
}

/** Takes note of a request. The caller's `x-request-id` is kept when it is a plain token. */
export function arrive(request: Request, prefixLength: number): Arrival {
  const headers = headersOf(request)
  const { url } = request
  const query = queryOf(url)
  const apiVersion = query.includes(versionParam) ? versionIn(query) : undefined
  return {
    id: requestId(headers),
    request,
    headers,
    startedAt: performance.now(),
    path: pathOf(url).slice(prefixLength),
    query: apiVersion === undefined ? query : withoutApiVersion(query),
    apiVersion,
    model: undefined,
  }
}

const versionParam = 'api-version='

function versionIn(query: string): string | undefined {
  return new URLSearchParams(query).get('api-version') ?? undefined
}

/** Azure's SDKs add `api-version` to every path; the versionless paths that are sent upstream refuse it. */
function withoutApiVersion(query: string): string {
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !pair.startsWith(versionParam))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

/** Whether the caller wants to be told every decision. */
export function isExplained(headers: Readonly<Record<string, string>>): boolean {
  return headers['x-bf-explain'] === 'true'
}

/** What the route says beyond the request itself. */
export interface RouteHints {
  /** `provider/model` named by the path, which wins over the body's. */
  readonly model?: string
  /** For calls that name no provider. */
  readonly defaultProvider: string
}

/**
 * Reads, validates and addresses a request of a known endpoint. Throws `GatewayError` of a 4xx kind, with the
 * offending parameter where it is known; nothing has been sent anywhere by then.
 */
export async function takeIn(
  endpoint: KnownEndpoint,
  arrival: Arrival,
  hints: RouteHints,
  snapshot: Snapshot,
): Promise<Call> {
  await arrivals.join()
  const { headers, request } = arrival
  const caller = readCaller(headers, snapshot, arrival)
  const facts: EndpointFacts = ENDPOINTS[endpoint]
  assertPlainPath(arrival.path)
  const maxBytes = snapshot.client.maxRequestBodyBytes
  const reading = await readBody(endpoint, facts, arrival, maxBytes, hints.model)
  arrival.model = hints.model ?? reading.model
  const addressed = address(
    facts,
    {
      path: arrival.path,
      query: arrival.query,
      headers,
      model: hints.model ?? reading.model,
      provider: reading.provider,
      defaultProvider: hints.defaultProvider,
    },
    snapshot,
  )
  const { fallbacks, hasOwnFallbacks } = readFallbacks(
    reading.body,
    addressed,
    snapshot,
    reading.fallbacks,
  )
  // Named one by one: spreading objects into a literal costs more than all that is read here.
  return {
    id: arrival.id,
    endpoint,
    method: facts.method,
    path: addressed.path,
    query: addressed.query,
    modelRequested: addressed.modelRequested,
    provider: addressed.provider,
    model: addressed.model,
    namesNoProvider: addressed.namesNoProvider,
    usualProvider: hints.defaultProvider,
    fallbacks,
    hasOwnFallbacks,
    body: reading.body,
    stream: reading.stream || queryAsksForStream(endpoint, arrival.query),
    wantsUsage: reading.wantsUsage,
    caller,
    headers,
    origin: request,
    signal: request.signal,
    startedAt: arrival.startedAt,
    trace: new Trace(arrival.startedAt, isExplained(headers)),
  }
}

interface Reading {
  readonly body: Body
  readonly model: string | undefined
  /** Named by the body, for operations that have no model. */
  readonly provider: string | undefined
  readonly stream: boolean
  readonly wantsUsage: boolean
  /** Of a form; those of JSON are in the body. */
  readonly fallbacks?: readonly string[] | undefined
}

const nothing: Reading = {
  body: { kind: 'none' },
  model: undefined,
  provider: undefined,
  stream: false,
  wantsUsage: false,
}

function readBody(
  endpoint: KnownEndpoint,
  facts: EndpointFacts,
  arrival: Arrival,
  maxBytes: number,
  pathModel: string | undefined,
): Reading | Promise<Reading> {
  if (facts.body === 'none') return nothing
  const { headers, request } = arrival
  const contentType = headers['content-type']
  if (facts.body === 'multipart' && !isForm(contentType)) throw formExpected(contentType)
  if (isForm(contentType) && facts.body !== 'json') {
    return readBytes(request, headers, maxBytes).then((bytes) =>
      readFormBody(endpoint, bytes, contentType, pathModel),
    )
  }
  requireJsonOrNothing(endpoint, contentType, headers)
  return readText(request, headers, maxBytes).then((written) => {
    if (written === '' && OPTIONAL_BODIES.has(endpoint)) return nothing
    const body = parseJson(written)
    arrival.model = pathModel ?? text(body.value['model'])
    return readJsonBody(endpoint, body, pathModel)
  })
}

function requireJsonOrNothing(
  endpoint: KnownEndpoint,
  contentType: string | undefined,
  headers: Readonly<Record<string, string>>,
): void {
  const isEmpty = headers['content-length'] === '0' || headers['content-length'] === undefined
  if (isEmpty && OPTIONAL_BODIES.has(endpoint)) return
  requireJson(contentType)
}

function formExpected(contentType: string | undefined): GatewayError {
  const got = contentType === undefined ? 'none was sent' : `got '${contentType.slice(0, 100)}'`
  return new GatewayError(
    'unsupported_media_type',
    `This operation takes Content-Type multipart/form-data; ${got}.`,
  )
}

function readJsonBody(
  endpoint: KnownEndpoint,
  body: Body & { kind: 'json' },
  pathModel: string | undefined,
): Reading {
  const { value } = body
  const checked = pathModel === undefined ? value : { ...value, model: pathModel }
  const problem = checkRequest(endpoint, checked)
  if (problem) throw fromProblem(problem)
  const streamOptions = value['stream_options'] as { include_usage?: unknown } | null | undefined
  return {
    body,
    model: text(value['model']),
    provider: text(value['provider']),
    stream: bodyAsksForStream(endpoint, value),
    wantsUsage: streamOptions?.include_usage === true,
  }
}

function readFormBody(
  endpoint: KnownEndpoint,
  bytes: Uint8Array<ArrayBuffer>,
  contentType: string,
  pathModel: string | undefined,
): Reading {
  const parts = readForm(bytes, contentType)
  for (const field of FORM_FIELDS[endpoint] ?? []) {
    if (!field.required || (field.name === 'model' && pathModel !== undefined)) continue
    if (!parts.some(({ name }) => name === field.name)) {
      throw new GatewayError('missing_parameter', `Missing required parameter: '${field.name}'.`, {
        param: field.name,
      })
    }
  }
  // Some readers of forms take no notice of case.
  const duplicate = ['model', 'provider', 'stream'].find(
    (name) => parts.filter((part) => part.name.toLowerCase() === name).length > 1,
  )
  if (duplicate !== undefined) {
    throw new GatewayError('duplicate_key', `The form has '${duplicate}' twice.`, {
      param: duplicate,
    })
  }
  const find = (name: string): FormPart | undefined => {
    const found = parts.find((part) => part.name === name)
    if (found?.isFile) {
      throw new GatewayError('invalid_request', `'${name}' is text, not a file.`, { param: name })
    }
    return found
  }
  const read = (part: FormPart | undefined): string | undefined => part && partText(bytes, part)
  const model = find('model')
  const provider = find('provider')
  if (model) {
    const problem = checkModel(partText(bytes, model))
    if (problem) throw fromProblem(problem)
  } else if (pathModel !== undefined) {
    // The provider looks for the model in the form, so that is where it has to be.
    const withModel = addField(bytes, contentType, 'model', pathModel)
    return readFormBody(endpoint, withModel, contentType, pathModel)
  }
  return {
    body: {
      kind: 'bytes',
      bytes,
      contentType,
      parts,
      model: model && { start: model.contentStart, end: model.contentEnd },
      cuts: parts.filter(({ name }) => gatewayFields.has(name)),
    },
    model: read(model),
    provider: read(provider),
    stream: formAsksForStream(endpoint, read(find('stream'))),
    wantsUsage: false,
    fallbacks: formFallbacks(bytes, parts),
  }
}

/** One name in each field `fallbacks`. Throws 400 for what cannot be a model's name. */
function formFallbacks(
  bytes: Uint8Array<ArrayBuffer>,
  parts: readonly FormPart[],
): readonly string[] | undefined {
  const own = parts.filter(({ name, isFile }) => name === 'fallbacks' && !isFile)
  if (own.length === 0) return undefined
  const names = own.map((part) => partText(bytes, part)).filter((name) => name !== '')
  const problem = names.map(checkModel).find((found) => found !== undefined)
  if (problem) throw fromProblem({ ...problem, param: 'fallbacks' })
  return names
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
