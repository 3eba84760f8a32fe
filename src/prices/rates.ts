import type { ConditionalPrice, ModelInfo, ModelPrice } from '@pydantic/genai-prices'

import type { PriceRate, PriceRates } from '#config/snapshot.ts'

/** What the list calls a rate, and its unit in ours. */
const names: readonly (readonly [keyof PriceRates, string, number])[] = [
  ['input', 'input_mtok', 1],
  ['output', 'output_mtok', 1],
  ['cacheRead', 'cache_read_mtok', 1],
  ['cacheWrite', 'cache_write_mtok', 1],
  ['cacheWrite1h', 'cache_write_1h_mtok', 1],
  ['reasoning', 'output_reasoning_mtok', 1],
  ['citation', 'output_citation_mtok', 1],
  ['audioInput', 'input_audio_mtok', 1],
  ['audioOutput', 'output_audio_mtok', 1],
  ['imageInput', 'input_image_mtok', 1],
  ['imageOutput', 'output_image_mtok', 1],
  ['audioHour', 'input_audio_hours', 1],
  ['request', 'requests_kcount', 1 / 1000],
  ['search', 'web_searches_kcount', 1 / 1000],
]

const kept = new WeakMap<ModelPrice, PriceRates>()

/** The rates of the list's prices that this gateway can count the units of. */
export function ratesOf(prices: ModelPrice): PriceRates {
  let rates = kept.get(prices)
  if (!rates) kept.set(prices, (rates = read(prices)))
  return rates
}

function read(prices: ModelPrice): PriceRates {
  const rates: Partial<Record<keyof PriceRates, PriceRate>> = {}
  for (const [own, name, factor] of names) {
    const price = prices[name]
    if (typeof price === 'number') rates[own] = price * factor
    else if (price) {
      const tiers = price.tiers.map((tier) => ({ above: tier.start, rate: tier.price * factor }))
      rates[own] = { base: price.base * factor, tiers: tiers.toSorted((a, b) => a.above - b.above) }
    }
  }
  const { audio_hours: hours } = prices
  if (rates.audioHour === undefined && typeof hours === 'number') rates.audioHour = hours
  return rates
}

const isPerUnit: ReadonlySet<keyof PriceRates> = new Set(['audioHour', 'request', 'search'])

/** Tokens for half of the price; what is charged by other units stays. */
export function halfOf(rates: PriceRates): PriceRates {
  const half: Partial<Record<keyof PriceRates, PriceRate>> = { ...rates }
  for (const [name] of names) {
    const { [name]: rate } = rates
    if (rate === undefined || isPerUnit.has(name)) continue
    half[name] =
      typeof rate === 'number'
        ? rate / 2
        : {
            base: rate.base / 2,
            tiers: rate.tiers.map((tier) => ({ above: tier.above, rate: tier.rate / 2 })),
          }
  }
  return half
}

/** A model's prices at a time, in milliseconds of the epoch: the last of its periods that has begun. */
export function pricesAt({ prices }: ModelInfo, atMs: number): ModelPrice | undefined {
  if (!Array.isArray(prices)) return prices
  return (prices.findLast((period) => applies(period, atMs)) ?? prices[0])?.prices
}

function applies({ constraint }: ConditionalPrice, atMs: number): boolean {
  if (!constraint) return true
  if (constraint.type === 'start_date') return atMs >= Date.parse(constraint.start_date)
  const second = (atMs % dayMs) / 1000
  const from = secondOfDay(constraint.start_time)
  const until = secondOfDay(constraint.end_time)
  return until < from ? second >= from || second < until : second >= from && second < until
}

const dayMs = 86_400_000

/** `16:30:00Z` as seconds since midnight, UTC. */
function secondOfDay(time: string): number {
  return (Date.parse(`1970-01-01T${time}`) / 1000 + 86_400) % 86_400
}
