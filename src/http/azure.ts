import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { checkModel } from '#openai/check.ts'

/** The first path segment of an operation; what stands before it names the deployment. */
const firstSegments = new Set([
  'chat',
  'audio',
  'images',
  'completions',
  'embeddings',
  'responses',
  'models',
])

const byPath = new Map(
  Object.entries<EndpointFacts>(ENDPOINTS)
    .filter(([, facts]) => facts.method === 'POST' && !facts.path.includes('{'))
    .map(([name, facts]) => [facts.path, name as KnownEndpoint]),
)

/** What a call is for when it names neither provider nor model. These SDKs expect their own service behind it. */
export function defaultProvider(userAgent: string | undefined): string {
  return userAgent?.includes('AzureOpenAI') ? DEPLOYMENT_PROVIDER : 'openai'
}

/** The provider behind a deployment of which only the name is known. */
export const DEPLOYMENT_PROVIDER = 'azure'

/**
 * Reads the tail of an Azure SDK path, `/{deployment}/chat/completions`. One segment before the operation is a
 * deployment of Azure; more are `provider/model`. Returns the error when it is neither.
 */
export function readDeployment(
  path: string,
): { endpoint: KnownEndpoint; path: string; model: string } | GatewayError {
  const segments = path.split('/').slice(1)
  const at = segments.findIndex((segment) => firstSegments.has(segment))
  if (at === -1) return new GatewayError('invalid_request', 'This is no Azure deployment path.')
  if (at === 0) return new GatewayError('invalid_request', 'The path names no deployment.')
  const operation = `/${segments.slice(at).join('/')}`
  const endpoint = byPath.get(operation)
  if (!endpoint) {
    return new GatewayError('route_not_found', `There is no deployment operation '${operation}'.`)
  }
  let deployment: string
  try {
    // SDKs encode the slash of `provider/model`, so what counts is the decoded form.
    deployment = decodeURIComponent(segments.slice(0, at).join('/'))
  } catch (cause) {
    return new GatewayError('invalid_request', 'The path is not valid percent-encoding.', { cause })
  }
  const model = deployment.includes('/') ? deployment : `${DEPLOYMENT_PROVIDER}/${deployment}`
  const problem = checkModel(model)
  if (problem) {
    const { message, param, code } = problem
    return new GatewayError('invalid_request', message, { param, code })
  }
  return { endpoint, path: operation, model }
}
