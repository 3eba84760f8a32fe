import { watch } from '#lib/deadline.ts'
import type { Deadline } from '#lib/deadline.ts'
import { KEEP_ALIVE } from '#openai/frames.ts'

import type { Sink } from './outcome.ts'

/** Writes one comment, with which the headers leave that have not left yet. */
export function sayAlive(sink: Sink): void {
  for (const pending of [sink.write(KEEP_ALIVE), sink.flush()]) {
    // It rejects when the caller leaves, which whoever writes events learns as well.
    if (pending instanceof Promise) pending.catch(() => undefined)
  }
}

/**
 * Writes a comment after every `ms` of silence (0 = never). Whoever writes something else moves `at` on the
 * deadline that is returned, and releases it at the end. `mayWrite` is asked before each comment.
 */
export function startKeepAlive(sink: Sink, ms: number, mayWrite: () => boolean): Deadline {
  const deadline: Deadline = {
    at: performance.now() + ms,
    expired: () => {
      if (mayWrite()) sayAlive(sink)
      deadline.at = performance.now() + ms
      watch(deadline)
    },
  }
  return ms > 0 ? watch(deadline) : deadline
}
