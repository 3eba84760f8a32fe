import { type EndpointFacts, ENDPOINTS, type KnownEndpoint } from '#core/endpoint.ts'

/** Which endpoint a request means, and the parameters in its path. */
export interface Route {
  readonly endpoint: KnownEndpoint
  readonly params: Readonly<Record<string, string>>
}

interface Pattern {
  readonly endpoint: KnownEndpoint
  readonly segments: readonly string[]
  /** The last segment takes the rest of the path. */
  readonly greedy: boolean
}

const noParams: Route['params'] = Object.freeze({})
const fixed = new Map<string, Route>()
const patterns = new Map<string, Pattern[]>()

for (const [endpoint, { method, path }] of Object.entries<EndpointFacts>(ENDPOINTS)) {
  if (!isEndpoint(endpoint)) continue
  if (!path.includes('{')) {
    fixed.set(`${method} ${path}`, { endpoint, params: noParams })
    continue
  }
  const segments = path.slice(1).split('/')
  const list = patterns.get(method) ?? []
  list.push({ endpoint, segments, greedy: path.endsWith('...}') })
  patterns.set(method, list)
}

function isEndpoint(name: string): name is KnownEndpoint {
  return Object.hasOwn(ENDPOINTS, name)
}

/** The endpoint behind a method and a path without `/v1`; undefined when there is none. */
export function findRoute(method: string, path: string): Route | undefined {
  const known = fixed.get(`${method} ${path}`)
  if (known) return known
  const given = path.slice(1).split('/')
  for (const pattern of patterns.get(method) ?? []) {
    const params = match(pattern, given)
    if (params) return { endpoint: pattern.endpoint, params }
  }
  return undefined
}

function match(pattern: Pattern, given: readonly string[]): Record<string, string> | undefined {
  const { segments, greedy } = pattern
  if (greedy ? given.length < segments.length : given.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, segment] of segments.entries()) {
    const value = greedy && at === segments.length - 1 ? given.slice(at).join('/') : given[at]!
    if (!segment.startsWith('{')) {
      if (segment !== value) return undefined
    } else if (value === '') {
      return undefined
    } else {
      params[segment.slice(1, -1).replace('...', '')] = decode(value)
    }
  }
  return params
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not percent-encoded UTF-8: the bytes as they came are as good an id as any.
    return text
  }
}
