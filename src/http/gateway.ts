import type { Snapshot } from '#config/snapshot.ts'
import type { Metrics } from '#metrics/metrics.ts'
import type { Agents } from '#pipeline/agents.ts'
import type { Jobs } from '#pipeline/jobs.ts'
import type { Refusals } from '#pipeline/refusals.ts'
import type { run } from '#pipeline/run.ts'
import type { Services } from '#pipeline/services.ts'
import type { Underway } from '#pipeline/underway.ts'
import type { Webhooks } from '#pipeline/webhooks.ts'
import type { LogStore } from '#store/logs.ts'

/** What the surfaces need of the running process. */
export interface Gateway {
  readonly services: Services
  /** Absent where there can be no jobs. */
  readonly jobs?: Jobs | undefined
  /** Absent where nobody is told of jobs. */
  readonly webhooks?: Webhooks | undefined
  /** Absent where no log can be kept. */
  readonly logs?: LogStore | undefined
  /** Which programs callers are; absent where no log can be kept. */
  readonly agents?: Agents | undefined
  /** The calls under way as rows of the log, and whoever follows them; absent where no log can be kept. */
  readonly underway?: Underway | undefined
  /** Takes note of requests that became no calls; absent where no log can be kept. */
  readonly refusals?: Refusals | undefined
  snapshot(): Snapshot
  /** What is done with a call, when that is something else than to `run` it. */
  readonly perform?: typeof run
  /** Called once a request has arrived whole: from then on only our own timers limit how long its answer takes. */
  patient(request: Request): void
  /** Undefined where nothing is counted. */
  readonly metrics?: Metrics | undefined
  /** The address that a request came from; undefined when nobody knows. */
  readonly peer?: (request: Request) => string | undefined
}
