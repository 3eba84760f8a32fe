import { newId } from '#lib/id.ts'

import { type Answer, content, json, missing, notFound } from './answer.ts'
import { page, type StoredFile, type StoredObject } from './memory.ts'
import type { MockRequest } from './request.ts'
import { stringOf } from './wire.ts'

/** `POST /containers` */
export function createContainer({ body, memory, now }: MockRequest): Answer {
  const name = stringOf(body.name)
  if (name === undefined) throw missing('name')
  const id = `cntr_${newId()}`
  const object = {
    id,
    object: 'container',
    created_at: now,
    status: 'running',
    expires_after: body.expires_after ?? { anchor: 'last_active_at', minutes: 20 },
    last_active_at: now,
    memory_limit: body.memory_limit ?? '1g',
    name,
  }
  memory.containers.put({ id, object }, JSON.stringify(object).length)
  return json(object)
}

/** `GET /containers` */
export function listContainers({ memory, query }: MockRequest): Answer {
  return json(
    page(
      memory.containers.all().map(({ id, object }) => ({ ...object, id })),
      query,
    ),
  )
}

/** `GET /containers/{id}` */
export function retrieveContainer(request: MockRequest): Answer {
  return json(findContainer(request).object)
}

/** `DELETE /containers/{id}`, with the files in it. */
export function deleteContainer(request: MockRequest): Answer {
  const { memory } = request
  const { id } = findContainer(request)
  memory.containers.take(id)
  for (const file of memory.containerFiles.all()) {
    if (file.containerId === id) memory.containerFiles.take(file.id)
  }
  return json({ id, object: 'container.deleted', deleted: true })
}

/** `POST /containers/{id}/files`: a form with the file, or JSON with the id of one that is here. */
export async function createContainerFile(request: MockRequest): Promise<Answer> {
  const { body, files, memory, now } = request
  const container = findContainer(request)
  const sent = files.get('file')
  const reference = stringOf(body.file_id)
  if (!sent && reference === undefined) throw missing('file')
  const known = reference === undefined ? undefined : memory.files.get(reference)
  if (!sent && !known) throw notFound('file', reference!)
  const bytes = sent ? new Uint8Array(await sent.arrayBuffer()) : known!.bytes
  const name = sent ? sent.name : String(known!.object.filename)
  const id = `cfile_${newId()}`
  const object = {
    id,
    object: 'container.file',
    created_at: now,
    bytes: bytes.length,
    container_id: container.id,
    path: `/mnt/data/${name}`,
    source: 'user',
  }
  const contentType = 'application/octet-stream'
  memory.containerFiles.put(
    { id, object, bytes, contentType, containerId: container.id },
    bytes.length,
  )
  return json(object)
}

/** `GET /containers/{id}/files` */
export function listContainerFiles(request: MockRequest): Answer {
  const container = findContainer(request)
  const found = request.memory.containerFiles
    .all()
    .filter(({ containerId }) => containerId === container.id)
    .map(({ id, object }) => ({ ...object, id }))
  return json(page(found, request.query))
}

/** `GET /containers/{id}/files/{file_id}` */
export function retrieveContainerFile(request: MockRequest): Answer {
  return json(findFile(request).object)
}

/** `GET /containers/{id}/files/{file_id}/content` */
export function downloadContainerFile(request: MockRequest): Answer {
  const { bytes, contentType } = findFile(request)
  return content(bytes, contentType)
}

/** `DELETE /containers/{id}/files/{file_id}` */
export function deleteContainerFile(request: MockRequest): Answer {
  const { id } = findFile(request)
  request.memory.containerFiles.take(id)
  return json({ id, object: 'container.file.deleted', deleted: true })
}

function findContainer({ memory, params }: MockRequest): StoredObject {
  const id = params.container_id!
  const container = memory.containers.get(id)
  if (!container) throw notFound('container', id)
  return container
}

function findFile(request: MockRequest): StoredFile {
  const { memory, params } = request
  const container = findContainer(request)
  const id = params.file_id!
  const file = memory.containerFiles.get(id)
  if (file?.containerId !== container.id) throw notFound('container file', id)
  return file
}
