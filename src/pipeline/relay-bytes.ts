import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import type { Upstream } from './dispatch.ts'
import type { Outcome, Sink } from './outcome.ts'
import type { Settle } from './record.ts'

/** Answers of these are files of the caller's, which are where they were. */
const isFile: ReadonlySet<string> = new Set(['file_content', 'container_file_content'])

/**
 * Relays an answer that is not ours to look into: audio, files, videos, unknown routes. When the upstream fails
 * half-way the connection is cut, because a clean end would pass off half a file as a whole one.
 */
export function relayBytes(
  call: Call,
  upstream: Upstream,
  base: { target: Target; status: number; headers: Record<string, string> },
  contentType: string,
  settle: Settle,
): Outcome {
  const { response, connection, target } = upstream
  const { books } = settle
  books.relays(contentType, !isFile.has(call.endpoint))
  const { idleMs, streamTotalMs } = target.settings.network.timers
  const encoded = response.headers.has('content-encoding')
  if (connection.reason) throw connection.reason
  const reader = response.body?.getReader()
  // Not every body fails when its request is aborted; a cancelled one always ends.
  const cancel = (): void => void reader?.cancel().catch(() => undefined)
  connection.allow(streamTotalMs)

  const finish = (error: GatewayError | undefined): void => {
    connection.onAbort = undefined
    connection.close()
    if (error) settle.failure(error)
    else settle.success(undefined)
  }
  // The caller may leave before anybody asks for the body.
  connection.onAbort = () => {
    finish(connection.reason)
    cancel()
  }

  const pump = async (sink: Sink): Promise<void> => {
    connection.onAbort = cancel
    try {
      connection.enter('idle_timeout', idleMs)
      for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
        connection.pause()
        books.wrote(read.value)
        const written = sink.write(read.value)
        if (written instanceof Promise) await untilAborted(written, connection.signal)
        const flushed = sink.flush()
        if (flushed instanceof Promise) await untilAborted(flushed, connection.signal)
        connection.enter('idle_timeout', idleMs)
      }
      if (connection.reason) throw connection.reason
    } catch (thrown) {
      const error = connection.explain(thrown, target.settings.name)
      finish(error)
      connection.abort(error)
      cancel()
      throw error
    }
    finish(undefined)
  }
  return {
    ...base,
    kind: 'stream',
    contentType: contentType === '' ? 'application/octet-stream' : contentType,
    contentLength: encoded ? undefined : (response.headers.get('content-length') ?? undefined),
    pump,
  }
}

/** Waits for a slow reader, but not for one that has left. */
export async function untilAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = () => resolve()
  signal.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([waiting, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
