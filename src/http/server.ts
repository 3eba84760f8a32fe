import type { Elysia } from 'elysia'

import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import { newId } from '#lib/id.ts'

import {
  admitOrigin,
  allowedMethods,
  allowsHost,
  allowsOrigin,
  isLoopback,
  preflight,
} from './cors.ts'
import { createRequestCounter } from './count.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import type { Lifecycle } from './ops.ts'
import { noteStray } from './refusal.ts'
import { respondError } from './respond.ts'
import { isTail, openTail } from './tail.ts'
import { pathOf } from './target.ts'
import { openRelay } from './websocket.ts'
import type { RelayData } from './websocket.ts'

/** Of all names and values together; providers take no more either. */
const maxHeaderChars = 64 * 1024

/** Silence after which Bun drops a connection that is not waiting for an answer of ours. */
const idleSeconds = 120

export interface RunningServer {
  readonly url: string
  readonly port: number
  /** Requests that have not been answered whole, those whose body is still coming included. */
  pending(): number
  /** Stops listening and closes whatever is still open. */
  close(): Promise<void>
  patient(request: Request): void
  /** The address that a request came from. */
  peer(request: Request): string | undefined
}

/**
 * The listening socket and what every request passes first: browsers' origins, WebSocket upgrades, shutdown.
 * Throws what `Bun.serve` throws when the port is taken.
 */
export function listen(options: {
  host: string
  port: number
  app: Elysia
  gateway: () => Gateway
  lifecycle: Lifecycle
  log: Logger
}): RunningServer {
  const { app, gateway, lifecycle, log } = options
  // Bound, so that Elysia's compiled handler is looked up once it exists and not at every request.
  const answer = (request: Request): Response | Promise<Response> => app.fetch(request)
  const counter = createRequestCounter(app, gateway)
  const handle = (request: Request): Response | Promise<Response> =>
    counter.counted(request, answer)

  const isForeign = (origin: string | undefined): origin is string =>
    origin !== undefined && !allowsOrigin(origin, gateway().snapshot().client)

  const isOnLoopback = isLoopback(options.host)
  /** Anything but reading comes with an origin. */
  const isForeignRead = ({ method, url }: Request, host: string | undefined): boolean =>
    isOnLoopback &&
    (method === 'GET' || method === 'HEAD') &&
    host !== undefined &&
    !allowsHost(host, gateway().snapshot().client) &&
    !pathOf(url).startsWith('/health')

  function refused(request: Request, error: GatewayError): Response {
    noteStray(gateway(), request, error)
    counter.note(request, error.status, performance.now())
    return plainError(error)
  }

  async function forBrowser(request: Request, origin: string): Promise<Response> {
    if (isForeign(origin)) return refused(request, foreign())
    if (request.method === 'OPTIONS') return preflight(origin, request)
    return admitOrigin(await handle(request), origin)
  }

  /** HTTP/1.0 needs no Host, and health checks of old load balancers send none; a malformed one is an error. */
  function withoutHost(request: Request): Response | Promise<Response> {
    const { host, origin } = headersOf(request)
    if (host !== undefined || origin !== undefined || !/^(?:GET|HEAD)$/.test(request.method)) {
      return refused(
        request,
        new GatewayError('invalid_request', 'The Host header is missing or malformed.'),
      )
    }
    return handle(new Request(`http://localhost${request.url}`, { method: request.method }))
  }

  const server = Bun.serve<RelayData>({
    hostname: options.host,
    port: options.port,
    idleTimeout: idleSeconds,
    // The gateway counts for itself, so that the refusal is an answer and not a closed connection.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, bun) {
      // Without a usable Host, Bun gives the bare path as the URL, in which routes would be looked up wrongly.
      if (!request.url.startsWith('http')) return withoutHost(request)
      if (lifecycle.draining && !pathOf(request.url).startsWith('/health')) {
        return draining(refused(request, shuttingDown()))
      }
      const headers = headersOf(request)
      if (isLarger(headers, maxHeaderChars)) return refused(request, tooLarge())
      const { origin, upgrade } = headers
      if (upgrade?.toLowerCase() === 'websocket') {
        // Browsers open sockets to anywhere without asking first; only the origin tells.
        if (!isForeign(origin) && isTail(pathOf(request.url))) {
          const refusal = openTail(request, bun, gateway())
          counter.note(request, refusal?.status ?? 101, performance.now())
          return refusal
        }
        return isForeign(origin)
          ? refused(request, foreign())
          : openRelay(request, bun, gateway(), log)
      }
      if (origin !== undefined) return forBrowser(request, origin)
      if (isForeignRead(request, headers.host)) return refused(request, foreignHost())
      return request.method === 'OPTIONS' ? allowedMethods() : handle(request)
    },
    error(thrown) {
      log.error('a request failed outside its handler', { cause: thrown })
      return plainError(toGatewayError(thrown))
    },
    websocket: {
      maxPayloadLength: 64 * 1024 * 1024,
      backpressureLimit: 16 * 1024 * 1024,
      closeOnBackpressureLimit: true,
      idleTimeout: 255,
      open: (socket) => socket.data.open(socket),
      message: (socket, message) => socket.data.message(message),
      drain: (socket) => socket.data.drain(),
      close: (socket, code, reason) => socket.data.close(code, reason),
    },
  })

  return {
    url: `http://${bracketed(server.hostname ?? options.host)}:${server.port}`,
    port: server.port ?? options.port,
    pending: () => server.pendingRequests,
    close: () => server.stop(true),
    patient: (request) => server.timeout(request, 0),
    peer: (request) => server.requestIP(request)?.address,
  }
}

/** An address of IPv6 as URLs have it; it may be written so already. */
function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

function isLarger(headers: Readonly<Record<string, string>>, maxChars: number): boolean {
  let chars = 0
  for (const name in headers) chars += name.length + headers[name]!.length
  return chars > maxChars
}

function tooLarge(): GatewayError {
  const kb = maxHeaderChars / 1024
  return new GatewayError('headers_too_large', `The request headers are larger than ${kb} KB.`)
}

function plainError(error: GatewayError): Response {
  const context = { provider: undefined, modelRequested: undefined, requestType: 'unknown' }
  return respondError(error, context, newId())
}

function foreign(): GatewayError {
  return new GatewayError(
    'origin_forbidden',
    'Pages of this origin may not use the gateway; see client.allowed_origins.',
  )
}

function foreignHost(): GatewayError {
  return new GatewayError(
    'origin_forbidden',
    'The gateway does not go by the name in the Host header; see client.allowed_origins.',
    { code: 'host_forbidden' },
  )
}

function shuttingDown(): GatewayError {
  return new GatewayError('shutting_down', 'The gateway is shutting down; try again.')
}

function draining(response: Response): Response {
  response.headers.set('connection', 'close')
  return response
}
