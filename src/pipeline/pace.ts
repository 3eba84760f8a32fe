/** Upper bounds, in seconds, of the gaps that are told apart: Bifrost's, so that its dashboards read them. */
export const GAP_SECONDS: readonly number[] = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
]

/**
 * How long the events of a stream were apart as they were passed on. Kept for each stream alone until it is settled, for
 * only then it is known whose it was.
 */
export class Pace {
  /** By bucket, not summed up; one without a bound comes last. */
  readonly counts = new Float64Array(GAP_SECONDS.length + 1)
  count = 0
  /** Seconds. */
  sum = 0
  #at: number
  #events = 1

  /** Of a stream whose first event came then, in milliseconds as `performance.now()` gives them. */
  constructor(firstAt: number) {
    this.#at = firstAt
  }

  /** So many events have come by now. Those that came in one piece have nothing between them. */
  noted(at: number, events: number): void {
    const more = events - this.#events
    if (more <= 0) return
    const gap = (at - this.#at) / 1000
    this.#at = at
    this.#events = events
    this.counts[0]! += more - 1
    this.counts[bucketOf(gap)]!++
    this.count += more
    this.sum += gap
  }
}

/** Most gaps are short, so that looking from below finds them soonest. */
function bucketOf(gap: number): number {
  let at = 0
  while (at < GAP_SECONDS.length && gap > GAP_SECONDS[at]!) at++
  return at
}
