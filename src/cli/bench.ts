// `asbru bench`: what the gateway costs on this machine.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { runRole } from '#bench/role.ts'
import { runBench } from '#bench/run.ts'

import { doubleDash } from './dash.ts'

export const benchUsage = `asbru bench [--full [--only WORD] [--rows N]] [--quick] [--json] [--binary FILE] [--source]

Measures this machine: chat requests straight to a local fake upstream, and through the gateway.

  --full         against a bare proxy, with every scenario and target (about ten minutes)
  --only WORD    with --full: only scenarios that have the word in their name
  --rows N       with --full: so many calls in the log that is searched (a million)
  --quick        a twentieth of the work: a look, not a measurement
  --json         the raw figures instead of a table
  --binary FILE  measure this compiled gateway
  --source       measure the source even when dist/asbru exists
`

const options = {
  full: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  source: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  binary: { type: 'string' },
  only: { type: 'string' },
  rows: { type: 'string' },
} as const

/** The command `bench`; takes what follows it and returns the exit code. */
export async function bench(args: readonly string[]): Promise<number> {
  let values
  try {
    values = parseArgs({ args: args.map(doubleDash), options }).values
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    console.error(benchUsage)
    return 2
  }
  if (values.help) {
    console.log(benchUsage)
    return 0
  }
  const rows = values.rows === undefined ? undefined : Number(values.rows)
  if (rows !== undefined && !(Number.isSafeInteger(rows) && rows > 0)) {
    console.error('--rows takes a number of calls')
    return 2
  }
  const self = ownProgram()
  const binary = values.binary ?? (values.source ? undefined : builtBinary())
  if (binary !== undefined && !existsSync(binary)) {
    console.error(`there is no ${binary}; \`bun run build\` makes dist/asbru`)
    return 2
  }
  const gateway = binary === undefined ? self : [resolve(binary)]
  const gatewayIs = gateway.length === 1 ? 'compiled' : 'from source'
  try {
    return await runBench(
      { ...values, rows, programs: { self, gateway }, gatewayIs },
      { print: (text) => console.log(text), progress: (line) => console.error(`… ${line}`) },
    )
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return 1
  }
}

/** The hidden command `bench-role`: one process of a benchmark. Returns the exit code. */
export function benchRole(args: readonly string[]): Promise<number> {
  return runRole(args)
}

/** Inside a compiled file modules live in a made-up folder, and the executable is the program. */
function isCompiled(): boolean {
  return import.meta.dir.startsWith('/$bunfs') || import.meta.dir.includes('~BUN')
}

/** How to call this very program, without a command. */
function ownProgram(): string[] {
  return isCompiled()
    ? [process.execPath]
    : [process.execPath, join(import.meta.dir, '..', 'main.ts')]
}

function builtBinary(): string | undefined {
  if (isCompiled()) return undefined
  const path = join(import.meta.dir, '..', '..', 'dist', 'asbru')
  return existsSync(path) ? path : undefined
}
