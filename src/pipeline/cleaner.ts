import type { Snapshot } from '#config/snapshot.ts'
import { secretsOf } from '#store/logs-secrets.ts'
import type { Secrets } from '#store/logs-secrets.ts'

import { secretsOfConfig } from './journal.ts'
import type { Cleaner } from './journal.ts'

/** Takes out of texts what the configuration of the moment keeps secret, and what a call came with. */
export function createCleaner(snapshot: () => Snapshot): Cleaner {
  const configured = new WeakMap<Snapshot, Secrets>()
  return (own) => {
    const current = snapshot()
    let known = configured.get(current)
    if (!known) configured.set(current, (known = secretsOf(secretsOfConfig(current))))
    const ofFile = known
    const ofCall = secretsOf(own)
    return (text) => ofFile.clean(ofCall.clean(text))
  }
}
