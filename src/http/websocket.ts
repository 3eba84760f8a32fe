import type { Server, ServerWebSocket } from 'bun'

import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import { Trace } from '#core/trace.ts'
import { checkModel } from '#openai/check.ts'
import { createRelay } from '#pipeline/relay-socket.ts'
import type { SocketRelay } from '#pipeline/relay-socket.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { fromProblem } from './address.ts'
import { defaultProvider, DEPLOYMENT_PROVIDER } from './azure.ts'
import { readCaller } from './caller.ts'
import type { Gateway } from './gateway.ts'
import { arrive } from './intake.ts'
import type { Arrival } from './intake.ts'
import { parseModel } from './model.ts'
import { noteAnswer, noteRefusal } from './refusal.ts'
import { respondError } from './respond.ts'

/** What Bun keeps with a caller's socket. */
export type RelayData = {
  open(socket: ServerWebSocket<RelayData>): void
  message(message: string | Buffer): void
  drain(): void
  close(code: number, reason: string): void
}

/** The sockets of the OpenAI API: `/realtime`, `/responses`, `/live/sessions` and what lies below them. */
const path = /^\/openai(?:\/openai)?(?:\/v1)?(\/(?:realtime|responses|live)(?:\/[\w.~-]+)*)$/

/** Read here, or the caller's key, which some SDKs have put into the address. */
const notSent = /^(?:provider|deployment|api-key|authorization)$/i

/**
 * Upgrades a caller's WebSocket on `/realtime` or `/responses` once the provider's has opened, so that a refusal
 * by the provider is an HTTP answer and not a socket that closes.
 */
export async function openRelay(
  request: Request,
  server: Server<RelayData>,
  gateway: Gateway,
  log: Logger,
): Promise<Response | undefined> {
  const arrival = arrive(request, 0)
  const endpoint = path.exec(arrival.path)?.[1]
  const requestType = endpoint === '/responses' ? 'websocket_responses' : 'realtime'
  let relay: SocketRelay | undefined
  let isCall = false
  try {
    if (endpoint === undefined) {
      throw new GatewayError('route_not_found', `There is no WebSocket at ${arrival.path}.`)
    }
    // Before the provider hears of it.
    if (!isHandshake(request.method, arrival.headers)) throw noHandshake()
    const call = toCall(arrival, endpoint, requestType, gateway)
    isCall = true
    relay = await createRelay(call, gateway.snapshot(), gateway.services)
    const { protocol } = relay
    const opened = relay
    const upgraded = server.upgrade(request, {
      data: {
        open: (socket) => opened.attach(socket),
        message: (message) => opened.fromCaller(message),
        drain: () => opened.drained(),
        close: (code, reason) => opened.callerClosed(code, reason),
      },
      headers: {
        'x-request-id': arrival.id,
        ...(protocol !== '' && { 'sec-websocket-protocol': protocol }),
      },
    })
    if (upgraded) return undefined
    throw noHandshake()
  } catch (thrown) {
    relay?.callerClosed(1001, 'the caller left')
    const error = toGatewayError(thrown)
    if (!isCall) {
      noteRefusal(gateway, arrival, requestType, error)
      noteAnswer(gateway, arrival, requestType, error.status)
    }
    if (error.kind === 'internal') log.error('a WebSocket could not be opened', { cause: thrown })
    const context = { provider: undefined, modelRequested: undefined, requestType }
    return respondError(error, context, arrival.id)
  }
}

/** What RFC 6455 asks of the opening request, as far as we are answered for it; Bun looks at the rest. */
function isHandshake(method: string, headers: Readonly<Record<string, string>>): boolean {
  return method === 'GET' && /^[\w+/]{22}==$/.test(headers['sec-websocket-key'] ?? '')
}

function noHandshake(): GatewayError {
  return new GatewayError('invalid_request', 'This is not a valid WebSocket handshake.')
}

function toCall(
  arrival: Arrival,
  endpoint: string,
  requestType: 'realtime' | 'websocket_responses',
  gateway: Gateway,
): Call {
  const snapshot = gateway.snapshot()
  const query = new URLSearchParams(arrival.query)
  const deployment = query.get('deployment') ?? undefined
  const named = query.get('model') ?? deployment
  const problem = named === undefined ? undefined : checkModel(named)
  if (problem) throw fromProblem(problem)
  const isProvider = (name: string): boolean => snapshot.providers.has(name) || PROVIDERS.has(name)
  // A deployment, and a key in this header, are ways of Azure's SDKs, whose sockets do not say their name.
  const isDeployment = deployment !== undefined || arrival.headers['api-key'] !== undefined
  const usual = isDeployment ? DEPLOYMENT_PROVIDER : defaultProvider(arrival.headers['user-agent'])
  const choice = named === undefined ? undefined : parseModel(named, isProvider, usual)
  const provider = choice?.provider ?? query.get('provider') ?? usual
  const isOpen = choice !== undefined && !isDeployment && !query.has('provider')
  for (const name of [...query.keys()]) if (notSent.test(name)) query.delete(name)
  // `model` is set again from the target, which knows the key's alias.
  if (choice) query.set('model', choice.model)
  const text = query.toString()
  return {
    id: arrival.id,
    endpoint: requestType,
    method: 'GET',
    path: endpoint,
    query: text === '' ? '' : `?${text}`,
    body: { kind: 'none' },
    modelRequested: named,
    provider,
    model: choice?.model,
    namesNoProvider: isOpen && choice?.model === named,
    stream: false,
    wantsUsage: false,
    caller: readCaller(directHeaders(arrival.headers), snapshot),
    headers: arrival.headers,
    origin: arrival.request,
    signal: arrival.request.signal,
    startedAt: arrival.startedAt,
    trace: new Trace(arrival.startedAt),
  }
}

/** Browsers cannot set headers on a WebSocket; OpenAI's clients put the key into a subprotocol instead. */
function directHeaders(
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  if (headers['authorization'] !== undefined) return headers
  const offered = headers['sec-websocket-protocol'] ?? ''
  const key = /(?:^|,)\s*openai-insecure-api-key\.([^,\s]+)/.exec(offered)?.[1]
  return key === undefined ? headers : { ...headers, authorization: `Bearer ${key}` }
}
