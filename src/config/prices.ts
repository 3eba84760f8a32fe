import { beginsWithDay } from './day.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import { isRecord } from './record.ts'
import type { ConfigFile } from './schema/file.ts'
import type { PriceConfig, PricingOverride } from './schema/prices.ts'
import type { PriceOverride, PriceRate, PriceRates } from './snapshot.ts'

/** The names of rates in the file, and what they are called inside. */
export const RATE_NAMES = {
  input: 'input',
  output: 'output',
  cache_read: 'cacheRead',
  cache_write: 'cacheWrite',
  cache_write_1h: 'cacheWrite1h',
  reasoning: 'reasoning',
  citation: 'citation',
  audio_input: 'audioInput',
  audio_output: 'audioOutput',
  image_input: 'imageInput',
  image_output: 'imageOutput',
  audio_hour: 'audioHour',
  request: 'request',
  search: 'search',
  character: 'character',
  image: 'image',
  pixel: 'pixel',
  video_second: 'videoSecond',
} as const satisfies Readonly<Record<string, keyof PriceRates>>

type Rates = { -readonly [K in keyof PriceRates]: PriceRate }

/** Prices of the file's own, Bifrost's form of them last. */
export function buildPrices(file: ConfigFile, report: Report): PriceOverride[] {
  const own = (file.prices ?? []).map((entry, i) => ownPrice(entry, below('/prices', i), report))
  const list = '/governance/pricing_overrides'
  const foreign = (file.governance?.pricing_overrides ?? []).flatMap((entry, i) =>
    bifrostPrices(entry, below(list, i), report),
  )
  return [...own, ...foreign]
}

function ownPrice(entry: PriceConfig, pointer: string, report: Report): PriceOverride {
  const rates: Rates = {}
  for (const [name, own] of Object.entries(RATE_NAMES)) {
    const rate = entry[name as keyof typeof RATE_NAMES]
    if (typeof rate === 'number') rates[own] = rate
    else if (rate) {
      const tiers = rate.tiers.toSorted((a, b) => a.above - b.above)
      rates[own] = { base: rate.base, tiers }
    }
  }
  const fromMs = moment(entry.from, below(pointer, 'from'), report)
  const untilMs = moment(entry.until, below(pointer, 'until'), report)
  if (fromMs !== undefined && untilMs !== undefined && untilMs <= fromMs) {
    report.problem(below(pointer, 'until'), 'is not after "from"')
  }
  return {
    provider: entry.provider?.toLowerCase(),
    ...pattern(entry.model),
    fromMs,
    untilMs,
    operations: undefined,
    serviceTier: entry.service_tier,
    rates,
  }
}

function pattern(written: string): Pick<PriceOverride, 'model' | 'isPrefix'> {
  const isPrefix = written.endsWith('*')
  return { model: isPrefix ? written.slice(0, -1) : written, isPrefix }
}

function moment(text: string | undefined, pointer: string, report: Report): number | undefined {
  if (text === undefined) return undefined
  const ms = Date.parse(text)
  if (Number.isFinite(ms) && beginsWithDay(text)) return ms
  report.problem(pointer, 'is no date')
  return undefined
}

/** Bifrost's price fields, how many of their units are one of ours, and what they are called inside. */
const patchNames: Readonly<Record<string, readonly [keyof PriceRates, number]>> = {
  input_cost_per_token: ['input', 1e6],
  output_cost_per_token: ['output', 1e6],
  cache_read_input_token_cost: ['cacheRead', 1e6],
  cache_creation_input_token_cost: ['cacheWrite', 1e6],
  cache_creation_input_token_cost_above_1hr: ['cacheWrite1h', 1e6],
  output_cost_per_reasoning_token: ['reasoning', 1e6],
  input_cost_per_audio_token: ['audioInput', 1e6],
  output_cost_per_audio_token: ['audioOutput', 1e6],
  input_cost_per_image_token: ['imageInput', 1e6],
  output_cost_per_image_token: ['imageOutput', 1e6],
  input_cost_per_audio_per_second: ['audioHour', 3600],
  cost_per_request: ['request', 1],
  search_context_cost_per_query: ['search', 1],
  input_cost_per_character: ['character', 1e6],
  output_cost_per_image: ['image', 1],
  output_cost_per_pixel: ['pixel', 1e6],
  input_cost_per_pixel: ['pixel', 1e6],
  output_cost_per_video_per_second: ['videoSecond', 1],
}

