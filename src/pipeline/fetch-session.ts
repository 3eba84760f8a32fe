import { getCACertificates } from 'node:tls'

import type { NetworkSettings, ProviderSettings } from '#config/snapshot.ts'

import { MAX_POOLS, poolOptions } from './pools.ts'

// What a provider's connections are made with, where its configuration says more than where to go: whom to trust, and
// how long an idle connection is kept. Bun has sessions for this, which take certificates once; the same options with
// each request are compared each time, which costs more than the request when the public authorities are among them.

/** One session for each pool of `pools.ts`. They end with the settings they are for, which a new configuration replaces. */
const sessions = new WeakMap<ProviderSettings, Bun.FetchSession[]>()
const bundles = new WeakMap<NetworkSettings, string>()

/** The session for a provider's requests of this pool; undefined where `fetch` does as well without. */
export function sessionOf(settings: ProviderSettings, pool: number): Bun.FetchSession | undefined {
  const { network } = settings
  const { keepAliveMs, insecureSkipVerify, caCertPem } = network
  if (!insecureSkipVerify && caCertPem === undefined && keepAliveMs === undefined) return undefined
  let own = sessions.get(settings)
  if (!own) sessions.set(settings, (own = []))
  return (own[Math.min(pool, MAX_POOLS)] ??= new Bun.FetchSession({
    tls: { ...trustOf(network), ...poolOptions(pool) },
    ...(keepAliveMs !== undefined && { keepAlive: { idleTimeout: keepAliveMs / 1000 } }),
  }))
}

/** The `tls` options of a connection that no session makes; undefined when they are the usual ones. */
export function trustOf(
  network: NetworkSettings,
): { readonly rejectUnauthorized?: boolean; readonly ca?: string } | undefined {
  const ca = authoritiesOf(network)
  if (!network.insecureSkipVerify && ca === undefined) return undefined
  return {
    ...(network.insecureSkipVerify && { rejectUnauthorized: false }),
    ...(ca !== undefined && { ca }),
  }
}

/** The authorities that are trusted for connections on a provider's behalf; undefined = those that always are. */
export function authoritiesOf(network: NetworkSettings): string | undefined {
  const { caCertPem } = network
  if (caCertPem === undefined) return undefined
  let bundle = bundles.get(network)
  // What is named for a connection replaces what is trusted otherwise.
  if (bundle === undefined) {
    bundle = [...getCACertificates('default'), caCertPem].join('\n')
    bundles.set(network, bundle)
  }
  return bundle
}
