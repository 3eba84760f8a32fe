import type { PriceRate, PriceRates, ProviderSettings, Snapshot } from '#config/snapshot.ts'

import { architectureOf } from './modalities.ts'
import type { Architecture } from './modalities.ts'
import { listedModel, ratesAt } from './price.ts'

/** What is known of a model beyond its name. */
export interface CatalogueEntry {
  readonly name: string | undefined
  /** Tokens, input and output together. */
  readonly contextLength: number | undefined
  readonly isDeprecated: boolean
  /** What goes in and what comes out. */
  readonly architecture: Architecture | undefined
  /** US dollars, as texts without an exponent: for one token, one request or one search. */
  readonly pricing: Readonly<Record<string, string>> | undefined
}

/** What the price list and the configuration know of a provider's model; undefined when that is nothing. */
export function catalogueEntry(
  settings: ProviderSettings,
  model: string,
  atMs: number,
  snapshot: Snapshot,
): CatalogueEntry | undefined {
  const listed = listedModel(settings, model, snapshot)
  const work = { settings, models: [model], endpoint: 'chat_completion', atMs }
  const rates = ratesAt(work, model, snapshot)?.rates
  const architecture = architectureOf(model)
  if (!listed && !rates && !architecture) return undefined
  return {
    name: listed?.name,
    contextLength: listed?.context_window,
    isDeprecated: listed?.deprecated ?? false,
    architecture,
    pricing: rates && pricingOf(rates),
  }
}

/** The names that catalogues of other gateways use, and how many units our rate is for. */
const pricingNames: readonly (readonly [keyof PriceRates, string, number])[] = [
  ['input', 'prompt', 1e6],
  ['output', 'completion', 1e6],
  ['cacheRead', 'input_cache_read', 1e6],
  ['cacheWrite', 'input_cache_write', 1e6],
  ['reasoning', 'internal_reasoning', 1e6],
  ['audioInput', 'audio', 1e6],
  ['request', 'request', 1],
  ['search', 'web_search', 1],
]

function pricingOf(rates: PriceRates): Record<string, string> | undefined {
  const pricing: Record<string, string> = {}
  for (const [own, name, units] of pricingNames) {
    const rate = rates[own]
    if (rate !== undefined) pricing[name] = decimal(lowest(rate) / units)
  }
  return Object.keys(pricing).length > 0 ? pricing : undefined
}

function lowest(rate: PriceRate): number {
  return typeof rate === 'number' ? rate : rate.base
}

function decimal(value: number): string {
  return value.toFixed(15).replace(/\.?0+$/, '')
}
