import { Elysia } from 'elysia'

import { GatewayError } from '#core/errors.ts'
import { BadSql, runSql } from '#store/logs-sql.ts'
import type { LogStore } from '#store/logs.ts'

import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { addAgents } from './logs-agents.ts'
import { addChanges } from './logs-changes.ts'
import { BUCKET, described, FILTERS, PAGING, parameter } from './logs-document.ts'
import { exportOf } from './logs-export.ts'
import { decoded, filtersOf, JSON_HEADERS, logRoutes, notInLog } from './logs-routes.ts'
import { addSums } from './logs-sums.ts'
import { listOf, oneUnderway } from './logs-underway.ts'
import { parseJson, readText, requireJson } from './read.ts'

// The log of calls, for programs on this machine: search, single rows, sums, exports and SQL.

/** `/api/logs` and what is below it. */
export function logsSurface(gateway: Gateway): Elysia {
  const { guarded, asked } = logRoutes(gateway)
  const app = new Elysia({ name: 'logs', normalize: false })
    .get(
      '/api/logs',
      guarded(async (logs, request) => {
        return new Response(await listOf(gateway, logs, filtersOf(request)), {
          headers: JSON_HEADERS,
        })
      }),
      described('Search the log of calls', [...FILTERS, ...PAGING]),
    )
    .get(
      '/api/logs/stats',
      asked((filters) => ({ kind: 'stats', filters })),
      described('Sums over the calls that filters want', [
        ...FILTERS,
        parameter(
          'compare_to_previous',
          'Adds the sums of the time before, as `previous`, and by how many percent they changed, as `trend`.',
          ['true', 'false'],
        ),
      ]),
    )
    .get(
      '/api/logs/histogram',
      asked((filters) => ({ kind: 'histogram', filters })),
      described('Calls over time', [...FILTERS, BUCKET]),
    )
    .get(
      '/api/logs/dropped',
      guarded((logs) => {
        const { dropped, failure } = logs
        return Promise.resolve(
          Response.json({
            dropped_requests: dropped,
            // Refused before they were calls, and too many to have a row each.
            omitted_refusals: gateway.refusals?.omitted ?? 0,
            failure: failure ?? null,
          }),
        )
      }),
      described('How many calls could not be logged'),
    )
    .get(
      '/api/logs/export',
      guarded(async (logs, request) => await exportOf(logs, filtersOf(request), request.signal)),
      described('The calls that filters want as NDJSON or CSV, oldest first', [
        ...FILTERS,
        parameter('format', 'What a call is written as.', ['ndjson', 'csv']),
      ]),
    )
    .post(
      '/api/logs/sql',
      guarded(async (logs, request) => await sqlOf(logs, request)),
      {
        parse: 'none',
        ...described('One SELECT over the log', [], {
          sql: { type: 'string', description: 'One statement that only reads.' },
          limit: { type: 'integer', minimum: 1, maximum: 10_000, default: 1000 },
        }),
      },
    )
    .get(
      '/api/logs/:id',
      guarded(async (logs, request) => {
        const id = decoded(/\/api\/logs\/([^/?]+)/.exec(request.url)?.[1] ?? '')
        const found = id === undefined ? 'null' : await logs.ask({ kind: 'one', id })
        const text = found === 'null' ? oneUnderway(gateway, id) : found
        if (text === undefined) throw notInLog('There is no such call in the log.')
        return new Response(text, { headers: JSON_HEADERS })
      }),
      described('One call with everything that was kept of it'),
    )
  addSums(app as unknown as Elysia, gateway)
  addChanges(app as unknown as Elysia, gateway)
  addAgents(app as unknown as Elysia, gateway)
  return app as unknown as Elysia
}

const maxSqlBytes = 256 * 1024
const sqlMs = 5000
const maxSqlRows = 1000
/** Each is a process. */
const maxSqlAtOnce = 2
let sqlAtOnce = 0

async function sqlOf(logs: LogStore, request: Request): Promise<Response> {
  const headers = headersOf(request)
  requireJson(headers['content-type'])
  const body = parseJson(await readText(request, headers, maxSqlBytes)).value as Record<
    string,
    unknown
  >
  const { sql = body['query'], limit = maxSqlRows } = body
  if (typeof sql !== 'string' || sql.trim() === '') {
    throw new GatewayError('missing_parameter', `'sql' must be a statement.`, { param: 'sql' })
  }
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > 10_000) {
    const message = `'limit' must be a whole number from 1 to 10000.`
    throw new GatewayError('invalid_request', message, { param: 'limit' })
  }
  if (sqlAtOnce >= maxSqlAtOnce) {
    throw new GatewayError('queue_full', 'Other statements are being run; try again.')
  }
  sqlAtOnce++
  try {
    // What was logged before the question belongs to the answer, and makes the file be there.
    await logs.ask({ kind: 'one', id: '' })
    return Response.json(await runSql(logs.path, sql, { maxRows: limit, maxMs: sqlMs }))
  } catch (thrown) {
    if (!(thrown instanceof BadSql)) throw thrown
    throw new GatewayError('invalid_request', thrown.message, { param: 'sql' })
  } finally {
    sqlAtOnce--
  }
}
