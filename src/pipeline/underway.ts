import type { Snapshot } from '#config/snapshot.ts'
import { epochMs } from '#lib/clock.ts'
import type { AppOf } from '#store/logs-apps.ts'
import { listed } from '#store/logs-row.ts'
import type { StoredRow } from '#store/logs-row.ts'
import type { LogStore } from '#store/logs.ts'

import { createCleaner } from './cleaner.ts'
import { createFollowing } from './follow.ts'
import type { Following } from './follow.ts'
import { cutter, enginesOf, metadataOf, saidOf, secretsIn } from './journal.ts'
import type { Cut } from './journal.ts'
import type { OpenCall, Recorder } from './record.ts'

// The calls under way as rows of the log, put together when somebody looks and never before.

export interface UnderwayCall {
  /** The same one each time. */
  readonly key: object
  readonly id: string
  /** As far as it is known; for filters, and not to be shown: secrets may stand in it. */
  row(): StoredRow
  /** A row as lists show it, as JSON text without secrets. */
  text(row: StoredRow): string
}

export interface Underway {
  /** Newest first. */
  calls(): readonly UnderwayCall[]
  readonly following: Following
}

export interface UnderwayOptions {
  readonly recorder: () => Pick<Recorder, 'calls'>
  readonly snapshot: () => Snapshot
  /** Which program a user agent is. */
  readonly appOf: AppOf
  readonly logs: Pick<LogStore, 'watch'>
}

export function createUnderway({ recorder, snapshot, appOf, logs }: UnderwayOptions): Underway {
  const cleaner = createCleaner(snapshot)

  function cleanerOf(open: OpenCall): (text: string) => string {
    const clean = cleaner(secretsOfCall(open))
    return (text) => clean(text).toWellFormed()
  }

  const calls: Underway['calls'] = () =>
    recorder()
      .calls.toSorted((a, b) => b.call.startedAt - a.call.startedAt)
      .map((open) => ({
        key: open,
        id: open.call.id,
        row() {
          const cut = cutter(cleaner, secretsOfCall(open))
          const agent = saidOf(open.call.headers, cut).userAgent
          // Of a text without secrets, half of which would not be recognised.
          const app = agent === undefined ? undefined : appOf(cleanerOf(open)(agent))
          return rowOf(open, app, snapshot().logs.headers, cut)
        },
        text: (row) => cleanerOf(open)(JSON.stringify({ ...listed(row), inc_number: null })),
      }))
  return { calls, following: createFollowing(logs, calls) }
}

function secretsOfCall({ call, books }: OpenCall): readonly string[] {
  const { directKey, virtualKey } = call.caller
  return secretsIn(call.headers, directKey, books.credential, virtualKey)
}

function rowOf(
  { call, books }: OpenCall,
  app: string | undefined,
  wanted: readonly string[],
  cut: Cut,
): StoredRow {
  const { headers, startedAt } = call
  const { sessionId, userAgent } = saidOf(headers, cut)
  const { rule, firstTokenAt } = books
  const { owner } = call.caller
  return {
    n: 0,
    id: call.id,
    at_ms: Math.round(epochMs(startedAt)),
    object: call.endpoint,
    stream: call.stream ? 1 : 0,
    status: 'processing',
    status_code: books.status ?? 0,
    provider: books.provider,
    model: call.modelRequested ?? null,
    model_used: books.model ?? null,
    key_id: books.keyId ?? null,
    key_name: books.keyName ?? null,
    virtual_key_id: owner?.virtualKeyId ?? null,
    virtual_key_name: owner?.virtualKeyName ?? null,
    team_id: owner?.teamId ?? null,
    team_name: owner?.teamName ?? null,
    customer_id: owner?.customerId ?? null,
    customer_name: owner?.customerName ?? null,
    user_id: null,
    user_name: null,
    routing_rule_id: rule?.id ?? null,
    routing_rule_name: rule?.name ?? null,
    routing_engines: enginesOf({ owner, rule }) ?? null,
    cache_hit_type: null,
    app: app ?? null,
    session_id: sessionId ?? null,
    user_agent: userAgent ?? null,
    // So far.
    latency_ms: performance.now() - startedAt,
    queued_ms: books.queuedMs,
    upstream_ms: books.upstreamMs,
    first_token_ms: firstTokenAt === undefined ? null : firstTokenAt - startedAt,
    prompt_tokens: null,
    completion_tokens: null,
    total_tokens: null,
    cached_read_tokens: null,
    cost: null,
    fallback_index: books.fallbackIndex,
    retries: books.retries,
    attempts: books.attempts,
    stop_reason: null,
    summary: null,
    error: null,
    metadata: metadataOf(headers, wanted, cut) ?? null,
  }
}
