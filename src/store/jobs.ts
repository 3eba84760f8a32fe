import type { Database } from 'bun:sqlite'

import type { Db } from './db.ts'
import { putWithin } from './deliveries.ts'
import { jobOf, withEnding } from './jobs-row.ts'
import type { EndedJob, EndedRow, Ending, Job, JobState, Row } from './jobs-row.ts'

export type { EndedJob, Ending, Job, JobState } from './jobs-row.ts'

// Jobs: requests that are answered later. A job is found by id **and** owner; what belongs to somebody else does not
// exist, and neither does what has expired. What was made without a key is there for whoever knows its id, as in
// Bifrost. Times are those of the wall clock, since they outlive the process.

export interface NewJob {
  readonly id: string
  /** Who may see it: a hash, or empty for whoever calls without a key of their own. */
  readonly owner: string
  readonly endpoint: string
  readonly model: string | undefined
  readonly provider: string
  readonly requestId: string
  /** JSON text of whatever runs it needs besides the body. */
  readonly request: string
  readonly body: string | Uint8Array<ArrayBuffer>
  /** Counted from its end. */
  readonly ttlMs: number
  readonly idempotencyKey: string | undefined
  /** Of everything that makes two requests the same. */
  readonly bodyHash: string
  /** Only the process that took it has the key it needs. */
  readonly holdsKey: boolean
  readonly webhook: string | undefined
  readonly streams: boolean
}

export interface ClaimedJob {
  readonly id: string
  readonly owner: string
  readonly endpoint: string
  readonly request: string
  readonly body: string | Uint8Array<ArrayBuffer>
  readonly starts: number
}

export interface Bounds {
  readonly maxQueued: number
  readonly maxBytes: number
}

/** What is known of a job that ends without having been run to its end. */
export interface Orphan {
  readonly endpoint: string
  readonly requestId: string
  readonly streams: boolean
}

export interface Adoption {
  /** How long leases are; one that goes on for much longer is of a clock that was put back since. */
  readonly leaseMs: number
  readonly onRestart: 'retry' | 'fail'
  readonly maxStarts: number
  /** For jobs that are not run again. */
  readonly interrupted: (job: Orphan) => Ending
  /** For jobs whose key went with the process that had it. */
  readonly keyLost: (job: Orphan) => Ending
}

export type Submission =
  | { readonly kind: 'made' | 'same'; readonly job: Job }
  /** The idempotency key stands for another request. */
  | { readonly kind: 'conflict' }
  /** Too many wait, or all of them together are too large. */
  | { readonly kind: 'full'; readonly of: 'jobs' | 'bytes' }

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface JobStore {
  /** Whether jobs would outlive this process, as far as is known. */
  isUsable(): boolean
  /** False when everything is in memory. */
  readonly isDurable: boolean
  /** When it returns the job is committed, which outlives this process; `durable` is for what takes the machine down. */
  submit(job: NewJob, worker: string, leaseMs: number, bounds: Bounds): Submission
  /** Resolves when all that was committed before is on the disk. */
  durable(): Promise<void>
  find(id: string, owner: string): Job | EndedJob | undefined
  /** Newest first, without their answers; undefined when there is no job `after`. */
  list(owner: string, page: JobPage): readonly Job[] | undefined
  /** Whether there is anything to be done, as far as can be told without making a file. */
  exists(): boolean
  /** How many jobs nobody runs. */
  queued(): number
  /** Jobs nobody runs, oldest first, as far as `worker` may run them. */
  waiting(worker: string, limit: number): readonly Waiting[]
  /** Takes a job that waits; undefined when another was faster or it ended. */
  claim(id: string, worker: string, leaseMs: number): ClaimedJob | undefined
  /** Prolongs all that is leased to `worker`; returns the ids of the running ones. */
  renew(worker: string, leaseMs: number): ReadonlySet<string>
  /** False when the job was no longer this worker's, and nothing has changed. */
  finish(id: string, worker: string, ending: Ending): boolean
  /** Gives back what `worker` holds, as after its death, without waiting for the lease to end. */
  abandon(worker: string, adoption: Adoption): void
  /** Takes over what belongs to processes that show no sign of life. */
  adopt(adoption: Adoption): void
  /** Ends a job that has not ended. Undefined when there is none; `ended` when it already had. */
  cancel(id: string, owner: string, ending: Ending): 'cancelled' | 'ended' | undefined
  /** Removes some of what has expired; whether there may be more. */
  sweep(limit: number): boolean
}

/** The webhooks to tell of a job that ended in this state, given the one that it names. */
export type Recipients = (named: string | undefined, state: Ending['state']) => readonly string[]

export interface JobPage {
  readonly limit: number
  readonly after: string | undefined
  readonly state: JobState | undefined
}

export interface Waiting {
  readonly id: string
  readonly owner: string
}

const columns = `id, endpoint, model, provider, request_id, state, created_at_ms, completed_at_ms,
  expires_at_ms, status_code, streams, starts`
const insertJob = `
  INSERT INTO jobs (id, owner, endpoint, model, provider, request_id, state, created_at_ms, ttl_ms,
    idempotency_key, body_hash, holds_key, worker, lease_until_ms, webhook, bytes, request, body,
    streams)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)`
