// An OpenAI-compatible provider inside the process: the built-in provider `mock`, the server behind
// `asbru mock`, and the upstream of the tests. Answers are the same for the same request, ids and
// timestamps aside.

import { ENDPOINTS } from '#core/endpoint.ts'

import { type Answer, failure, MockFailure } from './answer.ts'
import { type DialectRequest, findDialect, type MockDialect } from './dialects.ts'
import { ENDPOINT_HANDLERS } from './endpoints.ts'
import { type Faults, FaultSyntaxError, parseFaults } from './faults.ts'
import { newMemory } from './memory.ts'
import type { MockRequest } from './request.ts'
import { findRoute, type Route } from './route.ts'
import { send, spoil } from './send.ts'
import { isRecord, record } from './wire.ts'

/** How a mock differs from the usual one. */
export interface MockOptions {
  /** Happen to every answer; a request's own faults are added on top. */
  readonly faults?: Faults
  /** How many things of each kind are remembered; 1000 when absent. */
  readonly maxItems?: number
  /** How many bytes of each kind are remembered; 64 MiB when absent. */
  readonly maxBytes?: number
}

/** A provider that answers any OpenAI request; its promise rejects only when the request's signal aborts. */
export type Mock = (request: Request) => Promise<Response>

const noFaults: Faults = Object.freeze({})
const noFiles: ReadonlyMap<string, File> = new Map()
const noBody: Readonly<Record<string, unknown>> = Object.freeze({})

/** A new provider with a memory of its own. Paths work with and without a leading `/v1`. */
export function createMock(options: MockOptions = {}): Mock {
  const memory = newMemory(options)
  const always = options.faults ?? noFaults

  /** Everything an endpoint needs, worked out from what the caller sent. */
  function prepare(sent: Sent): MockRequest {
    const { route, query, body, files, ownFaults } = sent
    const model = modelOf(body, route)
    const mark = model.indexOf('!')
    const behaviour = mark === -1 ? model : model.slice(0, mark)
    const modelFaults = mark === -1 ? noFaults : readFaults(model.slice(mark + 1), 'model')
    return {
      ...route,
      query,
      body,
      files,
      model,
      behaviour,
      stream: wantsStream(body, query),
      faults: { ...always, ...modelFaults, ...ownFaults },
      memory,
      now: Math.floor(Date.now() / 1000),
      run: (path, inner) => runInner(path, inner, ownFaults),
    }
  }

  async function runInner(path: string, inner: unknown, ownFaults: Faults): Promise<Answer> {
    try {
      const route = routeOf('POST', path)
      const query = new URLSearchParams()
      const request = prepare({ route, query, body: record(inner), files: noFiles, ownFaults })
      return spoil(await answerTo(request), request.faults)
    } catch (error) {
      return failureOf(error)
    }
  }

  return async function mock(request) {
    request.signal.throwIfAborted()
    let faults = always
    let answer: Answer
    let dialect: MockDialect | undefined
    try {
      const url = new URL(request.url)
      const own = request.headers.get('x-mock-fault')
      const ownFaults = own === null ? noFaults : readFaults(own, 'x-mock-fault')
      faults = { ...always, ...ownFaults }
      const foreign = await readForeign(request, url)
      if (foreign) {
        dialect = foreign.dialect
        const mark = foreign.model.indexOf('!')
        const behaviour = mark === -1 ? foreign.model : foreign.model.slice(0, mark)
        const modelFaults =
          mark === -1 ? noFaults : readFaults(foreign.model.slice(mark + 1), 'model')
        faults = { ...always, ...modelFaults, ...ownFaults }
        const now = Math.floor(Date.now() / 1000)
        if (behaviour === 'missing') throw noSuchModel(behaviour)
        return await send(
          dialect.answer({ ...foreign, behaviour, faults, now }),
          faults,
          request.signal,
          dialect,
        )
      }
      const route = routeOf(request.method, url.pathname)
      const { body, files } = await readBody(request, route)
      const prepared = prepare({ route, query: url.searchParams, body, files, ownFaults })
      faults = prepared.faults
      answer = await answerTo(prepared)
    } catch (error) {
      if (!(error instanceof MockFailure)) throw error
      answer = dialect ? dialect.failure(error.problem) : failure(error.problem)
    }
    return send(answer, faults, request.signal, dialect)
  }
}

interface Sent {
  readonly route: Route
  readonly query: URLSearchParams
  readonly body: MockRequest['body']
  readonly files: MockRequest['files']
  readonly ownFaults: Faults
}

