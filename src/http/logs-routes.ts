import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import type { Filters, Question } from '#store/logs-schema.ts'
import type { LogStore } from '#store/logs.ts'

import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'
import { respondError } from './respond.ts'
import { queryOf } from './target.ts'

// What all routes of the log have in common: who may ask, how a question is put, how a mistake is told.

export const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

type Handler = (context: { request: Request }) => Promise<Response>

export interface LogRoutes {
  /** Answers after the checks that all of these routes have in common. */
  readonly guarded: (answer: (logs: LogStore, request: Request) => Promise<Response>) => Handler
  /** Answers what the log says to a question. */
  readonly asked: (question: (filters: Filters, request: Request) => Question) => Handler
}

export function logRoutes(gateway: Gateway): LogRoutes {
  const guarded: LogRoutes['guarded'] =
    (answer) =>
    async ({ request }) => {
      try {
        requireLocal(request, gateway)
        return await answer(logsOf(gateway), request)
      } catch (thrown) {
        const error = toGatewayError(thrown)
        const context = { provider: undefined, modelRequested: undefined, requestType: 'logs' }
        return respondError(error, context, newId())
      }
    }
  return {
    guarded,
    asked: (question) =>
      guarded(async (logs, request) => {
        const text = await logs.ask(question(filtersOf(request), request))
        if (text === 'null') throw notInLog('The log has nothing of that.')
        return new Response(text, { headers: JSON_HEADERS })
      }),
  }
}

export function notInLog(message: string): GatewayError {
  return new GatewayError('route_not_found', message, { code: 'log_not_found' })
}

/** Undefined for what is no percent-encoding, and so no id either. */
export function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** The log of a gateway. Throws 503 when it keeps none. */
export function logsOf(gateway: Gateway): LogStore {
  const { logs } = gateway
  if (logs && gateway.snapshot().logs.enabled) return logs
  throw new GatewayError(
    'store_unavailable',
    'The log is switched off (client.enable_logging or logs_store.enabled).',
  )
}

/** The calls under way of a gateway. Throws 503 when it keeps no log. */
export function underwayOf(gateway: Gateway): NonNullable<Gateway['underway']> {
  logsOf(gateway)
  const { underway } = gateway
  if (underway) return underway
  throw new GatewayError('store_unavailable', 'The calls under way are not known here.')
}

export function filtersOf(request: Request): Filters {
  const filters: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(queryOf(request.url))) {
    filters[name] = Object.hasOwn(filters, name) ? `${filters[name]},${value}` : value
  }
  return filters
}