const selectJob = `
  SELECT ${columns}, headers, result FROM jobs
  WHERE id = ?1 AND owner IN (?2, '') AND (expires_at_ms IS NULL OR expires_at_ms > ?3)`
const selectByKey = `
  SELECT ${columns}, body_hash FROM jobs WHERE owner = ?1 AND idempotency_key = ?2`
const selectPage = `
  SELECT ${columns} FROM jobs
  WHERE owner = ?1 AND seq < ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)
    AND (?4 IS NULL OR state = ?4)
  ORDER BY seq DESC LIMIT ?5`
const selectWaiting = `
  SELECT id, owner FROM jobs
  WHERE state = 'pending' AND (holds_key = 0 OR worker = ?1) ORDER BY seq LIMIT ?2`
const claimJob = `
  UPDATE jobs SET state = 'processing', worker = ?2, lease_until_ms = ?3, starts = starts + 1
  WHERE id = ?1 AND state = 'pending' AND (holds_key = 0 OR worker = ?2)
  RETURNING id, owner, endpoint, request, body, starts`
const renewLeases = `
  UPDATE jobs SET lease_until_ms = ?2 WHERE worker = ?1 AND lease_until_ms IS NOT NULL
  RETURNING id, state`
/** The one place where a job ends: every way leads through it, and only once. */
const endJob = `
  UPDATE jobs SET state = ?2, completed_at_ms = ?3, expires_at_ms = ?3 + ttl_ms, status_code = ?4,
    headers = ?5, result = ?6, bytes = ?7, worker = NULL, lease_until_ms = NULL, request = NULL, body = NULL
  WHERE id = ?1 AND state IN ('pending', 'processing') AND (?8 IS NULL OR worker = ?8)
  RETURNING webhook`
const requeueJob = `
  UPDATE jobs SET state = 'pending', worker = NULL, lease_until_ms = NULL
  WHERE id = ?1 AND state = 'processing'`
const selectOrphans = `
  SELECT id, state, holds_key, starts, endpoint, request_id, streams FROM jobs
  WHERE lease_until_ms IS NOT NULL AND (lease_until_ms < ?1 OR lease_until_ms > ?2 OR worker = ?3)
  LIMIT 500`
const deleteExpired = `
  DELETE FROM jobs WHERE seq IN (
    SELECT seq FROM jobs j WHERE expires_at_ms <= ?1
      AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.job_id = j.id)
    LIMIT ?2)`
const rowBytes = 500
const pagesInSlice = 200

interface OrphanRow {
  readonly id: string
  readonly state: JobState
  readonly holds_key: number
  readonly starts: number
  readonly endpoint: string
  readonly request_id: string
  readonly streams: number
}

function orphanOf({ endpoint, request_id: requestId, streams }: OrphanRow): Orphan {
  return { endpoint, requestId, streams: streams === 1 }
}

/** Ends a job inside a transaction, and notes whom to tell. `worker`: only if it is its job. */
function endWithin(
  sqlite: Database,
  id: string,
  worker: string | null,
  { state, statusCode, headers, result }: Ending,
  now: number,
  recipients: Recipients,
): boolean {
  const bytes = result.length + rowBytes
  const row = sqlite
    .query<{ webhook: string | null }, (string | number | Uint8Array<ArrayBuffer> | null)[]>(endJob)
    .get(id, state, now, statusCode, JSON.stringify(headers), result, bytes, worker)
  if (!row) return false
  for (const webhook of recipients(row.webhook ?? undefined, state)) {
    putWithin(sqlite, id, webhook, `async_job.${state}`, now)
  }
  return true
}

