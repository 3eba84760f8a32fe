import type { GatewayError } from '#core/errors.ts'

import type { Abortable, Inflight } from './inflight.ts'
import { departure } from './total.ts'

/** Waits. Resolves with what ended the wait early, a departure or a shutdown; undefined when nothing did. */
export function pause(
  ms: number,
  signal: AbortSignal,
  inflight: Inflight,
): Promise<GatewayError | undefined> {
  if (signal.aborted) return Promise.resolve(departure(signal))
  const { promise, resolve } = Promise.withResolvers<GatewayError | undefined>()
  const end = (why: GatewayError | undefined): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
    inflight.delete(waiting)
    resolve(why)
  }
  const leave = (): void => end(departure(signal))
  const waiting: Abortable = { abort: end }
  const timer = setTimeout(() => end(undefined), ms)
  signal.addEventListener('abort', leave, { once: true })
  inflight.add(waiting)
  return promise
}
