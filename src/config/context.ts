import type { Report } from './problem.ts'
import type { Environment } from './reference.ts'

/** What the parts of a configuration are read against. */
export interface Context {
  readonly env: Environment
  readonly operations: ReadonlySet<string>
  readonly report: Report
  /** `version: 1`: an empty list of models allows all of them. */
  readonly emptyMeansAll: boolean
  /** Key name → pointer of the first key that has it. */
  readonly keyNames: Map<string, string>
  readonly keyIds: Map<string, string>
}
