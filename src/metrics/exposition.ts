import type { Histogram } from './histogram.ts'

// The text format that Prometheus reads.

export type Kind = 'counter' | 'gauge' | 'histogram'

/** The lines of one metric. */
export class Family {
  readonly #name: string
  readonly #lines: string[]

  constructor(name: string, kind: Kind, help: string) {
    this.#name = name
    this.#lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]
  }

  /** `labels` as `labelText` gives them. */
  value(labels: string, value: number): void {
    this.#lines.push(labels === '' ? `${this.#name} ${value}` : `${this.#name}{${labels}} ${value}`)
  }

  histogram(labels: string, histogram: Histogram): void {
    const { counts, buckets, sum, count } = histogram
    const before = `${this.#name}_bucket{${labels}${labels === '' ? '' : ','}le="`
    let total = 0
    for (let i = 0; i < counts.length; i++) {
      total += counts[i]!
      this.#lines.push(`${before}${buckets.texts[i]}"} ${total}`)
    }
    const braced = labels === '' ? '' : `{${labels}}`
    this.#lines.push(`${this.#name}_sum${braced} ${sum}`, `${this.#name}_count${braced} ${count}`)
  }

  /** Empty when nothing was added. */
  text(): string {
    return this.#lines.length === 2 ? '' : `${this.#lines.join('\n')}\n`
  }
}
