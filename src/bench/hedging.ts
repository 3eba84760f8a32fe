// What hedging gains where a few answers are slow to begin, and what it costs the provider.

import type { Configure, Contender, Parts } from './contenders.ts'
import type { Job } from './job.ts'
import { measure, median, type Round } from './measure.ts'
import {
  base,
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
import { figure, ms } from './table.ts'
import { tailMs, tailShare } from './upstream.ts'

const firstTokenLimit = 0.5
const extraLimit = 0.07

/** The same streams through a gateway that hedges and through one that does not; the rows call that one the floor. */
export function hedging(quick: boolean): Scenario {
  const slow = `${figure(tailShare * 100).replace(/\.0+$/, '')} % slow first tokens (${tailMs} ms)`
  const name = `${slow}, hedged`
  const job: Omit<Job, 'url'> = {
    ...base,
    model: 'bench-tail',
    kind: 'stream',
    concurrency: 32,
    requests: quick ? 1000 : 6000,
    spreadMs: 100,
  }
  return {
    name,
    async run(parts): Promise<Result> {
      const started: Contender[] = []
      try {
        for (const isOn of [false, true]) {
          const gateway = await parts.startGateway(withTwoKeys(isOn))
          started.push(gateway)
          // Enough of the same for it to know how slow the slow ones are.
          await warmUp(parts, gateway, { job, requests: 400 })
          await measure(parts.loader, gateway, { ...job, requests: 200 })
        }
        const rounds: Round[][] = [[], []]
        const extra: number[] = []
        for (let round = 0; round < (quick ? 1 : 3); round += 1) {
          for (const [index, gateway] of started.entries()) {
            const before = await requestsOf(parts)
            const taken = await measure(parts.loader, gateway, job)
            rounds[index]?.push(taken)
            const asked = (await requestsOf(parts)) - before
            if (index === 1) extra.push(asked / job.requests - 1)
          }
        }
        const [alone, twice] = pair(rounds)
        const ratio = divide(twice.firstP99Us, alone.firstP99Us)
        const share = median(extra)
        return {
          rows: [
            {
              scenario: `${name}: first token p99, beside unhedged`,
              floor: ms(alone.firstP99Us),
              gateway: ms(twice.firstP99Us),
              ratio: times(ratio),
              target: `≤ ${figure(firstTokenLimit)}×`,
              met: twice.errors > 0 || ratio === undefined ? false : ratio <= firstTokenLimit,
            },
            plain(`${name}: first token p50`, ms(alone.firstP50Us), ms(twice.firstP50Us)),
            {
              ...plain(`${name}: extra calls`, '0', `${figure(share * 100)} %`),
              target: `≤ ${figures(extraLimit * 100)} %`,
              met: share <= extraLimit,
            },
          ],
          raw: { rounds, extra },
          problems: problemsOf(name, { unhedged: alone, hedged: twice }),
        }
      } finally {
        await Promise.all(started.map((gateway) => gateway.stop()))
      }
    },
  }
}

/** The second key is who is asked second; both gateways have it, so that they differ in one word. */
function withTwoKeys(isOn: boolean): Configure {
  return ({ providers: { openai, ...others }, client }) => ({
    client: { ...client, hedging: { enabled: isOn } },
    providers: {
      ...others,
      openai: {
        ...openai,
        keys: ['bench', 'bench-second'].map((key) => ({
          name: key,
          value: `sk-${key}`,
          models: ['*'],
          weight: 1,
        })),
      },
    },
  })
}

async function requestsOf({ direct }: Parts): Promise<number> {
  const answer = await fetch(new URL('/stats', direct.url))
  return ((await answer.json()) as { requests: number }).requests
}
