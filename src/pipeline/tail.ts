// How long the slow ones take: a histogram of latencies whose size does not depend on how many were seen.

/** Each bucket is this much wider than the one before, so a reading is right within a tenth. */
const growth = 1.1
const log = Math.log(growth)
/** Buckets from 1 ms to about ten minutes; what is longer counts as the last. */
const buckets = 140
/** When so many were seen all counts are halved, so that last week's latencies do not speak for today. */
const maxSeen = 400

/** A bounded memory of latencies that answers which of them 95 in 100 stay below. */
export interface Tail {
  add(ms: number): void
  /** How many it speaks for; older ones count less. */
  readonly seen: number
  /** The 95th percentile in milliseconds, rounded up to its bucket; 0 when nothing was seen. */
  p95(): number
}

export function createTail(): Tail {
  return new Histogram()
}

/** A class, because there is one for each target: what they can do is theirs together. */
class Histogram implements Tail {
  readonly #counts = new Uint16Array(buckets)
  seen = 0

  add(ms: number): void {
    const counts = this.#counts
    // What `p95` answered falls into its own bucket again, whatever the logarithm's last digit says.
    const bucket = ms <= 1 ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(ms) / log - 1e-9))
    counts[bucket]!++
    this.seen++
    if (this.seen < maxSeen) return
    this.seen = 0
    for (let at = 0; at < buckets; at++) this.seen += counts[at] = counts[at]! >> 1
  }

  p95(): number {
    let above = Math.floor(this.seen * 0.05)
    for (let at = buckets - 1; at >= 0; at--) {
      above -= this.#counts[at]!
      if (above < 0) return growth ** at
    }
    return 0
  }
}
