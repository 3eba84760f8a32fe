import type { PriceRate, PriceRates } from '#config/snapshot.ts'
import type { Usage } from '#openai/usage.ts'

/** What a call cost, in US dollars. The parts add up to the total; with a provider's own price only that is known. */
export interface Cost {
  /** All of the input, cached or not. */
  readonly input: number
  /** What was produced, without reasoning and citations. */
  readonly output: number
  readonly reasoning: number
  readonly citation: number
  readonly search: number
  readonly request: number
  readonly total: number
  /** Who said so. */
  readonly source: 'provider' | 'list' | 'override'
}

/** A price that the provider itself named. */
export function providersOwn(total: number): Cost {
  return {
    input: 0,
    output: 0,
    reasoning: 0,
    citation: 0,
    search: 0,
    request: 0,
    total,
    source: 'provider',
  }
}

/** What may be charged for apart from what a usage counts, as far as the request tells. */
export interface Units {
  /** Of a text that is spoken. */
  readonly characters?: number | undefined
  /** Pictures that are made, and all of their pixels. */
  readonly images?: number | undefined
  readonly pixels?: number | undefined
  /** Seconds of film that is made. */
  readonly videoSeconds?: number | undefined
}

const million = 1_000_000

/**
 * Prices a usage. Undefined when it counts something that the rates have no price for: a cost that is too low would be
 * believed. Cached, audio, image and reasoning tokens without a rate of their own cost what plain ones do; what is
 * cached for an hour always costs more, so that it needs a rate.
 */
export function costBy(
  rates: PriceRates,
  usage: Usage | undefined,
  source: Cost['source'],
  units?: Units,
): Cost | undefined {
  const byUnits = units && costOfUnits(rates, units, source)
  if (byUnits || !usage) return byUnits
  const plain = costOfPlain(rates, usage, source)
  if (plain) return plain
  const { audioSeconds } = usage
  const allInput = usage.inputTokens
  const allOutput = outputOf(usage)
  const isTimed = audioSeconds !== undefined && rates.audioHour !== undefined
  if (!isTimed && allInput > 0 && rates.input === undefined) return undefined
  if (!isTimed && allOutput > 0 && rates.output === undefined) return undefined
  const hasUnits = isTimed || rates.request !== undefined || allInput + allOutput > 0
  if (!hasUnits || isEmpty(rates)) return undefined
  const at = (rate: PriceRate | undefined): number =>
    rate === undefined ? 0 : pick(rate, allInput)

  const plainInput = at(rates.input)
  const cached = Math.min(usage.cachedTokens, allInput)
  const written = Math.min(usage.cacheWriteTokens, allInput - cached)
  const writtenLong = Math.min(usage.cacheWrite1hTokens ?? 0, written)
  // Audio and images that came from the cache are counted twice; they cost what the cache costs.
  let left = allInput - cached - written
  const audioIn = Math.min(usage.audioInputTokens, left)
  left -= audioIn
  const imageIn = Math.min(usage.imageInputTokens, left)
  left -= imageIn
  if (writtenLong > 0 && rates.cacheWrite1h === undefined) return undefined
  let input =
    (left * plainInput +
      cached * at(rates.cacheRead ?? rates.input) +
      (written - writtenLong) * at(rates.cacheWrite ?? rates.input) +
      writtenLong * at(rates.cacheWrite1h) +
      audioIn * at(rates.audioInput ?? rates.input) +
      imageIn * at(rates.imageInput ?? rates.input)) /
    million
  if (isTimed) input += (audioSeconds / 3600) * at(rates.audioHour)

  let made = allOutput
  const take = (count: number): number => {
    const taken = Math.min(count, made)
    made -= taken
    return taken
  }
  const reasoning = take(usage.reasoningTokens)
  const audioOut = take(usage.audioOutputTokens)
  const imageOut = take(usage.imageOutputTokens)
  const citations = usage.citationTokens ?? 0
  const output =
    (made * at(rates.output) +
      audioOut * at(rates.audioOutput ?? rates.output) +
      imageOut * at(rates.imageOutput ?? rates.output)) /
    million
  const parts = {
    input: exact(input),
    output: exact(output),
    reasoning: exact((reasoning * at(rates.reasoning ?? rates.output)) / million),
    // They come on top of the output where they are charged for at all.
    citation: exact((citations * at(rates.citation)) / million),
    search: exact((usage.webSearches ?? 0) * at(rates.search)),
    request: exact(at(rates.request)),
  }
  const { citation, search, request } = parts
  const total = exact(parts.input + parts.output + parts.reasoning + citation + search + request)
  return { ...parts, total, source }
}

