import type { AppRule } from '#config/apps.ts'
import { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'

import { Batch, charsOf } from './logs-batch.ts'
import type { Change } from './logs-change.ts'
import type { WrittenPage } from './logs-export.ts'
import { askMs, createReaders, maxAsked, unavailable } from './logs-reader.ts'
import type {
  ExportedPage,
  ExportQuestion,
  FromThread,
  LogLimits,
  LogRow,
  Question,
} from './logs-schema.ts'
import { thread } from './logs-thread.ts'
import type { LogThread } from './logs-thread.ts'
import { leastAsked } from './logs-words.ts'

// The log as the rest of the process sees it: rows go into a bounded queue and from there, in batches, to a thread
// that writes them; questions go to other threads. Nothing here waits for a disk, and nothing that happens to the
// file reaches a caller.

export interface LogStore {
  /** Takes a row; one that there is no room for is counted and forgotten. */
  add(row: LogRow): void
  /** Rows that were lost since the start: no room in the queue, or a file that could not be written. */
  readonly dropped: number
  /** Why nothing is written at the moment; undefined while all is well. */
  readonly failure: string | undefined
  /** The answer as JSON text, what was added before included. Throws `GatewayError`. */
  ask(question: Question): Promise<string>
  /** A page of an export; the first has what was added before. Throws `GatewayError`. */
  export(question: ExportQuestion): Promise<ExportedPage>
  /** Changes rows, those added before included, and returns how many. Throws `GatewayError`. */
  change(change: Change): Promise<number>
  /** `listener` gets each row as JSON text once it is written, until the returned function is called. */
  watch(listener: (line: string) => void): () => void
  setLimits(limits: LogLimits): void
  /** Texts that no row may hold. */
  setSecrets(secrets: readonly string[]): void
  /** Which programs callers are, before the built-in rules. */
  setApps(rules: readonly AppRule[]): void
  /** Writes what is queued, as far as that takes no longer than a moment, and ends the threads. */
  close(): Promise<void>
  readonly path: string
}

export interface LogStoreOptions {
  readonly path: string
  readonly limits: LogLimits
  readonly log: Logger
}

const batchMs = 250
const rowsInBatch = 1000
const charsInBatch = 2 * 1024 * 1024
const maxQueuedRows = 10_000
/** Beyond half of this, rows are queued without what was said in them. */
const maxQueuedChars = 16 * 1024 * 1024
/** How long a question waits for rows that are still on their way. */
const settleMs = 2000
const closeMs = 3000
const restartMs = 5000
/** A file that those who read it find damaged is inspected this often: that takes a while. */
const inspectMs = 60_000
/** A disk that is now full and now not is told of this often. */
const tellMs = 60_000

export function createLogStore({ path, limits: firstLimits, log }: LogStoreOptions): LogStore {
  let limits = firstLimits
  let secrets: readonly string[] = []
  let apps: readonly AppRule[] = []
  /** Rows come into this one. */
  let filling = new Batch(rowsInBatch)
  /** Full ones wait for the one that is being written. */
  const full: Batch[] = []
  let spare: Batch | undefined
  let queuedRows = 0
  let queuedChars = 0
  let dropped = 0
  let failure: string | undefined
  let isToldOf = false
  let toldAt = -Infinity
  let isFull = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let writer: LogThread | undefined
  let retryAt = 0
  let inspectAt = -Infinity
  let inFlight: { readonly seq: number; readonly batch: Batch } | undefined
  let seq = 0
  let isClosed = false
  let added = 0
  /** Written or lost. */
  let done = 0
  let waiting: { readonly until: number; readonly ready: () => void }[] = []
  const watchers = new Set<(line: string) => void>()
  const changes = new Map<number, (count: number | GatewayError) => void>()

  function startWriter(): LogThread {
    const worker = thread(written, (why) => {
      writer = undefined
      retryAt = performance.now() + restartMs
      lose(inFlight?.batch.count ?? 0, why)
      // It may still be looked at: another one is made.
      done += inFlight?.batch.count ?? 0
      inFlight = undefined
      for (const [of] of changes) changed(of, unavailable(why))
      proceed()
    })
    worker.tell({ kind: 'write', path, limits })
    worker.tell({ kind: 'secrets', secrets })
    if (apps.length > 0) worker.tell({ kind: 'apps', rules: apps })
    return worker
  }

  function lose(rows: number, why: string): void {
    dropped += rows
    failure = why
    if (isToldOf || performance.now() - toldAt < tellMs) return
    isToldOf = true
    toldAt = performance.now()
    log.error(`the log cannot be written; calls are not logged until it can: ${why}`, { path })
  }

  function written(message: FromThread): void {
    if (message.kind === 'aside') {
      log.error(`the log begins anew: ${message.why}`, { path, kept: message.path })
      readers.restart()
      return
    }
    if (message.kind === 'changed') {
      const { seq: of, count, failure: wrong } = message
      changed(of, wrong === undefined ? count : unavailable(wrong))
    }
    if (message.kind !== 'batch' || message.seq !== inFlight?.seq) return
    const { batch } = inFlight
    const rows = batch.count
    inFlight = undefined
    batch.clear()
    spare = batch
    done += rows
    if (message.failure !== undefined) lose(rows, message.failure)
    else if (failure !== undefined) {
      failure = undefined
      if (isToldOf) log.info('calls are logged again', { path, lost: dropped })
      isToldOf = false
    }
    for (const line of message.told) for (const watcher of watchers) watcher(line)
    proceed()
  }

  function changed(of: number, outcome: number | GatewayError): void {
    changes.get(of)?.(outcome)
    changes.delete(of)
  }

  function isFilled({ count, chars }: Batch): boolean {
    return count >= rowsInBatch || chars >= charsInBatch
  }

  /** The one that rows come into is closed, and another one taken. */
  function turnOver(): Batch {
    const batch = filling
    filling = spare ?? new Batch(rowsInBatch)
    spare = undefined
    // So many at a time are more than there is time to index more of.
    filling.maxAsked = batch.count >= rowsInBatch ? leastAsked : Number.POSITIVE_INFINITY
    return batch
  }

  /** After a batch: the next one, or whoever waited for the last. */
  function proceed(): void {
    if (full.length > 0 || isFilled(filling) || (queuedRows > 0 && waiting.length > 0)) send()
    else if (queuedRows > 0) schedule()
    // Rows leave in the order in which they came.
    for (const { until, ready } of waiting) if (until <= done) ready()
    waiting = waiting.filter(({ until }) => until > done)
  }

  function schedule(): void {
    if (timer !== undefined || isClosed) return
    timer = setTimeout(() => {
      timer = undefined
      send()
    }, batchMs)
    timer.unref()
  }

  function send(): void {
    if (inFlight || queuedRows === 0) return
    if (!writer && performance.now() < retryAt) {
      schedule()
      return
    }
    writer ??= startWriter()
    const batch = full.shift() ?? turnOver()
    queuedRows -= batch.count
    queuedChars -= batch.chars
    isFull = false
    inFlight = { seq: ++seq, batch }
    writer.tell({ kind: 'batch', seq, ...batch.parcel(), told: watchers.size > 0 })
  }

  /** Resolves when everything added so far is written or lost, or after `ms`. */
  async function settled(ms: number): Promise<void> {
    if (queuedRows === 0 && !inFlight) return
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push({ until: added, ready: resolve })
    send()
    const limit = setTimeout(resolve, ms)
    await promise
    clearTimeout(limit)
  }

  /** What is written goes through pages in memory, which say nothing of those on the disk. */
  function inspect(): void {
    if (isClosed || performance.now() < inspectAt) return
    inspectAt = performance.now() + inspectMs
    writer ??= startWriter()
    writer.tell({ kind: 'inspect' })
  }

  const readers = createReaders(path, inspect)

  /** Lets a question find what was added before it. */
  async function readyFor(question: Question | ExportQuestion): Promise<void> {
    if (!('filters' in question) || !question.filters['content_search']?.trim()) {
      await settled(settleMs)
      return
    }
    try {
      await change({ kind: 'index' })
    } catch {
      // What cannot be written to can perhaps be read.
    }
  }

  async function change(wanted: Change): Promise<number> {
    await settled(settleMs)
    if (isClosed || changes.size >= maxAsked) throw unavailable('too much is being changed')
    const { promise, resolve } = Promise.withResolvers<number | GatewayError>()
    const own = ++seq
    changes.set(own, resolve)
    writer ??= startWriter()
    writer.tell({ kind: 'change', seq: own, change: wanted })
    const limit = setTimeout(() => changed(own, unavailable('the change took too long')), askMs)
    const outcome = await promise
    clearTimeout(limit)
    if (outcome instanceof GatewayError) throw outcome
    return outcome
  }

  return {
    path,
    add(row) {
      if (isClosed) return
      const chars = charsOf(row)
      if (queuedRows >= maxQueuedRows || queuedChars >= maxQueuedChars) {
        dropped++
        if (!isFull)
          log.warn('the log is written more slowly than calls end; some are not logged', {
            dropped,
          })
        isFull = true
        return
      }
      const isTight = chars > 0 && queuedChars + chars > maxQueuedChars / 2
      if (isFilled(filling)) full.push(turnOver())
      filling.add(isTight ? { ...row, request: undefined, answer: undefined } : row)
      added++
      queuedRows++
      if (!isTight) queuedChars += chars
      if (!inFlight && isFilled(filling)) send()
      else schedule()
    },
    get dropped() {
      return dropped
    },
    get failure() {
      return failure
    },
    async ask(question) {
      await readyFor(question)
      if (isClosed) throw unavailable('the gateway is shutting down')
      return (await readers.ask(question)).text
    },
    async export(question) {
      if (question.after === undefined) await readyFor(question)
      if (isClosed) throw unavailable('the gateway is shutting down')
      const { text, bytes } = await readers.ask(question)
      const { length, after } = JSON.parse(text) as Omit<WrittenPage, 'alone'>
      return { bytes: bytes ?? new Uint8Array(question.into, 0, length), after }
    },
    change,
    watch(listener) {
      watchers.add(listener)
      return () => void watchers.delete(listener)
    },
    setLimits(next) {
      limits = next
      writer?.tell({ kind: 'write', path, limits })
    },
    setSecrets(next) {
      secrets = next
      writer?.tell({ kind: 'secrets', secrets })
    },
    setApps(rules) {
      apps = rules
      writer?.tell({ kind: 'apps', rules })
    },
    async close() {
      if (isClosed) return
      if (writer || queuedRows > 0) await settled(closeMs)
      isClosed = true
      clearTimeout(timer)
      watchers.clear()
      await Promise.all([writer?.close(), readers.close()])
      writer = undefined
    },
  }
}
