import { GatewayError } from '#core/errors.ts'
import { untilAborted } from '#pipeline/relay-bytes.ts'
import type { ExportedPage, Filters } from '#store/logs-schema.ts'
import type { LogStore } from '#store/logs.ts'

// The log of calls to take away, while calls go on: whoever takes all of it is in less of a hurry than they are.

const types = { ndjson: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' } as const
const pageBytes = 256 * 1024
/** Between two pages. */
const pauseMs = 5

/**
 * What `filters` want as a stream of lines. Pages are read while they are sent, each when the one before has left.
 * Throws `GatewayError` for filters that nobody knows, and where the log cannot be read.
 */
export async function exportOf(
  logs: LogStore,
  filters: Filters,
  signal: AbortSignal,
): Promise<Response> {
  const format = filters['format'] || 'ndjson'
  if (format !== 'ndjson' && format !== 'csv') {
    throw new GatewayError('invalid_request', `'format' must be ndjson or csv.`, {
      param: 'format',
    })
  }
  const into = new SharedArrayBuffer(pageBytes)
  const pageAfter = (after: string | undefined): Promise<ExportedPage> =>
    logs.export({ kind: 'export', filters, format, after, into })
  // What is wrong with the filters is an answer of its own, so the first page comes before the headers.
  let page = await pageAfter(undefined)
  const body = new ReadableStream({
    type: 'direct',
    async pull(controller) {
      try {
        for (;;) {
          const { bytes, after } = page
          // What cannot be sent yet is copied, so that the next page may come where this one is.
          await untilAborted(Promise.all([controller.write(bytes), controller.flush()]), signal)
          if (after === null || signal.aborted) break
          await Bun.sleep(pauseMs)
          page = await pageAfter(after)
        }
      } catch {
        // Half a log must not look like a whole one: a rejection cuts the connection. Bun prints what it holds.
        await Promise.reject()
      }
      controller.close()
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
