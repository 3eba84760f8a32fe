// One coarse timer for all calls. A timer per call costs little, but moving it on every chunk of a stream
// does not: here moving a deadline is one assignment, and a tick looks at all of them.

const tickMs = 20

/** A deadline that is checked every 20 ms; `at` may be moved freely. */
export interface Deadline {
  /** On the `performance.now()` clock; Infinity = never. */
  at: number
  /** Called once when `at` has passed; the deadline then leaves the wheel. */
  readonly expired: () => void
}

const active = new Set<Deadline>()
let timer: ReturnType<typeof setInterval> | undefined

/** Starts watching; call `release` however the call ends. */
export function watch(deadline: Deadline): Deadline {
  active.add(deadline)
  timer ??= setInterval(tick, tickMs)
  return deadline
}

/** Stops watching; harmless when it is not watched. */
export function release(deadline: Deadline): void {
  active.delete(deadline)
}

/** How many deadlines are watched, for tests of leaks. */
export function watched(): number {
  return active.size
}

function tick(): void {
  if (active.size === 0) {
    clearInterval(timer)
    timer = undefined
    return
  }
  const now = performance.now()
  for (const deadline of active) {
    if (deadline.at <= now) {
      active.delete(deadline)
      deadline.expired()
    }
  }
}

/** `performance.now()` in `ms` milliseconds; 0 means never. */
export function inMs(ms: number): number {
  return ms === 0 ? Number.POSITIVE_INFINITY : performance.now() + ms
}
