import type { AsyncSettings } from '#config/snapshot.ts'
import { requestType } from '#core/endpoint.ts'
import type { Endpoint } from '#core/endpoint.ts'
import { errorEnvelope, GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import { newId } from '#lib/id.ts'
import type {
  Adoption,
  ClaimedJob,
  EndedJob,
  Ending,
  Job,
  JobPage,
  JobStore,
  NewJob,
  Orphan,
  Submission,
} from '#store/jobs.ts'

import { createProgress } from './jobs-progress.ts'
import type { Progress } from './jobs-progress.ts'
import { createFairQueue } from './jobs-queue.ts'

// Runs jobs. What is to be done stands in the store and nowhere else; the queue here is a view of it. A running job is
// leased to this process, which prolongs its leases for as long as it lives.

/** Headers that must not be written down; gone with the process. */
export type Secrets = Readonly<Record<string, string>>

/**
 * Runs one job to its end. `interrupted`: it did not end, because the process does or somebody cancelled it. Never
 * throws.
 */
export type Perform = (
  job: ClaimedJob,
  secrets: Secrets,
  signal: AbortSignal,
  progress: Progress,
) => Promise<Ending | 'interrupted'>

export interface Jobs {
  /** Whether jobs would be kept. */
  isUsable(): boolean
  /** Whether this process can have jobs at all. */
  readonly isDurable: boolean
  /**
   * When it resolves the job is committed, and on the disk. Rejects with `queue_full` when there are too many.
   */
  submit(job: NewJob, secrets: Secrets): Promise<Submission>
  find(id: string, owner: string): Job | EndedJob | undefined
  list(owner: string, page: JobPage): readonly Job[] | undefined
  cancel(id: string, owner: string): 'cancelled' | 'ended' | undefined
  /** What a job that runs here has said so far. */
  progress(id: string): Progress | undefined
  /** No more jobs are started. */
  readonly isStopping: boolean
  /** Jobs that run now. */
  readonly running: number
  /** Jobs that wait to be run here. */
  readonly waiting: number
  /** Looks for what earlier processes left, now and from then on. */
  start(): void
  /** Starts no more jobs; those that run go on. */
  drain(): void
  /** Gives back what still runs, for the next start. */
  close(): void
}

export interface JobsOptions {
  readonly store: JobStore
  readonly perform: Perform
  readonly settings: () => AsyncSettings
  readonly log: Logger
  /** Somebody may have to be told of an ended job. */
  readonly onEnded?: () => void
  /** The wall clock. */
  readonly now?: () => number
}

const looksPerLease = 3
/** The wall clock goes a little faster or slower to become right; this much at once means that it was set. */
const stepMs = 1000
const sweepEveryMs = 60_000
const sweepRows = 200
const sweepPauseMs = 5
const firstRetryMs = 50
const maxRetryMs = 5000
/** A queue that is full now has usually moved after some seconds. */
const queueFullMs = 5000

export function createJobs({
  store,
  perform,
  settings,
  log,
  onEnded,
  now = Date.now,
}: JobsOptions): Jobs {
  const worker = newId()
  const queue = createFairQueue()
  const running = new Map<string, AbortController>()
  const progresses = new Map<string, Progress>()
  const secretsOf = new Map<string, Secrets>()
  const life = { isStopping: false, isClosed: false }
  let pumping: ReturnType<typeof setTimeout> | undefined
  let ticking: ReturnType<typeof setTimeout> | undefined
  let sweptAt = 0
  /** By how much the wall clock is ahead of one that never jumps. */
  let aheadMs = now() - performance.now()
  let looksToSpare = 0

  const adoption = (): Adoption => {
    const { onRestart, maxStarts, leaseMs } = settings()
    return { onRestart, maxStarts, leaseMs, interrupted, keyLost }
  }

  function pump(): void {
    const { concurrency, leaseMs } = settings()
    while (!life.isStopping && running.size < concurrency) {
      const next = queue.take()
      if (!next) return
      let job
      try {
        job = store.claim(next.id, worker, leaseMs)
      } catch (thrown) {
        log.warn('a job could not be started yet', { id: next.id, error: String(thrown) })
        queue.done(next.owner)
        // The next look at the store finds it again.
        return
      }
      if (job) void work(job)
      else queue.done(next.owner)
    }
  }

  /** After what is going on now, so that whoever submitted a job has the answer first. */
  function pumpSoon(): void {
    if (pumping !== undefined || life.isStopping) return
    pumping = setTimeout(() => {
      pumping = undefined
      pump()
    }, 0)
  }

  async function work(job: ClaimedJob): Promise<void> {
    const { id, owner } = job
    const controller = new AbortController()
    running.set(id, controller)
    const progress = createProgress(job.starts)
    progresses.set(id, progress)
    try {
      // After a loss of power, too, the store has to know that a provider may have charged for this job.
      if (settings().onRestart === 'fail') await store.durable()
      const ending = await perform(job, secretsOf.get(id) ?? {}, controller.signal, progress)
      if (ending !== 'interrupted') await keep(id, ending)
    } finally {
      running.delete(id)
      progresses.delete(id)
      progress.end()
      // Interrupted by a cancellation or by the end of the process: in neither case it is run again here.
      secretsOf.delete(id)
      queue.done(owner)
      pumpSoon()
    }
  }

  /** A disk that is full now may not be so later; until then the place stays taken, which slows down the rest. */
  async function keep(id: string, ending: Ending): Promise<void> {
    for (let waitMs = firstRetryMs; !life.isClosed; waitMs = Math.min(waitMs * 2, maxRetryMs)) {
      try {
        if (store.finish(id, worker, ending)) onEnded?.()
        return
      } catch (thrown) {
        log.warn('the end of a job could not be written yet', { id, error: String(thrown) })
        await Bun.sleep(waitMs)
      }
    }
  }

  function look(): void {
    const { enabled, leaseMs, maxQueued } = settings()
    if (!enabled || !store.exists()) return
    const mine = store.renew(worker, leaseMs)
    for (const [id, controller] of running) {
      // Cancelled by way of another process, or taken over by one while this one stood still.
      if (!mine.has(id)) controller.abort()
    }
    if (mayAdopt()) store.adopt(adoption())
    if (!life.isStopping && store.queued() > queue.size) {
      for (const { id, owner } of store.waiting(worker, maxQueued)) queue.add(id, owner)
    }
    // Also for what could not be started before: there may be more room by a new configuration.
    if (queue.size > 0) pumpSoon()
    if (performance.now() - sweptAt > sweepEveryMs) {
      sweptAt = performance.now()
      void sweep()
    }
    onEnded?.()
  }

  /** Leases are by the wall clock. When that is set, whoever is alive has the time of a lease to prolong theirs. */
  function mayAdopt(): boolean {
    const last = aheadMs
    aheadMs = now() - performance.now()
    if (Math.abs(aheadMs - last) > stepMs) looksToSpare = looksPerLease
    return looksToSpare === 0 || --looksToSpare === 0
  }

  async function sweep(): Promise<void> {
    try {
      while (!life.isClosed && store.sweep(sweepRows)) await Bun.sleep(sweepPauseMs)
    } catch (thrown) {
      log.debug('expired jobs were not swept', { error: String(thrown) })
    }
  }

  function tick(): void {
    try {
      look()
    } catch (thrown) {
      log.debug('the store of jobs could not be looked at', { error: String(thrown) })
    }
    if (life.isClosed) return
    ticking = setTimeout(tick, Math.ceil(settings().leaseMs / looksPerLease))
    ticking.unref()
  }

  return {
    isUsable: () => store.isUsable(),
    isDurable: store.isDurable,
    async submit(job, secrets) {
      const submission = store.submit(job, worker, settings().leaseMs, settings())
      if (submission.kind === 'full') throw refusals[submission.of]()
      if (submission.kind === 'made') {
        if (job.holdsKey) secretsOf.set(job.id, secrets)
        queue.add(job.id, job.owner)
        pumpSoon()
      }
      await store.durable()
      return submission
    },
    find: (id, owner) => store.find(id, owner),
    list: (owner, page) => store.list(owner, page),
    cancel(id, owner) {
      const result = store.cancel(id, owner, cancelled(store.find(id, owner)))
      if (result === 'cancelled') {
        running.get(id)?.abort()
        secretsOf.delete(id)
        onEnded?.()
      }
      return result
    },
    progress: (id) => progresses.get(id),
    get isStopping() {
      return life.isStopping
    },
    get running() {
      return running.size
    },
    get waiting() {
      return queue.size
    },
    start: tick,
    drain() {
      life.isStopping = true
      clearTimeout(pumping)
    },
    close() {
      life.isStopping = true
      life.isClosed = true
      clearTimeout(pumping)
      clearTimeout(ticking)
      queue.clear()
      for (const controller of running.values()) controller.abort()
      secretsOf.clear()
      if (!store.exists()) return
      try {
        store.abandon(worker, adoption())
      } catch (thrown) {
        log.warn('running jobs were not given back; they wait for the end of their lease', {
          error: String(thrown),
        })
      }
    },
  }
}

const refusals = {
  jobs: () =>
    new GatewayError(
      'queue_full',
      'Too many async jobs are waiting (async.max_queued); try again later.',
      { retryAfterMs: queueFullMs },
    ),
  // Room comes with the end of somebody's TTL, and nobody knows whose will be enough.
  bytes: () =>
    new GatewayError(
      'queue_full',
      'There is no room for this async job beside the requests and results that are kept (async.max_size_mb); try again when some have expired.',
    ),
}

/** How a job ends that never had an answer. */
function failedEnding(error: GatewayError, job: Orphan | undefined): Ending {
  const type = job ? requestType(job.endpoint as Endpoint, job.streams) : 'unknown'
  const context = { provider: undefined, modelRequested: undefined, requestType: type }
  const id = job?.requestId ?? newId()
  const envelope = errorEnvelope(error, context, id)
  return {
    state: 'failed',
    statusCode: envelope.status_code,
    headers: { 'content-type': 'application/json', 'x-request-id': id },
    result: JSON.stringify(envelope),
  }
}

const cancelled = (job: Job | undefined): Ending =>
  failedEnding(new GatewayError('job_cancelled', 'The job was cancelled.'), job)

const interrupted = (job: Orphan): Ending =>
  failedEnding(
    new GatewayError(
      'job_interrupted',
      'The gateway ended while this job was running; the provider may have served it, but its answer is lost (async.on_restart).',
    ),
    job,
  )

const keyLost = (job: Orphan): Ending =>
  failedEnding(
    new GatewayError(
      'job_interrupted',
      'The gateway ended before this job did. It was submitted with a key of its own, which is never written down: submit it again.',
      { code: 'job_key_lost' },
    ),
    job,
  )
