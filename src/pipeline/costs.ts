import type { ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { appendMember, locate, scanJson } from '#lib/json.ts'
import type { Usage } from '#openai/usage.ts'
import { costJson } from '#prices/cost.ts'
import type { Cost, Units } from '#prices/cost.ts'
import { priceOf } from '#prices/price.ts'
import { tierNamed } from '#prices/tiers.ts'
import type { Tier } from '#prices/tiers.ts'
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
  usage: Usage | undefined,
  snapshot: Snapshot,
  keyId?: string,
): Cost | undefined {
  const { endpoint, caller } = call
  const work = {
    settings,
    models: call.model === model ? [model] : [model, call.model],
    endpoint,
    atMs: Date.now(),
    serviceTier: tierOf(call, usage),
    keyId,
    virtualKeyId: caller.owner?.virtualKeyId,
    units: isMade.has(endpoint) ? unitsOf(call) : undefined,
  }
  return priceOf(work, usage, snapshot)
}

/**
 * What decides about the price of a token beside the model: the tier that served, where the provider tells, and the one
 * that was asked for otherwise. Undefined for those that cost what calls without a tier do.
 */
export function tierOf({ body, endpoint }: Call, usage: Usage | undefined): Tier | undefined {
  if (endpoint === 'batch_retrieve') return 'batch'
  const asked = body.kind === 'json' ? body.value : nothingAsked
  if (asked['speed'] === 'fast') return 'fast'
  const served = usage?.serviceTier
  if (served !== undefined) return tierNamed(served)
  const tier = tierNamed(asked['service_tier'])
  // Only what was submitted as a batch is one.
  return tier === 'batch' ? undefined : tier
}

const nothingAsked: Readonly<Record<string, unknown>> = {}

/** Where something is made that has no tokens. */
const isMade: ReadonlySet<string> = new Set([
  ...['speech', 'image_generation', 'image_edit', 'image_variation', 'video_generation'],
])

/** What the request asks for; forms are not looked into. */
function unitsOf({ endpoint, body }: Call): Units | undefined {
  if (body.kind !== 'json') return undefined
  const { input, n, size, seconds } = body.value
  if (endpoint === 'speech') {
    return typeof input === 'string' ? { characters: Array.from(input).length } : undefined
  }
  if (endpoint === 'video_generation') {
    const length = Number(seconds)
    return Number.isFinite(length) && length > 0 ? { videoSeconds: length } : undefined
  }
  const images = typeof n === 'number' && n >= 1 ? Math.floor(n) : 1
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(String(size)) ?? []
  const pixels = width === undefined ? undefined : images * Number(width) * Number(height)
  return { images, pixels }
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
  { provider, model, keyId, cost }: Books,
  usage: Usage | undefined,
  snapshot: Snapshot,
): Cost | undefined {
  if (cost !== undefined) return cost ?? undefined
  if (!usage && !isMade.has(call.endpoint)) return undefined
  const settings = snapshot.providers.get(provider)
  return settings && callCost(call, settings, model, usage, snapshot, keyId)
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
  { settings, model, key }: Target,
  snapshot: Snapshot,
): Pricing | undefined {
  if (!wantsCost(call, snapshot)) return undefined
  return (usage) => callCost(call, settings, model, usage, snapshot, key?.id)
}

export type Pricing = (usage: Usage) => Cost | undefined

/** The answer with the cost in its usage, when that is wanted; `null` where nobody knows it. */
export function pricedAnswer(
  call: Call,
  { settings, model, key }: Target,
  snapshot: Snapshot,
  text: string,
  usage: Usage | undefined,
): string {
  if (!usage || !wantsCost(call, snapshot)) return text
  return withCost(text, ['usage'], callCost(call, settings, model, usage, snapshot, key?.id))
}

/** `cost` as a last member of the usage at `path`, unless the provider wrote one; no other byte changes. */
export function withCost(text: string, path: readonly string[], cost: Cost | undefined): string {
  const span = locate(text, path)
  if (!span || text[span.start] !== '{') return text
  const scan = scanJson(text.slice(span.start, span.end))
  if (scan.members.some(({ key }) => key === 'cost')) return text
  const edit = appendMember(scan, 'cost', cost ? costJson(cost) : 'null')
  const at = span.start + edit.start
  return text.slice(0, at) + edit.text + text.slice(at)
}
