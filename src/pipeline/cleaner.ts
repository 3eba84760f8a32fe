import type { Snapshot } from '#config/snapshot.ts'
import { secretsOf } from '#store/logs-secrets.ts'
import type { Secrets } from '#store/logs-secrets.ts'

import { secretsOfConfig } from './journal.ts'
import type { Cleaner } from './journal.ts'

const maxKnown = 200

/** Takes out of texts what the configuration of the moment keeps secret, and what a call came with. */
export function createCleaner(snapshot: () => Snapshot): Cleaner {
  let of: Snapshot | undefined
  /** By the secrets of calls: callers come with the same keys again and again. */
  const known = new Map<string, Secrets>()
  return (own) => {
    const current = snapshot()
    if (of !== current || known.size >= maxKnown) known.clear()
    of = current
    const name = own.join('\n')
    let found = known.get(name)
    if (!found) known.set(name, (found = secretsOf([...secretsOfConfig(current), ...own])))
    const secrets = found
    return (text) => secrets.clean(text)
  }
}
