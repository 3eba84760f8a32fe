import type { ProviderSettings } from '#config/snapshot.ts'

/** Service tiers that may cost something other than a call without one. */
export type Tier = 'flex' | 'priority' | 'fast' | 'batch' | 'reserved'

/** In the words of requests and answers, and of who calls the same thing otherwise. */
const tiers: ReadonlyMap<unknown, Tier> = new Map([
  ['flex', 'flex'],
  ['priority', 'priority'],
  ['performance', 'priority'],
  ['fast', 'fast'],
  ['batch', 'batch'],
  // Capacity that was bought ahead: what its tokens cost is in a contract and in no list.
  ['reserved', 'reserved'],
  ['scale', 'reserved'],
])

/** Undefined for `default`, for its other names, and for what nobody knows. */
export function tierNamed(name: unknown): Tier | undefined {
  return tiers.get(name)
}

/** Providers that charge other prices for these service tiers, as their price lists say in November 2026. */
const pricedTiers: ReadonlyMap<string, ReadonlySet<unknown>> = new Map([
  ['openai', new Set(['flex', 'priority', 'reserved'])],
  ['azure', new Set(['flex', 'priority', 'reserved'])],
  ['gemini', new Set(['flex', 'priority'])],
  ['vertex', new Set(['flex', 'priority', 'reserved'])],
  ['bedrock', new Set(['flex', 'priority', 'reserved'])],
  ['anthropic', new Set(['fast', 'priority'])],
])

/** Whether a tier has prices of its own there, so that those of calls without a tier would be wrong. */
export function isPricedTier({ name, custom }: ProviderSettings, tier: unknown): boolean {
  return pricedTiers.get(custom?.baseProviderType ?? name)?.has(tier) ?? false
}