function answerTo(request: MockRequest): Answer | Promise<Answer> {
  if (request.behaviour === 'missing') throw noSuchModel(request.behaviour)
  return ENDPOINT_HANDLERS[request.endpoint](request)
}

function failureOf(error: unknown): Answer {
  if (error instanceof MockFailure) return failure(error.problem)
  throw error
}

/** What stands before OpenAI's paths at the places that have them. */
const openaiHome =
  /^(?:\/v1\/projects\/.*\/endpoints\/openapi|\/openai\/deployments\/[^/]+|\/openai\/v1|\/openai|\/v1)(?=\/)/

function routeOf(method: string, pathname: string): Route {
  const path = pathname.replace(openaiHome, '')
  const route = findRoute(method, path)
  if (route) return route
  throw new MockFailure({
    status: 404,
    message: `Invalid URL (${method} ${pathname})`,
    code: 'unknown_url',
  })
}

function readFaults(text: string, param: string): Faults {
  try {
    return parseFaults(text)
  } catch (error) {
    if (!(error instanceof FaultSyntaxError)) throw error
    throw new MockFailure({ status: 400, message: error.message, param, code: 'invalid_fault' })
  }
}

/** A request in another vendor's dialect; undefined for OpenAI's own, whose body is then still unread. */
async function readForeign(
  request: Request,
  url: URL,
): Promise<
  (Omit<DialectRequest, 'behaviour' | 'faults' | 'now'> & { dialect: MockDialect }) | undefined
> {
  const { method, headers } = request
  const { pathname, searchParams } = url
  if (!findDialect(method, pathname, noBody, searchParams)) return undefined
  const text = method === 'GET' ? '' : await request.text()
  const body = text === '' ? noBody : record(parseJson(text))
  const { dialect, model } = findDialect(method, pathname, body, searchParams)!
  return { dialect, model, method, pathname, query: searchParams, headers, body, text }
}

interface ReadBody {
  readonly body: Readonly<Record<string, unknown>>
  readonly files: ReadonlyMap<string, File>
}

async function readBody(request: Request, route: Route): Promise<ReadBody> {
  const expected = ENDPOINTS[route.endpoint].body
  if (expected === 'none') return { body: noBody, files: noFiles }
  const type = request.headers.get('content-type') ?? ''
  if (type.startsWith('multipart/form-data')) return readForm(request)
  if (expected === 'multipart') {
    throw new MockFailure({ status: 400, message: `Expected multipart/form-data, not '${type}'.` })
  }
  const text = await request.text()
  // Cancelling or completing something needs no body.
  if (text === '') return { body: noBody, files: noFiles }
  const value = parseJson(text)
  if (!isRecord(value) || Array.isArray(value)) {
    throw new MockFailure({ status: 400, message: 'The body must be a JSON object.' })
  }
  return { body: value, files: noFiles }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new MockFailure({
      status: 400,
      message: 'We could not parse the JSON body of your request.',
      code: 'invalid_json',
    })
  }
}

async function readForm(request: Request): Promise<ReadBody> {
  const body: Record<string, unknown> = {}
  const files = new Map<string, File>()
  for (const [name, value] of await formEntries(request)) {
    if (typeof value === 'string') body[name] = value
    else files.set(name, value)
  }
  return { body, files }
}

async function formEntries(request: Request): Promise<Iterable<[string, string | File]>> {
  try {
    return (await request.formData()).entries() as Iterable<[string, string | File]>
  } catch (error) {
    request.signal.throwIfAborted()
    throw new MockFailure({ status: 400, message: `Malformed form: ${String(error)}` })
  }
}

function modelOf(body: Readonly<Record<string, unknown>>, route: Route): string {
  if (typeof body.model === 'string' && body.model !== '') return body.model
  if (route.params.model !== undefined) return route.params.model
  if (ENDPOINTS[route.endpoint].model !== 'required') return 'echo'
  if (body.model === undefined || body.model === '') {
    throw new MockFailure({
      status: 400,
      message: 'you must provide a model parameter',
      param: 'model',
      code: 'missing_required_parameter',
    })
  }
  throw new MockFailure({
    status: 400,
    message: `Invalid type for 'model': expected a string.`,
    param: 'model',
    code: 'invalid_type',
  })
}

function noSuchModel(model: string): MockFailure {
  return new MockFailure({
    status: 404,
    message: `The model '${model}' does not exist or you do not have access to it.`,
    param: 'model',
    code: 'model_not_found',
  })
}

function wantsStream(body: Readonly<Record<string, unknown>>, query: URLSearchParams): boolean {
  const asked = body.stream ?? query.get('stream') ?? false
  return asked === true || asked === 'true' || body.stream_format === 'sse'
}
