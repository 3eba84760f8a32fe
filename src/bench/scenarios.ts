// What is measured in full, and against which target. Every scenario starts its own floor and gateway and returns
// the lines it adds to the table.

import { archive } from './archive.ts'
import { breadth } from './breadth.ts'
import { translation } from './dialect.ts'
import { concurrent, idle, memory, startTime } from './endurance.ts'
import { hedging } from './hedging.ts'
import type { Job } from './job.ts'
import { aimed, type Round, takeTurns, typical } from './measure.ts'
import {
  base,
  divide,
  figures,
  pair,
  plain,
  problemsOf,
  type Scenario,
  times,
  warmUp,
  withBoth,
} from './stage.ts'
import { figure, ms, type Row } from './table.ts'

interface Work {
  name: string
  job: Omit<Job, 'url'>
  warmUp: number
  rounds: number
  per: 'request' | 'stream'
  limit: number
}

/**
 * All scenarios in order; `quick` divides the counts by twenty and leaves out the long memory run. `logRows` is how many
 * calls the log has that is searched.
 */
export function fullScenarios(quick: boolean, logRows?: number): Scenario[] {
  const n = (count: number): number => Math.max(1, Math.round(quick ? count / 20 : count))
  const unary = { warmUp: 20_000, rounds: 3, per: 'request', limit: 2 } as const
  const streams = { warmUp: 1200, per: 'stream', limit: 1.6 } as const
  const chat = (name: string, job: Partial<Job>): Scenario =>
    compare({ ...unary, name, job: { ...base, ...job } })
  return [
    chat('1 KB chat', { requests: n(30_000) }),
    chat('8 KB chat', { bodyBytes: 8192, requests: n(25_000) }),
    compare({
      ...unary,
      name: '1 MB image chat, 16 connections',
      job: { ...base, bodyBytes: 2 ** 20, image: true, concurrency: 16, requests: n(1200) },
      warmUp: 1000,
    }),
    chat('1 KB chat, 256 connections', { concurrency: 256, requests: Math.max(2000, n(20_000)) }),
    chat('1 KB chat, 1,000 connections', {
      concurrency: 1000,
      requests: Math.max(4000, n(20_000)),
    }),
    compare({
      ...streams,
      name: '100-chunk stream, burst',
      job: { ...base, model: 'bench-burst', kind: 'stream', concurrency: 32, requests: n(2000) },
      rounds: 3,
    }),
    compare({
      ...streams,
      name: `100-chunk stream, paced, ${figures(n(200))} open`,
      job: {
        ...base,
        model: 'bench-paced',
        kind: 'stream',
        concurrency: n(200),
        requests: n(400),
        spreadMs: 1000,
      },
      rounds: quick ? 1 : 3,
    }),
    firstToken(Math.max(256, n(1280)), quick ? 1 : 3),
    idle(n(1000), quick ? 2000 : 10_000),
    concurrent(n(2000)),
    ...translation(quick),
    ...breadth(quick),
    hedging(quick),
    archive(logRows ?? n(1_000_000), quick),
    startTime(5),
    ...(quick ? [] : [memory(200_000)]),
  ]
}

/** CPU per request with its ratio to the floor, then speed. */
function compare(work: Work): Scenario {
  const { name, job, per, limit } = work
  return {
    name,
    run: (parts) =>
      withBoth(parts, async (floor, gateway) => {
        for (const contender of [floor, gateway]) {
          await warmUp(parts, contender, { job, requests: work.warmUp })
          // Events that come one by one take another way than bursts.
          if (job.model === 'bench-paced') await parts.loader.run(aimed(contender, job))
        }
        const rounds = await takeTurns(parts.loader, [floor, gateway], job, work.rounds)
        const [bare, full] = pair(rounds)
        const ratio = divide(full.cpuUs, bare.cpuUs)
        const speed = (round: Round): string =>
          job.model === 'bench-paced'
            ? ms(round.p50Us)
            : `${figure(round.perSecond)}/s · ${figure(round.p50Us / 1000)} · ${figure(round.p99Us / 1000)}`
        const what = job.model === 'bench-paced' ? 'length, p50' : `${per}s/s · p50 · p99 in ms`
        return {
          rows: [
            {
              scenario: `${name}: CPU µs/${per}`,
              floor: figure(bare.cpuUs),
              gateway: figure(full.cpuUs),
              ratio: times(ratio),
              target: `≤ ${figure(limit)}×`,
              met: full.errors > 0 ? false : ratio === undefined ? undefined : ratio <= limit,
            },
            plain(`${name}: ${what}`, speed(bare), speed(full)),
          ],
          raw: rounds,
          problems: problemsOf(name, { floor: bare, gateway: full }),
        }
      }),
  }
}

/** What the first event of a stream takes longer than without anything in between. */
function firstToken(requests: number, rounds: number): Scenario {
  const name = 'first token, 64 open streams'
  const job: Omit<Job, 'url'> = {
    ...base,
    model: 'bench-short',
    kind: 'stream',
    requests,
    spreadMs: 200,
  }
  return {
    name,
    run: (parts) =>
      withBoth(parts, async (floor, gateway) => {
        for (const contender of [floor, gateway])
          await warmUp(parts, contender, { job, requests: 400 })
        const taken = await takeTurns(parts.loader, [parts.direct, floor, gateway], job, rounds)
        const [direct, bare, full] = taken.map(typical)
        if (!direct || !bare || !full) throw new Error('a contender was not measured')
        const row = (label: string, pick: (round: Round) => number): Row => ({
          ...plain(
            `${name}: added to direct, ${label}`,
            `+${ms(pick(bare) - pick(direct))}`,
            `+${ms(pick(full) - pick(direct))}`,
          ),
          ratio: `${ms(pick(full) - pick(bare))} over floor`,
        })
        return {
          rows: [
            {
              ...row('p50', (round) => round.firstP50Us),
              target: '≤ 1 ms',
              met: full.errors === 0 && full.firstP50Us - direct.firstP50Us <= 1000,
            },
            // Without a target: two equal proxies differ by milliseconds here when the machine has other work.
            row('p99', (round) => round.firstP99Us),
          ],
          raw: taken,
          problems: problemsOf(name, { direct, floor: bare, gateway: full }),
        }
      }),
  }
}
