// Where a measurement was taken, and which cores its parts may have.

import { readFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'

export interface Machine {
  cpu: string
  cores: number
  os: string
  bun: string
  /** Day of the measurement, UTC. */
  date: string
  /** Processes that wanted a core in the last minute, before the benchmark: other work spoils figures. */
  load: number
}

/** Which core each side runs on; undefined when nothing is pinned. */
export interface Pinning {
  /** Path of `taskset`. */
  tool: string
  /** The contender's core: gateway or floor, whichever is being measured. */
  contender: number
  /** The core that upstream and load generator share. */
  ends: number
}

export function describeMachine(): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() || 'unknown processor',
    cores: processors.length,
    os: `${process.platform} ${process.arch} ${release().split('-')[0]}`,
    bun: Bun.version,
    date: new Date().toISOString().slice(0, 10),
    load: loadavg()[0] ?? 0,
  }
}

/** Two cores of those this process may use, when `taskset` is there and works; otherwise why not. */
export function choosePinning(): Pinning | string {
  const tool = Bun.which('taskset')
  if (tool === null) return 'nothing is pinned: no taskset on this machine'
  const [contender, ends] = allowedCores()
  if (contender === undefined || ends === undefined) return 'nothing is pinned: only one core'
  const probe = Bun.spawnSync([tool, '-c', String(contender), process.execPath, '--version'], {
    stdout: 'ignore',
    stderr: 'ignore',
    timeout: 10_000,
  })
  if (probe.exitCode !== 0) return 'nothing is pinned: taskset is refused here'
  return { tool, contender, ends }
}

/**
 * Lets this process work only when a core has nothing else to do, until the function that is returned is called: whoever
 * reads here stands for somebody on another machine, and must not take the cores of what is measured. Does nothing where
 * there is no `chrt`, nor for users whom the system does not let come back (sched(7)): what is started later would stand
 * back as well.
 */
export function standBack(): () => void {
  const tool = Bun.which('chrt')
  const succeeds = (...command: string[]): boolean =>
    Bun.spawnSync(command, { stdout: 'ignore', stderr: 'ignore', timeout: 10_000 }).exitCode === 0
  if (tool === null || !succeeds(tool, '--idle', '0', tool, '--other', '0', tool, '--version')) {
    return () => undefined
  }
  const change = (policy: '--idle' | '--other'): boolean =>
    succeeds(tool, '--all-tasks', policy, '--pid', '0', String(process.pid))
  change('--idle')
  return () => void change('--other')
}

/** The list the kernel gives, such as `0-3,8`; a container may have other cores than the first ones. */
function allowedCores(): number[] {
  if (process.platform !== 'linux') return []
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return (list ?? '').split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number)
    if (first === undefined || !Number.isInteger(first)) return []
    return Array.from({ length: (last ?? first) - first + 1 }, (_, step) => first + step)
  })
}
