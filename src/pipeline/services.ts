import type { Call } from '#core/call.ts'
import type { ResponseStore } from '#store/responses.ts'

import type { Credentials } from './credentials.ts'
import type { Gates } from './gates.ts'
import type { Health } from './health.ts'
import type { Hedges } from './hedge.ts'
import type { Inflight } from './inflight.ts'
import type { Tripped } from './policies.ts'
import type { Recorder } from './record.ts'
import type { RescueTotals } from './rescue.ts'
import type { Sessions } from './sessions.ts'

/** What a call needs of the running process. */
export interface Services {
  /** Where a call's `origin` is, as far as the socket tells. */
  readonly addressOf?: ((origin: object) => string | undefined) | undefined
  readonly credentials: Credentials
  readonly gates: Gates
  readonly health: Health
  readonly hedges: Hedges
  readonly inflight: Inflight
  readonly recorder: Recorder
  /** Counted where somebody wants to know. */
  readonly rescues?: RescueTotals | undefined
  readonly responses: ResponseStore
  readonly sessions: Sessions
  /** Which breakers of the operator hold; none do where it is absent. */
  readonly tripped?: Tripped | undefined
  /** Tells providers whose trace they work for. */
  readonly outgoing?: Outgoing | undefined
}

export interface Outgoing {
  /** Adds what belongs into the headers of a request to a provider. */
  addTo(headers: Record<string, string>, call: Call): void
}
