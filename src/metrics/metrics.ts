import type { Snapshot } from '#config/snapshot.ts'

import { CallMetrics } from './calls.ts'
import { watchLoop } from './loop.ts'
import type { LoopDelay } from './loop.ts'
import type { Reading } from './scrape.ts'

/** What a process counts about itself. */
export interface Metrics {
  readonly calls: CallMetrics
  readonly loop: LoopDelay
  /** Numbers that other parts keep; whoever starts such a part adds them. */
  readonly more: Reading[]
  readonly stop: () => void
}

export function createMetrics(snapshot: () => Snapshot): Metrics {
  const loop = watchLoop()
  return { calls: new CallMetrics(snapshot), loop, more: [], stop: loop.stop }
}
