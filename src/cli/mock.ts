// `asbru mock`: the built-in provider as a server of its own, with whatever should go wrong with it.

import { parseArgs } from 'node:util'

import { FAULTS, type Faults, FaultSyntaxError, parseFaults } from '#providers/mock/faults.ts'
import { createMock } from '#providers/mock/handler.ts'

import { doubleDash } from './dash.ts'

const usualPort = 8081
const width = Math.max(...[...FAULTS.keys()].map((name) => name.length)) + 8

const valueOf = { flag: '', word: ' WORD', number: ' N' }

export const mockUsage = `asbru mock [--port ${usualPort}] [--host localhost] [faults]

Serves a made-up OpenAI API: models that echo, call tools, reason, refuse, and every endpoint around them.
Faults happen to every answer; one request can bring its own in the header \`x-mock-fault\` or behind its model
name, e.g. "echo!status=429;retry-after=3".

  ${'--port N'.padEnd(width)} 0 picks a free one
  ${'--host NAME'.padEnd(width)} address to listen on
${[...FAULTS].map(([name, rule]) => `  ${`--${name}${valueOf[typeof rule.takes === 'string' ? rule.takes : 'number']}`.padEnd(width)} ${rule.about}`).join('\n')}
`

interface Settings {
  readonly port: number
  readonly hostname: string
  readonly faults: Faults
}

class UsageError extends Error {}

/** The command `mock`; takes what follows it, serves until SIGINT or SIGTERM, and returns the exit code. */
export async function mock(argv: readonly string[]): Promise<number> {
  let settings: Settings | undefined
  try {
    settings = readSettings(argv)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    console.error(mockUsage)
    return 2
  }
  if (!settings) {
    console.log(mockUsage)
    return 0
  }
  return serve(settings)
}

/** Undefined when help was asked for. */
function readSettings(argv: readonly string[]): Settings | undefined {
  const values = readFlags(argv)
  if (values.help) return undefined
  const port = Number(values.port ?? usualPort)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError('--port needs a whole number from 0 to 65535')
  }
  const written = [...FAULTS.keys()].flatMap((name) => {
    const value = values[name]
    if (value === undefined) return []
    return [typeof value === 'string' ? `${name}=${value}` : name]
  })
  try {
    const hostname = typeof values.host === 'string' ? values.host : 'localhost'
    return { port, hostname, faults: parseFaults(written.join(';')) }
  } catch (error) {
    throw error instanceof FaultSyntaxError ? new UsageError(error.message) : error
  }
}

function readFlags(argv: readonly string[]): Record<string, string | boolean | undefined> {
  const faults = [...FAULTS].map(([name, { takes }]) => {
    const type: 'boolean' | 'string' = takes === 'flag' ? 'boolean' : 'string'
    return [name, { type }] as const
  })
  try {
    return parseArgs({
      args: argv.map(doubleDash),
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        help: { type: 'boolean' },
        ...Object.fromEntries(faults),
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

async function serve({ port, hostname, faults }: Settings): Promise<number> {
  let server
  try {
    server = Bun.serve({
      port,
      hostname,
      idleTimeout: 0,
      development: false,
      fetch: createMock({ faults }),
      // Rejections are requests whose client has left: nobody reads this.
      error: () => new Response(null, { status: 499 }),
    })
  } catch (error) {
    console.error(
      `cannot listen on ${hostname}:${port}: ${error instanceof Error ? error.message : String(error)}`,
    )
    return 1
  }
  const done = Promise.withResolvers<void>()
  process.once('SIGINT', done.resolve)
  process.once('SIGTERM', done.resolve)
  console.log(`asbru mock listens on ${server.url.origin}/v1`)
  await done.promise
  process.off('SIGINT', done.resolve)
  process.off('SIGTERM', done.resolve)
  await server.stop(true)
  return 0
}
