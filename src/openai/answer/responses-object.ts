import type { Fields } from '../conversation/fields.ts'
import { isRecord } from '../conversation/fields.ts'

// The response object that the gateway writes when the provider knows none, and the items in it.

/** How a tool that the model calls is known to the caller, where the model knows it by another name or form. */
export interface KnownTool {
  readonly name: string
  readonly namespace?: string | undefined
  /** It takes free text; the model was given a function with one string, `input`. */
  readonly isCustom: boolean
}

/** What a response says besides the answer. */
export interface ResponseFacts {
  /** With its prefix, unique; the ids of items are made from it. */
  readonly id: string
  /** Used where the provider names no model. */
  readonly model: string
  /** Seconds since 1970. */
  readonly createdAt: number
  /** Seconds since 1970, when the answer has ended. */
  readonly now: () => number
  /** The request as the caller wrote it; its settings are repeated in the response. */
  readonly request: Fields
  /** The stored response that this one continues. */
  readonly continues?: string | undefined
  /** Those tools whose name or form the model sees differently, by the model's name for them. */
  readonly tools: ReadonlyMap<string, KnownTool>
  /** Packs reasoning for the way through the caller and back. */
  readonly seal: (details: readonly unknown[]) => string
  /** Takes the finished response before it is written; may set its `store`. */
  readonly onResponse?: ((response: Record<string, unknown>) => void) | undefined
}

export type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed'

/** An item of `output`; its members grow while it is open. */
export type Item = Record<string, unknown> & { id: string; type: string; status: string }

export interface ResponseState {
  readonly status: Status
  readonly model: string | undefined
  readonly serviceTier: string | undefined
  readonly output: readonly Item[]
  readonly usage: Fields | null
  readonly completedAt: number | null
  readonly error: Fields | null
  /** Why it is incomplete. */
  readonly reason: string | null
  /** Members that OpenAI's object does not have; they never stand in the place of its own. */
  readonly extra: Fields
}

/** The response object with every member that SDKs take for granted. */
export function responseObject(
  facts: ResponseFacts,
  state: ResponseState,
): Record<string, unknown> {
  const { request } = facts
  const given = (name: string, otherwise: unknown): unknown => request[name] ?? otherwise
  const reasoning = isRecord(request['reasoning']) ? request['reasoning'] : {}
  const text = isRecord(request['text']) ? request['text'] : {}
  return {
    ...state.extra,
    id: facts.id,
    object: 'response',
    created_at: facts.createdAt,
    completed_at: state.completedAt,
    status: state.status,
    background: false,
    error: state.error,
    incomplete_details: state.reason === null ? null : { reason: state.reason },
    instructions: given('instructions', null),
    max_output_tokens: given('max_output_tokens', null),
    max_tool_calls: given('max_tool_calls', null),
    metadata: given('metadata', {}),
    model: state.model ?? facts.model,
    output: state.output,
    parallel_tool_calls: given('parallel_tool_calls', true),
    previous_response_id: facts.continues ?? null,
    prompt_cache_key: given('prompt_cache_key', null),
    reasoning: { effort: null, summary: null, ...reasoning },
    safety_identifier: given('safety_identifier', null),
    service_tier: state.serviceTier ?? given('service_tier', 'default'),
    store: facts.onResponse !== undefined,
    temperature: given('temperature', 1),
    text: { ...text, format: text['format'] ?? { type: 'text' } },
    tool_choice: given('tool_choice', 'auto'),
    tools: given('tools', []),
    top_logprobs: given('top_logprobs', 0),
    top_p: given('top_p', 1),
    truncation: given('truncation', 'disabled'),
    usage: state.usage,
    user: given('user', null),
  }
}
