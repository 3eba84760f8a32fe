import { Elysia } from 'elysia'

import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import type { Filters, Question } from '#store/logs-schema.ts'
import { BadSql, runSql } from '#store/logs-sql.ts'
import type { LogStore } from '#store/logs.ts'

import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { parseJson, readText, requireJson } from './read.ts'
import { respondError } from './respond.ts'
import { queryOf } from './target.ts'

// The log of calls, for programs on this machine: search, single rows, sums, exports and SQL.

const json = { 'content-type': 'application/json', 'cache-control': 'no-store' }
const types = { ndjson: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' } as const

/** `/api/logs` and what is below it. */
export function logsSurface(gateway: Gateway): Elysia {
  /** Answers after the checks that all of these routes have in common. */
  const guarded =
    (answer: (logs: LogStore, request: Request) => Promise<Response>) =>
    async ({ request }: { request: Request }): Promise<Response> => {
      try {
        requireLocal(request, gateway)
        return await answer(logsOf(gateway), request)
      } catch (thrown) {
        const error = toGatewayError(thrown)
        const context = { provider: undefined, modelRequested: undefined, requestType: 'logs' }
        return respondError(error, context, newId())
      }
    }
  const asked = (question: (filters: Filters) => Question) =>
    guarded(async (logs, request) => {
      const text = await logs.ask(question(filtersOf(request)))
      return new Response(text, { headers: json })
    })
  const detail = (summary: string) => ({ detail: { summary, tags: ['logs'] } })
  const app = new Elysia({ name: 'logs', normalize: false })
    .get(
      '/api/logs',
      asked((filters) => ({ kind: 'list', filters })),
      detail('Search the log of calls'),
    )
    .get(
      '/api/logs/stats',
      asked((filters) => ({ kind: 'stats', filters })),
      detail('Sums over the calls that filters want'),
    )
    .get(
      '/api/logs/histogram',
      asked((filters) => ({ kind: 'histogram', filters })),
      detail('Calls over time'),
    )
    .get(
      '/api/logs/dropped',
      guarded((logs) => {
        const { dropped, failure } = logs
        return Promise.resolve(
          Response.json({ dropped_requests: dropped, failure: failure ?? null }),
        )
      }),
      detail('How many calls could not be logged'),
    )
    .get(
      '/api/logs/export',
      guarded(async (logs, request) => await exportOf(logs, filtersOf(request))),
      detail('The calls that filters want as NDJSON or CSV, oldest first'),
    )
    .post(
      '/api/logs/sql',
      guarded(async (logs, request) => await sqlOf(logs, request)),
      { parse: 'none', ...detail('One SELECT over the log') },
    )
    .get(
      '/api/logs/:id',
      guarded(async (logs, request) => {
        const id = decoded(/\/api\/logs\/([^/?]+)/.exec(request.url)?.[1] ?? '')
        const text = id === undefined ? 'null' : await logs.ask({ kind: 'one', id })
        if (text === 'null') {
          throw new GatewayError('route_not_found', 'There is no such call in the log.', {
            code: 'log_not_found',
          })
        }
        return new Response(text, { headers: json })
      }),
      detail('One call with everything that was kept of it'),
    )
  return app as unknown as Elysia
}

/** Undefined for what is no percent-encoding, and so no id either. */
function decoded(text: string): string | undefined {
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

function filtersOf(request: Request): Filters {
  const filters: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(queryOf(request.url))) {
    filters[name] = Object.hasOwn(filters, name) ? `${filters[name]},${value}` : value
  }
  return filters
}

/** Pages are read while they are sent, each when the one before has left. */
async function exportOf(logs: LogStore, filters: Filters): Promise<Response> {
  const format = filters['format'] || 'ndjson'
  if (format !== 'ndjson' && format !== 'csv') {
    throw new GatewayError('invalid_request', `'format' must be ndjson or csv.`, {
      param: 'format',
    })
  }
  type Page = { readonly lines: string; readonly after: string | null }
  const pageAfter = async (after: string | undefined): Promise<Page> =>
    JSON.parse(await logs.ask({ kind: 'export', filters, format, after })) as Page
  const encoder = new TextEncoder()
  // What is wrong with the filters is an answer of its own, so the first page comes before the headers.
  let page: Page | undefined = await pageAfter(undefined)
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { lines, after } = page!
      controller.enqueue(encoder.encode(lines))
      if (after === null) controller.close()
      else page = await pageAfter(after)
    },
  })
  return new Response(body, {
    headers: {
      'content-type': types[format],
      'content-disposition': `attachment; filename="logs.${format}"`,
      'cache-control': 'no-store',
    },
  })
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
