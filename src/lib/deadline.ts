// One coarse timer for all calls. A timer per call costs little, but moving it on every chunk of a stream
// does not: here moving a deadline is one assignment, and a tick looks at all of them.

const tickMs = 50

/** A deadline that is checked every 50 ms; `at` may be moved freely. */
export interface Deadline {
  /** On the `performance.now()` clock; Infinity = never. */
  at: number
  /** Called once when `at` has passed; the deadline is then no longer watched. */
  readonly expired: () => void
  /** Kept by this file. */
  previous?: Deadline | undefined
  /** Kept by this file; set exactly while it is watched. */
  next?: Deadline | undefined
}

// A ring through a fixed head: entering and leaving cost a few assignments, where a set would hash each time.
const head: Deadline = { at: Number.POSITIVE_INFINITY, expired() {} }
head.previous = head
head.next = head

let count = 0
let timer: ReturnType<typeof setInterval> | undefined

/** Starts watching; call `release` however the call ends. Watching what is watched already changes nothing. */
export function watch(deadline: Deadline): Deadline {
  if (deadline.next) return deadline
  const last = head.previous!
  deadline.previous = last
  deadline.next = head
  last.next = deadline
  head.previous = deadline
  count++
  timer ??= setInterval(tick, tickMs)
  return deadline
}

/** Stops watching; harmless when it is not watched. */
export function release(deadline: Deadline): void {
  const { previous, next } = deadline
  if (!previous || !next) return
  previous.next = next
  next.previous = previous
  deadline.previous = undefined
  deadline.next = undefined
  count--
}

/** How many deadlines are watched, for tests of leaks. */
export function watched(): number {
  return count
}

function tick(): void {
  if (count === 0) {
    clearInterval(timer)
    timer = undefined
    return
  }
  const now = performance.now()
  const due: Deadline[] = []
  for (let deadline = head.next!; deadline !== head; deadline = deadline.next!) {
    if (deadline.at <= now) due.push(deadline)
  }
  // Collected first, because what expires may release or watch others. One that was released meanwhile is not due.
  for (const deadline of due) {
    if (!deadline.next) continue
    release(deadline)
    deadline.expired()
  }
}

/** Resolves after `ms`, 0 being the next tick. Whoever stops waiting before that releases its deadline. */
export function alarm(ms: number): {
  readonly deadline: Deadline
  readonly rung: Promise<'late'>
} {
  const { promise, resolve } = Promise.withResolvers<'late'>()
  return {
    deadline: watch({ at: performance.now() + ms, expired: () => resolve('late') }),
    rung: promise,
  }
}

/** `performance.now()` in `ms` milliseconds; 0 means never. */
export function inMs(ms: number): number {
  return ms === 0 ? Number.POSITIVE_INFINITY : performance.now() + ms
}
