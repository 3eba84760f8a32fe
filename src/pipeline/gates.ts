import type { ProviderSettings } from '#config/snapshot.ts'

import { Gate } from './gate.ts'

/** One gate per provider name, kept for the life of the process. */
export interface Gates {
  of(provider: string): Gate
  /** The limits of a provider and of its keys are these from now on, for those who wait as well. */
  resize(settings: ProviderSettings): void
  /** Calls in flight over all providers. */
  inFlight(): number
  /** Calls that wait for a place, over all providers. */
  waiting(): number
  /** Each provider that was ever called, for metrics. */
  snapshot(): readonly GateState[]
}

/** A provider's gate as metrics tell of it. */
export interface GateState {
  readonly provider: string
  readonly inFlight: number
  /** Calls that wait for a place or for a key. */
  readonly waiting: number
  /** Calls in flight with keys that have a limit of their own. */
  readonly inFlightOfLimitedKeys: number
  /** There is something left of the retry budget. */
  readonly mayRetry: boolean
}

export function createGates(): Gates {
  const gates = new Map<string, Gate>()
  return {
    of(provider) {
      let gate = gates.get(provider)
      if (!gate) {
        gate = new Gate()
        gates.set(provider, gate)
      }
      return gate
    },
    resize({ name, concurrency, keys }) {
      const gate = gates.get(name)
      gate?.keys.resize(keys)
      gate?.resize(concurrency)
    },
    inFlight() {
      let sum = 0
      for (const gate of gates.values()) sum += gate.inFlight
      return sum
    },
    snapshot() {
      return Array.from(gates, ([provider, { inFlight, waiting, keys, retries }]) => ({
        provider,
        inFlight,
        waiting,
        inFlightOfLimitedKeys: keys.inFlight,
        mayRetry: retries.hasLeft,
      }))
    },
    waiting() {
      let sum = 0
      for (const gate of gates.values()) sum += gate.waiting
      return sum
    },
  }
}
