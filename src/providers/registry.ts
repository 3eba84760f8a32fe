import type { ProviderSettings, VendorFacts } from '#config/snapshot.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'

import { anthropic } from './anthropic/index.ts'
import { azureProvider } from './azure/index.ts'
import { bedrock } from './bedrock/index.ts'
import { cohere } from './cohere/index.ts'
import { compatible } from './compatible.ts'
import { translated } from './dialect.ts'
import type { Dialect } from './dialect.ts'
import type { Fates } from './fates.ts'
import { gemini } from './gemini/index.ts'
import { mockProvider } from './mock/index.ts'
import { ollama } from './ollama/index.ts'
import type { Provider } from './provider.ts'
import { VENDORS } from './vendors.ts'
import { vertexProvider } from './vertex/index.ts'

/** Vendors with a dialect of their own. */
const DIALECTS: readonly Dialect[] = [anthropic, bedrock, cohere, gemini, ollama]

/** Every built-in provider by name. */
export const PROVIDERS: ReadonlyMap<string, Provider> = new Map(
  [
    ...VENDORS.map(compatible),
    ...DIALECTS.map(translated),
    azureProvider,
    vertexProvider,
    mockProvider,
  ].map((provider) => [provider.name, provider]),
)

/** What the configuration needs to know of them. */
export const VENDOR_FACTS: readonly VendorFacts[] = [...PROVIDERS.values()].map(
  ({ name, keyEnv, keyless, baseUrl, ambient }) => ({ name, keyEnv, keyless, baseUrl, ambient }),
)

/** What becomes of chat parameters at the built-in provider of this name; undefined where it has no chat. */
export function fatesOf(provider: string): Fates | undefined {
  return PROVIDERS.get(provider)?.fates
}

const custom = new WeakMap<ProviderSettings, Provider>()

/**
 * The provider behind a configured name. A custom one speaks its base type's dialect, narrowed to
 * `allowed_requests`; undefined when the base type is unknown.
 */
export function providerFor(settings: ProviderSettings): Provider | undefined {
  const known = custom.get(settings)
  if (known) return known
  const provider = resolve(settings)
  if (provider) custom.set(settings, provider)
  return provider
}

function resolve(settings: ProviderSettings): Provider | undefined {
  const definition = settings.custom
  if (!definition) return PROVIDERS.get(settings.name)
  const base = PROVIDERS.get(definition.baseProviderType)
  if (!base) return undefined
  const allowed = definition.allowedRequests
  const offers = new Set<KnownEndpoint>(
    [...base.offers].filter((endpoint) => !allowed || allowed.has(endpoint)),
  )
  return {
    ...base,
    name: settings.name,
    keyless: definition.isKeyLess,
    offers,
    passthrough: base.passthrough && (!allowed || allowed.has('passthrough')),
  }
}
