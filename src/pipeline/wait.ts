/** Waits; false when the signal aborted first. */
export function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  if (signal.aborted) return Promise.resolve(false)
  const stop = (): void => {
    clearTimeout(timer)
    resolve(false)
  }
  const timer = setTimeout(() => {
    signal.removeEventListener('abort', stop)
    resolve(true)
  }, ms)
  signal.addEventListener('abort', stop, { once: true })
  return promise
}
