import type { AppRule } from '#config/apps.ts'

import type { Change } from './logs-change.ts'
import type { Parcel } from './logs-parcel.ts'
import type { SummingQuestion } from './logs-sums.ts'

// What travels between the threads that use `logs.db`, whose tables (`logs-tables.ts`) are these:
//
// - `logs`, a view: one row per call in plain columns, texts as texts. For SQL of people, and for single rows. Its
//   columns: n (rising, never used twice), id, at_ms, status, object, provider, model, model_used, key_id, key_name,
//   virtual_key_id/_name, team_id/_name, customer_id/_name, user_id/_name, routing_rule_id/_name, routing_engines
//   (comma-separated), cache_hit_type, stop_reason, user_agent, app, session_id, stream, status_code, latency_ms,
//   queued_ms, upstream_ms, first_token_ms, prompt_tokens, completion_tokens, total_tokens, cached_read_tokens, cost,
//   fallback_index, retries, attempts.
// - `details`, a view: what only one row at a time shows: n, summary, usage, error, trail, dropped, metadata, trace (JSON
//   texts), request, request_chars, answer, answer_chars. A body is shown as the way to it, see `logs-bodies.ts`.
// - `calls`, the table behind `logs`. Texts that recur are numbers there (`provider_k` …) that `names` (k, text) explains;
//   `success` is 1 or 0. Indexed by n, at_ms, id and session_id only: what is searched otherwise is in `segments`.
// - `texts`: what few calls have beside that, for `details`. `blocks`: the bodies of many rows, compressed together.
// - `metadata` (name, value, n) and `words` (`logs-index.ts`, `logs-packed.ts`): what can be searched for beside the facts.
//   The words of rows behind `indexed.n` are not in `words` yet.
// - `segments`: the facts of 2,048 rows at a time, one fact after the other, each with its least and greatest value, so
//   that a search reads little (`logs-segments.ts`, `logs-scan.ts`). Rows behind the last segment are only in `calls`.
// - `bounds.floor`: rows up to here are gone for good; `gone`: single rows that are; `stale`: segments whose costs have
//   changed since. Triggers keep the last two right, so `DELETE FROM calls` and `UPDATE calls SET cost` are safe.

/** What one call leaves behind, before its secrets are taken out. Plain values only: it travels to a thread. */
export interface LogRow {
  readonly id: string
  readonly atMs: number
  /** As `extra_fields.request_type` without `_stream`. */
  readonly object: string
  readonly stream: boolean
  readonly status: 'success' | 'error'
  readonly statusCode: number
  readonly provider: string
  /** As the caller wrote it. */
  readonly model: string | undefined
  /** As the provider was asked for it. */
  readonly modelUsed: string | undefined
  readonly keyId: string | undefined
  readonly keyName: string | undefined
  readonly virtualKeyId: string | undefined
  readonly virtualKeyName: string | undefined
  readonly teamId?: string | undefined
  readonly teamName?: string | undefined
  readonly customerId?: string | undefined
  readonly customerName?: string | undefined
  readonly userId?: string | undefined
  readonly userName?: string | undefined
  readonly ruleId?: string | undefined
  readonly ruleName?: string | undefined
  /** Who had a say in where the call went, separated by commas. */
  readonly engines?: string | undefined
  readonly cacheHitType?: string | undefined
  readonly sessionId: string | undefined
  readonly userAgent: string | undefined
  readonly latencyMs: number
  readonly queuedMs: number
  readonly upstreamMs: number
  readonly firstTokenMs: number | undefined
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
  readonly totalTokens: number | undefined
  readonly cachedTokens: number | undefined
  /** US dollars; undefined = nobody knows a price. */
  readonly cost: number | undefined
  readonly fallbackIndex: number
  readonly retries: number
  readonly attempts: number
  /** JSON texts. */
  readonly usage: string | undefined
  readonly error: string | undefined
  readonly trail: string | undefined
  readonly dropped: string | undefined
  readonly metadata: string | undefined
  readonly trace: string | undefined
  /** What the user said last; undefined when content is not kept or nobody said anything. */
  readonly asked?: string | undefined
  /** JSON text as it came, possibly cut; undefined when content is not kept. */
  readonly request: string | undefined
  /** JSON text, or the bytes of a stream. */
  readonly answer: string | Uint8Array | undefined
  /** To be taken out of every text of this row, beside the configured ones. */
  readonly secrets: readonly string[]
}

export interface LogLimits {
  readonly maxAgeMs: number
  /** Of the file with its journal. */
  readonly maxBytes: number
  /** Of the request's text, and of the answer's. */
  readonly maxBodyChars: number
}

/** What a thread is asked, and what it says. */
export type ToThread =
  | {
      readonly kind: 'write'
      readonly path: string
      readonly limits: LogLimits
    }
  | { readonly kind: 'secrets'; readonly secrets: readonly string[] }
  | { readonly kind: 'apps'; readonly rules: readonly AppRule[] }
  | (Parcel & {
      readonly kind: 'batch'
      readonly seq: number
      /** Whether the rows are to be told to those who watch. */
      readonly told: boolean
    })
  | {
      readonly kind: 'ask'
      readonly seq: number
      readonly path: string
      /** Whether the thread is to work only when a core has nothing else to do. */
      readonly isPatient: boolean
      readonly question: Question | ExportQuestion
    }
  | { readonly kind: 'change'; readonly seq: number; readonly change: Change }
  /** Somebody who read the file says that it is damaged. */
  | { readonly kind: 'inspect' }
  | { readonly kind: 'close' }

export type FromThread =
  | {
      readonly kind: 'batch'
      readonly seq: number
      readonly written: number
      /** JSON texts of the rows, as lists show them. */
      readonly told: readonly string[]
      readonly failure: string | undefined
    }
  /** A reader's number, as the system counts threads. */
  | { readonly kind: 'reading'; readonly thread: number }
  | { readonly kind: 'aside'; readonly path: string; readonly why: string }
  | {
      readonly kind: 'answer'
      readonly seq: number
      readonly text: string | undefined
      /** What belongs to it and is handed on as it is. */
      readonly bytes?: Uint8Array<ArrayBuffer> | undefined
      readonly failure: string | undefined
      readonly fault: 'asker' | 'store' | 'damage' | undefined
    }
  /** `count` rows were changed, unless there is a failure. */
  | {
      readonly kind: 'changed'
      readonly seq: number
      readonly count: number
      readonly failure: string | undefined
    }
  | { readonly kind: 'closed' }

export type Filters = Readonly<Record<string, string>>

export interface ExportQuestion {
  readonly kind: 'export'
  readonly filters: Filters
  readonly format: 'ndjson' | 'csv'
  /** Where the page before ended. */
  readonly after: string | undefined
  /** What the page is written into, unless a single line is longer. */
  readonly into: SharedArrayBuffer
}

/** A page of an export: whole lines in UTF-8, and where the next page begins; null when there is none. */
export interface ExportedPage {
  /** Of the memory that was given for it, mostly: there until the next page is asked for. */
  readonly bytes: Uint8Array
  readonly after: string | null
}

export type Question =
  | { readonly kind: 'list'; readonly filters: Filters }
  | { readonly kind: 'one'; readonly id: string }
  | { readonly kind: 'stats'; readonly filters: Filters }
  | { readonly kind: 'histogram'; readonly filters: Filters }
  | SummingQuestion
