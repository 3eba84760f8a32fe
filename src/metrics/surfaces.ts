import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'

// Under which of its prefixes an operation of the OpenAI API was asked for, and the name of such a route.

const plain = ['/openai', '/openai/v1', '/openai/openai', '/openai/openai/v1'] as const
const deployments = ['/openai/deployments', '/openai/openai/deployments'] as const

/** Stands for every path that is none of ours. */
export const ELSEWHERE = '/*'

/**
 * The prefix of a request's URL, with a name for the deployment in it; undefined outside of the OpenAI API. Looks at the
 * URL where it is, since it is asked at every call.
 */
export function surfaceOf(url: string): string | undefined {
  // No scheme and host are shorter.
  const start = url.indexOf('/', 8)
  const isOurs = start !== -1 && url.startsWith('/openai/', start)
  if (!isOurs) return undefined
  let at = start + '/openai'.length
  const isDoubled = url.startsWith('/openai/', at)
  if (isDoubled) at += '/openai'.length
  if (url.startsWith('/deployments/', at)) return names[isDoubled ? 5 : 4]
  const isVersioned = url.startsWith('/v1/', at)
  return names[(isDoubled ? 2 : 0) + (isVersioned ? 1 : 0)]
}

const names = [...plain, ...deployments.map((prefix) => `${prefix}/{deployment}`)] as const

/** The relays, which have no entry in the table. */
const relays: Partial<Record<string, string>> = {
  realtime: '/realtime',
  websocket_responses: '/responses',
}

/** The path of an operation as a pattern, below its prefix. */
export function patternOf(endpoint: string): string {
  const { [endpoint]: known } = ENDPOINTS as Record<string, EndpointFacts | undefined>
  const path = known?.path ?? relays[endpoint]
  return path === undefined ? ELSEWHERE : path.replace(/\{\w+\.\.\.\}/, '*')
}
