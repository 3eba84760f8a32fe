import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createJournal } from '../helpers/gateway.ts'
import type { Journal } from '../helpers/gateway.ts'

// The program as a process: the compiled file when `ASBRU_BINARY` names it, the source otherwise.

const binary = process.env['ASBRU_BINARY']
const main = join(import.meta.dir, '..', '..', 'src', 'main.ts')
export const COMMAND: readonly string[] = binary === undefined ? [process.execPath, main] : [binary]

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** A command that ends by becoming the program, which is what follows it. */
  readonly within?: readonly string[]
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program to its end. */
export async function run(args: readonly string[], around: Surroundings = {}): Promise<Ended> {
  const child = spawn(args, around)
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { code, stdout, stderr }
}

export interface Serving extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  readonly ready: Readonly<Record<string, unknown>>
  readonly logs: Journal['lines']
  readonly logged: Journal['logged']
  kill(signal: NodeJS.Signals): void
  /** With the signal's name when one ended it. */
  readonly exited: Promise<{ code: number | null; signal: string | number | null }>
}

/** Runs `serve` on a free port and waits for its ready line. Killed when disposed of. */
export async function serve(
  args: readonly string[] = [],
  around: Surroundings = {},
): Promise<Serving> {
  const journal = createJournal()
  const child = spawn(['serve', '--host', '127.0.0.1', '--port', '0', ...args], around)
  const stderr = new Response(child.stderr).text()
  void readLines(child.stdout, journal.write)
  const exited = child.exited.then((code) => {
    const { signalCode } = child
    return signalCode === null ? { code, signal: null } : { code: null, signal: signalCode }
  })
  const ready = await Promise.race([
    journal.logged(({ url }) => typeof url === 'string'),
    exited.then(async ({ code }) => {
      throw new Error(`It ended with ${code}: ${await stderr}`)
    }),
  ])
  return {
    url: String(ready['url']),
    pid: child.pid,
    ready,
    logs: journal.lines,
    logged: journal.logged,
    kill: (signal) => child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

/** A folder of its own for one test. */
export function scratch(): Disposable & { readonly path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), 'asbru-cli-'))
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

function spawn(args: readonly string[], { env, cwd, within = [] }: Surroundings) {
  return Bun.spawn([...within, ...COMMAND, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    ...(cwd !== undefined && { cwd }),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
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
