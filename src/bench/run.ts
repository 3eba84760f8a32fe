// A whole benchmark, from the first process to the last line, leaving nothing behind however it ends.

import { assemble, type Parts, type Programs } from './contenders.ts'
import { createFleet } from './fleet.ts'
import { choosePinning, describeMachine } from './machine.ts'
import { fullScenarios } from './scenarios.ts'
import { measureShort } from './short.ts'
import { figures } from './stage.ts'
import { renderRows, type Row } from './table.ts'

export interface BenchOptions {
  programs: Programs
  /** What the gateway is, for the line about the machine. */
  gatewayIs: string
  /** Floor, gateway and targets; otherwise direct against gateway. */
  full: boolean
  /** A twentieth of the work: a look, not a measurement. */
  quick: boolean
  json: boolean
  /** Only scenarios whose name has this in it. */
  only?: string | undefined
  /** Calls in the log that is searched. */
  rows?: number | undefined
}

/** Where a benchmark speaks: `print` the result, `progress` what it is doing. */
export interface Voice {
  print: (text: string) => void
  progress: (line: string) => void
}

interface Report {
  rows?: Row[]
  table: string
  raw: unknown[]
  problems: string[]
}

/** Runs it and returns the exit code: 0, or 1 when something failed or was answered wrongly. A missed target is a result. */
export async function runBench(options: BenchOptions, voice: Voice): Promise<number> {
  const machine = describeMachine()
  const pinning = choosePinning()
  const fleet = createFleet(typeof pinning === 'string' ? undefined : pinning)
  let parts: Parts | undefined
  const abandon = (): void => {
    fleet.killAll()
    parts?.clean()
  }
  const interrupted = (): void => {
    abandon()
    process.exit(130)
  }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  process.once('exit', abandon)
  try {
    parts = await assemble(fleet, options.programs)
    const report = options.full
      ? await measureFull(parts, options, voice.progress)
      : await measureShortly(parts, options.quick, voice.progress)
    const placed =
      typeof pinning === 'string'
        ? pinning
        : `gateway and floor on core ${pinning.contender}, upstream and load generator on core ${pinning.ends}`
    if (options.json) {
      voice.print(
        JSON.stringify({ machine, placed, gateway: options.gatewayIs, ...report }, null, 2),
      )
    } else {
      voice.print(`${report.table}\n`)
      voice.print(
        `${machine.cpu}, ${figures(machine.cores)} cores, ${machine.os}, Bun ${machine.bun}, ${machine.date}; ` +
          `load before ${machine.load.toFixed(1)}; gateway: ${options.gatewayIs}; ${placed}.`,
      )
      if (options.quick)
        voice.print('A quick look with a twentieth of the work: figures are rough.')
      for (const problem of report.problems) voice.print(`PROBLEM ${problem}`)
    }
    return report.problems.length === 0 ? 0 : 1
  } finally {
    await fleet.stopAll()
    parts?.clean()
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
    process.off('exit', abandon)
  }
}

/** A scenario that fails is a line of its own; the others still count. */
async function measureFull(
  parts: Parts,
  { quick, only = '', rows: logRows }: BenchOptions,
  progress: (line: string) => void,
): Promise<Report> {
  const rows: Row[] = []
  const raw: unknown[] = []
  const problems: string[] = []
  for (const scenario of fullScenarios(quick, logRows).filter(({ name }) => name.includes(only))) {
    progress(scenario.name)
    try {
      const result = await scenario.run(parts)
      rows.push(...result.rows)
      raw.push({ scenario: scenario.name, rounds: result.raw })
      problems.push(...result.problems)
    } catch (error) {
      const failed = 'failed'
      rows.push({
        scenario: scenario.name,
        floor: failed,
        gateway: failed,
        ratio: '–',
        target: '–',
        met: false,
      })
      problems.push(`${scenario.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return { rows, table: renderRows(rows), raw, problems }
}

async function measureShortly(
  parts: Parts,
  quick: boolean,
  progress: (line: string) => void,
): Promise<Report> {
  const { table, raw, problems } = await measureShort(parts, quick, progress)
  return { table, raw: [raw], problems }
}
