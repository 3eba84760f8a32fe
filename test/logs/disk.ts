import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import type { Serving } from '../cli/program.ts'

/** A way in which a disk takes no more, and takes something again. */
export interface Disk {
  readonly name: string
  /** What the program is started within, when its folder is `dir`. */
  readonly within: (dir: string) => readonly string[]
  /** The same, with a disk that is full already. */
  readonly withinFull: (dir: string) => readonly string[]
  /** The folder as this process sees it. */
  readonly seen: (dir: string, program: Serving) => string
  readonly fill: (dir: string, program: Serving) => void
  readonly free: (dir: string, program: Serving) => void
}

/** No file may be written at all: what the kernel calls a file size limit, here of nothing. */
const limited: Disk = {
  name: 'a file size limit',
  within: () => [],
  withinFull: () => ['prlimit', '--fsize=0:unlimited'],
  seen: (dir) => dir,
  fill: (_, { pid }) => must(['prlimit', '--pid', `${pid}`, '--fsize=0:unlimited']),
  free: (_, { pid }) => must(['prlimit', '--pid', `${pid}`, '--fsize=unlimited:unlimited']),
}

/** A small file system of its own, filled by somebody else. */
const full: Disk = {
  name: 'a full file system',
  within: (dir) => mounting(dir),
  withinFull: (dir) => mounting(dir, 'head -c 9m /dev/zero >"$0/ballast" 2>/dev/null; '),
  seen: (dir, { pid }) => `/proc/${pid}/root${dir}`,
  fill: (dir, program) => {
    const file = openSync(join(full.seen(dir, program), 'ballast'), 'w')
    try {
      for (const bytes of [2 ** 20, 4096]) fillWith(file, Buffer.alloc(bytes))
    } finally {
      closeSync(file)
    }
  },
  free: (dir, program) => rmSync(join(full.seen(dir, program), 'ballast')),
}

/** A file system that nothing can be written to, until it is made writable. */
const readOnly: Disk = {
  ...full,
  name: 'a read-only file system',
  withinFull: (dir) => mounting(dir, 'mount -o remount,ro "$0" && '),
  free: (dir, { pid }) => {
    const inside = ['nsenter', '--target', `${pid}`, '--user', '--preserve-credentials', '--mount']
    must([...inside, 'mount', '-o', 'remount,rw', dir])
  },
}

/** What this machine lets a test do; macOS and Windows have neither. */
export const DISKS: readonly Disk[] = [
  ...(works(['prlimit', '--version']) ? [limited] : []),
  ...(works([...mounting('/mnt'), 'true']) ? [full] : []),
]

/** Those of a disk that is so from the start. */
export const STARTING_DISKS: readonly Disk[] = [
  ...DISKS,
  ...(DISKS.includes(full) && Bun.which('nsenter') !== null ? [readOnly] : []),
]

function mounting(dir: string, first = ''): string[] {
  const script = `mount -t tmpfs -o size=8m tmpfs "$0" && { ${first}exec "$@"; }`
  return ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script, dir]
}

function fillWith(file: number, bytes: Buffer): void {
  try {
    while (writeSync(file, bytes) === bytes.length);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown
  }
}

function works(command: readonly string[]): boolean {
  const [program = ''] = command
  if (process.platform !== 'linux' || Bun.which(program) === null) return false
  return Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'ignore' }).exitCode === 0
}

function must(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command])
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}
