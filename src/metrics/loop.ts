import { buckets, Histogram } from './histogram.ts'

/** Measures how late timers are: as late as everything else that waits for the event loop. */
export interface LoopDelay {
  readonly seconds: Histogram
  readonly stop: () => void
}

const everyMs = 250

export function watchLoop(): LoopDelay {
  const seconds = new Histogram(
    buckets(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
  )
  let due = performance.now() + everyMs
  const timer = setInterval(() => {
    const now = performance.now()
    seconds.observe(Math.max(0, now - due) / 1000)
    due = now + everyMs
  }, everyMs)
  timer.unref()
  return { seconds, stop: () => clearInterval(timer) }
}
