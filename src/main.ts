import { readEnvironment } from '#config/env.ts'

import { output } from './cli/output.ts'

// The entry. It exports nothing, because a compiled binary with bytecode would try to serve what its entry
// exports, and it loads each command on its own, so that none pays for the others.

const usage = `Usage: asbru [command] [flags]

  serve      run the gateway (default)
  check      validate a configuration and print it resolved, secrets hidden
  explain    print what would be done with a request, and why; nothing is sent
  tail       watch the calls of a running gateway (--json)
  sql        ask the log of calls: one SELECT (--json, --limit ROWS)
  reprice    compute the cost of logged calls anew (--missing, --dry-run)
  mock       run a fake OpenAI-compatible provider with faults
  bench      measure this machine: direct and through the gateway
  version    print the version
  help       print this

Flags of serve, check and explain (one dash works too)
  --config FILE       configuration (default: config.json in the app dir)
  --app-dir DIR       where the gateway keeps its files
  --host HOST         address to listen on (default: localhost)
  --port PORT         port to listen on (default: 8080, 0 = any free one)
  --log-level LEVEL   debug, info, warn or error
  --log-style STYLE   json or pretty

Flags of mock and bench: asbru mock --help, asbru bench --help
`

/** Commands whose flags are their own, and which tell them when asked for help. */
const ownHelp: ReadonlySet<string> = new Set(['mock', 'bench'])

/** Bun refuses larger headers with a bare 431; below that the gateway answers. A build has this flag built in. */
const headerFlag = '--max-http-header-size=262144'

/** What the engine is told about itself. */
const engineOptions = {
  // By how much the heap may grow between two collections on machines with more than 16 GB, where the engine would let
  // it double. A fifth costs no more time that could be measured, and a sixth less memory; with less, large bodies cost
  // more.
  BUN_JSC_heapGrowthMaxIncrease: '1.2',
  // How often a function runs before it is optimised, in the engine's count (a call counts 15). With its own 1,000 a start
  // takes a sixth longer, for code that is run once more or never; with 10,000 the first ten thousand calls take half as
  // long again.
  BUN_JSC_thresholdForOptimizeAfterWarmUp: '5000',
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: '5000',
}

/**
 * Bun reads the cap on concurrent outbound requests once, when the process starts; its default of 256 would make
 * the others wait where none of our timers sees them. So the process replaces itself with the cap raised.
 */
function raiseRequestCap(env: Readonly<Record<string, string | undefined>>): void {
  const name = 'BUN_CONFIG_MAX_HTTP_REQUESTS'
  if (env[name] !== undefined || typeof process.execve !== 'function') return
  if (process.platform === 'win32') return
  // In a compiled binary the second argument is a path inside it, which only a source run has to repeat.
  const compiled = process.argv[1]?.startsWith('/$bunfs/') ?? false
  const own = compiled
    ? process.argv.slice(2)
    : [headerFlag, ...process.execArgv, ...process.argv.slice(1)]
  const args = [process.execPath, ...own]
  process.execve(process.execPath, args, {
    // An engine that does not know an option ends the process, and only the executable brings its own engine.
    ...(compiled && engineOptions),
    ...definedOnly(env),
    [name]: '65535',
  })
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

async function main(argv: readonly string[]): Promise<number> {
  const env = readEnvironment()
  const [first] = argv
  const isCommand = first !== undefined && !first.startsWith('-')
  const command = isCommand ? first : 'serve'
  const rest = isCommand ? argv.slice(1) : argv
  if (argv.some((argument) => /^--?help$|^-h$/.test(argument)) && !ownHelp.has(command)) {
    return await output(usage)
  }
  if (argv.some((argument) => /^--?version$|^-v$/.test(argument)) && !ownHelp.has(command)) {
    return await main(['version'])
  }
  switch (command) {
    case 'serve': {
      raiseRequestCap(env)
      const { serve } = await import('./cli/serve.ts')
      return await serve(rest, env)
    }
    case 'check': {
      const { checkCommand } = await import('./cli/check-command.ts')
      return await checkCommand(rest, env)
    }
    case 'explain': {
      const { explain } = await import('./cli/explain.ts')
      return await explain(rest, env)
    }
    case 'mock': {
      const { mock } = await import('./cli/mock.ts')
      return await mock(rest)
    }
    case 'bench': {
      const { bench } = await import('./cli/bench.ts')
      return await bench(rest)
    }
    case 'tail': {
      const { tail } = await import('./cli/tail.ts')
      return await tail(rest, env)
    }
    case 'sql': {
      const { sql } = await import('./cli/sql.ts')
      return await sql(rest, env)
    }
    case 'reprice': {
      const { reprice } = await import('./cli/reprice.ts')
      return await reprice(rest, env)
    }
    case 'sql-role': {
      const { sqlRole } = await import('./cli/sql.ts')
      return await sqlRole()
    }
    case 'bench-role': {
      const { benchRole } = await import('./cli/bench.ts')
      return await benchRole(rest)
    }
    case 'version': {
      const { VERSION } = await import('#core/version.ts')
      const { PRICES_DATE, PRICES_VERSION } = await import('#prices/data.ts')
      return await output(`${VERSION}\nprices of ${PRICES_DATE} (genai-prices ${PRICES_VERSION})\n`)
    }
    case 'help':
      return await output(usage)
    default:
      console.error(`asbru: there is no command '${command}'.\n\n${usage}`)
      return 2
  }
}

process.exitCode = await main(process.argv.slice(2))
process.exit()
