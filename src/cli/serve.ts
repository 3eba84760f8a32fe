import { takeProxiesOver } from '#config/env.ts'
import type { Environment } from '#config/reference.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { readSource } from '#config/source.ts'
import { createLogger } from '#core/log.ts'
import { VERSION } from '#core/version.ts'
import { createLineWriter } from '#lib/line-writer.ts'
import { batchServants, takeShortTurns } from '#lib/threads.ts'
import { detectLocal } from '#pipeline/detect.ts'
import { PROVIDERS } from '#providers/registry.ts'
import { claimFolder } from '#store/claim.ts'

import { startApp } from '../app.ts'
import { problemLine } from './check.ts'
import { parseFlags } from './flags.ts'

/** `asbru serve`: runs until SIGTERM or SIGINT. Returns the exit code when it could not start or has ended. */
export async function serve(argv: readonly string[], env: Environment): Promise<number> {
  const parsed = parseFlags(argv, env)
  if (!parsed.ok) {
    console.error(`asbru: ${parsed.message}\nSee asbru help.`)
    return parsed.exitCode
  }
  const { flags } = parsed
  const stray = parsed.positionals[0]
  if (stray !== undefined) {
    console.error(`asbru: serve takes no argument '${stray}'.\nSee asbru help.`)
    return 2
  }
  takeProxiesOver()
  const source = await readSource(flags.configPath)
  if (source.kind === 'unreadable' || (source.kind === 'missing' && flags.configGiven)) {
    const why = source.kind === 'missing' ? 'does not exist' : source.problem.message
    console.error(`asbru: ${flags.configPath}: ${why}`)
    return 1
  }
  const claim = claimFolder(flags.appDir)
  if (claim.kind === 'taken') {
    const who = claim.pid === undefined ? '' : ` (process ${claim.pid})`
    console.error(
      `asbru: another Asbru${who} is using ${flags.appDir}. Stop it, or give this one a folder of its own with --app-dir.`,
    )
    return 1
  }
  const out = createLineWriter()
  const log = createLogger({ level: flags.logLevel, style: flags.logStyle, write: out.write })
  if (claim.kind === 'unwritable') {
    const path = flags.appDir
    log.warn('the app dir cannot be written to: no log of calls, jobs or stored responses', {
      path,
    })
  }
  let started
  try {
    started = startApp({
      host: flags.host,
      port: flags.port,
      configPath: flags.configPath,
      configText: source.kind === 'text' ? source.text : undefined,
      env,
      log,
      appDir: flags.appDir,
    })
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    console.error(`asbru: cannot listen on ${flags.host}:${flags.port}: ${message}`)
    return 1
  }
  const { app } = started
  if (!app) {
    for (const problem of started.problems) console.error(problemLine(flags.configPath, problem))
    console.error('asbru: the configuration is not valid; nothing was started.')
    return 1
  }
  const url = app.url
  out.always(
    {
      time: new Date().toISOString(),
      level: 'info',
      message: `Asbru ${VERSION} is ready: point OpenAI SDKs at ${url}/openai`,
      url,
      pid: process.pid,
      config: app.snapshot().source ?? `none (${flags.configPath} does not exist)`,
      ...found(app.snapshot()),
    },
    flags.logStyle,
  )
  takeShortTurns()
  const endBatching = batchServants()
  void detectLocal(PROVIDERS.values(), app.snapshot()).then((names) => {
    if (names.length > 0) app.detect(names)
    return undefined
  })
  await signalled((message) => log.info(message))
  await app.drain()
  endBatching()
  log.info('stopped')
  await out.flush()
  if (claim.kind === 'held') claim.release()
  return 0
}

/** What a start without configuration has to work with, said in the ready line. */
function found(snapshot: Snapshot): Record<string, unknown> {
  const providers: Record<string, string> = {}
  for (const { name, origin, keys } of snapshot.providers.values()) {
    providers[name] =
      origin === 'built-in' ? 'built in, no key needed' : `${origin}, ${keys.length} key(s)`
  }
  return { providers }
}

/**
 * One Ctrl-C may arrive twice: a terminal sends it to the whole group of processes, and `bun run` hands on what it gets;
 * so does `timeout`. Both come within a millisecond of each other.
 */
const echoMs = 50

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process at once. */
async function signalled(say: (message: string) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let isStopping = false
  let isSecondTaken = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isSecondTaken) process.exit(130)
    if (isStopping) return
    isStopping = true
    say(`${signal}: finishing open requests`)
    resolve()
    setTimeout(() => {
      isSecondTaken = true
      say('a second signal stops at once')
    }, echoMs)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  await promise
}
