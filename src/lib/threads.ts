import { dlopen } from 'bun:ffi'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/**
 * The threads of this process that work for the one that answers calls. On a busy core Linux interrupts what runs
 * whenever one of them has something to do, which is after every single call: the thread that sends requests then
 * sends them one by one, and each costs two changes of thread. Told to work in batches (`SCHED_BATCH`, sched(7)), they
 * wait until the answering thread has nothing to do or its turn is over, and then send all there is. They get the same
 * share of the time, and on a free core they run at once, as before.
 */
const servants: ReadonlySet<string> = new Set(['HTTP Client', 'Worker'])

/** As Linux counts them. */
const policies = { usual: 0, batch: 3, idle: 5 } as const
const lookMs = 1000
/** glibc's name first, then musl's. */
const libraries = ['libc.so.6', `libc.musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`]

/**
 * From now on lets the threads that serve the answering one work in batches, as soon as they exist: the one that sends
 * requests is made by the first request. Does nothing but on Linux, nor where it is not allowed. Returns what ends it.
 */
export function batchServants(): () => void {
  if (process.platform !== 'linux') return () => undefined
  let done = new Set<string>()
  let seen = ''
  let settled = ''
  const timer = setInterval(look, lookMs)
  timer.unref()
  return () => clearInterval(timer)

  function look(): void {
    try {
      const all = readdirSync('/proc/self/task')
      const listing = all.join()
      if (listing === settled) return
      // Looked at twice, because a thread gets its name a moment after it was made.
      if (listing === seen) settled = listing
      seen = listing
      // Threads come and go, and numbers are given again.
      done = new Set(all.filter((thread) => done.has(thread)))
      for (const thread of all) {
        if (done.has(thread) || !servants.has(nameOf(thread))) continue
        done.add(thread)
        const { of, set } = openScheduler()
        // Others have chosen for themselves.
        if (of(Number(thread)) === policies.usual) set(Number(thread), policies.batch)
      }
    } catch {
      // Without it calls cost a little more; that is no reason to look again and again.
      clearInterval(timer)
    }
  }
}

/**
 * `sched_attr.sched_runtime`, sched_setattr(2). Shorter than the usual 3 ms, and longer than a few calls take: a thread
 * whose turn is over while it still has something to do may have to wait until the clock ticks, for up to 4 ms, even for
 * one that is only to run when nobody else wants to.
 */
const sliceNs = 500_000n
const attributesSize = 48
/** Threads that this one starts have the usual turns (`SCHED_FLAG_RESET_ON_FORK`). */
const resetOnFork = 1n
/** The same, as it comes with a policy (`SCHED_RESET_ON_FORK`). */
const resetFlag = 0x40000000
/** The number of the system call `sched_setattr`. */
const setAttributes = { x64: 314, arm64: 274 } as const

/**
 * Lets the calling thread run as soon as it has something to do: since Linux 6.12 whoever asks for short turns interrupts
 * whoever has longer ones, where it would wait for them to end. Its share of the time stays the same. Does nothing on
 * older ones, nor elsewhere.
 */
export function takeShortTurns(): void {
  setTurns(0, sliceNs)
}

/**
 * The same for every thread that another process has now, or with `isShort` false the usual turns again. Does nothing for
 * processes of other users, nor for one that has ended.
 */
export function setTurnsOf(pid: number, isShort: boolean): void {
  if (process.platform !== 'linux') return
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      setTurns(Number(thread), isShort ? sliceNs : usualNs)
    }
  } catch {
    // It has ended.
  }
}

/** The kernel's own length, whatever that is. */
const usualNs = 0n

/** Thread 0 is the calling one. */
function setTurns(thread: number, ns: bigint): void {
  const number = Reflect.get(setAttributes, process.arch) as number | undefined
  if (process.platform !== 'linux' || number === undefined) return
  try {
    const { of, call } = openScheduler()
    // Whoever started it may have chosen otherwise.
    if ((of(thread) & ~resetFlag) !== policies.usual) return
    // struct sched_attr: size, policy (the usual one is 0), flags (8 bytes), nice, priority, runtime …
    const attributes = new DataView(new ArrayBuffer(attributesSize))
    attributes.setUint32(0, attributesSize, true)
    attributes.setBigUint64(8, resetOnFork, true)
    attributes.setInt32(16, getPriority(thread), true)
    attributes.setBigUint64(24, ns, true)
    call(number, thread, new Uint8Array(attributes.buffer), 0)
  } catch {
    // Then it waits for its turn.
  }
}

