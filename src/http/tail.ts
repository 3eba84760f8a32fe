import type { Server } from 'bun'

import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'

import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'
import { underwayOf } from './logs-routes.ts'
import { respondError } from './respond.ts'
import type { RelayData } from './websocket.ts'

const pingMs = 30_000
const maxWatchers = 100
let watching = 0

/** Whether a WebSocket at this path is for watching the log. */
export function isTail(path: string): boolean {
  return path === '/ws' || path === '/ws/logs'
}

/**
 * Upgrades to a socket that gets `{type: "log", operation, payload}` for every call: `create` with the status
 * `processing` when it has been under way for a moment, and `update` once it is logged, or `create` if it was faster.
 */
export function openTail(
  request: Request,
  server: Server<RelayData>,
  gateway: Gateway,
): Response | undefined {
  try {
    requireLocal(request, gateway)
    const { following } = underwayOf(gateway)
    if (watching >= maxWatchers) {
      throw new GatewayError('queue_full', 'Too many are watching the log already.')
    }
    let stop: (() => void) | undefined
    let pings: ReturnType<typeof setInterval> | undefined
    const upgraded = server.upgrade(request, {
      data: {
        open(socket) {
          watching++
          // Who reads too slowly is cut off by the socket's own limit.
          stop = following.watch((operation, row) => {
            socket.send(`{"type":"log","operation":"${operation}","payload":${row}}`)
          })
          pings = setInterval(() => socket.ping(), pingMs)
          pings.unref()
        },
        message() {},
        drain() {},
        close() {
          watching--
          stop?.()
          clearInterval(pings)
        },
      },
    })
    return upgraded
      ? undefined
      : new Response('This is not a valid WebSocket handshake.\n', { status: 400 })
  } catch (thrown) {
    const context = { provider: undefined, modelRequested: undefined, requestType: 'logs' }
    return respondError(toGatewayError(thrown), context, newId())
  }
}
