import type { Change } from './logs-change.ts'
import type { SummingQuestion } from './logs-sums.ts'

// The shape of `logs.db`, and of what travels between the threads that use it. Released migrations are never edited.

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
  | { readonly kind: 'write'; readonly path: string; readonly limits: LogLimits }
  | { readonly kind: 'secrets'; readonly secrets: readonly string[] }
  | {
      readonly kind: 'batch'
      readonly seq: number
      /** JSON text of the rows without what was said: far cheaper to hand over than the objects. */
      readonly rows: string
      /** Requests and answers of all rows, one after the other: nothing is quoted only to be unquoted again. */
      readonly texts: string
      /** Per row, the lengths of its request and its answer in `texts`; -1 for one that it has not. */
      readonly lengths: readonly (readonly [request: number, answer: number])[]
      /** Answers that are bytes, by the place of their row. */
      readonly streams: readonly (readonly [number, Uint8Array])[]
      /** Whether the rows are to be told to those who watch. */
      readonly told: boolean
    }
  | {
      readonly kind: 'ask'
      readonly seq: number
      readonly path: string
      readonly question: Question
    }
  | { readonly kind: 'change'; readonly seq: number; readonly change: Change }
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
  | { readonly kind: 'aside'; readonly path: string; readonly why: string }
  | {
      readonly kind: 'answer'
      readonly seq: number
      readonly text: string | undefined
      readonly failure: string | undefined
      readonly fault: 'asker' | 'store' | undefined
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

export type Question =
  | { readonly kind: 'list'; readonly filters: Filters }
  | { readonly kind: 'one'; readonly id: string }
  | { readonly kind: 'stats'; readonly filters: Filters }
  | { readonly kind: 'histogram'; readonly filters: Filters }
  | SummingQuestion
  | {
      readonly kind: 'export'
      readonly filters: Filters
      readonly format: 'ndjson' | 'csv'
      readonly after: string | undefined
    }

export const LOG_MIGRATIONS: readonly string[] = [
  // What is searched and listed stands in narrow rows; what only one row at a time shows stands beside them.
  `CREATE TABLE logs (
     n INTEGER PRIMARY KEY,
     id TEXT NOT NULL,
     at_ms INTEGER NOT NULL,
     object TEXT NOT NULL,
     stream INTEGER NOT NULL,
     status TEXT NOT NULL,
     status_code INTEGER NOT NULL,
     provider TEXT NOT NULL,
     model TEXT,
     model_used TEXT,
     key_id TEXT,
     key_name TEXT,
     virtual_key_id TEXT,
     virtual_key_name TEXT,
     session_id TEXT,
     user_agent TEXT,
     latency_ms REAL NOT NULL,
     queued_ms REAL NOT NULL,
     upstream_ms REAL NOT NULL,
     first_token_ms REAL,
     prompt_tokens INTEGER,
     completion_tokens INTEGER,
     total_tokens INTEGER,
     cached_read_tokens INTEGER,
     cost REAL,
     fallback_index INTEGER NOT NULL,
     retries INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     stop_reason TEXT
   );
   CREATE INDEX logs_by_time ON logs (at_ms);
   CREATE INDEX logs_by_id ON logs (id);
   CREATE INDEX logs_by_provider ON logs (provider, at_ms);
   CREATE INDEX logs_by_model ON logs (model, at_ms);
   CREATE INDEX logs_by_status ON logs (status, at_ms);
   CREATE INDEX logs_by_session ON logs (session_id, at_ms) WHERE session_id IS NOT NULL;
   CREATE INDEX logs_by_latency ON logs (latency_ms);
   CREATE INDEX logs_by_tokens ON logs (total_tokens);
   CREATE INDEX logs_by_cost ON logs (cost);
   CREATE TABLE details (
     n INTEGER PRIMARY KEY,
     summary TEXT,
     usage TEXT,
     error TEXT,
     trail TEXT,
     dropped TEXT,
     metadata TEXT,
     trace TEXT,
     request BLOB,
     request_chars INTEGER,
     answer BLOB,
     answer_chars INTEGER
   );
   CREATE TABLE metadata (
     name TEXT NOT NULL,
     value TEXT NOT NULL,
     n INTEGER NOT NULL,
     PRIMARY KEY (name, value, n)
   ) WITHOUT ROWID;
   -- Where a word stands is not kept, only in which rows: a third of the size, and phrases cannot be searched for.
   CREATE VIRTUAL TABLE words USING fts5 (text, content='', contentless_delete=1, detail=none);
   INSERT INTO words (words, rank) VALUES ('automerge', 16);`,
]
