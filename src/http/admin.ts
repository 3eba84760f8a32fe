import { GatewayError } from '#core/errors.ts'

import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'

// Who may look into the gateway itself. There are no accounts yet, so being on this machine is what counts.

/** Set by proxies: whoever is behind one is not on this machine, wherever the proxy is. */
const forwarded = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const

const loopbackPeer = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/
const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i
const loopbackOrigin = /^https?:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/** Throws 403 unless the request comes from a program on this machine. */
export function requireLocal(request: Request, gateway: Pick<Gateway, 'peer'>): void {
  if (isLocal(request, gateway)) return
  throw new GatewayError(
    'caller_forbidden',
    'The management API answers only programs on the machine that the gateway runs on.',
  )
}

/**
 * Whether a program on this machine asks: a loopback peer, no proxy between, and no page of another site, whether it
 * says its origin or reached us by a name of its own that points here.
 */
export function isLocal(request: Request, gateway: Pick<Gateway, 'peer'>): boolean {
  const headers = headersOf(request)
  const { host, origin } = headers
  return (
    loopbackPeer.test(gateway.peer?.(request) ?? '') &&
    forwarded.every((name) => headers[name] === undefined) &&
    loopbackHost.test(host ?? '') &&
    (origin === undefined || loopbackOrigin.test(origin)) &&
    headers['sec-fetch-site'] !== 'cross-site'
  )
}
