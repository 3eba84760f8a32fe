import type { ChatReadOptions } from '#openai/answer/read-chat.ts'
import { countsOf } from '#openai/answer/read-counts.ts'

import type { Mends } from '../quirks.ts'

/** The same mends for a reader of chat completions, where Responses are served by chat. */
export function readsOf(mends: Mends | undefined): ChatReadOptions {
  if (!mends) return {}
  const { aside, finish, usage } = mends
  return {
    ...(aside !== undefined && { aside }),
    ...(finish && {
      finishReasons: Object.fromEntries(
        Object.entries(finish).map(([reason, wanted]) => [
          reason.toLowerCase(),
          typeof wanted === 'string' ? wanted : 'error',
        ]),
      ),
    }),
    ...(usage && { counts: (counted) => countsOf(usage(counted) ?? counted) }),
  }
}
