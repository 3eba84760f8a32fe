// What a call costs when the configuration is large, or the log is on, beside one where it is not.

import type { Configure, Contender } from './contenders.ts'
import type { Job } from './job.ts'
import { pairedRatio, takeTurns } from './measure.ts'
import {
  base,
  figures,
  pair,
  plain,
  problemsOf,
  type Result,
  type Scenario,
  times,
  warmUp,
} from './stage.ts'
import { figure } from './table.ts'

const breadthLimit = 1.1
const logLimit = 1.3
/** Enough for the engine to have compiled what runs again and again, on the threads of the log too; in rounds. */
const warmUpRounds = 4
/** Many short ones: what is looked for is smaller than what one round is off by. */
const manyRounds = 11

/** Many keys beside one, and many routing rules beside none. */
export function breadth(quick: boolean): Scenario[] {
  const requests = Math.round(10_000 / (quick ? 10 : 1))
  const keys = 1000
  const rules = 100
  return [
    compare(`${figures(keys)} keys`, 'one key', requests, withKeys(keys)),
    compare(`${figures(rules)} routing rules`, 'none', requests, withRules(rules)),
    compare('1 KB chat logged', 'no log', requests, withLog(true), logLimit),
    compare('1 KB chat logged without bodies', 'no log', requests, withLog(false), logLimit),
  ]
}

/** Two gateways that are asked in turns; the rows call the small one the floor. */
function compare(
  name: string,
  small: string,
  requests: number,
  large: Configure,
  limit = breadthLimit,
): Scenario {
  const job: Omit<Job, 'url'> = { ...base, requests }
  return {
    name,
    async run(parts): Promise<Result> {
      const started: Contender[] = []
      try {
        for (const configure of [undefined, large]) {
          const gateway = await parts.startGateway(configure)
          started.push(gateway)
          await warmUp(parts, gateway, { job, requests: warmUpRounds * requests })
        }
        const rounds = await takeTurns(parts.loader, started, job, manyRounds)
        const [few, many] = pair(rounds)
        const ratio = pairedRatio(rounds, (round) => round.cpuUs)
        return {
          rows: [
            {
              scenario: `${name}: CPU µs/request, beside ${small}`,
              floor: figure(few.cpuUs),
              gateway: figure(many.cpuUs),
              ratio: times(ratio),
              target: `≤ ${figure(limit)}×`,
              met: many.errors > 0 || ratio === undefined ? false : ratio <= limit,
            },
            plain(
              `${name}: p50 · p99 in ms`,
              `${figure(few.p50Us / 1000)} · ${figure(few.p99Us / 1000)}`,
              `${figure(many.p50Us / 1000)} · ${figure(many.p99Us / 1000)}`,
            ),
          ],
          raw: rounds,
          problems: problemsOf(name, { [small]: few, [name]: many }),
        }
      } finally {
        await Promise.all(started.map((gateway) => gateway.stop()))
      }
    },
  }
}

function withLog(withBodies: boolean): Configure {
  return (usual) => ({
    ...usual,
    client: { enable_logging: true, disable_content_logging: !withBodies },
  })
}

function withKeys(count: number): Configure {
  return ({ providers: { openai, ...others }, ...rest }) => ({
    ...rest,
    providers: {
      ...others,
      openai: {
        ...openai,
        keys: Array.from({ length: count }, (_, n) => ({
          name: `bench-${n}`,
          value: `sk-bench-${n}`,
          models: ['*'],
          weight: 1 + (n % 5),
        })),
      },
    },
  })
}

/** None of them is for the calls that are measured; each asks for something else. */
function withRules(count: number): Configure {
  const conditions = [
    (n: number) => `model == "model-${n}"`,
    (n: number) => `provider == "openai" && model.startsWith("family-${n}-")`,
    (n: number) => `"x-tier" in headers && headers["x-tier"] == "tier-${n}"`,
    (n: number) => `stream && token_estimate > ${100_000 + n}`,
  ]
  return (usual) => ({
    ...usual,
    governance: {
      routing_rules: Array.from({ length: count }, (_, n) => ({
        name: `rule-${n}`,
        cel_expression: conditions[n % conditions.length]!(n),
        targets: [{ provider: 'anthropic' }],
      })),
    },
  })
}
