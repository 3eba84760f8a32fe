import type { Elysia } from 'elysia'

import { GatewayError } from '#core/errors.ts'
import { createRepricing } from '#pipeline/reprice.ts'
import type { Repricing } from '#pipeline/reprice.ts'
import type { LogStore } from '#store/logs.ts'

import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { described, whole } from './logs-document.ts'
import { JSON_HEADERS, logRoutes } from './logs-routes.ts'
import { parseJson, readText, requireJson } from './read.ts'

// What is changed in the log: calls are taken out, and get the cost that they did not have.

const maxBodyBytes = 512 * 1024
const maxIds = 1000
const maxIdChars = 255
const idsInStep = 50
const usualRows = 200
const maxRows = 1000

export function addChanges(app: Elysia, gateway: Gateway): void {
  const { guarded } = logRoutes(gateway)
  let repricing: Repricing | undefined
  const repricingOf = (logs: LogStore): Repricing =>
    (repricing ??= createRepricing(logs, () => gateway.snapshot()))
  app.delete(
    '/api/logs',
    guarded(async (logs, request) => {
      const ids = idsIn(await bodyOf(request))
      let count = 0
      // A few at a time, so that calls are written between: taking out what was said takes a while.
      for (let at = 0; at < ids.length; at += idsInStep) {
        count += await logs.change({ kind: 'delete', ids: ids.slice(at, at + idsInStep) })
      }
      return Response.json({ message: 'Logs deleted successfully', deleted_count: count })
    }),
    {
      parse: 'none',
      ...described('Take calls out of the log, with what was said in them', [], {
        ids: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: maxIds },
      }),
    },
  )
  app.post(
    '/api/logs/recalculate-cost',
    guarded(async (logs, request) => {
      const rows = rowsIn(await bodyOf(request))
      const run = repricingOf(logs)
      if (!run.start(rows)) {
        throw new GatewayError('queue_full', 'Costs are being computed already.')
      }
      return shown(run, 202)
    }),
    {
      parse: 'none',
      ...described('Compute the cost of calls that have none, in the background', [], {
        limit: { ...whole(1, maxRows, usualRows), description: 'Calls in one step.' },
      }),
    },
  )
  app.get(
    '/api/logs/recalculate-cost/status',
    guarded((logs) => Promise.resolve(shown(repricingOf(logs), 200))),
    described('How far the costs are'),
  )
  app.post(
    '/api/logs/recalculate-cost/cancel',
    guarded((logs) => {
      const run = repricingOf(logs)
      run.cancel()
      return Promise.resolve(shown(run, 200))
    }),
    { parse: 'none', ...described('Stop after the step that is being done') },
  )
}

function shown({ status }: Repricing, code: number): Response {
  const { state, processed, updated, skipped, startedAtMs, endedAtMs, failure } = status
  const time = (ms: number | undefined): string | null =>
    ms === undefined ? null : new Date(ms).toISOString()
  const body = {
    status: state,
    processed,
    updated,
    skipped,
    started_at: time(startedAtMs),
    ended_at: time(endedAtMs),
    error: failure ?? null,
  }
  return new Response(JSON.stringify(body), { status: code, headers: JSON_HEADERS })
}

/** Nothing at all is an empty object. */
async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const headers = headersOf(request)
  requireJson(headers['content-type'])
  const text = await readText(request, headers, maxBodyBytes)
  return text.trim() === '' ? {} : parseJson(text).value
}

function idsIn({ ids }: Readonly<Record<string, unknown>>): readonly string[] {
  const isId = (id: unknown): id is string =>
    typeof id === 'string' && id !== '' && id.length <= maxIdChars
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > maxIds || !ids.every(isId)) {
    const message = `'ids' must be a list of 1 to ${maxIds} ids of calls.`
    throw new GatewayError('invalid_request', message, { param: 'ids' })
  }
  return [...new Set(ids)]
}

function rowsIn({ limit = usualRows }: Readonly<Record<string, unknown>>): number {
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > maxRows) {
    const message = `'limit' must be a whole number from 1 to ${maxRows}.`
    throw new GatewayError('invalid_request', message, { param: 'limit' })
  }
  return limit
}
