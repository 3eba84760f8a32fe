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
  [
    'bifrost_stream_inter_token_latency_seconds',
    'Time between one event of a stream and the next.',
  ],
  ['bifrost_request_retries', 'Tries after the first.'],
  ['asbru_queue_wait_seconds', 'Time spent waiting for a free place.'],
] as const

/** Where the gateway's own time goes; the order is that of `Series.components`. */
export const COMPONENTS = ['queue', 'routing', 'request', 'response', 'retry'] as const

/** All that is counted for one set of labels. */
export class Series {
  readonly #labels: Labels
  #text: string | undefined = undefined
  readonly counters = new Float64Array(COUNTERS.length)
  /** By the order of `HISTOGRAMS`; made when there is something to note. */
  readonly histograms: (Histogram | undefined)[] = Array.from({ length: HISTOGRAMS.length })
  /** Waiting for providers in vain. */
  failedLatency: Histogram | undefined = undefined
  /** By the order of `COMPONENTS`; undefined while nobody asks for them. */
  components: (Histogram | undefined)[] | undefined = undefined
  /** Failures by the text of their labels. */
  readonly errors = new Map<string, number>()
  /** Calls that no queue had room for. */
  dropped = 0

  constructor(labels: Labels) {
    this.#labels = labels
  }

  /** As they stand between braces; written when somebody reads them first. */
  get labels(): string {
    return (this.#text ??= labelText(this.#labels))
  }
}

/** A value of a label; undefined where a call has none. */
export type Step = string | number | undefined

type Node = Map<Step, unknown>

/**
 * Sets of labels, as many as are allowed. Values that callers make up cannot grow it: what comes on top is counted
 * under the labels that its overflow says, and when those are too many as well, under none.
 *
 * A tree with one level for each label: finding a set makes no text.
 */
export class SeriesSet {
  readonly #roots = new Map<string, Node>()
  #custom: readonly { readonly name: string }[] | undefined
  #root: Node = new Map()
  readonly #all: Series[] = []
  readonly #shared = new Map<string, Map<string, Map<string, Series>>>()
  #names = ''
  #last: Series | undefined

  get size(): number {
    return this.#all.length
  }

  values(): Iterable<Series> {
    return this.#all
  }

  /**
   * The top of the tree; `below` goes on from it. `custom` are labels that the configuration adds: with other ones the
   * tree has another depth.
   */
  root(custom: readonly { readonly name: string }[]): unknown {
    if (custom !== this.#custom) {
      this.#custom = custom
      this.#names = custom.map(({ name }) => name).join(',')
      this.#root = this.#roots.get(this.#names) ?? new Map<Step, unknown>()
      this.#roots.set(this.#names, this.#root)
    }
    return this.#root
  }

  /** A new one under these steps of the last root; only while there are fewer than may be. */
  add(steps: readonly Step[], labels: Labels): Series {
    let node = this.#root
    for (const step of steps.slice(0, -1)) {
      const next = (node.get(step) as Node | undefined) ?? new Map<Step, unknown>()
      node.set(step, next)
      node = next
    }
    const series = this.#push(labels)
    node.set(steps.at(-1), series)
    return series
  }

  /** The one that is shared by all that found no place. */
  overflow(provider: string, method: string, limit: number): Series {
    const found = this.#shared.get(this.#names)?.get(provider)?.get(method)
    if (found) return found
    if (this.#all.length >= limit + maxShared) {
      this.#last ??= this.#push([['model', OTHER]])
      return this.#last
    }
    const series = this.#push([
      ['provider', provider],
      ['model', OTHER],
      ['method', method],
      ...(this.#custom ?? []).map(({ name }) => [name, OTHER] as const),
    ])
    let providers = this.#shared.get(this.#names)
    if (!providers) this.#shared.set(this.#names, (providers = new Map()))
    let methods = providers.get(provider)
    if (!methods) providers.set(provider, (methods = new Map()))
    methods.set(method, series)
    return series
  }

  #push(labels: Labels): Series {
    const series = new Series(labels)
    this.#all.push(series)
    return series
  }
}

/** One level down the tree; undefined when nothing is there. */
export function below(node: unknown, step: Step): unknown {
  return node === undefined ? undefined : (node as Node).get(step)
}

/** Stands for every value that found no place. */
export const OTHER = '_other'

const maxShared = 100
