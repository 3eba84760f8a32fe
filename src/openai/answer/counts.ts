import type { TokenCounts } from './writer.ts'

/** Token counts in the form of a chat completion's `usage`. */
export function chatUsage(counts: Partial<TokenCounts>): Record<string, unknown> {
  const { input = 0, output = 0, extra } = counts
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      ...cacheCounts(counts),
      ...(counts.audioInput !== undefined && { audio_tokens: counts.audioInput }),
      ...(counts.imageInput !== undefined && { image_tokens: counts.imageInput }),
    },
    completion_tokens_details: {
      reasoning_tokens: counts.reasoning ?? 0,
      ...(counts.audioOutput !== undefined && { audio_tokens: counts.audioOutput }),
      ...(counts.imageOutput !== undefined && { image_tokens: counts.imageOutput }),
    },
    ...extra,
  }
}

/** Token counts in the form of a response's `usage`. */
export function responseUsage(counts: Partial<TokenCounts>): Record<string, unknown> {
  const { input = 0, output = 0, extra } = counts
  return {
    input_tokens: input,
    input_tokens_details: cacheCounts(counts),
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: counts.reasoning ?? 0 },
    total_tokens: input + output,
    ...extra,
  }
}

/** Under OpenAI's names and, next to them, under Bifrost's. */
function cacheCounts({ cached = 0, cacheWrite = 0 }: Partial<TokenCounts>): Record<string, number> {
  return {
    cached_tokens: cached,
    cached_read_tokens: cached,
    cache_write_tokens: cacheWrite,
    cached_write_tokens: cacheWrite,
  }
}
