import type { Snapshot } from '#config/snapshot.ts'
import type { Body, Call } from '#core/call.ts'
import type { EndpointFacts } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { checkModel } from '#openai/check.ts'
import type { Problem } from '#openai/check.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { parseModel } from './model.ts'

// Where a request goes: which provider, which model, which path and query there.

/** Everything about a request that may say where it goes. */
export interface Destination {
  /** The path below the surface's prefix, as the caller wrote it. */
  readonly path: string
  /** With its `?`, or empty. */
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  /** `provider/model` or a bare model, from the path or the body. */
  readonly model: string | undefined
  /** Named by the body. */
  readonly provider: string | undefined
  /** For calls that name no provider. */
  readonly defaultProvider: string
}

export interface Address {
  readonly path: string
  readonly query: string
  readonly modelRequested: string | undefined
  readonly provider: string
  readonly model: string | undefined
  /** Neither the model nor anything else says which: it is the default. */
  readonly namesNoProvider?: boolean
}

/**
 * The model's prefix decides; without one the `provider` of the query, the header `x-model-provider`, the body,
 * and at last the default do. Throws 400 for a model name that cannot be and a provider that nobody knows.
 */
export function address(facts: EndpointFacts, from: Destination, snapshot: Snapshot): Address {
  const isProvider = (name: string): boolean => snapshot.providers.has(name) || PROVIDERS.has(name)
  // Elysia takes a slash at the end for nothing; the provider might not.
  const path = from.path.endsWith('/') ? from.path.slice(0, -1) : from.path
  const named = providerFromQuery(from)
  const provider = known(
    named.provider ?? listProvider(facts, from.headers) ?? from.provider,
    isProvider,
  )
  const fallback = provider ?? from.defaultProvider
  const { query } = named
  if (facts.path.startsWith('/models/')) return modelInPath(path, query, fallback, isProvider)
  if (facts.method === 'GET' && facts.path === '/videos') {
    return videosAfter(path, query, fallback, isProvider)
  }
  if (facts.path.startsWith('/videos/')) return videoInPath(path, query, fallback, isProvider)
  if (facts.model === 'none' || from.model === undefined) {
    return { path, query, modelRequested: undefined, provider: fallback, model: undefined }
  }
  const choice = parseModel(from.model, isProvider, fallback)
  return {
    path,
    query,
    modelRequested: from.model,
    provider: choice.provider,
    model: choice.model,
    namesNoProvider: provider === undefined && choice.model === from.model,
  }
}

function modelInPath(
  path: string,
  query: string,
  fallback: string,
  isProvider: (name: string) => boolean,
): Address {
  const prefix = '/models/'
  const modelRequested = decodeURIComponent(path.slice(prefix.length))
  const problem = checkModel(modelRequested)
  if (problem) throw fromProblem(problem)
  const { provider, model } = parseModel(modelRequested, isProvider, fallback)
  return { path: prefix + encodeURIComponent(model), query, modelRequested, provider, model }
}

/** Ids of videos may say whose they are: `video_1:openai`. */
function videoInPath(
  path: string,
  query: string,
  fallback: string,
  isProvider: (name: string) => boolean,
): Address {
  const scoped = /^(\/videos\/[^/]+)(?::|%3a)([^/:]+?)(\/.*)?$/i.exec(path)
  const owner = scoped?.[2]
  const isScoped = owner !== undefined && isProvider(owner)
  return {
    path: isScoped ? `${scoped![1]}${scoped![3] ?? ''}` : path,
    query,
    modelRequested: undefined,
    provider: isScoped ? owner : fallback,
    model: undefined,
  }
}

/** A list goes on after a video, whose id may say whose it is as well. */
function videosAfter(
  path: string,
  query: string,
  fallback: string,
  isProvider: (name: string) => boolean,
): Address {
  const scoped = /^(.*[?&]after=[^&]+)(?::|%3a)([^&:]+?)(&.*)?$/i.exec(query)
  const owner = scoped?.[2]
  const isScoped = owner !== undefined && isProvider(owner)
  return {
    path,
    query: isScoped ? `${scoped![1]}${scoped![3] ?? ''}` : query,
    modelRequested: undefined,
    provider: isScoped ? owner : fallback,
    model: undefined,
  }
}