const suffixed = /^(.*?)(?:_above_(128|200|272)k_tokens)?(?:_(flex|priority|fast|batches))?$/

/** Rates and the tiers of them, by name, while they are collected. */
interface Collected {
  readonly rates: Rates
  readonly tiers: Partial<Record<keyof PriceRates, { above: number; rate: number }[]>>
}

type Need = 'provider' | 'provider_key_id' | 'virtual_key_id'

/** What has to be said of whom a price concerns. Who uses a virtual key is not known, so there are no users. */
const scopes: Readonly<Record<string, readonly Need[]>> = {
  global: [],
  provider: ['provider'],
  provider_key: ['provider_key_id'],
  virtual_key: ['virtual_key_id'],
  virtual_key_provider: ['virtual_key_id', 'provider'],
  virtual_key_provider_key: ['virtual_key_id', 'provider', 'provider_key_id'],
}

/** One entry is one price, and one more for each service tier that it names. */
function bifrostPrices(entry: PricingOverride, pointer: string, report: Report): PriceOverride[] {
  const patch = patchOf(entry, pointer, report)
  const scope = entry.scope ?? entry.scope_kind ?? 'global'
  const needs = Object.hasOwn(scopes, scope) ? scopes[scope] : undefined
  if (!needs) {
    report.warn(pointer, `scope "${scope}" has no effect in this version`)
    return []
  }
  const given: Readonly<Record<Need, string | undefined>> = {
    provider: (entry.provider || entry.provider_id)?.toLowerCase(),
    provider_key_id: entry.provider_key_id,
    virtual_key_id: entry.virtual_key_id,
  }
  const of = (need: Need): string | undefined => (needs.includes(need) ? given[need] : undefined)
  for (const need of needs) {
    if (!given[need]) report.problem(pointer, `scope "${scope}" needs "${need}"`)
  }
  const isPrefix = entry.match_type === 'wildcard'
  const common = {
    provider: of('provider'),
    keyId: of('provider_key_id'),
    virtualKeyId: of('virtual_key_id'),
    model: isPrefix ? entry.pattern.replace(/\*$/, '') : entry.pattern,
    isPrefix,
    fromMs: undefined,
    untilMs: undefined,
    operations: entry.request_types?.length
      ? new Set(entry.request_types.map((type) => type.replace(/_stream$/, '')))
      : undefined,
  }
  return Array.from(collect(patch, pointer, report), ([serviceTier, collected]) => ({
    ...common,
    serviceTier: serviceTier === 'batches' ? 'batch' : serviceTier,
    rates: tiered(collected),
  }))
}

function collect(
  patch: Record<string, unknown>,
  pointer: string,
  report: Report,
): Map<string | undefined, Collected> {
  const found = new Map<string | undefined, Collected>()
  for (const [name, value] of Object.entries(patch)) {
    const [, field = name, thousands, serviceTier] = suffixed.exec(name) ?? []
    const known = Object.hasOwn(patchNames, field) ? patchNames[field] : undefined
    if (!known || typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
      report.warn(pointer, `price "${name}" has no effect in this version`)
      continue
    }
    const [own, units] = known
    // Per token and per million differ by a power of ten, which floating point does not always hit.
    const rate = Number((value * units).toPrecision(12))
    let into = found.get(serviceTier)
    if (!into) found.set(serviceTier, (into = { rates: {}, tiers: {} }))
    if (thousands === undefined) into.rates[own] = rate
    else (into.tiers[own] ??= []).push({ above: Number(thousands) * 1000, rate })
  }
  return found
}

/** Tiers count where the price below them is known. */
function tiered({ rates, tiers }: Collected): Rates {
  for (const [name, list] of Object.entries(tiers) as [keyof PriceRates, typeof tiers.input][]) {
    const { [name]: base } = rates
    if (typeof base !== 'number' || !list) continue
    rates[name] = { base, tiers: list.toSorted((a, b) => a.above - b.above) }
  }
  return rates
}

/** The file holds the patch as text. */
function patchOf(
  { patch, pricing_patch }: PricingOverride,
  pointer: string,
  report: Report,
): Record<string, unknown> {
  const given = patch ?? pricing_patch ?? {}
  if (typeof given !== 'string') return given
  try {
    const value: unknown = JSON.parse(given)
    if (isRecord(value)) return value
  } catch {
    // Said below, as for any other text that holds no object.
  }
  report.problem(below(pointer, 'pricing_patch'), 'holds no JSON object')
  return {}
}
