import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'

import { startApp } from '../../src/app.ts'

export interface TestGateway {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string
  /** The configuration file it follows. */
  readonly configPath: string
  /** Log lines written so far. */
  readonly logs: readonly Record<string, unknown>[]
  /** Resolves with the first log line, past or future, for which `matches` is true. */
  logged(matches: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  stop(): Promise<void>
  /** As SIGTERM does it: drains, then stops. */
  drain(): Promise<void>
  /** Process id of the compiled file, when that is what runs. */
  readonly pid: number | undefined
}

export interface TestGatewayOptions {
  readonly config?: object
  readonly configText?: string
  readonly env?: Record<string, string>
  /** Keep a log of calls; the compiled file always does. It costs a thread, so not every test has one. */
  readonly logs?: boolean
}

/** A gateway on a free port: in this process, or the compiled file when `ASBRU_BINARY` names it. */
export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-'))
  const configPath = join(dir, 'config.json')
  const text = options.configText ?? (options.config && JSON.stringify(options.config, null, 2))
  if (text !== undefined) writeFileSync(configPath, text)
  const binary = process.env['ASBRU_BINARY']
  const journal = createJournal()
  const remove = (): void => rmSync(dir, { recursive: true, force: true })
  const running =
    binary === undefined
      ? inProcess(configPath, text, options, journal)
      : await spawned([binary], configPath, options.env ?? {}, journal)
  return {
    ...running,
    configPath,
    logs: journal.lines,
    logged: journal.logged,
    stop: async () => {
      await running.stop()
      remove()
    },
    drain: async () => {
      await running.drain()
      remove()
    },
  }
}

interface Running {
  readonly url: string
  readonly pid: number | undefined
  stop(): Promise<void>
  drain(): Promise<void>
}

function inProcess(
  configPath: string,
  text: string | undefined,
  { env = {}, logs = false }: TestGatewayOptions,
  journal: Journal,
): Running {
  const log = createLogger({ level: 'debug', style: 'json', write: journal.write })
  const { app, problems } = startApp({
    host: '127.0.0.1',
    port: 0,
    configPath,
    configText: text,
    env,
    log,
    appDir: join(configPath, '..'),
    logs,
  })
  if (!app) throw new Error(`The test configuration is not valid: ${JSON.stringify(problems)}`)
  return { url: app.url, pid: undefined, stop: () => app.stop(), drain: () => app.drain() }
}

/** Starts a command as the gateway and waits for its ready line. */
export async function spawned(
  command: readonly string[],
  configPath: string,
  env: Record<string, string>,
  journal: Journal,
): Promise<Running> {
  const child = Bun.spawn(
    [
      ...command,
      'serve',
      '--host',
      '127.0.0.1',
      '--port',
      '0',
      '--log-level',
      'debug',
      '--app-dir',
      join(configPath, '..'),
    ],
    { env: { PATH: process.env['PATH'], ...env }, stdout: 'pipe', stderr: 'pipe' },
  )
  const stderr = new Response(child.stderr).text()
  void readLines(child.stdout, journal.write)
  const ready = await Promise.race([
    journal.logged(({ url }) => typeof url === 'string'),
    child.exited.then(async (code) => {
      throw new Error(`The gateway ended with ${code}: ${await stderr}`)
    }),
  ])
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await child.exited
  }
  return {
    url: String(ready['url']),
    pid: child.pid,
    stop: () => end('SIGKILL'),
    drain: () => end('SIGTERM'),
  }
}

export interface Journal {
  readonly lines: Record<string, unknown>[]
  readonly write: (line: string) => void
  readonly logged: TestGateway['logged']
}

export function createJournal(): Journal {
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<(line: Record<string, unknown>) => void>()
  return {
    lines,
    write(line) {
      const record = JSON.parse(line) as Record<string, unknown>
      lines.push(record)
      for (const look of waiting) look(record)
    },
    logged(matches) {
      const past = lines.find(matches)
      if (past) return Promise.resolve(past)
      return new Promise((resolve) => {
        const look = (line: Record<string, unknown>): void => {
          if (!matches(line)) return
          waiting.delete(look)
          resolve(line)
        }
        waiting.add(look)
      })
    },
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
}
