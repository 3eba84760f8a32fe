// What a conversation costs when it has to be translated, beside the same conversation in OpenAI's own dialect.

import type { Contender, Parts } from './contenders.ts'
import type { Job } from './job.ts'
import { measure, type Round, takeTurns, typical } from './measure.ts'
import {
  base,
  difference,
  divide,
  figures,
  pair,
  plain,
  problemsOf,
  type Result,
  type Scenario,
  times,
  warmUp,
} from './stage.ts'
import { figure, type Row } from './table.ts'

const eightKb = 8192

/** Translated against untranslated, whole and streamed, and memory over many translated streams. */
export function translation(quick: boolean): Scenario[] {
  const n = (count: number): number => Math.max(1, Math.round(quick ? count / 20 : count))
  return [
    compare('8 KB chat translated (Anthropic)', 1.5, 'request', {
      ...base,
      bodyBytes: eightKb,
      requests: n(20_000),
    }),
    compare('100-event stream translated (Anthropic)', 2.5, 'stream', {
      ...base,
      model: 'bench-burst',
      kind: 'stream',
      concurrency: 32,
      requests: n(2000),
    }),
    ...(quick ? [] : [memory(10_000)]),
  ]
}

/** One gateway, asked in turns for the provider of its own dialect and for the other. */
async function withGateway(
  parts: Parts,
  job: Omit<Job, 'url'>,
  work: (same: Contender, other: Contender) => Promise<Result>,
): Promise<Result> {
  const gateway = await parts.startGateway()
  try {
    const other: Contender = { ...gateway, provider: 'anthropic' }
    const requests = job.kind === 'unary' ? 4000 : 400
    for (const contender of [gateway, other]) await warmUp(parts, contender, { job, requests })
    return await work(gateway, other)
  } finally {
    await gateway.stop()
  }
}

function compare(
  name: string,
  limit: number,
  per: 'request' | 'stream',
  job: Omit<Job, 'url'>,
): Scenario {
  return {
    name,
    run: (parts) =>
      withGateway(parts, job, async (same, other) => {
        const rounds = await takeTurns(parts.loader, [same, other], job, 3)
        const [own, foreign] = pair(rounds)
        const ratio = divide(foreign.cpuUs, own.cpuUs)
        const speed = (round: Round): string =>
          `${figure(round.perSecond)}/s · ${figure(round.p50Us / 1000)} · ${figure(round.p99Us / 1000)}`
        const row: Row = {
          scenario: `${name}: CPU µs/${per}, beside the same dialect`,
          floor: figure(own.cpuUs),
          gateway: figure(foreign.cpuUs),
          ratio: times(ratio),
          target: `≤ ${figure(limit)}×`,
          met: foreign.errors > 0 || ratio === undefined ? false : ratio <= limit,
        }
        const speeds = plain(`${name}: ${per}s/s · p50 · p99 in ms`, speed(own), speed(foreign))
        return {
          rows: [row, speeds],
          raw: rounds,
          problems: problemsOf(name, { 'the same dialect': own, 'the other dialect': foreign }),
        }
      }),
  }
}

/** Translated streams must leave nothing behind. */
function memory(streams: number): Scenario {
  const name = 'memory of translated streams'
  const flatShare = 0.05
  const job: Omit<Job, 'url'> = {
    ...base,
    model: 'bench-burst',
    kind: 'stream',
    concurrency: 32,
    requests: streams,
  }
  return {
    name,
    run: (parts) =>
      withGateway(parts, job, async (_same, other) => {
        const first = typical([await measure(parts.loader, other, job)])
        const second = typical([await measure(parts.loader, other, job)])
        const after = first.residentMb
        const growth = difference(second.residentMb, after)
        const known = after !== undefined && growth !== undefined
        return {
          rows: [
            {
              ...plain(
                `memory MB, after ${figures(streams)} translated streams and ${figures(streams)} more`,
                '–',
                `${figure(after)} · ${figure(second.residentMb)}`,
              ),
              target: `flat (≤ ${flatShare * 100} %)`,
              met: known ? growth <= after * flatShare : undefined,
            },
          ],
          raw: { first, second },
          problems: problemsOf(name, { first, second }),
        }
      }),
  }
}
