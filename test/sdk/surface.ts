import type OpenAI from 'openai'

// The SDK's surface, read from the SDK itself, so that a method of a newer SDK appears as a test by itself.

/** One method of one resource of the SDK. */
export interface SdkMethod {
  /** `beta.threads.runs.create` */
  readonly name: string
  /** The function's own text, from which its arguments are derived. */
  readonly source: string
  call(client: OpenAI, values: readonly unknown[]): unknown
}

type Resource = Record<string, unknown>

/** Every method of every resource under a client, in the client's own order. */
export function methodsOf(client: OpenAI): SdkMethod[] {
  return resourcesIn(client).flatMap(([name, resource]) => methodsUnder(name, resource))
}

/** The values that make a plausible call; `bodyOf` is asked when the method sends a body. */
export function argumentsFor(method: SdkMethod, bodyOf: (name: string) => object): unknown[] {
  return parametersOf(method.source)
    .filter((name) => name !== 'options')
    .map((name) => {
      if (name === 'body') return bodyOf(method.name)
      if (name === 'query') return queryFor(method.source)
      if (name === 'params') return paramsFor(method, bodyOf)
      return `${snake(name)}_1`
    })
}

function methodsUnder(name: string, resource: Resource): SdkMethod[] {
  const own = methodNames(resource).map((key) => ({
    name: `${name}.${key}`,
    source: String(resource[key]),
    call: (client: OpenAI, values: readonly unknown[]) => invoke(client, `${name}.${key}`, values),
  }))
  const nested = resourcesIn(resource).flatMap(([key, child]) =>
    methodsUnder(`${name}.${key}`, child),
  )
  return [...own, ...nested]
}

function resourcesIn(owner: object): [string, Resource][] {
  return Object.entries(owner).filter(
    (entry): entry is [string, Resource] =>
      entry[0] !== '_client' &&
      typeof entry[1] === 'object' &&
      entry[1] !== null &&
      '_client' in entry[1],
  )
}

function methodNames(resource: Resource): string[] {
  const names = new Set<string>()
  for (let proto: unknown = Object.getPrototypeOf(resource); isClassLevel(proto);) {
    for (const key of Object.getOwnPropertyNames(proto)) {
      if (key !== 'constructor' && typeof resource[key] === 'function') names.add(key)
    }
    proto = Object.getPrototypeOf(proto)
  }
  return [...names]
}

function isClassLevel(proto: unknown): proto is object {
  return typeof proto === 'object' && proto !== null && proto !== Object.prototype
}

function invoke(client: OpenAI, name: string, values: readonly unknown[]): unknown {
  const keys = name.split('.')
  const last = keys.pop() ?? ''
  let owner = client as unknown as Resource
  for (const key of keys) owner = owner[key] as Resource
  return (owner[last] as (...args: unknown[]) => unknown).apply(owner, [...values])
}

function parametersOf(source: string): string[] {
  const list = source.slice(source.indexOf('(') + 1)
  const names: string[] = []
  let depth = 0
  let current = ''
  for (const character of list) {
    if (character === ')' && depth === 0) break
    if ('{[('.includes(character)) depth++
    if ('}])'.includes(character)) depth--
    if (character === ',' && depth === 0) {
      names.push(current)
      current = ''
    } else current += character
  }
  names.push(current)
  return names.map((name) => (name.split('=')[0] ?? '').trim()).filter((name) => name !== '')
}

const QUERY_VALUES: Record<string, unknown> = {
  limit: 7,
  order: 'desc',
  include: ['first.part', 'second.part'],
  include_obfuscation: false,
  starting_after: 3,
  metadata: { team: 'a b&c' },
  // Becomes a header.
  betas: ['first=v1', 'second=v2'],
  // Changes the kind of the answer; streams have tests of their own.
  stream: undefined,
}

const DEFAULT_KEYS = ['after', 'limit', 'order']

function queryFor(source: string, argument = 'query'): object {
  const listed = new RegExp(`normalizeRequestOptionsForQuery\\(${argument}, \\[([^\\]]*)\\]`).exec(
    source,
  )
  const keys = listed
    ? [...(listed[1] ?? '').matchAll(/["'](\w+)["']/g)].map((match) => match[1] ?? '')
    : []
  if (keys.length === 0) {
    // The organization's usage reports name no keys in their text.
    return {
      start_time: 1_730_419_200,
      bucket_width: '1d',
      group_by: ['project_id', 'model'],
      limit: 7,
    }
  }
  return fromKeys(keys)
}

function fromKeys(keys: readonly string[]): object {
  return Object.fromEntries(
    keys.map((key) => [key, key in QUERY_VALUES ? QUERY_VALUES[key] : `${key} 1 & ü`]),
  )
}

function paramsFor(method: SdkMethod, bodyOf: (name: string) => object): object {
  const destructured = /const \{([^}]*)\} = params/.exec(method.source)?.[1] ?? ''
  const params: Record<string, unknown> = {}
  for (const part of destructured.split(',').map((text) => text.trim())) {
    if (part === '...body') Object.assign(params, bodyOf(method.name))
    else if (part === '...query') Object.assign(params, restQuery(method.source))
    else if (/^["']/.test(part)) params[part.split(':')[0]?.replace(/["']/g, '') ?? ''] = 'key-1'
    else if (part in QUERY_VALUES) params[part] = QUERY_VALUES[part]
    else if (part !== '') params[part] = `${part}_1`
  }
  return params
}

function restQuery(source: string): object {
  return source.includes('normalizeRequestOptionsForQuery(params')
    ? queryFor(source, 'params')
    : fromKeys(DEFAULT_KEYS)
}

function snake(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase()
}
