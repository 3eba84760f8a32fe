/** One decision taken for a call, with its reason, in the order they were taken. */
export interface Decision {
  /** Milliseconds since the call arrived. */
  readonly atMs: number
  readonly step: 'parse' | 'route' | 'key' | 'queue' | 'attempt' | 'stream' | 'settle'
  readonly what: string
}

const maxDecisions = 200

/** The trace of a call's own decisions; bounded, cheap to append, rendered only when somebody asks. */
export class Trace {
  readonly #startedAt: number
  readonly #decisions: Decision[] = []

  constructor(startedAt: number) {
    this.#startedAt = startedAt
  }

  add(step: Decision['step'], what: string): void {
    if (this.#decisions.length < maxDecisions) {
      this.#decisions.push({ atMs: performance.now() - this.#startedAt, step, what })
    }
  }

  list(): readonly Decision[] {
    return this.#decisions
  }
}
