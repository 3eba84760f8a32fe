import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { noResources } from '#providers/provider.ts'
import type { Target } from '#providers/provider.ts'

import { allot } from './allotment.ts'
import { authorize } from './authorize.ts'
import { callCost } from './costs.ts'
import { trustOf } from './fetch-session.ts'
import { outboundHeaders } from './forward.ts'
import type { Abortable, Inflight } from './inflight.ts'
import { Keyring } from './keyring.ts'
import { noteReachable, permit, placeOf } from './reach.ts'
import type { Settle } from './record.ts'
import { relayDoor } from './relay-door.ts'
import type { RelayDoor } from './relay-door.ts'
import { relayModel } from './relay-model.ts'
import type { Naming } from './relay-model.ts'
import { relayUsage } from './relay-usage.ts'
import type { RelayUsage } from './relay-usage.ts'
import { plan, targetOf } from './routing.ts'
import { route } from './rules.ts'
import { fullness, takeSeat } from './seat.ts'
import type { Services } from './services.ts'
import { nameOf } from './standing.ts'
import { fetchProxy } from './tunnel.ts'

/** The caller's end of a relay, as far as the relay uses it. */
export interface CallerSocket {
  /** -1 = queued because the caller is slow, 0 = dropped. */
  send(message: string | Uint8Array): number
  close(code?: number, reason?: string): void
}

export interface SocketRelay {
  /** The subprotocol that the provider chose, or empty. */
  readonly protocol: string
  attach(socket: CallerSocket): void
  fromCaller(message: string | Uint8Array): void
  drained(): void
  callerClosed(code: number, reason: string): void
}

/** What may wait for the provider's socket to take it before the relay is given up. */
const maxBufferedBytes = 16 * 1024 * 1024

/**
 * Opens the provider's WebSocket for a call and relays both ways, message for message. Resolves when the provider
 * has accepted; throws `GatewayError` when it refuses or does not answer. Counts against the provider's limits
 * and is settled like any other call.
 */
export async function createRelay(
  call: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<SocketRelay> {
  const held: { release: (() => void) | undefined } = { release: undefined }
  const settle = services.recorder.open(call, () => held.release?.())
  try {
    const routed = allot(route(call, snapshot), snapshot)
    settle.books.rule = routed.rule
    const [leg] = plan(routed, snapshot).legs
    const { settings, provider } = leg
    const { name } = settings
    const keys = new Keyring(leg.keys, {
      isFull: fullness(settings, services.gates.of(name)),
      isOut: (key) => services.health.standing(nameOf(leg, key), performance.now()) === 'out',
    })
    await takeSeat(call, settings, keys, snapshot, services, held)
    const target = targetOf(leg, keys.current)
    noteTarget(settle.books, target)
    const outbound = provider.request(call, target, noResources)
    const headers = outboundHeaders(call, snapshot.client, settings, outbound)
    await authorize(call, target, outbound, headers, services)
    const { network, proxyUrl } = settings
    await permit(outbound, settings)
    const trust = trustOf(network)
    const socket = new WebSocket(withModel(outbound.url, call, target).replace(/^http/, 'ws'), {
      headers,
      protocols: protocolsOf(call),
      ...(proxyUrl && { proxy: fetchProxy(proxyUrl) }),
      ...(trust && { tls: trust }),
    })
    socket.binaryType = 'nodebuffer'
    const { headersMs } = network.timers
    const early = await opened(socket, name, call.signal, headersMs, services.inflight)
    noteReachable(placeOf(outbound.url), performance.now())
    const isNamedBySaying = call.endpoint === 'websocket_responses'
    return relay(socket, early, settle, services.inflight, {
      door: relayDoor(call, leg.grant),
      naming: isNamedBySaying ? relayModel(leg, keys.current, snapshot) : undefined,
      usage: relayUsage((model, usage) =>
        callCost(call, settings, model ?? target.model, usage, snapshot, target.key?.id),
      ),
    })
  } catch (thrown) {
    const error = toGatewayError(thrown)
    settle.failure(error)
    throw error
  }
}

function noteTarget(books: Settle['books'], { settings, model, key }: Target): void {
  books.provider = settings.name
  books.model = model
  books.keyId = key?.id
  books.keyName = key?.name
  books.attempts++
}

/** The model stands in the query here, and the key may know it by another name. */
function withModel(url: string, call: Call, target: Target): string {
  if (target.model === undefined || target.model === call.model) return url
  const parsed = new URL(url)
  parsed.searchParams.set('model', target.model)
  return parsed.href
}

/** Subprotocols that stand for the headers of an account, which is the business of whoever brought the key. */
const ofAccount = /^openai-(?:organization|project)\./

function protocolsOf({ caller, headers }: Call): string[] {
  const offered = headers['sec-websocket-protocol']?.split(',') ?? []
  return offered
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && !protocol.startsWith('openai-insecure-api-key.'))
    .filter((protocol) => caller.directKey !== undefined || !ofAccount.test(protocol))
}

