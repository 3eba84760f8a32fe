import type { Call } from '#core/call.ts'
import { readUsage } from '#openai/usage.ts'
import type { FanOut } from '#providers/provider.ts'

import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'

/** Requests of one call that are under way at once. */
const maxAtOnce = 8

/**
 * Sends the parts of a call and joins their answers. `send` serves one part; its books are not the call's. The first
 * part that fails fails the call.
 */
export async function sendParts(
  parts: FanOut,
  send: (part: Call, settle: Settle) => Promise<Outcome>,
  settle: Settle,
): Promise<Outcome> {
  const answers: string[] = []
  let first: Outcome | undefined
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < parts.calls.length; at = next++) {
      const outcome = await send(parts.calls[at]!, unbooked(settle))
      if (outcome.kind === 'json') answers[at] = outcome.text
      if (at === 0) first = outcome
    }
  }
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, parts.calls.length) }, work))
  const text = parts.join(answers)
  const { usage } = JSON.parse(text) as { usage?: unknown }
  settle.books.answered(text)
  settle.success(readUsage(usage))
  return { ...first!, kind: 'json', text }
}

/** What a part learns is noted for the call, but a part that is over does not settle it. */
function unbooked({ books }: Settle): Settle {
  return { success() {}, failure() {}, isSettled: false, books }
}
