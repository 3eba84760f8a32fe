// What a provider says a request used, in any of OpenAI's shapes: chat and text completions, embeddings,
// Responses, images, audio. Token counts are whole and not negative; anything else counts as not said.

export { mirrorAt, mirrorCachedTokens } from './mirror.ts'

export interface Usage {
  /** All input tokens, cached ones included. */
  readonly inputTokens: number
  /** All produced tokens, hidden reasoning included as far as the provider does. */
  readonly outputTokens: number
  readonly totalTokens: number
  /** Part of the input that was read from the provider's cache. */
  readonly cachedTokens: number
  /** Part of the input that was written to the provider's cache. */
  readonly cacheWriteTokens: number
  /** Part of those: what is kept for an hour and not for minutes, where the provider tells. */
  readonly cacheWrite1hTokens?: number
  readonly reasoningTokens: number
  readonly audioInputTokens: number
  readonly audioOutputTokens: number
  readonly imageInputTokens: number
  readonly imageOutputTokens: number
  readonly acceptedPredictionTokens: number
  readonly rejectedPredictionTokens: number
  /** Only where the provider tells; on top of the output. */
  readonly citationTokens?: number
  /** Searches of the web that the provider did for the answer; only where it tells. */
  readonly webSearches?: number
  /** Length of the recording, where that is what the provider charges. */
  readonly audioSeconds: number | undefined
  /** Only when the provider itself names a price. */
  readonly costUsd: number | undefined
  /** The service tier that served, in the provider's word; only where it tells. */
  readonly serviceTier?: string | undefined
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads a `usage` value; undefined when it says nothing usable. Never throws. `serviceTier` is what stands beside it in
 * the answer; some providers, and our own log, have it inside.
 */
export function readUsage(usage: unknown, serviceTier?: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined
  const input = count(usage.prompt_tokens) ?? count(usage.input_tokens)
  const output = count(usage.completion_tokens) ?? count(usage.output_tokens)
  const total = count(usage.total_tokens)
  const audioSeconds =
    usage.type === 'duration' ? amount(usage.seconds) : amount(usage.audio_seconds)
  const costUsd = costOf(usage.cost)
  if ((input ?? output ?? total ?? audioSeconds ?? costUsd) === undefined) return undefined

  const read = details(
    usage.prompt_tokens_details,
    usage.input_tokens_details,
    usage.input_token_details,
  )
  const made = details(
    usage.completion_tokens_details,
    usage.output_tokens_details,
    usage.output_token_details,
  )
  const inputTokens = input ?? Math.max(0, (total ?? 0) - (output ?? 0))
  const outputTokens = output ?? 0
  const all: Usage = {
    inputTokens,
    outputTokens,
    totalTokens: total ?? inputTokens + outputTokens,
    cachedTokens:
      count(read.cached_tokens) ??
      count(read.cached_read_tokens) ??
      count(usage.cached_tokens) ??
      count(usage.prompt_cache_hit_tokens) ??
      0,
    cacheWriteTokens: count(read.cache_write_tokens) ?? count(read.cached_write_tokens) ?? 0,
    reasoningTokens: count(made.reasoning_tokens) ?? 0,
    audioInputTokens: count(read.audio_tokens) ?? 0,
    audioOutputTokens: count(made.audio_tokens) ?? 0,
    imageInputTokens: count(read.image_tokens) ?? 0,
    imageOutputTokens: count(made.image_tokens) ?? 0,
    acceptedPredictionTokens: count(made.accepted_prediction_tokens) ?? 0,
    rejectedPredictionTokens: count(made.rejected_prediction_tokens) ?? 0,
    audioSeconds,
    costUsd,
    serviceTier: tierIn(serviceTier ?? usage.service_tier),
  }
  return hasMore(usage, read) ? { ...all, ...billedApart(usage, read, made) } : all
}

/**
 * Reads the usage of a response of the Responses API. Searches of the web stand among its items and are charged by the
 * number; opening a page that was found is not counted as one.
 */
export function readResponseUsage(response: unknown): Usage | undefined {
  if (!isObject(response)) return undefined
  const usage = readUsage(response.usage, response.service_tier)
  const { output } = response
  if (!usage || usage.webSearches !== undefined || !Array.isArray(output)) return usage
  let webSearches = 0
  for (const item of output as unknown[]) if (isSearch(item)) webSearches++
  return webSearches > 0 ? { ...usage, webSearches } : usage
}

function isSearch(item: unknown): boolean {
  if (!isObject(item) || item.type !== 'web_search_call' || item.status === 'failed') return false
  return !isObject(item.action) || item.action.type === 'search'
}

/** Whether anything may be there that only some providers bill for. */
function hasMore(usage: Fields, read: Fields): boolean {
  return (
    usage.cache_creation !== undefined ||
    usage.server_tool_use !== undefined ||
    usage.citation_tokens !== undefined ||
    usage.num_search_queries !== undefined ||
    read.cached_write_token_details !== undefined
  )
}

/** Counts that only some providers have. */
function billedApart(
  usage: Fields,
  read: Fields,
  made: Fields,
): Pick<Usage, 'cacheWrite1hTokens' | 'citationTokens' | 'webSearches'> {
  const long =
    count(details(usage.cache_creation).ephemeral_1h_input_tokens) ??
    count(details(read.cached_write_token_details).cached_write_tokens_1h)
  const citations = count(usage.citation_tokens) ?? count(made.citation_tokens)
  const searches =
    count(details(usage.server_tool_use).web_search_requests) ??
    count(usage.num_search_queries) ??
    count(made.num_search_queries)
  return {
    ...(long !== undefined && { cacheWrite1hTokens: long }),
    ...(citations !== undefined && { citationTokens: citations }),
    ...(searches !== undefined && { webSearches: searches }),
  }
}

/** `auto` is what was asked for: it says nothing of what served. */
function tierIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== 'auto' ? value : undefined
}

/** A token count, or undefined for anything else. */
function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function amount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}

/** A bare number, or an object with a total; both occur. */
function costOf(cost: unknown): number | undefined {
  return amount(isObject(cost) ? cost.total_cost : cost)
}

/** The first that is an object; none of them is as good as an empty one. */
function details(first: unknown, second?: unknown, third?: unknown): Fields {
  if (isObject(first)) return first
  if (isObject(second)) return second
  return isObject(third) ? third : nothing
}

const nothing: Fields = {}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
