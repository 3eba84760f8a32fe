import type { GatewayError } from '#core/errors.ts'

/** Something under way that can be told to end. */
export interface Abortable {
  /** Ends it, with a well-formed error for whoever waits for it. */
  abort(reason: GatewayError): void
}

/** What is under way towards providers, so that a shutdown can end each in its own dialect. */
export interface Inflight {
  add(work: Abortable): void
  delete(work: Abortable): void
  readonly size: number
  /** Ends everything that is under way, and whatever is added from now on. */
  endAll(reason: GatewayError): void
}

/** One per process; calls, streams and sockets enter and leave it. */
export function createInflight(): Inflight {
  const open = new Set<Abortable>()
  let over: GatewayError | undefined
  return {
    add(work) {
      open.add(work)
      if (over) work.abort(over)
    },
    delete: (work) => void open.delete(work),
    get size() {
      return open.size
    },
    endAll(reason) {
      over = reason
      for (const work of open) work.abort(reason)
    },
  }
}
