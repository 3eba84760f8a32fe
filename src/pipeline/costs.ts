import type { ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { appendMember, locate, scanJson } from '#lib/json.ts'
import type { Usage } from '#openai/usage.ts'
import { costJson } from '#prices/cost.ts'
import type { Cost } from '#prices/cost.ts'
import { priceOf } from '#prices/price.ts'
import type { Target } from '#providers/provider.ts'

import type { Books } from './books.ts'

// What calls cost, for the books always and for the caller when asked.

/**
 * What a call cost that `model` of a provider answered, the name being the provider's; undefined when that is not
 * known, which is not the same as nothing.
 */
export function callCost(
  call: Call,
  settings: ProviderSettings,
  model: string | undefined,
  usage: Usage,
  snapshot: Snapshot,
): Cost | undefined {
  const models = call.model === model ? [model] : [model, call.model]
  const serviceTier = call.body.kind === 'json' ? call.body.value['service_tier'] : undefined
  const work = { settings, models, endpoint: call.endpoint, atMs: Date.now(), serviceTier }
  return priceOf(work, usage, snapshot)
}

/** A call of usual proportions; only what it costs here and there is compared. */
const usualUsage: Usage = {
  inputTokens: 750,
  outputTokens: 250,
  totalTokens: 1000,
  cachedTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  audioInputTokens: 0,
  audioOutputTokens: 0,
  imageInputTokens: 0,
  imageOutputTokens: 0,
  acceptedPredictionTokens: 0,
  rejectedPredictionTokens: 0,
  audioSeconds: undefined,
  costUsd: undefined,
}

/** What a call of usual size would cost there, in dollars; undefined when that is not known. */
export function expectedCost(
  call: Call,
  settings: ProviderSettings,
  model: string | undefined,
  snapshot: Snapshot,
): number | undefined {
  const work = { settings, models: [model], endpoint: call.endpoint, atMs: Date.now() }
  return priceOf(work, usualUsage, snapshot)?.total
}

/** What a call cost that is being settled. */
export function bookedCost(
  call: Call,
  { provider, model }: Books,
  usage: Usage,
  snapshot: Snapshot,
): Cost | undefined {
  const settings = snapshot.providers.get(provider)
  return settings && callCost(call, settings, model, usage, snapshot)
}

/** Whether the answer's usage gets a `cost`. */
export function wantsCost(call: Call, snapshot: Snapshot): boolean {
  const asked = call.headers['x-bf-usage-cost']
  if (asked === undefined) return snapshot.client.usageCost && call.endpoint !== 'passthrough'
  return asked === 'true' && call.endpoint !== 'passthrough'
}

/** How to price a usage for the answer; undefined when nobody wants that. */
export function pricing(
  call: Call,
  { settings, model }: Target,
  snapshot: Snapshot,
): Pricing | undefined {
  if (!wantsCost(call, snapshot)) return undefined
  return (usage) => callCost(call, settings, model, usage, snapshot)
}

export type Pricing = (usage: Usage) => Cost | undefined

/** The answer with the cost in its usage, when that is wanted and known. */
export function pricedAnswer(
  call: Call,
  { settings, model }: Target,
  snapshot: Snapshot,
  text: string,
  usage: Usage | undefined,
): string {
  if (!usage || !wantsCost(call, snapshot)) return text
  const cost = callCost(call, settings, model, usage, snapshot)
  return cost ? withCost(text, ['usage'], cost) : text
}

/** `cost` as a last member of the usage at `path`, unless the provider wrote one; no other byte changes. */
export function withCost(text: string, path: readonly string[], cost: Cost): string {
  const span = locate(text, path)
  if (!span || text[span.start] !== '{') return text
  const scan = scanJson(text.slice(span.start, span.end))
  if (scan.members.some(({ key }) => key === 'cost')) return text
  const edit = appendMember(scan, 'cost', costJson(cost))
  const at = span.start + edit.start
  return text.slice(0, at) + edit.text + text.slice(at)
}
