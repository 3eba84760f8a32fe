import type { TokenCounts } from '#openai/answer/writer.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

/** Collects the counts of one answer; the vendor repeats them while they grow. */
export interface UsageReader {
  /** Takes a `usage` object and returns all counts so far. */
  read(usage: unknown): Partial<TokenCounts>
}

/** What was cached comes on top of the vendor's `input_tokens`, and within OpenAI's. */
export function createUsageReader(): UsageReader {
  let input = 0
  let written = 0
  let cached = 0
  let output = 0
  let thinking: number | undefined
  let extra: Record<string, unknown> | undefined
  return {
    read(given) {
      const usage = record(given)
      input = integer(usage['input_tokens']) ?? input
      written = integer(usage['cache_creation_input_tokens']) ?? written
      cached = integer(usage['cache_read_input_tokens']) ?? cached
      output = integer(usage['output_tokens']) ?? output
      thinking = integer(record(usage['output_tokens_details'])['thinking_tokens']) ?? thinking
      // Billed on their own: searches by the number, and cached prefixes by how long they are kept.
      for (const name of ['server_tool_use', 'cache_creation']) {
        if (isRecord(usage[name])) extra = { ...extra, [name]: usage[name] }
      }
      return {
        input: input + written + cached,
        output,
        cached,
        cacheWrite: written,
        reasoning: thinking,
        ...(extra && { extra }),
      }
    },
  }
}

const tiers: ReadonlyMap<string, string> = new Map([
  ['standard', 'default'],
  ['priority', 'priority'],
  ['batch', 'batch'],
])

/** OpenAI's name of the service tier that answered. */
export function tierOf(usage: unknown): string | undefined {
  return tiers.get(text(record(usage)['service_tier']) ?? '')
}
