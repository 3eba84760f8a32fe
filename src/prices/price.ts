import type { ModelInfo } from '@pydantic/genai-prices'

import type { PriceOverride, PriceRates, ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Usage } from '#openai/usage.ts'

import { costBy, providersOwn } from './cost.ts'
import type { Cost, Units } from './cost.ts'
import { findModel } from './data.ts'
import { halfOf, pricesAt, ratesOf } from './rates.ts'
import { isPricedTier } from './tiers.ts'
import type { Tier } from './tiers.ts'

/** Who did what, when, for a price. */
export interface Work {
  readonly settings: ProviderSettings
  /** The model's names, the one that the provider was asked for first; then what the caller wrote, without a prefix. */
  readonly models: readonly (string | undefined)[]
  /** As in `Call.endpoint`. */
  readonly endpoint: string
  /** Milliseconds of the epoch. */
  readonly atMs: number
  /** The one that served. */
  readonly serviceTier?: Tier | undefined
  /** Whose account it was done with, and for whom. */
  readonly keyId?: string | undefined
  readonly virtualKeyId?: string | undefined
  /** What may be charged for apart from tokens. */
  readonly units?: Units | undefined
}

/** What is known of the price of a provider's model. */
interface Known {
  readonly listed: ModelInfo | undefined
  /** Those for this model, the one that counts first. */
  readonly overrides: readonly PriceOverride[]
  /** Where neither the day nor anything else of the call decides. */
  readonly always: Found | undefined
}

interface Found {
  readonly rates: PriceRates
  readonly source: 'list' | 'override'
}

/** Names come from callers, so what is remembered is bounded. */
const maxKept = 2000
const maxNameLength = 300
const kept = new WeakMap<Snapshot, Map<string, Map<string, Known>>>()

/**
 * What a usage cost; undefined when nobody knows its price, which is not the same as nothing. Without a usage only
 * what is charged by other units than tokens has a price.
 */
export function priceOf(
  work: Work,
  usage: Usage | undefined,
  snapshot: Snapshot,
): Cost | undefined {
  if (usage?.costUsd !== undefined) return providersOwn(usage.costUsd)
  for (const model of work.models) {
    if (model === undefined || model === '' || model.length > maxNameLength) continue
    const found = ratesAt(work, model, snapshot)
    if (found) return costBy(found.rates, usage, found.source, work.units)
  }
  return undefined
}

/** The rates of one model, and who says them; undefined when nobody does. */
export function ratesAt(work: Work, model: string, snapshot: Snapshot): Found | undefined {
  const known = knownOf(work.settings, model, snapshot)
  if (known.always && work.serviceTier === undefined) return known.always
  const find = (tier: Tier | undefined): PriceOverride | undefined =>
    known.overrides.find((one) => one.serviceTier === tier && isFor(one, work))
  let override = work.serviceTier === undefined ? undefined : find(work.serviceTier)
  // The list has no prices of tiers, and the standard ones would be wrong by half.
  if (!override && isPricedTier(work.settings, work.serviceTier)) return undefined
  if (!override && work.serviceTier === 'batch') return batched(work, known)
  override ??= known.overrides.length === 0 ? undefined : find(undefined)
  const prices = known.listed && pricesAt(known.listed, work.atMs)
  const listed = prices && ratesOf(prices)
  if (override) return { rates: merged(listed, override), source: 'override' }
  return listed && { rates: listed, source: 'list' }
}

/** Providers that promise batches for half of the price, whatever the model. Prices in the configuration go first. */
const halvesBatches: ReadonlySet<string> = new Set(['openai', 'azure'])

const halved = new WeakMap<PriceRates, PriceRates>()

function batched({ settings, atMs }: Work, { listed }: Known): Found | undefined {
  const prices = listed && !settings.custom && pricesAt(listed, atMs)
  if (!prices || !halvesBatches.has(settings.name)) return undefined
  const whole = ratesOf(prices)
  let rates = halved.get(whole)
  if (!rates) halved.set(whole, (rates = halfOf(whole)))
  return { rates, source: 'list' }
}

/** The list's entry for a model, for the catalogue. */
export function listedModel(
  settings: ProviderSettings,
  model: string,
  snapshot: Snapshot,
): ModelInfo | undefined {
  return knownOf(settings, model, snapshot).listed
}

function knownOf(settings: ProviderSettings, model: string, snapshot: Snapshot): Known {
  const { name } = settings
  let providers = kept.get(snapshot)
  if (!providers) kept.set(snapshot, (providers = new Map()))
  let models = providers.get(name)
  if (!models) providers.set(name, (models = new Map()))
  let known = models.get(model)
  if (!known) {
    if (models.size >= maxKept) models.clear()
    const { custom, network } = settings
    const listed = findModel(name, custom !== undefined, network.baseUrl, model)
    const overrides = snapshot.priceOverrides
      .filter((override) => concerns(override, name, model))
      .toSorted(byWeight)
    const isConstant = listed && overrides.length === 0 && !Array.isArray(listed.prices)
    const prices = isConstant ? pricesAt(listed, 0) : undefined
    known = {
      listed,
      overrides,
      always: prices && { rates: ratesOf(prices), source: 'list' },
    }
    models.set(model, known)
  }
  return known
}

function concerns(override: PriceOverride, provider: string, model: string): boolean {
  if (override.provider !== undefined && override.provider !== provider) return false
  return override.isPrefix ? model.startsWith(override.model) : model === override.model
}

/**
 * Those for few before those for many, whole names before beginnings, longer ones before shorter, later ones before
 * earlier.
 */
function byWeight(a: PriceOverride, b: PriceOverride): number {
  return (
    reach(a) - reach(b) ||
    Number(a.isPrefix) - Number(b.isPrefix) ||
    b.model.length - a.model.length ||
    (b.fromMs ?? -Infinity) - (a.fromMs ?? -Infinity) ||
    0
  )
}

/** The less, the fewer calls it concerns: a virtual key says more than a provider's key, and that more than a provider. */
function reach({ provider, keyId, virtualKeyId }: PriceOverride): number {
  return (
    Number(provider === undefined) +
    2 * Number(keyId === undefined) +
    4 * Number(virtualKeyId === undefined)
  )
}

function isFor(override: PriceOverride, work: Work): boolean {
  const { fromMs, untilMs, operations, keyId, virtualKeyId } = override
  if (keyId !== undefined && keyId !== work.keyId) return false
  if (virtualKeyId !== undefined && virtualKeyId !== work.virtualKeyId) return false
  if (fromMs !== undefined && work.atMs < fromMs) return false
  if (untilMs !== undefined && work.atMs >= untilMs) return false
  return operations === undefined || operations.has(work.endpoint)
}

const mergedRates = new WeakMap<PriceOverride, WeakMap<PriceRates, PriceRates>>()
const unlisted: PriceRates = {}

/** Only what the override names changes. */
function merged(listed: PriceRates = unlisted, override: PriceOverride): PriceRates {
  let known = mergedRates.get(override)
  if (!known) mergedRates.set(override, (known = new WeakMap()))
  let rates = known.get(listed)
  if (!rates) known.set(listed, (rates = { ...listed, ...override.rates }))
  return rates
}
