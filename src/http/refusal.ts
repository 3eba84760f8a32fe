import type { GatewayError } from '#core/errors.ts'
import { patternOf, surfaceOf } from '#metrics/surfaces.ts'

import { ownerOfRefused } from './caller.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { requestId } from './intake.ts'
import type { Arrival } from './intake.ts'
import { pathOf } from './target.ts'

/** Writes down a request that was refused before it became a call. */
export function noteRefusal(
  gateway: Gateway,
  { id, headers, startedAt, model }: Pick<Arrival, 'id' | 'headers' | 'startedAt' | 'model'>,
  requestType: string,
  error: GatewayError,
): void {
  // Whoever asks for a job that is not there asks again and again.
  if (error.kind === 'job_not_found') return
  const { refusals } = gateway
  if (!refusals) return
  const owner = ownerOfRefused(headers, gateway.snapshot())
  refusals.note({ id, requestType, error, headers, startedAt, model, owner })
}

/** Counts a request of the OpenAI API that became no call; calls are counted when they are settled. */
export function noteAnswer(
  { metrics }: Pick<Gateway, 'metrics'>,
  { request, headers, startedAt }: Pick<Arrival, 'request' | 'headers' | 'startedAt'>,
  endpoint: string,
  status: number,
): void {
  if (!metrics) return
  const ms = performance.now() - startedAt
  const path = (surfaceOf(request.url) ?? '') + patternOf(endpoint)
  const bytes = Number(headers['content-length'] ?? 0)
  metrics.calls.answered(path, request.method, status, ms, bytes)
}

/** The management API, and what browsers ask for on their own. */
const notForCalls = /^\/(?:api|docs|health|metrics|favicon\.ico|robots\.txt)(?:\/|$)/

/** Writes down a request that no operation took, such as one with a wrong base URL. */
export function noteStray(gateway: Gateway, request: Request, error: GatewayError): void {
  if (notForCalls.test(pathOf(request.url))) return
  const headers = headersOf(request)
  const arrival = { id: requestId(headers), headers, startedAt: performance.now() }
  noteRefusal(gateway, arrival, 'unknown', error)
}
