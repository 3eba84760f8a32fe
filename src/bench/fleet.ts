// The processes of a benchmark: started, heard, and gone at the end on every path.

import type { Subprocess } from 'bun'

import type { Pinning } from './machine.ts'

export interface Member {
  readonly name: string
  readonly pid: number
  /** The next line of its standard output for which `wanted` is true, parsed; rejects after `timeoutMs` or when it ends. */
  hear: <T extends object>(wanted: (value: object) => value is T, timeoutMs: number) => Promise<T>
  /** One JSON line to its standard input. */
  tell: (value: unknown) => void
  /** SIGTERM, then SIGKILL after two seconds; resolves when it is gone. */
  stop: () => Promise<void>
}

export interface Fleet {
  /** `side` decides the core; `anywhere` is whichever is free. The member inherits nothing of the environment but `env`. */
  start: (order: {
    name: string
    command: readonly string[]
    side: 'contender' | 'ends' | 'anywhere'
    env?: Readonly<Record<string, string>>
  }) => Member
  stopAll: () => Promise<void>
  /** The last resort of an exiting process: SIGKILL to all, without waiting. */
  killAll: () => void
}

type Piped = Subprocess<'pipe', 'pipe', 'pipe'>

const stopMs = 2000
const tailChars = 2000
const linesKept = 1000

/**
 * An empty fleet. Members start with an empty environment: a measurement must not depend on keys or settings that
 * happen to be there.
 */
export function createFleet(pinning: Pinning | undefined): Fleet {
  const members = new Map<Member, Piped>()
  return {
    start({ name, command, side, env = {} }) {
      const isPinned = pinning !== undefined && side !== 'anywhere'
      const prefix = isPinned ? [pinning.tool, '-c', String(pinning[side])] : []
      const child = Bun.spawn([...prefix, ...command], {
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'pipe',
        env: { ...env },
      })
      const member = follow(name, child, () => members.delete(member))
      members.set(member, child)
      return member
    },
    async stopAll() {
      await Promise.all([...members.keys()].map((member) => member.stop()))
    },
    killAll() {
      for (const child of members.values()) child.kill('SIGKILL')
    },
  }
}

function follow(name: string, child: Piped, gone: () => void): Member {
  const lines: object[] = []
  let tail = ''
  let wake = Promise.withResolvers<void>()
  let over = false
  const reading = eachLine(child.stdout, (line) => {
    const value = parseLine(line)
    if (value === undefined) return
    lines.push(value)
    if (lines.length > linesKept) lines.shift()
    wake.resolve()
  })
  const complaining = eachLine(child.stderr, (line) => {
    tail = `${tail}${line}\n`.slice(-tailChars)
  })
  const ended = end()

  async function end(): Promise<void> {
    await Promise.all([child.exited, reading, complaining])
    over = true
    gone()
    wake.resolve()
  }

  function failure(what: string): Error {
    const said = tail.trim()
    return new Error(`${name} ${what}${said === '' ? ', silently' : `; it said:\n${said}`}`)
  }

  return {
    name,
    pid: child.pid,
    async hear(wanted, timeoutMs) {
      const expired = Promise.withResolvers<never>()
      const timer = setTimeout(
        () => expired.reject(failure(`did not answer within ${timeoutMs / 1000} s`)),
        timeoutMs,
      )
      try {
        for (;;) {
          const value = lines.shift()
          if (value !== undefined) {
            if (wanted(value)) return value
            continue
          }
          if (over) throw failure(`ended with code ${child.exitCode ?? child.signalCode}`)
          wake = Promise.withResolvers()
          await Promise.race([wake.promise, expired.promise])
        }
      } finally {
        clearTimeout(timer)
      }
    },
    tell(value) {
      void child.stdin.write(`${JSON.stringify(value)}\n`)
      void child.stdin.flush()
    },
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs)
      await ended
      clearTimeout(timer)
    },
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    // A line without end must not fill memory.
    rest = (lines.pop() ?? '').slice(-64 * 1024)
    for (const line of lines) onLine(line)
  }
}

/** The object a line holds, or undefined: members may print other things than JSON; those are not for us. */
export function parseLine(line: string): object | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
