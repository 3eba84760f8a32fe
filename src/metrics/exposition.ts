import type { Histogram } from './histogram.ts'

export type Kind = 'counter' | 'gauge' | 'histogram'

/** What one metric says at a moment. */
export class Family {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  /** Label texts, as `labelText` gives them, and what is counted for them. */
  readonly values: (readonly [labels: string, value: number])[] = []
  readonly histograms: (readonly [labels: string, histogram: Histogram])[] = []

  constructor(name: string, kind: Kind, help: string) {
    this.name = name
    this.kind = kind
    this.help = help
  }

  value(labels: string, value: number): void {
    this.values.push([labels, value])
  }

  histogram(labels: string, histogram: Histogram): void {
    this.histograms.push([labels, histogram])
  }

  /** In the format that Prometheus reads; empty when nothing was added. */
  text(): string {
    const { name, kind, help, values, histograms } = this
    if (values.length + histograms.length === 0) return ''
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]
    for (const [labels, value] of values) {
      lines.push(labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`)
    }
    for (const [labels, { counts, buckets, sum, count }] of histograms) {
      const before = `${name}_bucket{${labels}${labels === '' ? '' : ','}le="`
      let total = 0
      for (let i = 0; i < counts.length; i++) {
        total += counts[i]!
        lines.push(`${before}${buckets.texts[i]}"} ${total}`)
      }
      const braced = labels === '' ? '' : `{${labels}}`
      lines.push(`${name}_sum${braced} ${sum}`, `${name}_count${braced} ${count}`)
    }
    return `${lines.join('\n')}\n`
  }
}
