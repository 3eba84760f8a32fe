import { isRecord, record } from '../conversation/fields.ts'
import type { Fields } from '../conversation/fields.ts'
import { readUsage } from '../usage.ts'
import type { TokenCounts } from './writer.ts'

/** Members of `usage` that have a place of their own in `TokenCounts`. */
const known = new Set([
  'prompt_tokens',
  'completion_tokens',
  'input_tokens',
  'output_tokens',
  'total_tokens',
  'prompt_tokens_details',
  'completion_tokens_details',
  'input_tokens_details',
  'output_tokens_details',
])

/** The counts in a `usage` object of a chat completion or a response; empty when it says nothing usable. */
export function countsOf(usage: unknown): Partial<TokenCounts> {
  const read = isRecord(usage) ? readUsage(usage) : undefined
  if (!read || !isRecord(usage)) return {}
  const extra = Object.entries(usage).filter(([name, value]) => !known.has(name) && value !== null)
  const details = record(usage['completion_tokens_details'] ?? usage['output_tokens_details'])
  const onTop = usage['reasoning_tokens']
  return {
    input: read.inputTokens,
    output: read.outputTokens,
    cached: read.cachedTokens,
    cacheWrite: read.cacheWriteTokens,
    // SGLang counts reasoning beside the details and not in them.
    reasoning:
      details['reasoning_tokens'] === undefined && typeof onTop === 'number'
        ? onTop
        : read.reasoningTokens,
    ...positive('audioInput', read.audioInputTokens),
    ...positive('imageInput', read.imageInputTokens),
    ...positive('audioOutput', read.audioOutputTokens),
    ...positive('imageOutput', read.imageOutputTokens),
    ...(extra.length > 0 && { extra: Object.fromEntries(extra) as Fields }),
  }
}

function positive(name: keyof TokenCounts, count: number): Partial<TokenCounts> {
  return count > 0 ? { [name]: count } : {}
}
