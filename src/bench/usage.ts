// What the kernel says a process has used. Only Linux tells it this way; elsewhere there is no figure, not a guess.

import { readdirSync, readFileSync } from 'node:fs'

/** A process and everything it started, threads included. */
export interface Usage {
  /** User and system time since the start, in milliseconds, in steps of 10. */
  cpuMs: number
  /** Resident memory in MB (2^20 bytes); pages shared by two processes count twice. */
  residentMb: number
}

/** `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Bun runs on; there is no way to ask without a C library. */
const tickMs = 10

/** The usage of `pid` and its descendants, or undefined where it cannot be known. */
export function usageOf(pid: number): Usage | undefined {
  if (process.platform !== 'linux') return undefined
  const parents = new Map<number, number>()
  const ticks = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const id = Number(name)
    if (!Number.isInteger(id)) continue
    const fields = statOf(id)
    if (fields === undefined) continue
    parents.set(id, Number(fields[1]))
    ticks.set(id, Number(fields[11]) + Number(fields[12]))
  }
  if (!ticks.has(pid)) return undefined
  const usage = { cpuMs: 0, residentMb: 0 }
  for (const [id, used] of ticks) {
    if (!descends(id, pid, parents)) continue
    usage.cpuMs += used * tickMs
    usage.residentMb += residentMb(id)
  }
  return usage
}

/** The fields of `/proc/PID/stat` from the state on: the name before it may hold spaces and brackets. */
function statOf(pid: number): string[] | undefined {
  const text = readIfThere(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readIfThere(`/proc/${pid}/status`) ?? '')?.[1]
  return Number(kilobytes ?? 0) / 1024
}

function descends(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  for (let id: number | undefined = pid; id !== undefined && id > 1; id = parents.get(id)) {
    if (id === ancestor) return true
  }
  return false
}

/** A process may end between the listing and the reading: then it has used nothing that counts. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
