import { newId } from '#lib/id.ts'

import { type Answer, events, invalid, json, MockFailure, notFound } from './answer.ts'
import { page, type StoredResponse } from './memory.ts'
import type { MockRequest } from './request.ts'
import { responseFrames } from './response-events.ts'
import { type ResponseObject, unfinished, usageOf } from './response-object.ts'
import { countInput, inputItems } from './responses.ts'

/** `GET /responses/{id}`; a background response is in progress at the first look and done at the second. */
export function retrieveResponse(request: MockRequest): Answer {
  const stored = find(request)
  if (request.stream) return replay(request, stored.response)
  if (stored.pollsLeft > 0) stored.pollsLeft--
  return json(stored.pollsLeft > 0 ? unfinished(stored.response, 'in_progress') : stored.response)
}

function replay(request: MockRequest, response: ResponseObject): Answer {
  const after = request.query.get('starting_after') ?? '-1'
  if (!/^-?\d{1,9}$/.test(after)) throw invalid('starting_after', 'a sequence number')
  return events(responseFrames(response).slice(Number(after) + 1))
}

/** `DELETE /responses/{id}` */
export function deleteResponse(request: MockRequest): Answer {
  const { id } = find(request)
  request.memory.responses.take(id)
  return json({ id, object: 'response', deleted: true })
}

/** `POST /responses/{id}/cancel`, for background responses that are not done. */
export function cancelResponse(request: MockRequest): Answer {
  const stored = find(request)
  if (stored.response.background !== true) {
    throw new MockFailure({ status: 400, message: 'Cannot cancel a synchronous response.' })
  }
  if (stored.pollsLeft > 0) {
    stored.pollsLeft = 0
    stored.response = unfinished(stored.response, 'cancelled')
  }
  return json(stored.response)
}

/** `GET /responses/{id}/input_items` */
export function listInputItems(request: MockRequest): Answer {
  return json(page(find(request).input, request.query))
}

/** `POST /responses/input_tokens` */
export function countResponseTokens({ body }: MockRequest): Answer {
  const input = body.input === undefined || body.input === null ? [] : inputItems(body)
  return json({ object: 'response.input_tokens', input_tokens: countInput(body, input) })
}

/** `POST /responses/compact` */
export function compactResponse({ body, now }: MockRequest): Answer {
  const input = inputItems(body)
  const sealed = Buffer.from(`compacted ${input.length}`).toString('base64')
  return json({
    id: `resp_${newId()}`,
    object: 'response.compaction',
    created_at: now,
    output: [
      ...input.filter(({ type, role }) => type === 'message' && role === 'user'),
      { id: `cmp_${newId()}`, type: 'compaction', encrypted_content: sealed },
    ],
    usage: usageOf(countInput(body, input), 8, 0),
  })
}

function find({ memory, params }: MockRequest): StoredResponse {
  const id = params.response_id!
  const stored = memory.responses.get(id)
  if (!stored) throw notFound('response', id)
  return stored
}
