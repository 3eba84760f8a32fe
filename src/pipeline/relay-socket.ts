import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'

import { outboundHeaders } from './forward.ts'
import { noteReachable } from './reach.ts'
import { plan } from './routing.ts'
import type { Services } from './run.ts'
import { registerStream } from './streams.ts'

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
const openMs = 30_000

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
  let release: (() => void) | undefined
  const settle = services.recorder.open(call, () => release?.())
  try {
    const { candidates } = plan(call, snapshot)
    const target = candidates[0]!
    const { settings, provider } = target
    const { concurrency, bufferSize, name } = settings
    const gate = services.gates.of(name)
    const limits = { concurrency, bufferSize, provider: name }
    await gate.enter({ ...limits, dropExcess: snapshot.client.dropExcessRequests }, call.signal)
    release = () => gate.leave()
    const outbound = provider.request(call, target)
    const headers = outboundHeaders(call, snapshot.client, settings, outbound.headers)
    const credential = call.caller.directKey ?? target.key?.value
    if (credential && !credential.isEmpty) provider.authorize(headers, credential.reveal())
    const socket = new WebSocket(outbound.url.replace(/^http/, 'ws'), {
      headers,
      protocols: protocolsOf(call),
      ...(settings.proxyUrl && { proxy: settings.proxyUrl.reveal() }),
    } as Bun.WebSocketOptions)
    socket.binaryType = 'nodebuffer'
    const early = await opened(socket, name)
    noteReachable(outbound.url)
    return relay(socket, early, settle)
  } catch (thrown) {
    const error = toGatewayError(thrown)
    settle.failure(error)
    throw error
  }
}

function protocolsOf(call: Call): string[] {
  const offered = call.headers['sec-websocket-protocol']?.split(',') ?? []
  return offered
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && !protocol.startsWith('openai-insecure-api-key.'))
}

/** Waits for the handshake; what the provider says before the caller is attached is kept. */
function opened(socket: WebSocket, provider: string): Promise<(string | Buffer)[]> {
  return new Promise((resolve, reject) => {
    const early: (string | Buffer)[] = []
    const refuse = (kind: 'upstream_unreachable' | 'headers_timeout', message: string): void => {
      clearTimeout(timer)
      reject(new GatewayError(kind, message))
    }
    const timer = setTimeout(() => {
      socket.close()
      refuse('headers_timeout', `Provider '${provider}' did not accept the WebSocket in time.`)
    }, openMs)
    socket.onmessage = ({ data }) => early.push(data as string | Buffer)
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      resolve(early)
    })
    socket.addEventListener('error', () =>
      refuse('upstream_unreachable', `Provider '${provider}' refused the WebSocket.`),
    )
    socket.addEventListener('close', ({ code }) =>
      refuse('upstream_unreachable', `Provider '${provider}' closed the WebSocket (${code}).`),
    )
  })
}

function relay(
  upstream: WebSocket,
  early: (string | Buffer)[],
  settle: { success(usage: undefined): void },
): SocketRelay {
  let caller: CallerSocket | undefined
  let isOver = false
  const unregister = registerStream({
    terminate: () => end(1001, 'the gateway is shutting down'),
  })

  function end(code: number, reason: string): void {
    if (isOver) return
    isOver = true
    unregister()
    settle.success(undefined)
    const text = reason.slice(0, 100)
    if (upstream.readyState <= WebSocket.OPEN) upstream.close(code >= 3000 ? code : 1000, text)
    caller?.close(closeCode(code), text)
  }

  function toCaller(message: string | Buffer): void {
    if (caller?.send(message) === 0) end(1013, 'the caller reads too slowly')
  }

  upstream.addEventListener('close', ({ code, reason }) => end(code, reason))
  upstream.addEventListener('error', () => end(1011, 'the provider failed'))

  return {
    protocol: upstream.protocol,
    attach(socket) {
      caller = socket
      upstream.onmessage = ({ data }) => toCaller(data as string | Buffer)
      for (const message of early.splice(0)) toCaller(message)
      if (isOver || upstream.readyState > WebSocket.OPEN)
        socket.close(1011, 'the provider has left')
    },
    fromCaller(message) {
      if (upstream.readyState !== WebSocket.OPEN) return
      upstream.send(message)
      if (upstream.bufferedAmount > maxBufferedBytes) end(1013, 'the provider reads too slowly')
    },
    drained() {
      // Bun bounds what waits for a slow caller and closes beyond it; nothing is paused meanwhile.
    },
    callerClosed: (code, reason) => end(code, reason),
  }
}

/** Codes that only the protocol itself may use become "going away". */
function closeCode(code: number): number {
  return code === 1000 || (code >= 3000 && code <= 4999) || (code >= 1007 && code <= 1014)
    ? code
    : 1001
}
