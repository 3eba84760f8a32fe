export type JobState = 'pending' | 'processing' | 'completed' | 'failed'

/** A job as its owner sees it. */
export interface Job {
  readonly id: string
  readonly endpoint: string
  readonly model: string | undefined
  readonly provider: string
  readonly requestId: string
  readonly state: JobState
  readonly createdAtMs: number
  /** Set when it has ended, as are the rest. */
  readonly completedAtMs: number | undefined
  readonly expiresAtMs: number | undefined
  readonly statusCode: number | undefined
  /** Its answer is a stream of events. */
  readonly streams: boolean
  /** How often it was begun. */
  readonly starts: number
}

/** How a job ended; what a caller who had waited would have got. */
export interface Ending {
  readonly state: 'completed' | 'failed'
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly result: string | Uint8Array<ArrayBuffer>
}

export interface EndedJob extends Job {
  readonly ending: Ending
}

/** The columns that every look at a job takes. */
export interface Row {
  readonly id: string
  readonly endpoint: string
  readonly model: string | null
  readonly provider: string
  readonly request_id: string
  readonly state: JobState
  readonly created_at_ms: number
  readonly completed_at_ms: number | null
  readonly expires_at_ms: number | null
  readonly status_code: number | null
  readonly streams: number
  readonly starts: number
}

export interface EndedRow extends Row {
  readonly headers: string | null
  readonly result: string | Uint8Array<ArrayBuffer> | null
}

export function jobOf(row: Row): Job {
  return {
    id: row.id,
    endpoint: row.endpoint,
    model: row.model ?? undefined,
    provider: row.provider,
    requestId: row.request_id,
    state: row.state,
    createdAtMs: row.created_at_ms,
    completedAtMs: row.completed_at_ms ?? undefined,
    expiresAtMs: row.expires_at_ms ?? undefined,
    statusCode: row.status_code ?? undefined,
    streams: row.streams === 1,
    starts: row.starts,
  }
}

/** With its answer, when it has ended. */
export function withEnding(row: EndedRow): Job | EndedJob {
  return endedJobOf(row) ?? jobOf(row)
}

/** Undefined when it has not ended. */
export function endedJobOf(row: EndedRow): EndedJob | undefined {
  const job = jobOf(row)
  const { state, statusCode } = job
  if (statusCode === undefined || (state !== 'completed' && state !== 'failed')) return undefined
  const headers = JSON.parse(row.headers ?? '{}') as Record<string, string>
  return { ...job, ending: { state, statusCode, headers, result: row.result ?? '' } }
}
