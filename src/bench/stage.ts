// What every scenario needs: a fresh floor and a fresh gateway, warm and gone afterwards, and a way to say what was seen.

import type { Contender, Parts } from './contenders.ts'
import type { Job } from './job.ts'
import { aimed, type Round, typical } from './measure.ts'
import { figure, missing, type Row } from './table.ts'
import { type Usage, usageOf } from './usage.ts'

export interface Scenario {
  name: string
  run: (parts: Parts) => Promise<Result>
}

export interface Result {
  rows: Row[]
  /** Everything that was measured, for `--json`. */
  raw: unknown
  /** Wrong or missing answers, each in a sentence. */
  problems: string[]
}

/** What the scenarios vary. */
export const base: Omit<Job, 'url'> = {
  model: 'bench-unary',
  kind: 'unary',
  bodyBytes: 1024,
  image: false,
  concurrency: 64,
  requests: 1,
  spreadMs: 0,
  timeoutMs: 120_000,
}

/** Runs `work` with a new floor and a new gateway and stops them whatever happens. */
export async function withBoth(
  parts: Parts,
  work: (floor: Contender, gateway: Contender) => Promise<Result>,
): Promise<Result> {
  const started: Contender[] = []
  try {
    const floor = await parts.startFloor()
    started.push(floor)
    const gateway = await parts.startGateway()
    started.push(gateway)
    return await work(floor, gateway)
  } finally {
    await Promise.all(started.map((contender) => contender.stop()))
  }
}

/** Enough of the same work to be compiled; paced streams are warmed up in bursts, which takes no waiting. */
export async function warmUp(
  parts: Parts,
  contender: Contender,
  { job, requests }: { job: Omit<Job, 'url'>; requests: number },
): Promise<void> {
  const bursts = { model: 'bench-burst', kind: 'stream', concurrency: 32 } as const
  const work = { ...job, requests, spreadMs: 0, ...(job.kind === 'unary' ? {} : bursts) }
  const result = await parts.loader.run(aimed(contender, work))
  if (result.ok === 0) {
    throw new Error(`${contender.name} answers nothing: ${result.firstError ?? 'no reason given'}`)
  }
}

/** What the contender has used so far. */
export function usage(contender: Contender): Usage | undefined {
  return contender.pid === undefined ? undefined : usageOf(contender.pid)
}

/** The typical rounds of floor and gateway. */
export function pair(rounds: readonly (readonly Round[])[]): [Round, Round] {
  return [typical(rounds[0] ?? []), typical(rounds[1] ?? [])]
}

/** A line without a target. */
export function plain(scenario: string, floor: string, gateway: string): Row {
  return { scenario, floor, gateway, ratio: '–', target: '–', met: undefined }
}

/** A line of two figures and their ratio, without a target. */
export function compared(
  scenario: string,
  floor: number | undefined,
  gateway: number | undefined,
): Row {
  return {
    ...plain(scenario, figure(floor), figure(gateway)),
    ratio: times(divide(gateway, floor)),
  }
}

/** One sentence for each contender that answered wrongly. */
export function problemsOf(
  name: string,
  rounds: Readonly<Record<string, Pick<Round, 'errors' | 'firstError'>>>,
): string[] {
  return Object.entries(rounds)
    .filter(([, round]) => round.errors > 0)
    .map(([who, { errors, firstError }]) => {
      const first = firstError ?? 'unknown'
      return `${name}: ${figures(errors)} errors from ${who}, the first: ${first}`
    })
}

export function divide(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b
}

export function difference(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a - b
}

/** `1.5×`. */
export function times(ratio: number | undefined): string {
  return ratio === undefined ? missing : `${figure(ratio)}×`
}

/** A count: `1,000`. */
export function figures(count: number): string {
  return count.toLocaleString('en-US')
}
