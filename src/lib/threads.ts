import { dlopen } from 'bun:ffi'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * The threads of this process that work for the one that answers calls. On a busy core Linux interrupts what runs
 * whenever one of them has something to do, which is after every single call: the thread that sends requests then
 * sends them one by one, and each costs two changes of thread. Told to work in batches (`SCHED_BATCH`, sched(7)), they
 * wait until the answering thread has nothing to do or its turn is over, and then send all there is. They get the same
 * share of the time, and on a free core they run at once, as before.
 */
const servants: ReadonlySet<string> = new Set(['HTTP Client', 'Worker'])

const batchPolicy = 3
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
  let schedule: ((thread: number) => void) | undefined
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
        schedule ??= openScheduler()
        schedule(Number(thread))
      }
    } catch {
      // Without it calls cost a little more; that is no reason to look again and again.
      clearInterval(timer)
    }
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

function openScheduler(): (thread: number) => void {
  // struct sched_param holds one int, which must be 0 for this policy.
  const parameter = new Int32Array(1)
  for (const library of libraries) {
    try {
      const { symbols } = dlopen(library, {
        sched_setscheduler: { args: ['i32', 'i32', 'ptr'], returns: 'i32' },
      })
      return (thread) => void symbols.sched_setscheduler(thread, batchPolicy, parameter)
    } catch {
      continue
    }
  }
  throw new Error('there is no C library')
}
