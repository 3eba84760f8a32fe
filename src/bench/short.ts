// The half-minute answer to "what does the gateway add on this machine?": the same requests straight to the upstream
// and through the gateway, in turns.

import type { Parts } from './contenders.ts'
import type { Job } from './job.ts'
import { type Round, takeTurns, typical } from './measure.ts'
import { base, problemsOf, warmUp } from './stage.ts'
import { figure, renderTable } from './table.ts'

/** What was seen: the table, the rounds behind it, and every wrong answer in a sentence. */
export interface ShortResult {
  table: string
  raw: unknown
  problems: string[]
}

const rounds = 3

/** Measures direct against gateway; `progress` is told what is running. */
export async function measureShort(
  parts: Parts,
  quick: boolean,
  progress: (line: string) => void,
): Promise<ShortResult> {
  const n = (count: number): number => Math.round(quick ? count / 20 : count)
  const stream = { model: 'bench-burst', kind: 'stream' } as const
  const works: [string, Partial<Job>][] = [
    ['1 KB chat, one caller', { concurrency: 1, requests: n(3000) }],
    ['1 KB chat, 64 callers', { concurrency: 64, requests: n(20_000) }],
    ['100-chunk stream, 32 callers', { ...stream, concurrency: 32, requests: n(1000) }],
  ]
  const cells: string[][] = []
  const raw: unknown[] = []
  const problems: string[] = []
  const gateway = await parts.startGateway()
  try {
    for (const [name, parameters] of works) {
      progress(name)
      const job = { ...base, ...parameters }
      await warmUp(parts, gateway, { job, requests: n(job.kind === 'unary' ? 3000 : 300) })
      const taken = await takeTurns(parts.loader, [parts.direct, gateway], job, rounds)
      const [direct, through] = taken.map(typical)
      if (!direct || !through) throw new Error('a contender was not measured')
      cells.push(
        [name, 'direct', ...figuresOf(direct)],
        ['', 'through Asbru', ...figuresOf(through)],
      )
      raw.push({ scenario: name, rounds: taken })
      problems.push(...problemsOf(name, { direct, gateway: through }))
    }
  } finally {
    await gateway.stop()
  }
  const titles = ['what', 'way', 'per second', 'p50 ms', 'p99 ms', 'CPU µs each']
  return { table: renderTable(titles, cells), raw, problems }
}

function figuresOf(round: Round): string[] {
  return [
    figure(round.perSecond),
    figure(round.p50Us / 1000),
    figure(round.p99Us / 1000),
    figure(round.cpuUs),
  ]
}