let giveUp: (() => void) | undefined

/**
 * Lets other threads that wait for this core go first (`sched_yield`); returns at once where there are none, and does
 * nothing but on Linux. For work that takes milliseconds: a thread that works in batches does not interrupt anybody,
 * and so waits behind whatever runs on its core, however unimportant that is.
 */
export function yieldTurn(): void {
  giveUp ??= openYield()
  giveUp()
}

function openYield(): () => void {
  const nothing = (): void => undefined
  if (process.platform !== 'linux') return nothing
  try {
    return openScheduler().yieldTurn
  } catch {
    return nothing
  }
}

function nameOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim()
  } catch {
    // It ended meanwhile.
    return ''
  }
}

/** So much nicer than those who answer calls. */
const niceness = 10

/**
 * Lets the calling thread stand back behind those that answer calls. One that is `patient` works only when a core has
 * nothing else to do, and is interrupted the moment somebody else has (`SCHED_IDLE`): whoever else works, in batches or
 * nicely, is left at it for milliseconds, and a call changes threads six times. Returns the thread's number; undefined
 * but on Linux, where everything stays as it is.
 */
export function giveWay(isPatient: boolean): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    // Linux gives each thread a priority of its own, under a number that only this link tells.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, niceness)
    if (isPatient) openScheduler().set(thread, policies.idle)
    return thread
  } catch {
    // To be as important as the rest is no reason not to work.
    return undefined
  }
}

/** Gives a patient thread its share again, where that is allowed: mostly it is not, and patience is for good. */
export function hurry(thread: number): void {
  try {
    openScheduler().set(thread, policies.batch)
  } catch {
    // Then it takes longer.
  }
}

export interface Standing {
  /** Processor time it has had so far. */
  readonly ranMs: number
  /** It runs, or would if there were a core for it. */
  readonly isRunnable: boolean
}

/**
 * How a thread of this process is getting on; undefined where nobody knows. How long it has been waiting is no use: the
 * kernel adds that up when the wait is over.
 */
export function standingOf(thread: number): Standing | undefined {
  const read = (name: string): string => readFileSync(`/proc/self/task/${thread}/${name}`, 'utf8')
  try {
    const stat = read('stat')
    return {
      ranMs: Number(read('schedstat').split(' ')[0]) / 1e6,
      isRunnable: stat.startsWith(') R', stat.lastIndexOf(')')),
    }
  } catch {
    return undefined
  }
}

interface Scheduler {
  readonly set: (thread: number, policy: number) => void
  /** Negative for a thread that is not there. */
  readonly of: (thread: number) => number
  /** The calling thread's. */
  readonly yieldTurn: () => void
  readonly call: (number: number, thread: number, attributes: Uint8Array, flags: number) => number
}

let scheduler: Scheduler | undefined

function openScheduler(): Scheduler {
  if (scheduler) return scheduler
  // struct sched_param holds one int, which must be 0 for these policies.
  const parameter = new Int32Array(1)
  for (const library of libraries) {
    try {
      const { symbols } = dlopen(library, {
        sched_setscheduler: { args: ['i32', 'i32', 'ptr'], returns: 'i32' },
        sched_getscheduler: { args: ['i32'], returns: 'i32' },
        sched_yield: { args: [], returns: 'i32' },
        syscall: { args: ['i64', 'i64', 'ptr', 'i64'], returns: 'i32' },
      })
      scheduler = {
        set: (thread, policy) => void symbols.sched_setscheduler(thread, policy, parameter),
        of: (thread) => symbols.sched_getscheduler(thread),
        yieldTurn: () => void symbols.sched_yield(),
        call: (number, thread, attributes, flags) =>
          symbols.syscall(number, thread, attributes, flags),
      }
      return scheduler
    } catch {
      continue
    }
  }
  throw new Error('there is no C library')
}