/** Waits for the handshake; what the provider says before the caller is attached is kept. */
function opened(
  socket: WebSocket,
  provider: string,
  signal: AbortSignal,
  openMs: number,
  inflight: Inflight,
): Promise<(string | Buffer)[]> {
  return new Promise((resolve, reject) => {
    const early: (string | Buffer)[] = []
    const settled = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', left)
      inflight.delete(opening)
    }
    const refuse = (error: GatewayError): void => {
      settled()
      reject(error)
    }
    const giveUp = (error: GatewayError): void => {
      socket.terminate()
      refuse(error)
    }
    const left = (): void =>
      giveUp(new GatewayError('client_closed', 'The client closed the connection.'))
    const late = (): void => {
      const message = `Provider '${provider}' did not accept the WebSocket in time.`
      giveUp(new GatewayError('headers_timeout', message))
    }
    const opening: Abortable = { abort: giveUp }
    const timer = openMs === 0 ? undefined : setTimeout(late, openMs)
    signal.addEventListener('abort', left)
    if (signal.aborted) left()
    else inflight.add(opening)
    socket.onmessage = ({ data }) => early.push(data as string | Buffer)
    socket.addEventListener('open', () => {
      settled()
      resolve(early)
    })
    socket.addEventListener('error', (event) => refuse(refusal(event, provider)))
    socket.addEventListener('close', ({ code }) => {
      const message = `Provider '${provider}' closed the WebSocket (${code}).`
      refuse(new GatewayError('upstream_reset', message))
    })
  })
}

/** The status of a refused handshake is only in the event's text; what the provider said with it is lost. */
function refusal(event: Event, provider: string): GatewayError {
  const { message } = event as ErrorEvent
  const status = Number(/status code: (\d{3})\b/.exec(message)?.[1])
  if (status >= 400) {
    const text = `Provider '${provider}' refused the WebSocket with HTTP status ${status}.`
    const none = { type: null, code: null, param: null, retryAfterMs: undefined, extra: {} }
    return new GatewayError('upstream_error', text, {
      upstream: { status, message: text, ...none },
    })
  }
  return new GatewayError(
    /101/.test(message) ? 'upstream_malformed' : 'upstream_unreachable',
    `Provider '${provider}' did not open the WebSocket.`,
    { cause: message },
  )
}

/** What messages pass on their way: those of the caller a door and a naming, those of the provider who counts. */
interface Passage {
  readonly door: RelayDoor | undefined
  readonly naming: Naming | undefined
  readonly usage: RelayUsage
}

function relay(
  upstream: WebSocket,
  early: (string | Buffer)[],
  settle: Settle,
  inflight: Inflight,
  { door, naming, usage }: Passage,
): SocketRelay {
  let caller: CallerSocket | undefined
  let isOver = false
  const work: Abortable = { abort: () => end(1001, 'the gateway is shutting down') }

  function end(code: number, reason: string, error?: GatewayError): void {
    if (isOver) return
    isOver = true
    inflight.delete(work)
    const { books } = settle
    books.model = usage.model ?? books.model
    books.cost = usage.cost
    if (error) settle.failure(error, usage.total)
    else settle.success(usage.total)
    const text = reason.slice(0, 100)
    // A paused socket would not see the answer to its close.
    upstream.resume()
    if (upstream.readyState <= WebSocket.OPEN) upstream.close(code >= 3000 ? code : 1000, text)
    caller?.close(closeCode(code), text)
  }

  function fromProvider(message: string | Buffer): void {
    usage.heard(message)
    toCaller(message)
  }

  function toCaller(message: string | Buffer): void {
    const sent = caller?.send(message)
    if (sent === -1) upstream.pause()
    // An empty message counts no bytes either.
    else if (sent === 0 && message.length > 0) end(1013, 'the caller reads too slowly')
  }

  upstream.addEventListener('close', ({ code, reason }) => {
    const isLost = code === 1006
    const error = new GatewayError('upstream_reset', 'The provider dropped the WebSocket.')
    end(code, isLost ? 'the provider was lost' : reason, isLost ? error : undefined)
  })
  inflight.add(work)

  return {
    protocol: upstream.protocol,
    attach(socket) {
      caller = socket
      if (isOver) {
        socket.close(1011, 'the provider has left')
        return
      }
      upstream.onmessage = ({ data }) => fromProvider(data as string | Buffer)
      for (const message of early.splice(0)) fromProvider(message)
    },
    fromCaller(message) {
      if (upstream.readyState !== WebSocket.OPEN) return
      const forbidden = door?.(message)
      if (forbidden) {
        toCaller(errorEvent(forbidden))
        end(1008, forbidden.kind, forbidden)
        return
      }
      const named = naming ? naming(message) : message
      if (named instanceof GatewayError) {
        toCaller(errorEvent(named))
        return
      }
      upstream.send(named)
      if (upstream.bufferedAmount > maxBufferedBytes) end(1013, 'the provider reads too slowly')
    },
    drained: () => upstream.resume(),
    callerClosed: (code, reason) => end(code, reason),
  }
}

/** As these sockets tell errors. */
function errorEvent({ type, code, message, param }: GatewayError): string {
  return JSON.stringify({ type: 'error', error: { type, code, message, param: param ?? null } })
}

/** Codes that only the protocol itself may use are translated: "nothing said" and "lost". */
function closeCode(code: number): number {
  if (code === 1005) return 1000
  if (code === 1006) return 1011
  return code === 1000 || (code >= 3000 && code <= 4999) || (code >= 1007 && code <= 1014)
    ? code
    : 1001
}
