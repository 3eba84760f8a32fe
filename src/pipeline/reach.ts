import type { ProviderSettings } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'
import type { Outbound } from '#providers/provider.ts'

// Whether an address may be and can be reached. Both answers are remembered for a minute, so that a busy
// provider costs one lookup a minute and not one per request.

const rememberMs = 60_000
const maxRemembered = 1000
const probeMs = 1000
const lookupMs = 5000

/** What is remembered of an address; times are `performance.now()`. */
export interface Place {
  reachableUntil: number
  permittedUntil: number
}

const places = new Map<string, Place>()
let lastUrl = ''
let lastPlace: Place | undefined

/** What is remembered of the host and port of a URL. */
export function placeOf(url: string): Place {
  // One call after the other goes to the same address, and comparing costs less than cutting and looking up.
  if (lastPlace && url === lastUrl) return lastPlace
  const end = url.indexOf('/', url.indexOf('//') + 2)
  const origin = end === -1 ? url : url.slice(0, end)
  let place = places.get(origin)
  if (!place) {
    if (places.size >= maxRemembered) places.clear()
    place = { reachableUntil: 0, permittedUntil: 0 }
    places.set(origin, place)
  }
  lastUrl = url
  lastPlace = place
  return place
}

/** At `nowMs` something had answered there within a minute, so a silence now is not a failure to connect. */
export function isKnownReachable({ reachableUntil }: Place, nowMs: number): boolean {
  return reachableUntil > nowMs
}

/** Call when an answer came, at `nowMs` of `performance.now()`. */
export function noteReachable(place: Place, nowMs: number): void {
  place.reachableUntil = nowMs + rememberMs
}

/** Opens and closes a TCP connection; false when that does not work within a second. */
export async function probe(url: string): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), probeMs)
  Bun.connect({
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
    socket: {
      open(socket) {
        socket.end()
        resolve(true)
      },
      data() {},
      connectError: () => resolve(false),
    },
  }).catch(() => resolve(false))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Refuses addresses inside private networks (loopback is always allowed, link-local never), also when a
 * public name leads there. Returns undefined at once for a host that was checked within the last minute.
 */
export function assertReachable(url: string, provider: string): Promise<void> | undefined {
  const place = placeOf(url)
  return place.permittedUntil > performance.now() ? undefined : check(url, place, provider)
}

async function check(url: string, place: Place, provider: string): Promise<void> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const addresses = isAddress(host) ? [host] : await lookup(host)
  const forbidden = addresses.find(isPrivate)
  if (forbidden !== undefined) {
    throw new GatewayError(
      'egress_forbidden',
      `Provider '${provider}' points into a private network. Set network_config.allow_private_network to permit it.`,
    )
  }
  // A name that does not resolve is left to `fetch`, whose error says so.
  if (addresses.length > 0) place.permittedUntil = performance.now() + rememberMs
}

/**
 * Refuses to send a request where the configuration forbids it. Returns undefined at once where nothing has to be
 * looked up. Addresses that come from a caller must be public ones: loopback is the operator's, not the caller's.
 */
export function permit(
  { url, isCallersAddress }: Pick<Outbound, 'url' | 'isCallersAddress'>,
  { network, proxyUrl, name }: ProviderSettings,
): Promise<void> | undefined {
  if (network.allowPrivateNetwork) return undefined
  if (isCallersAddress) return assertPublic(url, proxyUrl !== undefined)
  return proxyUrl ? undefined : assertReachable(url, name)
}

async function assertPublic(url: string, isProxied: boolean): Promise<void> {
  const { hostname } = new URL(url)
  // Behind a proxy names need not resolve here; numbers, and the names of this machine, say enough.
  if (isProxied && !isAddress(hostname) && !/(?:^|\.)localhost\.?$/.test(hostname)) return
  if ((await publicAddress(hostname)) !== undefined) return
  throw new GatewayError(
    'egress_forbidden',
    'The address that this request names is not on the public internet, or its name does not resolve.',
  )
}

/**
 * An address of `hostname` that is on the public internet, or undefined when any of its addresses is not: loopback,
 * private networks, link-local with its metadata services, and the ranges that lead there by other names.
 */
async function publicAddress(hostname: string): Promise<string | undefined> {
  const addresses = await addressesOf(hostname.replace(/^\[|\]$/g, ''))
  return addresses.every(isPublic) ? addresses[0] : undefined
}

/** The addresses of a name, or the address itself, without brackets; none when the name does not resolve. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  return isAddress(host) ? [host] : await lookup(host)
}

/** Whether an address is on the public internet. */
export function isPublic(address: string): boolean {
  return !isPrivate(address) && !isLoopback(address)
}

function isLoopback(address: string): boolean {
  const mapped = /^::(?:ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  return mapped === '::1' || mapped.startsWith('127.') || /^::ffff:7f/i.test(mapped)
}

async function lookup(host: string): Promise<string[]> {
  const timer = new Promise<string[]>((resolve) => setTimeout(resolve, lookupMs, []).unref())
  const found = Bun.dns.lookup(host).then(
    (records) => records.map(({ address }) => address),
    () => [],
  )
  return await Promise.race([found, timer])
}

/** Whether it is a number and no name. */
export function isAddress(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) || host.includes(':')
}

const privateV4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const

function isPrivate(address: string): boolean {
  const mapped = /^::(?:ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  const v4 = mapped ?? address
  if (!v4.includes(':')) {
    return privateV4.some(
      ([net, bits]) => number(v4) >>> (32 - bits) === number(net) >>> (32 - bits),
    )
  }
  const v6 = address.toLowerCase()
  if (v6 === '::1') return false
  // Unspecified and mapped or compatible forms of version 4, unique local (fc00::/7), link-local and site-local
  // (fe80::/9), multicast, NAT64, Teredo and 6to4.
  return /^(?:::|f[cd]|fe[89a-f]|ff|64:ff9b|2001:0{0,4}:|2002:)/.test(v6)
}

function number(address: string): number {
  return address.split('.').reduce((sum, part) => (sum << 8) | Number(part), 0) >>> 0
}
