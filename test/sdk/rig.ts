import { APIError, type ClientOptions, OpenAI } from 'openai'

import { startGateway } from '../helpers/gateway.ts'
import { type RecordedRequest, startUpstream } from '../helpers/upstream.ts'

// The official SDK → the gateway → a fake upstream with scripted answers. What goes in and what comes
// out of the gateway is recorded, so a test can compare the two.

/** One request as it looked on the wire: path and query undecoded. */
export type Wire = Pick<RecordedRequest, 'method' | 'path' | 'query' | 'headers' | 'body'>

export type Answer = (request: Request) => Response | Promise<Response>

export interface AnswerInit {
  readonly status?: number
  readonly headers?: Record<string, string>
}

export interface Rig {
  /** Of the gateway, without a path. */
  readonly url: string
  /** What the SDK sent to the gateway, oldest first. */
  readonly sent: Wire[]
  /** What the gateway sent to the upstream, oldest first. */
  readonly received: readonly RecordedRequest[]
  /** Forgets both lists and answers the coming requests: one answer each, the last one for all that follow. */
  answers(...answers: [Answer, ...Answer[]]): void
  /** A client of the gateway that does not retry; `baseURL` defaults to `/openai/v1`. */
  client(options?: ClientOptions): OpenAI
  /** What `client` fetches with, for other clients. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>
  /** The gateway's log lines so far, at level debug. */
  readonly logs: readonly object[]
  stop(): Promise<void>
}

export const CLIENT_KEY = 'sk-client-dummy-0123456789'
export const ADMIN_KEY = 'sk-admin-dummy-0123456789'
export const PROVIDER_KEY = 'sk-provider-real-0123456789'

/** More requests than any test makes. */
const ENOUGH = 100

/**
 * An upstream on a free port and a gateway whose `openai` provider it is.
 * `others` gives more providers, for the upstream's address.
 */
export async function startRig(others?: (upstreamUrl: string) => object): Promise<Rig> {
  const sent: Wire[] = []
  const upstream = await startUpstream()
  const openai = {
    keys: [{ name: 'rig', value: PROVIDER_KEY, models: ['*'], weight: 1 }],
    network_config: { base_url: upstream.url, allow_private_network: true },
  }
  const gateway = await startGateway({
    config: { providers: { openai, ...others?.(upstream.url) } },
  })

  const forward = async (input: string | URL | Request, init?: RequestInit) => {
    const request = new Request(input as string, init)
    const wire = await record(request)
    sent.push(wire)
    return fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: wire.body.length > 0 ? wire.body : undefined,
      signal: request.signal,
    })
  }
  // With `Response` at hand the SDK does not probe the function with a request for `data:,`.
  const recordingFetch = Object.assign(forward, { Response })

  return {
    url: gateway.url,
    sent,
    received: upstream.requests,
    fetch: recordingFetch,
    logs: gateway.logs,
    answers(...answers) {
      sent.length = 0
      upstream.clear()
      const last = answers.at(-1) as Answer
      upstream.reply([...answers, ...Array.from({ length: ENOUGH }, () => last)])
    },
    client: (options) =>
      new OpenAI({
        apiKey: CLIENT_KEY,
        adminAPIKey: ADMIN_KEY,
        baseURL: `${gateway.url}/openai/v1`,
        maxRetries: 0,
        fetch: recordingFetch,
        ...options,
      }),
    async stop() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

/** An answer with a JSON text exactly as written. */
export function jsonText(text: string, { status = 200, headers = {} }: AnswerInit = {}): Answer {
  return () =>
    new Response(text, { status, headers: { 'content-type': 'application/json', ...headers } })
}

export function json(value: unknown, init?: AnswerInit): Answer {
  return jsonText(JSON.stringify(value), init)
}

/** Server-sent events: strings go as they are, objects as one `data:` line, named when they carry a `type`. */
export function events(...items: (string | object)[]): Answer {
  const init = { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }
  return () => new Response(eventsText(items), init)
}

export const DONE = 'data: [DONE]\n\n'

/** A stream that says its items and then stays silent until the other side leaves. */
export function eventsThenSilence(...items: (string | object)[]): Answer {
  return () => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(eventsText(items))),
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
}

/** What a call was rejected with. (The SDK's promises are lazy, which `expect(…).rejects` cannot know.) */
export async function failureOf(call: PromiseLike<unknown>): Promise<APIError> {
  try {
    await call
  } catch (error) {
    if (error instanceof APIError) return error
    throw error
  }
  throw new Error('the call did not fail')
}

/** A multipart body's fields in order, with files as name, type and the hex of their bytes. */
export async function fieldsOf(wire: Wire): Promise<[string, string][]> {
  const type = wire.headers.get('content-type') ?? ''
  const form = await new Response(wire.body, { headers: { 'content-type': type } }).formData()
  const fields: [string, string][] = []
  for (const [name, value] of form.entries()) fields.push([name, await fieldText(value)])
  return fields
}

async function fieldText(value: string | Blob): Promise<string> {
  if (typeof value === 'string') return value
  const name = value instanceof File ? value.name : ''
  return `${name} (${value.type}) ${Buffer.from(await value.arrayBuffer()).toString('hex')}`
}

function eventsText(items: readonly (string | object)[]): string {
  return items.map((item) => (typeof item === 'string' ? item : eventText(item))).join('')
}

function eventText(item: object): string {
  const name = 'type' in item ? `event: ${String(item.type)}\n` : ''
  return `${name}data: ${JSON.stringify(item)}\n\n`
}

async function record(request: Request): Promise<Wire> {
  const [, target = '/'] = /^https?:\/\/[^/]*(.*)$/.exec(request.url) ?? []
  const mark = target.indexOf('?')
  return {
    method: request.method,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark),
    headers: request.headers,
    body: new Uint8Array(await request.arrayBuffer()),
  }
}
