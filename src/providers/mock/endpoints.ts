import type { KnownEndpoint } from '#core/endpoint.ts'

import { MockFailure } from './answer.ts'
import { chat } from './chat.ts'
import type { Handle } from './request.ts'

const other: Handle = () => {
  throw new MockFailure({ status: 404, message: 'Invalid URL' })
}

export const ENDPOINT_HANDLERS = new Proxy(
  { chat_completion: chat } as Record<KnownEndpoint, Handle>,
  {
    get: (table, name) => table[name as KnownEndpoint] ?? other,
  },
)
