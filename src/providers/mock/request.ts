import type { KnownEndpoint } from '#core/endpoint.ts'

import type { Answer } from './answer.ts'
import type { Faults } from './faults.ts'
import type { Memory } from './memory.ts'

/** One request as the endpoints of the mock see it. */
export interface MockRequest {
  readonly endpoint: KnownEndpoint
  /** Path parameters by the names in the endpoint table. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** The JSON body, or the text fields of a form. */
  readonly body: Readonly<Record<string, unknown>>
  /** The files of a form by field name. */
  readonly files: ReadonlyMap<string, File>
  /** The model as it was asked for, faults included. */
  readonly model: string
  /** The model without faults: decides how the mock behaves. */
  readonly behaviour: string
  readonly stream: boolean
  readonly faults: Faults
  readonly memory: Memory
  /** Seconds since 1970. */
  readonly now: number
  /** Runs another request of the same caller, for batches. */
  readonly run: (path: string, body: unknown) => Promise<Answer>
}

/** Answers one endpoint; throws `MockFailure` for an error. */
export type Handle = (request: MockRequest) => Answer | Promise<Answer>
