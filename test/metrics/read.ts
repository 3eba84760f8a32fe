import { expect } from 'bun:test'

export type Sample = { name: string; labels: Record<string, string>; value: number }

/** Reads the text as Prometheus does; a line that is none fails the test. */
export function parse(text: string): Sample[] {
  const samples: Sample[] = []
  const types = new Set<string>()
  const said = new Set<string>()
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE ([a-z_]\w*) (counter|gauge|histogram)$/.exec(line)
    if (type) {
      expect(types).not.toContain(type[1])
      types.add(type[1]!)
    }
    if (line.startsWith('#')) continue
    const match = /^([a-zA-Z_]\w*)(?:\{(.*)\})? (-?[\d.e+-]+)$/.exec(line)
    if (!match) throw new Error(`not a sample: ${line}`)
    const named = line.slice(0, line.lastIndexOf(' '))
    if (said.has(named)) throw new Error(`said twice: ${named}`)
    said.add(named)
    const labels: Record<string, string> = {}
    const rest = (match[2] ?? '').replace(
      /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)",?/g,
      (_, name: string, value: string) => {
        expect(labels).not.toHaveProperty(name)
        labels[name] = value.replace(/\\(.)/g, (_match, char) => (char === 'n' ? '\n' : char))
        return ''
      },
    )
    expect(rest).toBe('')
    samples.push({ name: match[1]!, labels, value: Number(match[3]) })
  }
  return samples
}

/** What `/metrics` says now. */
export async function scrape(gateway: { readonly url: string }): Promise<Sample[]> {
  const response = await fetch(`${gateway.url}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parse(await response.text())
}

/** Of all samples of a name that have these labels. */
export function sum(samples: Sample[], name: string, labels: Record<string, string> = {}): number {
  return samples
    .filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )
    .reduce((total, { value }) => total + value, 0)
}
