import type { FromThread, ToThread } from './logs-schema.ts'

// The threads of the log, as whoever starts them sees them.

const closeMs = 3000

/** In the executable, the file that the build put beside its entry. */
const isCompiled = /[/\\](?:\$bunfs|~BUN)[/\\]/.test(import.meta.path)
const file = isCompiled
  ? './store/logs-worker.js'
  : new URL('./logs-worker.ts', import.meta.url).href

/** A thread of the log's; `onEnd` is called once, if it ends on its own. */
export function thread(
  onMessage: (message: FromThread) => void,
  onEnd: (why: string) => void,
): Worker {
  const worker = new Worker(file)
  let isOver = false
  const end = (why: string): void => {
    if (isOver) return
    isOver = true
    worker.terminate()
    onEnd(why)
  }
  worker.addEventListener('message', ({ data }: MessageEvent<FromThread>) => onMessage(data))
  worker.addEventListener('error', ({ message }) => end(message))
  worker.addEventListener('close', () => end('its thread ended'))
  // It never keeps the process from ending.
  worker.unref()
  return worker
}

export function tell(worker: Worker, message: ToThread): void {
  worker.postMessage(message, [])
}

/** Asks a thread to let go of its files, and ends it whether it did or not. */
export async function ended(worker: Worker): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const limit = setTimeout(resolve, closeMs)
  worker.addEventListener('message', ({ data }: MessageEvent<FromThread>) => {
    if (data.kind === 'closed') resolve()
  })
  tell(worker, { kind: 'close' })
  await promise
  clearTimeout(limit)
  worker.terminate()
}