/** Provider of an operation that names no model, and the query without that parameter. */
export function providerFromQuery({ query, headers }: Pick<Destination, 'query' | 'headers'>): {
  provider: string | undefined
  query: string
} {
  const header = headers['x-model-provider'] || undefined
  if (!query.includes('provider=')) return { provider: header, query }
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !pair.startsWith('provider='))
  const provider = new URLSearchParams(query).get('provider') || header
  return { provider, query: kept.length === 0 ? '' : `?${kept.join('&')}` }
}

function listProvider(
  facts: EndpointFacts,
  headers: Readonly<Record<string, string>>,
): string | undefined {
  const isVideoList = facts.method === 'GET' && facts.path === '/videos'
  return isVideoList ? headers['x-bf-video-list-provider'] || undefined : undefined
}

/** Throws 400 for a name that is no provider's, which may be anything and of any length. */
function known(
  name: string | undefined,
  isProvider: (name: string) => boolean,
): string | undefined {
  if (name === undefined || isProvider(name)) return name
  const shown = JSON.stringify(name.slice(0, 100).toWellFormed())
  throw new GatewayError('provider_not_configured', `There is no provider ${shown}.`, {
    param: 'provider',
  })
}

/** The provider that a request without a model names, if any. Throws 400 when nobody knows it. */
export function knownProvider(name: string | undefined, snapshot: Snapshot): string | undefined {
  return known(name, (candidate) => snapshot.providers.has(candidate) || PROVIDERS.has(candidate))
}

const maxFallbacks = 20

/**
 * The `fallbacks` of a body, or else those that the configuration has for the provider: `provider/model`, a provider
 * for the same model, a bare model of the same provider, or `{provider, model}`. Those of a form are
 * `formFallbacks`. Empty entries and a list of nothing count as none. Throws 400 for more than twenty.
 */
export function readFallbacks(
  body: Body,
  { provider, model }: Pick<Address, 'provider' | 'model'>,
  snapshot: Snapshot,
  formFallbacks?: readonly string[],
): Pick<Call, 'fallbacks' | 'hasOwnFallbacks'> {
  const given: unknown = body.kind === 'json' ? body.value['fallbacks'] : formFallbacks
  const own = Array.isArray(given) ? given.filter(isFallback) : []
  if (own.length > maxFallbacks) {
    throw new GatewayError('invalid_request', `At most ${maxFallbacks} fallbacks can be given.`, {
      param: 'fallbacks',
    })
  }
  const hasOwnFallbacks = own.length > 0
  const wanted = hasOwnFallbacks ? own : (snapshot.providers.get(provider)?.fallbacks ?? [])
  if (wanted.length === 0 || model === undefined) return noFallbacks
  const isProvider = (name: string): boolean => snapshot.providers.has(name) || PROVIDERS.has(name)
  const fallbacks = wanted.map((entry) => {
    if (typeof entry === 'object') {
      return { provider: entry.provider || provider, model: entry.model || model }
    }
    return isProvider(entry) ? { provider: entry, model } : parseModel(entry, isProvider, provider)
  })
  return { fallbacks, hasOwnFallbacks }
}

const noFallbacks = { fallbacks: undefined, hasOwnFallbacks: false }

type WrittenFallback = string | { readonly provider?: string; readonly model?: string }

/** The body has been checked: what is an object has text in its fields, or nothing. */
function isFallback(value: unknown): value is WrittenFallback {
  if (typeof value === 'string') return value !== ''
  if (typeof value !== 'object' || value === null) return false
  const { provider, model } = value as Readonly<Record<string, unknown>>
  return Boolean(provider) || Boolean(model)
}

const dotSegment = /(?:^|\/|%2f|%5c)(?:\.|%2e){1,2}(?:\/|%2f|%5c|$)/i
const notPlain = /\/\/|\\|%5c|%[01][0-9a-f]|%7f|%(?![0-9a-f]{2})/i

/** Refuses paths that could leave the provider's base URL or mean something else there. */
export function assertPlainPath(path: string): void {
  if (!/[%.\\]|\/\//.test(path)) return
  if (notPlain.test(path) || dotSegment.test(path)) {
    throw new GatewayError('invalid_request', 'The path is not a plain one.')
  }
  try {
    decodeURIComponent(path)
  } catch {
    throw new GatewayError('invalid_request', 'The path is not valid percent-encoding.')
  }
}

/** A refusal for what a check found. */
export function fromProblem(problem: Problem): GatewayError {
  const kind =
    problem.code === 'missing_required_parameter' ? 'missing_parameter' : 'invalid_request'
  return new GatewayError(kind, problem.message, { param: problem.param, code: problem.code })
}
