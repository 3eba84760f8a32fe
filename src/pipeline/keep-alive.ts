import { watch } from '#lib/deadline.ts'
import type { Deadline } from '#lib/deadline.ts'
import { KEEP_ALIVE } from '#openai/frames.ts'

import type { Sink } from './outcome.ts'

/**
 * Writes a comment after every `ms` of silence (0 = never). Whoever writes something else moves `at` on the
 * deadline that is returned, and releases it at the end. `mayWrite` is asked before each comment.
 */
export function startKeepAlive(sink: Sink, ms: number, mayWrite: () => boolean): Deadline {
  const deadline: Deadline = {
    at: performance.now() + ms,
    expired: () => {
      if (mayWrite()) {
        for (const pending of [sink.write(KEEP_ALIVE), sink.flush()]) {
          // It rejects when the caller leaves, which the relay learns from its own writes.
          if (pending instanceof Promise) pending.catch(() => undefined)
        }
      }
      deadline.at = performance.now() + ms
      watch(deadline)
    },
  }
  return ms > 0 ? watch(deadline) : deadline
}
