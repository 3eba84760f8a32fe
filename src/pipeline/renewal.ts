import type { Snapshot } from '#config/snapshot.ts'

import type { Services } from './services.ts'

// What outlives a configuration is told of the next one.

/** Call when another configuration is in force. */
export function renew(next: Snapshot, { gates }: Pick<Services, 'gates'>): void {
  for (const settings of next.providers.values()) gates.resize(settings)
}
