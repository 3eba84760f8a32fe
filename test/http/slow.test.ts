import { expect, test } from 'bun:test'

import { toGatewayError } from '#core/errors.ts'
import { readBytes } from '#http/read.ts'
import { respondError } from '#http/respond.ts'

import { head, openRaw, parseAnswer } from './wire.ts'

// Callers who send a body as slowly as they can. The patience is shortened here; everything else is as it runs.

const patience = { baseMs: 1, slowestBytesPerMs: 1_000_000 }
const context = { provider: undefined, modelRequested: undefined, requestType: 'unknown' }

function startReader() {
  return Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      try {
        const headers = request.headers.toJSON() as Record<string, string>
        const bytes = await readBytes(request, headers, 1000, patience)
        return new Response(bytes)
      } catch (thrown) {
        return respondError(toGatewayError(thrown), context, 'id')
      }
    },
  })
}

test.each([
  ['a body of known length', { 'content-length': '100' }, 'abc'],
  ['a body in chunks', { 'transfer-encoding': 'chunked' }, '3\r\nabc\r\n'],
  ['a body that never starts', { 'content-length': '100' }, ''],
])('%s that stops coming is given up, and the connection with it', async (_, headers, start) => {
  using server = startReader()
  const connection = await openRaw(server.url.origin)
  // Nobody asks for the connection to be closed.
  connection.send(head('POST', '/', { ...headers, connection: 'keep-alive' }) + start)
  const answer = parseAnswer(await connection.closed)
  expect(answer.status).toBe(408)
  expect(answer.json()).toMatchObject({
    is_bifrost_error: true,
    error: { code: 'request_timeout', type: 'invalid_request_error' },
  })
})