/** Of input and output and nothing else, as most calls are; undefined where more has to be looked at. */
function costOfPlain(
  { input, output, request }: PriceRates,
  usage: Usage,
  source: Cost['source'],
): Cost | undefined {
  const { inputTokens, outputTokens, cachedTokens, cacheWriteTokens, reasoningTokens } = usage
  const more =
    cachedTokens +
    cacheWriteTokens +
    reasoningTokens +
    usage.audioInputTokens +
    usage.audioOutputTokens +
    usage.imageInputTokens +
    usage.imageOutputTokens +
    (usage.citationTokens ?? 0) +
    (usage.webSearches ?? 0)
  if (more > 0 || usage.audioSeconds !== undefined || request !== undefined) return undefined
  if (typeof input !== 'number' || typeof output !== 'number') return undefined
  if (inputTokens + outputTokens === 0) return undefined
  const parts = {
    input: exact((inputTokens * input) / million),
    output: exact((outputTokens * output) / million),
  }
  const total = exact(parts.input + parts.output)
  return { ...parts, reasoning: 0, citation: 0, search: 0, request: 0, total, source }
}

/** What the rates charge by units they charge by nothing else. */
function costOfUnits(
  { character, image, pixel, videoSecond, request }: PriceRates,
  { characters, images, pixels, videoSeconds }: Units,
  source: Cost['source'],
): Cost | undefined {
  const of = (rate: PriceRate | undefined, count: number | undefined): number | undefined =>
    rate === undefined || count === undefined ? undefined : pick(rate, 0) * count
  const input = of(character, characters && characters / million)
  const made = [
    of(image, images),
    of(pixel, pixels && pixels / million),
    of(videoSecond, videoSeconds),
  ]
  const output = made.find((each) => each !== undefined)
  if (input === undefined && output === undefined) return undefined
  const parts = {
    input: exact(input ?? 0),
    output: exact(output ?? 0),
    ...{ reasoning: 0, citation: 0, search: 0 },
    request: exact(of(request, 1) ?? 0),
  }
  return { ...parts, total: exact(parts.input + parts.output + parts.request), source }
}

/** Some providers count reasoning beside the output and not in it; then only the total tells. */
function outputOf({ inputTokens, outputTokens, reasoningTokens, totalTokens }: Usage): number {
  const isBeside =
    reasoningTokens > 0 && totalTokens === inputTokens + outputTokens + reasoningTokens
  return isBeside ? outputTokens + reasoningTokens : outputTokens
}

function isEmpty(rates: PriceRates): boolean {
  for (const _ in rates) return false
  return true
}

/** The rate for a call with this much input. */
function pick(rate: PriceRate, inputTokens: number): number {
  if (typeof rate === 'number') return rate
  let chosen = rate.base
  for (const tier of rate.tiers) if (inputTokens > tier.above) chosen = tier.rate
  return chosen
}

/** Without the noise of binary fractions; far below the price of one token. */
function exact(usd: number): number {
  return Math.round(usd * 1e12) / 1e12
}

/** The JSON text of `usage.cost`. */
export function costJson(cost: Cost): string {
  if (cost.source === 'provider') return `{"total_cost":${cost.total}}`
  return (
    `{"input_tokens_cost":${cost.input},"output_tokens_cost":${cost.output}` +
    `,"reasoning_tokens_cost":${cost.reasoning},"citation_tokens_cost":${cost.citation}` +
    `,"search_queries_cost":${cost.search},"request_cost":${cost.request}` +
    `,"total_cost":${cost.total}}`
  )
}
