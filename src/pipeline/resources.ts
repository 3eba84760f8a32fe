import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { noResources } from '#providers/provider.ts'
import type { Resource, Resources, Target } from '#providers/provider.ts'

import { runErrand } from './errand.ts'
import type { ErrandAnswer } from './errand.ts'
import { publicAddress } from './reach.ts'

// Pictures and documents that a request names by URL and that the vendor does not fetch itself. The URLs are the
// caller's: none of them may lead into this machine or its networks.

const maxResources = 20
const maxBytes = 20 * 1024 * 1024
const timeoutMs = 15_000
const maxRedirects = 3

/** Fetches what the target needs of this call. Throws a 400 naming the URL that could not be had. */
export async function fetchResources(call: Call, target: Target): Promise<Resources> {
  const urls = new Set(target.provider.resources?.(call, target))
  if (urls.size === 0) return noResources
  if (urls.size > maxResources) {
    throw new GatewayError(
      'invalid_request',
      `Provider '${target.settings.name}' cannot fetch URLs, and the gateway fetches at most ${maxResources} for a request.`,
      { param: 'messages' },
    )
  }
  const found = await Promise.all(
    [...urls].map(async (url) => [url, await fetchOne(url, call, target)] as const),
  )
  call.trace.add('attempt', `fetched ${found.length} URL(s) of the request`)
  return new Map(found)
}

async function fetchOne(given: string, call: Call, target: Target): Promise<Resource> {
  let url = given
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const answer = await get(url, call, target)
    const { location } = answer.headers
    if (answer.status >= 300 && answer.status < 400 && location !== undefined) {
      url = new URL(location, url).href
      continue
    }
    if (answer.status !== 200) throw unusable(given, `it answered with status ${answer.status}`)
    if (answer.bytes.length === 0) throw unusable(given, 'it is empty')
    const declared = (answer.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
    return {
      mediaType: sniff(answer.bytes) ?? declared,
      base64: Buffer.from(answer.bytes.buffer).toString('base64'),
    }
  }
  throw unusable(given, `it redirects more than ${maxRedirects} times`)
}

async function get(url: string, call: Call, target: Target): Promise<ErrandAnswer> {
  const { network } = target.settings
  if (!/^https?:\/\//i.test(url)) throw unusable(url, 'only http and https are fetched')
  const parsed = new URL(url)
  if (parsed.username !== '' || parsed.password !== '') throw unusable(url, 'it holds a password')
  const { host, hostname, protocol } = parsed
  if (!network.allowPrivateNetwork) {
    const address = await publicAddress(hostname)
    if (address === undefined) {
      throw unusable(url, 'its address is not public, or its name does not resolve')
    }
    // The address that was checked is the one that is spoken to, whatever the name leads to a moment later.
    parsed.hostname = address.includes(':') ? `[${address}]` : address
  }
  const name = `The server of '${shown(url)}'`
  try {
    return await runErrand(
      {
        url: parsed.href,
        headers: { host, accept: '*/*', 'user-agent': 'asbru' },
        timeoutMs,
        maxBytes,
        signal: call.signal,
        ...(protocol === 'https:' && { tls: { serverName: hostname.replace(/^\[|\]$/g, '') } }),
      },
      name,
    )
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.kind !== 'client_closed') {
      throw unusable(url, thrown.message, thrown)
    }
    throw thrown
  }
}

function unusable(url: string, why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The URL '${shown(url)}' could not be fetched: ${why}.`,
    {
      param: 'messages',
      code: 'invalid_image_url',
      cause,
    },
  )
}

/** Without its query, which may hold a signature. */
function shown(url: string): string {
  const mark = url.indexOf('?')
  return (mark === -1 ? url : url.slice(0, mark)).slice(0, 200)
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
