import type { Key, ProviderSettings, Snapshot } from '#config/snapshot.ts'
import { Secret } from '#lib/secret.ts'

import type { Services } from './services.ts'

// What outlives a configuration is told of the next one: limits that others wait for, and names behind which there is
// another provider, another key or another policy now.

/** Call when `next` has taken the place of `previous`. */
export function renew(
  next: Snapshot,
  previous: Snapshot,
  { gates, health, tripped }: Pick<Services, 'gates' | 'health' | 'tripped'>,
): void {
  const policies = byName(next)
  const policiesBefore = byName(previous)
  for (const name of tripped?.keys() ?? []) {
    if (policies.get(name) !== policiesBefore.get(name)) tripped!.delete(name)
  }
  for (const settings of next.providers.values()) {
    gates.resize(settings)
    const { name, keys } = settings
    const before = previous.providers.get(name)
    if (before === settings) continue
    if (!before || wayTo(before) !== wayTo(settings)) {
      health.forget(name)
      continue
    }
    const known = new Map(before.keys.map((key) => [key.id, key]))
    for (const key of keys) {
      const old = known.get(key.id)
      if (!old || accountOf(old) !== accountOf(key)) health.forget(name, key.id)
    }
  }
}

/** What each policy says. */
function byName({ routing }: Snapshot): ReadonlyMap<string, string> {
  return new Map(routing.policies.map((policy) => [policy.name, textOf(policy)]))
}

/** How a provider is reached: an address that was mended, or a timer that was too short, deserves another look. */
function wayTo({ network, proxyUrl, custom, ambient }: ProviderSettings): string {
  return textOf({ ...network, retry: undefined, proxyUrl, custom, ambient })
}

/** What a key stands for at its provider. */
function accountOf({ value, vendor, aliases, aliasSettings }: Key): string {
  return textOf({ value, vendor, aliases, aliasSettings })
}

/** To compare with, and to be forgotten at once: secrets are told apart by what they are. */
function textOf(what: object): string {
  return JSON.stringify(what, function (this: Record<string, unknown>, name, shown: unknown) {
    const own = this[name]
    if (own instanceof Secret) return own.reveal()
    return own instanceof Map || own instanceof Set ? [...(own as Iterable<unknown>)] : shown
  })
}
