// One round of work against one contender, and the typical round of several.

import type { Contender, Loader } from './contenders.ts'
import type { Job, LoadResult } from './job.ts'
import { usageOf } from './usage.ts'

export interface Round extends LoadResult {
  /** CPU microseconds of the contender per answered request; undefined where the kernel does not tell. */
  cpuUs: number | undefined
  /** Resident memory right after the round. */
  residentMb: number | undefined
}

/** What is left to do after the last answer (log rows, freed memory) belongs to the round it comes from. */
const settleMs = 100

/** Runs `job` against `contender`. */
export async function measure(
  loader: Loader,
  contender: Contender,
  job: Omit<Job, 'url'>,
): Promise<Round> {
  const { pid } = contender
  const before = pid === undefined ? undefined : usageOf(pid)
  const result = await loader.run(aimed(contender, job))
  await Bun.sleep(settleMs)
  const after = pid === undefined ? undefined : usageOf(pid)
  const spentMs = before && after && after.cpuMs - before.cpuMs
  return {
    ...result,
    cpuUs: spentMs === undefined || result.ok === 0 ? undefined : (spentMs * 1000) / result.ok,
    residentMb: after?.residentMb,
  }
}

/** The job with the contender's address; every contender gets the same bytes. */
export function aimed(contender: Contender, job: Omit<Job, 'url'>): Job {
  return { ...job, url: contender.url, model: `${contender.provider ?? 'openai'}/${job.model}` }
}

/**
 * Rounds of all contenders in turn (A B B A …), because a machine's speed drifts over seconds and who comes second is
 * no better off for it; each list holds one contender's rounds.
 */
export async function takeTurns(
  loader: Loader,
  contenders: readonly Contender[],
  job: Omit<Job, 'url'>,
  rounds: number,
): Promise<Round[][]> {
  const taken: Round[][] = contenders.map(() => [])
  for (let round = 0; round < rounds; round += 1) {
    const order = [...contenders.entries()]
    if (round % 2 === 1) order.reverse()
    for (const [index, contender] of order) {
      taken[index]?.push(await measure(loader, contender, job))
    }
  }
  return taken
}

/**
 * The typical ratio of two contenders that took turns: of each pair of neighbouring rounds, then the middle one. What
 * slows down the machine for a while slows down both of a pair, where two medians may come from different times.
 */
export function pairedRatio(
  rounds: readonly (readonly Round[])[],
  pick: (round: Round) => number | undefined,
): number | undefined {
  const [few = [], many = []] = rounds
  const ratios = few.flatMap((round, n) => {
    const other = many[n]
    const [a, b] = [pick(round), other && pick(other)]
    return a === undefined || b === undefined || a === 0 ? [] : [b / a]
  })
  return ratios.length === 0 ? undefined : median(ratios)
}

/** The median of each figure; answers and errors are added up. */
export function typical(rounds: readonly Round[]): Round {
  const middle = (pick: (round: Round) => number): number => median(rounds.map(pick))
  const known = (pick: (round: Round) => number | undefined): number | undefined => {
    const values = rounds.map(pick).filter((value) => value !== undefined)
    return values.length === 0 ? undefined : median(values)
  }
  return {
    ok: rounds.reduce((sum, round) => sum + round.ok, 0),
    errors: rounds.reduce((sum, round) => sum + round.errors, 0),
    firstError: rounds.find((round) => round.firstError !== undefined)?.firstError,
    events: rounds.reduce((sum, round) => sum + round.events, 0),
    perSecond: middle((round) => round.perSecond),
    p50Us: middle((round) => round.p50Us),
    p99Us: middle((round) => round.p99Us),
    firstP50Us: middle((round) => round.firstP50Us),
    firstP99Us: middle((round) => round.firstP99Us),
    cpuUs: known((round) => round.cpuUs),
    residentMb: known((round) => round.residentMb),
  }
}

/** The middle value; the mean of the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const upper = sorted[half] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2
}
