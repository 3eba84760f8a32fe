import type { Family } from './exposition.ts'

// Metrics as OTLP's JSON has them. All counts are those since the start of the process.

const cumulative = 2

/** One metric as JSON text; undefined when it says nothing. `atMs` and `sinceMs` are milliseconds of the epoch. */
export function otlpMetric(family: Family, atMs: number, sinceMs: number): string | undefined {
  const { name, kind, help, values, histograms } = family
  if (values.length + histograms.length === 0) return undefined
  const times = { startTimeUnixNano: nanos(sinceMs), timeUnixNano: nanos(atMs) }
  const points =
    kind === 'histogram'
      ? histograms.map(([labels, { buckets, counts, sum, count }]) => ({
          attributes: attributesOf(labels),
          ...times,
          count: String(count),
          sum,
          bucketCounts: Array.from(counts, String),
          explicitBounds: [...buckets.bounds],
        }))
      : values.map(([labels, asDouble]) => ({
          attributes: attributesOf(labels),
          ...times,
          asDouble,
        }))
  const data =
    kind === 'histogram'
      ? { histogram: { dataPoints: points, aggregationTemporality: cumulative } }
      : kind === 'counter'
        ? { sum: { dataPoints: points, aggregationTemporality: cumulative, isMonotonic: true } }
        : { gauge: { dataPoints: points } }
  return JSON.stringify({ name, description: help, unit: unitOf(name), ...data })
}

const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

/** The pairs of a label text. */
function attributesOf(labels: string): object[] {
  return Array.from(labels.matchAll(label), ([, key, value = '']) => ({
    key,
    value: {
      stringValue: value.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)),
    },
  }))
}

function unitOf(name: string): string {
  if (/_seconds(?:_total)?$/.test(name)) return 's'
  if (name.endsWith('_microseconds')) return 'us'
  return /_bytes(?:_total)?$/.test(name) ? 'By' : '1'
}

function nanos(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}
