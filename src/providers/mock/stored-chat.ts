import { type Answer, json, notFound } from './answer.ts'
import { page, type StoredChat } from './memory.ts'
import type { MockRequest } from './request.ts'
import { record } from './wire.ts'

/** `GET /chat/completions`: stored ones, filtered by `model` and `metadata[…]`. */
export function listChats({ memory, query }: MockRequest): Answer {
  const wanted = [...query].flatMap(([name, value]) => {
    const key = /^metadata\[(.*)\]$/.exec(name)?.[1]
    return key === undefined ? [] : [[key, value] as const]
  })
  const model = query.get('model')
  const found = memory.chats
    .all()
    .map(({ completion }) => completion)
    .filter((completion) => model === null || completion.model === model)
    .filter(({ metadata }) => wanted.every(([key, value]) => record(metadata)[key] === value))
  return json(page(found, query, 'asc'))
}

/** `GET /chat/completions/{id}` */
export function retrieveChat(request: MockRequest): Answer {
  return json(find(request).completion)
}

/** `POST /chat/completions/{id}`: replaces the metadata. */
export function updateChat(request: MockRequest): Answer {
  const stored = find(request)
  stored.completion = { ...stored.completion, metadata: record(request.body.metadata) }
  return json(stored.completion)
}

/** `DELETE /chat/completions/{id}` */
export function deleteChat(request: MockRequest): Answer {
  const { id } = find(request)
  request.memory.chats.take(id)
  return json({ id, object: 'chat.completion.deleted', deleted: true })
}

/** `GET /chat/completions/{id}/messages` */
export function listChatMessages(request: MockRequest): Answer {
  return json(page(find(request).messages, request.query, 'asc'))
}

function find({ memory, params }: MockRequest): StoredChat {
  const id = params.completion_id!
  const stored = memory.chats.get(id)
  if (!stored) throw notFound('chat completion', id)
  return stored
}
