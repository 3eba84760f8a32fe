import type { ClientSettings, ProviderSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { answersBytes } from '#core/endpoint.ts'
import { VERSION } from '#core/version.ts'
import type { Outbound, Target } from '#providers/provider.ts'

// Which headers travel: from the caller to the provider by allowlist, from the provider to the caller by denylist.

const userAgent = `asbru/${VERSION}`

/**
 * The caller's own headers that mean something to every OpenAI-compatible provider. The safety identifier says whose
 * words they are where no body can ("Realtime API with WebSocket", as read in November 2026).
 */
const alwaysForwarded = ['accept', 'openai-beta', 'openai-safety-identifier', 'idempotency-key']

/** A part of a download, and of which version of it. */
const ofPart = ['range', 'if-range']

/** Which account a key is used for is the business of whoever brought the key. */
const withDirectKey = [...alwaysForwarded, 'openai-organization', 'openai-project']

/** Never sent on, whatever a configuration or a caller says: credentials, framing, and the gateway's own. */
const neverForwarded =
  /^(?:authorization|proxy-authorization|cookie|host|content-length|content-type|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|accept-encoding|content-encoding|sec-websocket-.*|api-key|x-api-key|x-goog-api-key|x-bf-.*)$/

/** The headers of one outbound request, without the credential. */
export function outboundHeaders(
  call: Call,
  client: ClientSettings,
  settings: ProviderSettings,
  outbound: Pick<Outbound, 'headers' | 'isCallersAddress'>,
): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': userAgent }
  const { allowlist, denylist } = client.headerFilter
  for (const name of call.caller.directKey ? withDirectKey : alwaysForwarded) {
    const value = call.headers[name]
    if (value !== undefined && !matches(denylist, name)) headers[name] = value
  }
  const isPart = call.headers['range'] !== undefined && answersBytes(call.endpoint)
  if (isPart) {
    for (const name of ofPart) {
      const value = call.headers[name]
      if (value !== undefined && !matches(denylist, name)) headers[name] = value
    }
  }
  // Compressing a stream makes upstream proxies buffer it, and a part of what is compressed cannot be read.
  if (call.stream || isPart) headers['accept-encoding'] = 'identity'
  for (const name in call.headers) {
    if (name.startsWith('x-bf-eh-')) {
      const wanted = name.slice('x-bf-eh-'.length)
      const listed = allowlist.length === 0 || matches(allowlist, wanted)
      if (wanted !== '' && listed && mayForward(wanted, denylist)) {
        headers[wanted] = call.headers[name]!
      }
    } else if (allowlist.length > 0 && matches(allowlist, name) && mayForward(name, denylist)) {
      headers[name] = call.headers[name]!
    }
  }
  if (!outbound.isCallersAddress) {
    const { extraHeaders } = settings.network
    // Names may be written in any case; two spellings of one would both be sent.
    for (const name in extraHeaders) headers[name.toLowerCase()] = extraHeaders[name]!
  }
  return Object.assign(headers, outbound.headers)
}

function mayForward(name: string, denylist: readonly string[]): boolean {
  return !neverForwarded.test(name) && !matches(denylist, name)
}

function matches(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
  )
}

/** Hop-by-hop, about the body's encoding (which `fetch` has undone), or about the provider's own site. */
const notRelayed = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'proxy-authenticate',
  'www-authenticate',
  'content-length',
  'content-encoding',
  'content-type',
  'set-cookie',
  'date',
  'server',
  'via',
  'vary',
  'alt-svc',
  'etag',
  'strict-transport-security',
  'x-content-type-options',
  'location',
  'clear-site-data',
  'content-security-policy',
  'nel',
  'report-to',
  'x-robots-tag',
])

/** A path says what was made, such as the id of a realtime call, and not where the provider is. */
function isOwnPlace(name: string, value: string | undefined): boolean {
  return name === 'location' && value !== undefined && /^\/(?!\/)/.test(value)
}

/** The provider's answer headers that the caller gets; its request id moves to `x-upstream-request-id`. */
export function relayedHeaders(all: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name in all) {
    if (notRelayed.has(name) && !isOwnPlace(name, all[name])) continue
    if (name.startsWith('access-control-') || name.startsWith('x-bifrost-')) continue
    const value = all[name]
    if (typeof value !== 'string') continue
    headers[name === 'x-request-id' ? 'x-upstream-request-id' : name] = value
  }
  return headers
}

/** Headers as a plain object with lower-case names, in one step. */
export function plainHeaders(headers: Headers): Record<string, string> {
  return headers.toJSON()
}

/** What the caller gets of an answer's headers, with what they say of limits under OpenAI's names. */
export function answerHeaders(
  all: Readonly<Record<string, string>>,
  { provider }: Target,
): Record<string, string> {
  const relayed = relayedHeaders(all)
  return provider.limitHeaders
    ? Object.assign(relayed, provider.limitHeaders(relayed, Date.now()))
    : relayed
}
