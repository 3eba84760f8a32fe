import type { Histogram } from './histogram.ts'
import { labelText } from './labels.ts'
import type { Labels } from './labels.ts'

/** What is counted for each set of labels; the order is that of `Series.counters`. */
export const COUNTERS = [
  ['bifrost_upstream_requests_total', 'Requests sent to providers.'],
  ['bifrost_success_requests_total', 'Requests that providers served.'],
  ['bifrost_input_tokens_total', 'Input tokens, cached ones included.'],
  ['bifrost_output_tokens_total', 'Output tokens.'],
  ['bifrost_cache_read_input_tokens_total', 'Input tokens read from the cache of a provider.'],
  ['bifrost_cache_write_input_tokens_total', 'Input tokens written to the cache of a provider.'],
  ['bifrost_cache_write_input_tokens_5m_total', 'Those of them that are kept for minutes.'],
  ['bifrost_cache_write_input_tokens_1h_total', 'Those of them that are kept for an hour.'],
  ['bifrost_cost_total', 'Cost in US dollars, of calls whose price is known.'],
  ['asbru_reasoning_tokens_total', 'Output tokens that were reasoning.'],
  ['asbru_unpriced_requests_total', 'Served calls whose price is not known.'],
] as const

export const HISTOGRAMS = [
  ['bifrost_upstream_latency_seconds', 'Time spent waiting for providers.'],
  [
    'bifrost_overhead_latency_microseconds',
    'Total time minus the time spent waiting for providers.',
  ],
  ['bifrost_stream_first_token_latency_seconds', 'From arrival to the first event of a stream.'],
  ['bifrost_stream_inter_token_latency_seconds', 'Mean time between the tokens of a stream.'],
  ['bifrost_request_retries', 'Tries after the first.'],
  ['asbru_queue_wait_seconds', 'Time spent waiting for a free place.'],
] as const

/** All that is counted for one set of labels. */
export class Series {
  readonly labels: string
  readonly counters = new Float64Array(COUNTERS.length)
  /** By the order of `HISTOGRAMS`; made when there is something to note. */
  readonly histograms: (Histogram | undefined)[] = Array.from({ length: HISTOGRAMS.length })
  /** Waiting for providers in vain. */
  failedLatency: Histogram | undefined = undefined
  /** Failures by the text of their labels. */
  readonly errors = new Map<string, number>()

  constructor(labels: string) {
    this.labels = labels
  }
}

/**
 * Sets of labels, as many as are allowed. Values that callers make up cannot grow it: what comes on top is counted
 * under the labels that `overflow` says, and when those are too many as well, under none.
 */
export class SeriesSet {
  readonly #all = new Map<string, Series>()
  #last: Series | undefined

  get size(): number {
    return this.#all.size
  }

  values(): Iterable<Series> {
    return this.#all.values()
  }

  find(key: string): Series | undefined {
    return this.#all.get(key)
  }

  /** A new one under `key`, or a shared one when there are `limit` already. */
  add(key: string, labels: Labels, overflow: Labels, limit: number): Series {
    if (this.#all.size < limit) return this.#set(key, labelText(labels))
    const shared = labelText(overflow)
    const found = this.#all.get(shared)
    if (found) return found
    if (this.#all.size < limit + maxShared) return this.#set(shared, shared)
    this.#last ??= this.#set('', `model="${OTHER}"`)
    return this.#last
  }

  #set(key: string, labels: string): Series {
    const series = new Series(labels)
    this.#all.set(key, series)
    return series
  }
}

/** Stands for every value that found no place. */
export const OTHER = '_other'

const maxShared = 100
