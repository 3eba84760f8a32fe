import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Target } from '#providers/provider.ts'

import type { Upstream } from './dispatch.ts'
import type { Outcome, Sink } from './outcome.ts'
import type { Settle } from './record.ts'
import { registerStream } from './streams.ts'

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
  const { idleMs } = target.settings.network.timers
  const encoded = response.headers.has('content-encoding')
  const unregister = registerStream({ terminate: (reason) => connection.abort(reason) })

  const finish = (error: GatewayError | undefined): void => {
    unregister()
    connection.close()
    if (error) settle.failure(error)
    else settle.success(undefined)
  }

  const pump = async (sink: Sink): Promise<void> => {
    try {
      if (response.body) {
        connection.enter('idle_timeout', idleMs)
        for await (const chunk of response.body) {
          connection.pause()
          const written = sink.write(chunk)
          if (written instanceof Promise) await untilAborted(written, connection.signal)
          const flushed = sink.flush()
          if (flushed instanceof Promise) await untilAborted(flushed, connection.signal)
          connection.enter('idle_timeout', idleMs)
        }
      }
    } catch (thrown) {
      const error = connection.explain(thrown, target.settings.name)
      finish(error)
      connection.abort(error)
      throw error
    }
    if (connection.reason) {
      finish(connection.reason)
      throw connection.reason
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
