import { expect, test } from 'bun:test'

import type { Call } from '#core/call.ts'
import { responseHeaders } from '#http/answer-headers.ts'
import type { Outcome } from '#pipeline/outcome.ts'

function headersOf(id: string, own: Record<string, string>): Record<string, string> {
  const call = { id, endpoint: 'chat_completion', stream: false, modelRequested: 'openai/a' }
  const outcome = {
    kind: 'json',
    status: 200,
    headers: own,
    text: '{}',
    target: { settings: { name: 'openai' }, model: 'a' },
  } satisfies Outcome
  return responseHeaders(call as Call, outcome, 'application/json').toJSON()
}

const common = {
  'content-type': 'application/json',
  'x-bifrost-request-type': 'chat_completion',
  'x-bifrost-provider': 'openai',
  'x-bifrost-original-model': 'openai/a',
  'x-bifrost-resolved-model': 'a',
}
const latency = { 'x-bifrost-upstream-latency-ms': '7' }

test('answers of a model share what is common, and nothing that is one answer’s own', () => {
  expect(headersOf('1', latency)).toEqual({ ...common, ...latency, 'x-request-id': '1' })
  const limits = { 'x-ratelimit-remaining-requests': '3' }
  expect(headersOf('2', limits)).toEqual({ ...common, ...limits, 'x-request-id': '2' })
  expect(headersOf('3', {})).toEqual({ ...common, 'x-request-id': '3' })
})
