import type { Snapshot } from '#config/snapshot.ts'
import type { Services } from '#pipeline/services.ts'

/** What the surfaces need of the running process. */
export interface Gateway {
  readonly services: Services
  snapshot(): Snapshot
  /** Called once a request has arrived whole: from then on only our own timers limit how long its answer takes. */
  patient(request: Request): void
  /** The address that a request came from; undefined when nobody knows. */
  readonly peer?: (request: Request) => string | undefined
}
