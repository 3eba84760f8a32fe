import type { FromThread, ToThread } from './logs-schema.ts'

// The threads of the log, as whoever starts them sees them.

const closeMs = 3000

/** In the executable, the file that the build put beside its entry. */
const isCompiled = /[/\\](?:\$bunfs|~BUN)[/\\]/.test(import.meta.path)
const file = isCompiled
  ? './store/logs-worker.js'
  : new URL('./logs-worker.ts', import.meta.url).href

export interface LogThread {
  tell(message: ToThread): void
  /** Ends it at once. Nothing is heard of it from here on, whatever it was saying. */
  end(): void
  /** Asks it to let go of its files, and ends it whether it did or not. */
  close(): Promise<void>
}

/** Starts a thread of the log's; `onEnd` is called once, if it ends on its own. */
export function thread(
  onMessage: (message: FromThread) => void,
  onEnd: (why: string) => void,
): LogThread {
  const worker = new Worker(file)
  let isOver = false
  let onClosed = (): void => undefined

  function end(): void {
    isOver = true
    onClosed()
    worker.terminate()
  }
  function fail(why: string): void {
    if (isOver) return
    end()
    onEnd(why)
  }
  worker.addEventListener('message', ({ data }: MessageEvent<FromThread>) => {
    if (isOver) return
    if (data.kind === 'closed') onClosed()
    else onMessage(data)
  })
  worker.addEventListener('error', ({ message }) => fail(message))
  // Also some time after `end`, when another thread may have taken its place.
  worker.addEventListener('close', () => fail('its thread ended'))
  // It never keeps the process from ending.
  worker.unref()

  return {
    tell: (message) => worker.postMessage(message, []),
    end,
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>()
      onClosed = resolve
      const limit = setTimeout(resolve, closeMs)
      worker.postMessage({ kind: 'close' } satisfies ToThread, [])
      await promise
      clearTimeout(limit)
      end()
    },
  }
}
