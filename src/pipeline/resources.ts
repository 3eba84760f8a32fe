import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { Conversation, Part } from '#openai/conversation/conversation.ts'
import { conversationOf, inCallersTerms } from '#providers/exchange.ts'
import { noResources } from '#providers/provider.ts'
import type { Resource, Resources, Target } from '#providers/provider.ts'

import { runErrand } from './errand.ts'
import type { ErrandAnswer } from './errand.ts'
import { authoritiesOf } from './fetch-session.ts'
import { addressesOf, isAddress, isPublic } from './reach.ts'
import { fetchProxy } from './tunnel.ts'

// Pictures and documents that a request names by URL and that the vendor does not fetch itself. The URLs are the
// caller's: none of them may lead into this machine or its networks.

/** What may be fetched for one request. */
export interface FetchLimits {
  readonly maxResources: number
  /** Of one of them. */
  readonly maxBytes: number
  /** Of all of them. */
  readonly maxTotalBytes: number
  /** For one of them, each redirect anew. */
  readonly timeoutMs: number
  readonly maxRedirects: number
}

const usualLimits: FetchLimits = {
  maxResources: 20,
  maxBytes: 20 * 1024 * 1024,
  maxTotalBytes: 50 * 1024 * 1024,
  timeoutMs: 15_000,
  maxRedirects: 3,
}

const maxAtOnce = 4
/** Of the addresses that a name has. */
const maxAddresses = 3

/** What one call's fetching shares. */
interface Fetching {
  readonly target: Target
  readonly limits: FetchLimits
  /** Aborts when the caller leaves, and when one of the URLs has failed. */
  readonly signal: AbortSignal
}

/**
 * Fetches what the target needs of this call. Throws a 400 that names the URL that could not be had, and where it
 * stands in the request.
 */
export async function fetchResources(
  call: Call,
  target: Target,
  limits: FetchLimits = usualLimits,
): Promise<Resources> {
  const urls = [...new Set(target.provider.resources?.(call, target))]
  if (urls.length === 0) return noResources
  if (urls.length > limits.maxResources) {
    throw inCallersTerms(
      call,
      new GatewayError(
        'invalid_request',
        `Provider '${target.settings.name}' cannot fetch URLs, and the gateway fetches at most ${limits.maxResources} for a request.`,
        { param: 'messages' },
      ),
    )
  }
  const stop = new AbortController()
  const signal = AbortSignal.any([call.signal, stop.signal])
  const fetching: Fetching = { target, limits, signal }
  const found = new Map<string, Resource>()
  let next = 0
  let total = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < urls.length; at = next++) {
      const url = urls[at]!
      try {
        const { resource, bytes } = await fetchOne(url, fetching)
        total += bytes
        if (total > limits.maxTotalBytes) {
          throw unusable(
            url,
            `with it the URLs of this request hold more than ${limits.maxTotalBytes} bytes`,
          )
        }
        found.set(url, resource)
      } catch (thrown) {
        throw placed(call, url, thrown)
      }
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(maxAtOnce, urls.length) }, work))
  } catch (thrown) {
    if (call.signal.aborted) {
      throw new GatewayError('client_closed', 'The client closed the connection.', {
        cause: thrown,
      })
    }
    throw thrown
  } finally {
    stop.abort()
  }
  call.trace.add('attempt', `fetched ${found.size} URL(s) of the request`)
  return found
}

interface Fetched {
  readonly resource: Resource
  readonly bytes: number
}

async function fetchOne(given: string, fetching: Fetching): Promise<Fetched> {
  const { maxRedirects } = fetching.limits
  let url: URL | undefined = new URL(given)
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const answer = await get(url, given, fetching)
    const { location } = answer.headers
    if (answer.status >= 300 && answer.status < 400 && location !== undefined) {
      if (!URL.canParse(location, url.href)) throw unusable(given, 'it redirects to no URL')
      url = new URL(location, url)
      continue
    }
    if (answer.status !== 200) throw unusable(given, `it answered with status ${answer.status}`)
    const { bytes } = answer
    if (bytes.length === 0) throw unusable(given, 'it is empty')
    const declared = (answer.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
    const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    return {
      resource: { mediaType: sniff(bytes) ?? declared, base64 },
      bytes: bytes.length,
    }
  }
  throw unusable(given, `it redirects more than ${maxRedirects} times`)
}

