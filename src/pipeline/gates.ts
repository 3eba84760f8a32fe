import { Gate } from './gate.ts'

/** One gate per provider name, kept for the life of the process. */
export interface Gates {
  of(provider: string): Gate
  /** Calls in flight over all providers. */
  inFlight(): number
  /** Calls that wait for a place, over all providers. */
  waiting(): number
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
    inFlight() {
      let sum = 0
      for (const gate of gates.values()) sum += gate.inFlight
      return sum
    },
    waiting() {
      let sum = 0
      for (const gate of gates.values()) sum += gate.waiting
      return sum
    },
  }
}
