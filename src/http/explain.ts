import { Elysia } from 'elysia'

import { isRecord } from '#config/record.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { explain } from '#pipeline/explain.ts'

import { assertPlainPath } from './address.ts'
import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { requestId } from './intake.ts'
import { addOpenai, answerHead } from './openai.ts'
import { parseJson, readText, requireJson } from './read.ts'
import { respondError } from './respond.ts'

// What the gateway would do with a request: the same surface as for real ones, with a pipeline that sends nothing.

/** Answers the text of a described request with an explanation as JSON text. Throws a 400 for a description that is none. */
export type Explainer = (text: string) => Promise<string>

/** What the OpenAPI document says of a described request; `described` is what reads one. */
const requestSchema = {
  type: 'object' as const,
  required: ['path'],
  properties: {
    method: { type: 'string' as const, default: 'POST' },
    path: {
      type: 'string' as const,
      description: 'As a client would send it, such as /v1/chat/completions.',
    },
    headers: { type: 'object' as const, additionalProperties: { type: 'string' as const } },
    body: { description: 'JSON, or any other body as a string.' },
  },
}

/** `POST /api/explain`. */
export function explainSurface(gateway: Gateway): Elysia {
  let explainer: Explainer | undefined
  const app = new Elysia({ name: 'explain', normalize: false })
  app.post(
    '/api/explain',
    async ({ request }) => {
      const id = requestId(headersOf(request))
      try {
        const { client } = gateway.snapshot()
        if (client.explainEndpoint !== 'any') requireLocal(request, gateway)
        if (client.explainEndpoint === 'off') throw switchedOff()
        const headers = headersOf(request)
        requireJson(headers['content-type'])
        const text = await readText(request, headers, client.maxRequestBodyBytes)
        explainer ??= createExplainer(gateway)
        return new Response(await explainer(text), {
          headers: { 'content-type': 'application/json', 'x-request-id': id },
        })
      } catch (thrown) {
        const context = { provider: undefined, modelRequested: undefined, requestType: 'explain' }
        return respondError(toGatewayError(thrown), context, id)
      }
    },
    {
      parse: 'none',
      detail: {
        summary: 'What would be done with a request, and why; nothing is sent',
        tags: ['ops'],
        requestBody: { required: true, content: { 'application/json': { schema: requestSchema } } },
      },
    },
  )
  return app
}

function switchedOff(): GatewayError {
  return new GatewayError(
    'caller_forbidden',
    'This endpoint is switched off (client.explain_endpoint).',
  )
}

/** Explains requests to the OpenAI surface of a gateway. Its routes are made for the first one and kept, so keep it. */
export function createExplainer(gateway: Gateway): Explainer {
  const { services } = gateway
  // Nothing else of the gateway: whatever it may have besides, it is not for requests that are not real.
  const explaining: Gateway = {
    services,
    snapshot: () => gateway.snapshot(),
    perform: explain,
    patient() {},
  }
  let made: Elysia | undefined
  const surface = (): Elysia => {
    if (made) return made
    made = new Elysia({ normalize: false })
    addOpenai(made, explaining)
    return made
  }
  return async (text) => {
    const request = described(text)
    const isHead = request.method === 'HEAD'
    const response = await (isHead ? answerHead(explaining, request) : surface().fetch(request))
    const answer = await response.text()
    return response.ok ? answer : refused(response.status, answer)
  }
}

/** The gateway would refuse the request before it asks anybody: the envelope says why. */
function refused(status: number, answer: string): string {
  if (!answer.startsWith('{')) {
    throw new GatewayError('route_not_found', 'There is no such route below /openai.', {
      param: 'path',
    })
  }
  const { extra_fields, ...error } = JSON.parse(answer) as { extra_fields?: { trace?: unknown } }
  const trace = extra_fields?.trace ?? []
  return JSON.stringify({ object: 'explanation', refused: true, status, error, trace })
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
const bodiless = new Set(['GET', 'HEAD'])
const known = new Set(['method', 'path', 'headers', 'body'])
/** They are about the connection of a real request, or set here. */
const connectionOnly = /^(?:connection|content-encoding|content-length|host|transfer-encoding)$/
const maxPathLength = 8192

/** The request that `{method?, path, headers?, body?}` describes. */
function described(text: string): Request {
  const { value, scan } = parseJson(text)
  for (const name in value) {
    if (!known.has(name)) throw wrong(name.slice(0, 100), 'is not known here')
  }
  const { path, method = 'POST' } = value
  if (path === undefined) {
    throw new GatewayError('missing_parameter', "Missing required parameter: 'path'.", {
      param: 'path',
    })
  }
  if (typeof path !== 'string' || !/^\/[\x21-\x7e]*$/.test(path) || path.length > maxPathLength) {
    throw wrong('path', 'is a path as a client would send it, such as /v1/chat/completions')
  }
  if (typeof method !== 'string' || !methods.has(method)) {
    throw wrong('method', `is one of ${[...methods].join(', ')}`)
  }
  const [plain = ''] = path.split('?')
  assertPlainPath(plain)
  const place = scan.members.find(({ key }) => key === 'body')
  const written = place && text.slice(place.start, place.end)
  const body = written?.startsWith('"') ? (JSON.parse(written) as string) : written
  const headers = headersIn(value['headers'])
  const hasBody = body !== undefined && body !== 'null' && !bodiless.has(method)
  if (hasBody) {
    headers['content-type'] ??= 'application/json'
    headers['content-length'] = String(Buffer.byteLength(body))
  }
  headers['x-bf-explain'] = 'true'
  const prefix = /^\/openai(?:\/|$)/.test(plain) ? '' : '/openai'
  return new Request(`http://localhost${prefix}${path}`, {
    method,
    headers,
    ...(hasBody && { body }),
  })
}

function headersIn(given: unknown): Record<string, string> {
  const headers: Record<string, string> = {}
  if (given === undefined) return headers
  if (!isRecord(given)) throw wrong('headers', 'is an object of strings')
  for (const [name, value] of Object.entries(given)) {
    const isHeader = /^[\w!#$%&'*+.^`|~-]+$/.test(name) && typeof value === 'string'
    if (!isHeader || !/^[\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw wrong('headers', 'is an object of strings that can be headers')
    }
    const lower = name.toLowerCase()
    if (!connectionOnly.test(lower)) headers[lower] = value
  }
  return headers
}

function wrong(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `'${param}' ${what}.`, { param })
}
