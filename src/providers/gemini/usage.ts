import type { TokenCounts } from '#openai/answer/writer.ts'
import { integer, record } from '#openai/conversation/fields.ts'

/**
 * `usageMetadata` as OpenAI counts: thoughts are part of the output, what tools put into the prompt part of the input
 * ("UsageMetadata", as read in November 2026).
 */
export function countsOf(usage: Readonly<Record<string, unknown>>): TokenCounts {
  const count = (name: string): number => integer(usage[name]) ?? 0
  const thoughts = count('thoughtsTokenCount')
  return {
    input: count('promptTokenCount') + count('toolUsePromptTokenCount'),
    // Missing when all that was produced are thoughts.
    output: count('candidatesTokenCount') + thoughts,
    cached: count('cachedContentTokenCount'),
    reasoning: thoughts,
    audioInput: modality(usage['promptTokensDetails'], 'AUDIO'),
    imageInput: modality(usage['promptTokensDetails'], 'IMAGE'),
    audioOutput: modality(usage['candidatesTokensDetails'], 'AUDIO'),
    imageOutput: modality(usage['candidatesTokensDetails'], 'IMAGE'),
    serviceTier: tierIn(usage),
  }
}

/** OpenAI's names of the tiers that served, by the name of each of the two surfaces. */
const tiers: ReadonlyMap<unknown, string> = new Map([
  ['STANDARD', 'default'],
  ['FLEX', 'flex'],
  ['PRIORITY', 'priority'],
  ['ON_DEMAND', 'default'],
  ['ON_DEMAND_FLEX', 'flex'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['PROVISIONED_THROUGHPUT', 'scale'],
])

function tierIn({
  serviceTier,
  trafficType,
}: Readonly<Record<string, unknown>>): string | undefined {
  const name = serviceTier ?? trafficType
  return typeof name === 'string' ? tiers.get(name.toUpperCase()) : undefined
}

function modality(details: unknown, name: string): number | undefined {
  if (!Array.isArray(details)) return undefined
  const found = (details as unknown[]).map(record).find((entry) => entry['modality'] === name)
  return integer(found?.['tokenCount'])
}
