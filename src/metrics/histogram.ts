import { GAP_SECONDS } from '#pipeline/pace.ts'

/** Upper bounds of buckets, ascending, with the texts that stand in `le`. */
export interface Buckets {
  readonly bounds: Float64Array
  readonly texts: readonly string[]
}

/** The buckets with these upper bounds; one without a bound comes on top. */
export function buckets(...bounds: readonly number[]): Buckets {
  return { bounds: Float64Array.from(bounds), texts: [...bounds.map(String), '+Inf'] }
}

// Bifrost's, so that its dashboards read them.

export const UPSTREAM_SECONDS = buckets(
  ...[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  ...[15, 30, 45, 60, 90, 120, 180, 300, 600, 900],
)
export const OVERHEAD_MICROSECONDS = buckets(
  ...[100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000],
  ...[1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000],
)
export const FIRST_TOKEN_SECONDS = buckets(
  ...[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300],
)
export const INTER_TOKEN_SECONDS = buckets(...GAP_SECONDS)
export const RETRIES = buckets(0, 1, 2, 3, 5, 10)
export const SIZE_BYTES = buckets(...Array.from({ length: 8 }, (_, i) => 100 * 10 ** i))

export class Histogram {
  readonly buckets: Buckets
  /** Per bucket, not summed up. */
  readonly counts: Float64Array
  sum = 0
  count = 0

  constructor(shape: Buckets) {
    this.buckets = shape
    this.counts = new Float64Array(shape.bounds.length + 1)
  }

  /** Takes over what was counted elsewhere in the same buckets. */
  add({ counts, sum, count }: Pick<Histogram, 'counts' | 'sum' | 'count'>): void {
    for (let i = 0; i < counts.length; i++) this.counts[i]! += counts[i]!
    this.sum += sum
    this.count += count
  }

  observe(value: number): void {
    const { bounds } = this.buckets
    // The first bound that is not below the value.
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (value > bounds[middle]!) low = middle + 1
      else high = middle
    }
    this.counts[low]!++
    this.sum += value
    this.count++
  }
}
