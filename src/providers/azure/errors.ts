import type { UpstreamFailure } from '#core/errors.ts'

import { parseAnthropicError } from '../anthropic/index.ts'
import type { Provider } from '../provider.ts'
import { readRefusal } from '../refusal.ts'

// The service's errors in OpenAI's words. Azure OpenAI REST API reference, "Error responses", and "Content filter
// annotations", as read in November 2026.

/** What stands for a code that an OpenAI client would not know. */
const byStatus: ReadonlyMap<number, Pick<UpstreamFailure, 'code' | 'type'>> = new Map([
  [401, { code: 'invalid_api_key', type: 'authentication_error' }],
  [403, { code: 'permission_denied', type: 'permission_error' }],
  [404, { code: 'model_not_found', type: 'invalid_request_error' }],
  [408, { code: 'upstream_timeout', type: 'timeout_error' }],
  [424, { code: 'provider_error', type: 'api_error' }],
  [429, { code: 'rate_limit_exceeded', type: 'rate_limit_error' }],
])

/** Statuses that SDKs would take for something else. */
const outwardStatus: ReadonlyMap<number, number> = new Map([
  [408, 504],
  [424, 502],
])

/** Of what else may be missing, OpenAI says no code. */
const otherThing = /\b(?:file|batch|response|completion|upload|container|video)s?\b/i
const modelOrDeployment = /\b(?:model|deployment)s?\b/i

/** Codes that OpenAI has too; they are more than the status says. */
const kept =
  /^(?:content_filter|content_policy_violation|context_length_exceeded|[a-z]+(?:_[a-z0-9]+)+)$/

/**
 * The facts of a refusal. The service's own code, where it is none of OpenAI's (a number in quotes, or a name such as
 * `DeploymentNotFound`), stands beside as `provider_code`.
 */
export const parseError: Provider['parseError'] = (status, body, headers) => {
  if (isAnthropics(body)) return parseAnthropicError(status, body, headers)
  const failure = readRefusal(status, body, headers)
  const { code, extra } = failure
  const own = byStatus.get(status)
  const known = {
    ...failure,
    status: outwardStatus.get(status) ?? status,
    type: typeOf(failure) ?? own?.type ?? null,
  }
  if (code !== null && kept.test(code) && !(status === 429 && code === 'too_many_requests')) {
    return known
  }
  const meant = filterCode(code, extra) ?? (isOtherThing(failure) ? null : (own?.code ?? null))
  return {
    ...known,
    code: meant,
    extra: code === null ? extra : { ...extra, provider_code: code },
  }
}

/** Claude's refusals keep the form they have at home. */
function isAnthropics(body: string): boolean {
  try {
    const root = JSON.parse(body) as { type?: unknown; error?: unknown } | null
    return root?.type === 'error' && typeof root.error === 'object'
  } catch {
    // Not JSON, so it is nobody's form.
    return false
  }
}

/** Types are mostly absent; what stands there may be a status in words. */
function typeOf({ type }: UpstreamFailure): string | undefined {
  return type !== null && /^[a-z]+(?:_[a-z]+)*$/.test(type) ? type : undefined
}

/** Whether something is missing that is neither a model nor a deployment. */
function isOtherThing({ status, message }: UpstreamFailure): boolean {
  return status === 404 && otherThing.test(message) && !modelOrDeployment.test(message)
}

/**
 * Some versions say only inside that a filter refused, and images have spellings of their own ("How to use Azure OpenAI
 * image generation models").
 */
function filterCode(
  code: string | null,
  { innererror, inner_error }: Readonly<Record<string, unknown>>,
): string | undefined {
  const inner = (innererror ?? inner_error) as { code?: unknown } | null | undefined
  const isFilter = code === 'contentFilter' || inner?.code === 'ResponsibleAIPolicyViolation'
  return isFilter ? 'content_filter' : undefined
}
