import type { ModelInfo, Provider } from '@pydantic/genai-prices'

// The price list that is built into the program. Nothing here opens a connection: the list is as old as the
// package, and what has changed since belongs into the configuration.

/** The package that the list comes from; a test holds it against what is installed. */
export const PRICES_VERSION = '0.1.8'
/** When that package was published, as its registry said in November 2026. */
export const PRICES_DATE = '2026-09-23'

type List = typeof import('@pydantic/genai-prices')

let list: List | undefined

/** Takes some milliseconds the first time, so it waits until somebody asks or the server is idle. */
function load(): List {
  // Synchronous, because a call is settled where nothing can be awaited.
  list ??= require('@pydantic/genai-prices') as List
  return list
}

/** Loads the list ahead of the first question. */
export function warmPrices(): void {
  load()
}

/** Our names of providers that the list has under another one. */
const listNames: Readonly<Record<string, string>> = {
  bedrock: 'aws',
  vertex: 'google',
  gemini: 'google',
  xai: 'x-ai',
}

/** Providers of the list by exactly the name they have here. */
const sameNames = new Set([
  ...['openai', 'azure', 'anthropic', 'cohere', 'mistral', 'groq', 'perplexity', 'cerebras'],
  ...['openrouter', 'deepseek', 'together', 'fireworks'],
])

/** Whose models a provider of the list resells, and so may have under their own names. */
const resells: Readonly<Record<string, readonly string[]>> = {
  azure: ['openai', 'anthropic', 'deepseek', 'x-ai'],
  google: ['anthropic'],
}

/**
 * The list's entry for a model; `model` is the name that the provider knows. A provider that is not built in is
 * recognised by its address, if at all. Undefined when the list does not know one of them.
 */
export function findModel(
  provider: string,
  isCustom: boolean,
  baseUrl: string | undefined,
  model: string,
): ModelInfo | undefined {
  const found = findProvider(provider, isCustom, baseUrl)
  if (!found) return undefined
  const name = plainName(model)
  const own = inProvider(found, name)
  if (own) return own
  for (const other of resells[found.id] ?? []) {
    const seller = load().findProvider({ providerId: other })
    const sold = seller && inProvider(seller, name)
    if (sold) return sold
  }
  return undefined
}

function findProvider(
  provider: string,
  isCustom: boolean,
  baseUrl: string | undefined,
): Provider | undefined {
  const id = listNames[provider] ?? (sameNames.has(provider) ? provider : undefined)
  if (id !== undefined && !isCustom) return load().findProvider({ providerId: id })
  return isCustom && baseUrl !== undefined
    ? load().findProvider({ providerApiUrl: baseUrl })
    : undefined
}

const maxNameLength = 300

/** `publishers/google/models/gemini-…` and inference profiles' ARNs end with the name that is meant. */
function plainName(model: string): string {
  const name = model.slice(0, maxNameLength)
  if (name.startsWith('arn:')) return name.slice(name.lastIndexOf('/') + 1)
  return name.replace(/^(?:projects\/.*)?publishers\/[^/]+\/models\/|^models\//, '')
}

const usage = { input_tokens: 0, output_tokens: 0 }

function inProvider(provider: Provider, model: string): ModelInfo | undefined {
  // The only way of the package to look a model up is to calculate with it; its fallbacks come along.
  return load().calcPrice(usage, model, { provider })?.model
}