/** The answer of one address. `given` is what the caller wrote, which every complaint is about. */
async function get(url: URL, given: string, fetching: Fetching): Promise<ErrandAnswer> {
  const { network, proxyUrl } = fetching.target.settings
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw unusable(given, 'only http and https are fetched')
  }
  if (url.username !== '' || url.password !== '') {
    throw unusable(given, 'a user name or password in it is not sent')
  }
  const hostname = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = await addressesOf(hostname)
  if (!network.allowPrivateNetwork && !addresses.every(isPublic)) {
    throw unusable(given, 'its address is not on the public internet')
  }
  // Behind a proxy a name need not resolve here; the proxy decides where it leads.
  if (addresses.length === 0 && proxyUrl) return await ask(url, undefined, given, fetching)
  let failure: unknown = unusable(given, 'its name does not resolve')
  for (const address of preferred(addresses).slice(0, maxAddresses)) {
    try {
      return await ask(url, address, given, fetching)
    } catch (thrown) {
      failure = thrown
      if (!isUnreachable(thrown)) break
    }
  }
  throw failure
}

/** Asks the address that was checked and no other, whatever the name leads to a moment later. */
async function ask(
  url: URL,
  address: string | undefined,
  given: string,
  { target, limits, signal }: Fetching,
): Promise<ErrandAnswer> {
  const pinned = new URL(url)
  if (address !== undefined) pinned.hostname = address.includes(':') ? `[${address}]` : address
  const name = `the server of '${shown(given)}'`
  // A proxy that looks into what it carries shows its own certificates.
  const ca = target.settings.proxyUrl && authoritiesOf(target.settings.network)
  const serverName = url.hostname.replace(/^\[|\]$/g, '')
  try {
    return await runErrand(
      {
        url: pinned.href,
        headers: { host: url.host, accept: '*/*', 'user-agent': 'asbru' },
        timeoutMs: limits.timeoutMs,
        maxBytes: limits.maxBytes,
        signal,
        proxy: fetchProxy(target.settings.proxyUrl),
        tls: {
          ...(url.protocol === 'https:' && !isAddress(serverName) && { serverName }),
          ...(ca !== undefined && { ca }),
        },
      },
      name,
    )
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.kind !== 'client_closed') {
      throw unusable(given, thrown.message.replace(/\.$/, ''), thrown)
    }
    throw thrown
  }
}

function isUnreachable(thrown: unknown): boolean {
  const { cause } = (thrown ?? {}) as { cause?: unknown }
  return cause instanceof GatewayError && cause.kind === 'upstream_unreachable'
}

/** Addresses of the older protocol first: the newer one is often there in name only. */
function preferred(addresses: readonly string[]): readonly string[] {
  return addresses.toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')))
}

function unusable(url: string, why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The URL '${shown(url)}' could not be fetched: ${why}.`,
    { param: 'messages', code: 'invalid_image_url', cause },
  )
}

/** The same complaint with the place of the URL in the caller's request. */
function placed(call: Call, url: string, thrown: unknown): unknown {
  if (!(thrown instanceof GatewayError) || thrown.kind !== 'invalid_request') return thrown
  const param = placeOf(conversationOf(call), url) ?? thrown.param
  const { message, code, cause } = thrown
  return inCallersTerms(
    call,
    new GatewayError('invalid_request', message, { param, code: code ?? undefined, cause }),
  )
}

function placeOf({ turns }: Conversation, url: string): string | undefined {
  for (const { parts } of turns) {
    const part = parts.find((each: Part) => {
      return 'source' in each && each.source.kind === 'url' && each.source.url === url
    })
    if (part) return `${part.param}.${part.type === 'image' ? 'image_url.url' : 'file.file_url'}`
  }
  return undefined
}

/** Without its query, which may hold a signature, and without what stands before an `@`. */
function shown(url: string): string {
  const mark = url.indexOf('?')
  const plain = (mark === -1 ? url : url.slice(0, mark)).replace(/^([a-z]+:\/\/)[^/]*@/i, '$1')
  return plain.slice(0, 200).toWellFormed()
}

const signatures: readonly (readonly [mediaType: string, bytes: readonly number[], at: number])[] =
  [
    ['image/png', [0x89, 0x50, 0x4e, 0x47], 0],
    ['image/jpeg', [0xff, 0xd8, 0xff], 0],
    ['image/gif', [0x47, 0x49, 0x46, 0x38], 0],
    ['image/webp', [0x57, 0x45, 0x42, 0x50], 8],
    ['application/pdf', [0x25, 0x50, 0x44, 0x46], 0],
  ]

/** What the bytes themselves say they are: servers often say `application/octet-stream`. */
function sniff(bytes: Uint8Array): string | undefined {
  return signatures.find(([, marks, at]) => marks.every((mark, i) => bytes[at + i] === mark))?.[0]
}
