import type { GatewayError } from '#core/errors.ts'

/** Something under way that can be told to end. */
export interface Abortable {
  /** Ends it, with a well-formed error for whoever waits for it. */
  abort(reason: GatewayError): void
  /** Kept by this file; set exactly while it is under way. */
  slot?: number | undefined
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
  // An array that closes its gaps. What has left a set stays reachable for the young-generation collector until
  // the set is rehashed: every request outlived it, and the time spent collecting doubled.
  const open: Abortable[] = []
  let over: GatewayError | undefined
  return {
    add(work) {
      if (work.slot !== undefined) return
      work.slot = open.length
      open.push(work)
      if (over) work.abort(over)
    },
    delete(work) {
      const { slot } = work
      if (slot === undefined) return
      work.slot = undefined
      const last = open.pop()
      if (last && last !== work) {
        open[slot] = last
        last.slot = slot
      }
    },
    get size() {
      return open.length
    },
    endAll(reason) {
      over = reason
      for (const work of [...open]) work.abort(reason)
    },
  }
}
