import type { createBodies } from './logs-bodies.ts'
import { isObject, parsed } from './logs-content.ts'
import { inputOf, outputOf } from './logs-shapes.ts'

// A row of the log as JSON, in Bifrost's names.

export interface StoredRow {
  readonly n: number
  readonly id: string
  readonly at_ms: number
  readonly object: string
  readonly stream: number
  readonly status: string
  readonly status_code: number
  readonly provider: string
  readonly model: string | null
  readonly model_used: string | null
  readonly key_id: string | null
  readonly key_name: string | null
  readonly virtual_key_id: string | null
  readonly virtual_key_name: string | null
  readonly team_id: string | null
  readonly team_name: string | null
  readonly customer_id: string | null
  readonly customer_name: string | null
  readonly user_id: string | null
  readonly user_name: string | null
  readonly routing_rule_id: string | null
  readonly routing_rule_name: string | null
  /** Separated by commas. */
  readonly routing_engines: string | null
  readonly cache_hit_type: string | null
  readonly app: string | null
  readonly session_id: string | null
  readonly user_agent: string | null
  readonly latency_ms: number
  readonly queued_ms: number
  readonly upstream_ms: number
  readonly first_token_ms: number | null
  readonly prompt_tokens: number | null
  readonly completion_tokens: number | null
  readonly total_tokens: number | null
  readonly cached_read_tokens: number | null
  readonly cost: number | null
  readonly fallback_index: number
  readonly retries: number
  readonly attempts: number
  readonly stop_reason: string | null
  readonly summary: string | null
  readonly error: string | null
  readonly metadata: string | null
}

export interface DetailedRow extends StoredRow {
  readonly usage: string | null
  readonly trail: string | null
  readonly dropped: string | null
  readonly trace: string | null
  /** Ways to bodies. */
  readonly request: Uint8Array | null
  readonly request_chars: number | null
  readonly answer: Uint8Array | null
  readonly answer_chars: number | null
}

type Json = Record<string, unknown>

/** As lists show it: nothing heavy. */
export function listed(row: StoredRow): Json {
  const timestamp = new Date(row.at_ms).toISOString()
  return {
    id: row.id,
    inc_number: row.n,
    parent_request_id: row.session_id,
    timestamp,
    created_at: timestamp,
    object: row.stream === 1 ? `${row.object}_stream` : row.object,
    stream: row.stream === 1,
    status: row.status,
    status_code: row.status_code,
    provider: row.provider,
    model: row.model,
    alias: aliasOf(row),
    canonical_model_name: row.model_used,
    number_of_retries: row.retries,
    fallback_index: row.fallback_index,
    attempts: row.attempts,
    selected_key_id: row.key_id,
    selected_key_name: row.key_name,
    virtual_key_id: row.virtual_key_id,
    virtual_key_name: row.virtual_key_name,
    team_id: row.team_id,
    team_name: row.team_name,
    customer_id: row.customer_id,
    customer_name: row.customer_name,
    user_id: row.user_id,
    user_name: row.user_name,
    routing_rule_id: row.routing_rule_id,
    routing_rule_name: row.routing_rule_name,
    routing_engines_used: row.routing_engines?.split(',') ?? [],
    cache_hit_type: row.cache_hit_type,
    latency: round(row.latency_ms),
    queue_latency: round(row.queued_ms),
    upstream_latency: round(row.upstream_ms),
    first_token_latency: row.first_token_ms === null ? null : round(row.first_token_ms),
    prompt_tokens: row.prompt_tokens,
    completion_tokens: row.completion_tokens,
    total_tokens: row.total_tokens,
    cached_read_tokens: row.cached_read_tokens,
    cost: row.cost,
    stop_reason: row.stop_reason,
    user_agent: row.user_agent,
    app: row.app,
    content_summary: row.summary,
    error_details: value(row.error),
    metadata: value(row.metadata),
  }
}

/** What the model was called by the caller, when that is not the provider's name for it. */
function aliasOf({ provider, model, model_used: used }: StoredRow): string | null {
  if (model === null || used === null) return null
  const own = model.startsWith(`${provider}/`) ? model.slice(provider.length + 1) : model
  return own === used ? null : own
}

/** As it is shown on its own, with everything that was kept of it. */
export function detailed(row: DetailedRow, bodies: ReturnType<typeof createBodies>): Json {
  const request = row.request === null ? undefined : bodies(row.request)
  const answer = row.answer === null ? undefined : bodies(row.answer)
  const asked = request === undefined ? undefined : parsed(request)
  const said = answer === undefined ? undefined : parsed(answer)
  return {
    ...listed(row),
    selected_key: named(row.key_id, row.key_name),
    virtual_key: named(row.virtual_key_id, row.virtual_key_name),
    routing_rule: named(row.routing_rule_id, row.routing_rule_name),
    token_usage: value(row.usage),
    attempt_trail: value(row.trail) ?? [],
    dropped_params: value(row.dropped) ?? [],
    routing_engine_logs: value(row.trace) ?? keyOnly(row),
    ...(isObject(asked) && inputOf(row.object, asked)),
    ...(said !== undefined && outputOf(row.object, said)),
    raw_request: request ?? null,
    raw_response: answer ?? null,
    is_request_cut: request !== undefined && (row.request_chars ?? 0) > request.length,
    is_response_cut: answer !== undefined && (row.answer_chars ?? 0) > answer.length,
  }
}

/** Where nothing else was decided, the key stands for itself, without a time. */
function keyOnly({ key_name: key }: DetailedRow): Json[] {
  return key === null ? [] : [{ step: 'key', what: key }]
}

/** What an id stands for, without anything secret; null where there is none. */
function named(id: string | null, name: string | null): Json | null {
  return id === null ? null : { id, name }
}

function value(text: string | null): unknown {
  return text === null ? null : (parsed(text) ?? text)
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