export function createJobStore(
  db: Db,
  now: () => number = Date.now,
  recipients: Recipients = (named) => (named === undefined ? [] : [named]),
): JobStore {
  const end = (sqlite: Database, id: string, worker: string | null, ending: Ending): boolean =>
    endWithin(sqlite, id, worker, ending, now(), recipients)

  function within<T>(work: (sqlite: Database) => T): T {
    return db.use((sqlite) => sqlite.transaction(() => work(sqlite)).immediate())
  }

  /** What is leased and orphaned either waits again or ends. */
  function recover(worker: string | null, adoption: Adoption): void {
    const { onRestart, maxStarts, interrupted, keyLost, leaseMs } = adoption
    for (;;) {
      const count = within((sqlite) => {
        const orphans = sqlite
          .query<OrphanRow, [number, number, string | null]>(selectOrphans)
          .all(
            worker === null ? now() : 0,
            worker === null ? now() + 3 * leaseMs : Number.MAX_SAFE_INTEGER,
            worker,
          )
        for (const row of orphans) {
          const { id, state, holds_key: holdsKey, starts } = row
          if (holdsKey) end(sqlite, id, null, keyLost(orphanOf(row)))
          else if (state === 'processing' && (onRestart === 'fail' || starts >= maxStarts)) {
            end(sqlite, id, null, interrupted(orphanOf(row)))
          } else sqlite.query(requeueJob).run(id)
        }
        return orphans.length
      })
      if (count < 500) return
    }
  }

  /** A key stands for the job it was first sent with, until that has expired. */
  function sameAs(sqlite: Database, job: NewJob, key: string): Submission | undefined {
    const row = sqlite
      .query<Row & { body_hash: string }, [string, string]>(selectByKey)
      .get(job.owner, key)
    if (!row) return undefined
    if (row.expires_at_ms !== null && row.expires_at_ms <= now()) {
      sqlite.query(`UPDATE jobs SET idempotency_key = NULL WHERE id = ?1`).run(row.id)
      return undefined
    }
    return row.body_hash === job.bodyHash ? { kind: 'same', job: jobOf(row) } : { kind: 'conflict' }
  }

  return {
    isUsable: () => !db.isInMemory && db.isUsable(),
    isDurable: !db.isInMemory,
    submit(job, worker, leaseMs, { maxQueued, maxBytes }) {
      return within((sqlite) => {
        const { idempotencyKey } = job
        const same = idempotencyKey === undefined ? undefined : sameAs(sqlite, job, idempotencyKey)
        if (same) return same
        const { queued, bytes } = totalsOf(sqlite)
        const own = job.body.length + job.request.length + rowBytes
        if (queued >= maxQueued) return { kind: 'full', of: 'jobs' }
        if (bytes + own > maxBytes) return { kind: 'full', of: 'bytes' }
        const { id, owner, endpoint, model, provider, requestId } = job
        const createdAtMs = now()
        sqlite
          .query(insertJob)
          .run(
            id,
            owner,
            endpoint,
            model ?? null,
            provider,
            requestId,
            createdAtMs,
            job.ttlMs,
            idempotencyKey ?? null,
            job.bodyHash,
            job.holdsKey ? 1 : 0,
            job.holdsKey ? worker : null,
            job.holdsKey ? createdAtMs + leaseMs : null,
            job.webhook ?? null,
            own,
            job.request,
            job.body,
            job.streams ? 1 : 0,
          )
        return {
          kind: 'made',
          job: {
            id,
            endpoint,
            model,
            provider,
            requestId,
            state: 'pending',
            createdAtMs,
            completedAtMs: undefined,
            expiresAtMs: undefined,
            statusCode: undefined,
            streams: job.streams,
            starts: 0,
          },
        }
      })
    },
    durable: () => db.durable(),
    find(id, owner) {
      const row = db.use((sqlite) =>
        sqlite.query<EndedRow, [string, string, number]>(selectJob).get(id, owner, now()),
      )
      return row ? withEnding(row) : undefined
    },
    list(owner, { limit, after, state }) {
      return db.use((sqlite) => {
        let before = Number.MAX_SAFE_INTEGER
        if (after !== undefined) {
          const row = sqlite
            .query<{ seq: number }, [string, string]>(
              `SELECT seq FROM jobs WHERE id = ?1 AND owner = ?2`,
            )
            .get(after, owner)
          if (!row) return undefined
          before = row.seq
        }
        return sqlite
          .query<Row, [string, number, number, string | null, number]>(selectPage)
          .all(owner, before, now(), state ?? null, limit)
          .map(jobOf)
      })
    },
    exists: () => !db.isInMemory && db.exists(),
    queued: () => db.use((sqlite) => totalsOf(sqlite).queued),
    waiting: (worker, limit) =>
      db.use((sqlite) => sqlite.query<Waiting, [string, number]>(selectWaiting).all(worker, limit)),
    claim: (id, worker, leaseMs) =>
      db.use(
        (sqlite) =>
          sqlite
            .query<ClaimedJob, [string, string, number]>(claimJob)
            .get(id, worker, now() + leaseMs) ?? undefined,
      ),
    renew(worker, leaseMs) {
      const rows = db.use((sqlite) =>
        sqlite
          .query<{ id: string; state: JobState }, [string, number]>(renewLeases)
          .all(worker, now() + leaseMs),
      )
      return new Set(rows.filter(({ state }) => state === 'processing').map(({ id }) => id))
    },
    finish: (id, worker, ending) => within((sqlite) => end(sqlite, id, worker, ending)),
    abandon: (worker, adoption) => recover(worker, adoption),
    adopt: (adoption) => recover(null, adoption),
    cancel(id, owner, ending) {
      return within((sqlite) => {
        const row = sqlite
          .query<EndedRow, [string, string, number]>(selectJob)
          .get(id, owner, now())
        if (!row) return undefined
        return end(sqlite, id, null, ending) ? 'cancelled' : 'ended'
      })
    },
    sweep: (limit) =>
      db.use((sqlite) => {
        const { changes } = sqlite.query(deleteExpired).run(now(), limit)
        if (changes > 0) sqlite.run(`PRAGMA incremental_vacuum(${pagesInSlice})`)
        return changes >= limit
      }),
  }
}

/** Kept by triggers, so that every process knows them at no cost. */
function totalsOf(sqlite: Database): { readonly queued: number; readonly bytes: number } {
  const row = sqlite
    .query<{ queued: number; bytes: number }, []>(`SELECT queued, bytes FROM job_totals`)
    .get()
  return row ?? { queued: 0, bytes: 0 }
}
