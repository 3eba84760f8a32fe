import type { ClientSettings } from '#config/snapshot.ts'

const exposed =
  'x-bf-async-id, x-bf-async-status, x-bf-dropped-params, x-bf-hedged, x-bf-tokens, x-bf-trace, x-bifrost-fallback-index, x-bifrost-original-model, x-bifrost-provider, x-bifrost-request-type, x-bifrost-resolved-model, x-bifrost-upstream-latency-ms, x-request-id, retry-after, retry-after-ms, x-should-retry, openai-processing-ms, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens'
const localhost = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/

/** Whether pages of this origin may use the gateway. Pages served from this machine always may. */
export function allowsOrigin(origin: string, client: ClientSettings): boolean {
  if (localhost.test(origin)) return true
  return client.allowedOrigins.some((pattern) => {
    if (pattern === '*' || pattern === origin) return true
    const [scheme, domain] = pattern.split('*.')
    return domain !== undefined && origin.startsWith(scheme!) && origin.endsWith(`.${domain}`)
  })
}

/** Names that nobody else can point at this machine: its own, addresses, and those of a network at home, without dots. */
const ownHost = /^(?:[^.]*|.+\.localhost|\d{1,3}(?:\.\d{1,3}){3}|\[.*\])$/i

/** Whether a server on this address is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
}

/**
 * Whether a request to a server on loopback may say that it is for this host. A page can give its own name this machine's
 * address, and is then of one origin with us: browsers send no `Origin` with its GETs. `Host` tells.
 */
export function allowsHost(host: string, client: ClientSettings): boolean {
  const name = host.replace(/:\d+$/, '')
  if (ownHost.test(name)) return true
  return allowsOrigin(`https://${name}`, client) || allowsOrigin(`http://${host}`, client)
}

const methods = 'GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS'

/** The answer to an `OPTIONS` that no browser sent. */
export function allowedMethods(): Response {
  return new Response(null, { status: 204, headers: { allow: methods } })
}

/** The answer to a browser's preflight. Echoes the headers it asks for: OpenAI SDKs send a dozen of their own. */
export function preflight(origin: string, request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-origin': origin,
      'access-control-allow-methods': methods,
      'access-control-allow-headers':
        request.headers.get('access-control-request-headers') ?? 'authorization, content-type',
      // Asked by Chrome when a public page calls an address on this machine or network.
      ...(request.headers.has('access-control-request-private-network') && {
        'access-control-allow-private-network': 'true',
      }),
      'access-control-max-age': '86400',
      vary: 'origin',
    },
  })
}

/** Lets a page of `origin` read the response. */
export function admitOrigin(response: Response, origin: string): Response {
  response.headers.set('access-control-allow-origin', origin)
  response.headers.set('access-control-expose-headers', exposed)
  response.headers.append('vary', 'origin')
  return response
}
