import { newId } from '#lib/id.ts'

import { type Answer, content, json, missing, MockFailure, notFound } from './answer.ts'
import { page, type StoredFile, type StoredUpload } from './memory.ts'
import type { MockRequest } from './request.ts'
import { numberOf, stringOf } from './wire.ts'

const hour = 3600

/** `POST /files` */
export async function uploadFile(request: MockRequest): Promise<Answer> {
  const { body, files } = request
  const file = files.get('file')
  if (!file) throw missing('file')
  const purpose = stringOf(body.purpose)
  if (purpose === undefined) throw missing('purpose')
  const bytes = new Uint8Array(await file.arrayBuffer())
  const seconds = numberOf(body['expires_after[seconds]'])
  const stored = keepFile(request, { filename: file.name, purpose, bytes })
  return json(seconds === undefined ? stored : { ...stored, expires_at: request.now + seconds })
}

/** Keeps a file and returns its object. */
export function keepFile(
  { memory, now }: Pick<MockRequest, 'memory' | 'now'>,
  file: { filename: string; purpose: string; bytes: Uint8Array<ArrayBuffer> },
): Record<string, unknown> {
  const { filename, purpose, bytes } = file
  const id = `file-${newId()}`
  const object = {
    id,
    object: 'file',
    bytes: bytes.length,
    created_at: now,
    expires_at: null,
    filename,
    purpose,
    status: 'processed',
  }
  memory.files.put({ id, object, bytes, contentType: 'application/octet-stream' }, bytes.length)
  return object
}

/** `GET /files`, filtered by `purpose`. */
export function listFiles({ memory, query }: MockRequest): Answer {
  const purpose = query.get('purpose')
  const found = memory.files
    .all()
    .map(({ id, object }) => ({ ...object, id, purpose: object.purpose }))
    .filter((file) => purpose === null || file.purpose === purpose)
  return json(page(found, query))
}

/** `GET /files/{id}` */
export function retrieveFile(request: MockRequest): Answer {
  return json(findFile(request).object)
}

/** `GET /files/{id}/content` */
export function downloadFile(request: MockRequest): Answer {
  const { bytes, contentType } = findFile(request)
  return content(bytes, contentType)
}

/** `DELETE /files/{id}` */
export function deleteFile(request: MockRequest): Answer {
  const { id } = findFile(request)
  request.memory.files.take(id)
  return json({ id, object: 'file', deleted: true })
}

function findFile({ memory, params }: MockRequest): StoredFile {
  const id = params.file_id!
  const stored = memory.files.get(id)
  if (!stored) throw notFound('file', id)
  return stored
}

/** `POST /uploads` */
export function createUpload({ body, memory, now }: MockRequest): Answer {
  for (const name of ['filename', 'purpose', 'bytes', 'mime_type']) {
    if (body[name] === undefined) throw missing(name)
  }
  const id = `upload_${newId()}`
  const object = {
    id,
    object: 'upload',
    bytes: body.bytes,
    created_at: now,
    expires_at: now + hour,
    filename: body.filename,
    purpose: body.purpose,
    status: 'pending',
    file: null,
  }
  memory.uploads.put({ id, object, parts: new Map() }, 0)
  return json(object)
}

/** `POST /uploads/{id}/parts` */
export async function addPart(request: MockRequest): Promise<Answer> {
  const data = request.files.get('data')
  if (!data) throw missing('data')
  const bytes = new Uint8Array(await data.arrayBuffer())
  const upload = findPending(request)
  const id = `part_${newId()}`
  upload.parts.set(id, bytes)
  request.memory.uploads.put(upload, sizeOf(upload.parts.values()))
  return json({ id, object: 'upload.part', created_at: request.now, upload_id: upload.id })
}

/** `POST /uploads/{id}/complete`: the parts in the order given make a file. */
export function completeUpload(request: MockRequest): Answer {
  const { body, memory } = request
  const upload = findPending(request)
  if (!Array.isArray(body.part_ids)) throw missing('part_ids')
  const parts = body.part_ids.map((id) => {
    const part = upload.parts.get(String(id))
    if (!part) throw notFound('upload part', String(id))
    return part
  })
  const bytes = Uint8Array.from(Buffer.concat(parts))
  if (bytes.length !== upload.object.bytes) {
    throw new MockFailure({
      status: 400,
      message: `The parts have ${bytes.length} bytes, the upload was announced with ${String(upload.object.bytes)}.`,
      param: 'part_ids',
    })
  }
  const { filename, purpose } = upload.object
  const file = keepFile(request, { filename: String(filename), purpose: String(purpose), bytes })
  upload.object = { ...upload.object, status: 'completed', file }
  memory.uploads.put({ ...upload, parts: new Map() }, 0)
  return json(upload.object)
}

/** `POST /uploads/{id}/cancel` */
export function cancelUpload(request: MockRequest): Answer {
  const upload = findPending(request)
  upload.object = { ...upload.object, status: 'cancelled' }
  request.memory.uploads.put({ ...upload, parts: new Map() }, 0)
  return json(upload.object)
}

function findPending({ memory, params }: MockRequest): StoredUpload {
  const id = params.upload_id!
  const upload = memory.uploads.get(id)
  if (!upload) throw notFound('upload', id)
  if (upload.object.status !== 'pending') {
    throw new MockFailure({
      status: 400,
      message: `Upload '${id}' is ${String(upload.object.status)}.`,
    })
  }
  return upload
}

function sizeOf(parts: Iterable<Uint8Array>): number {
  let bytes = 0
  for (const part of parts) bytes += part.length
  return bytes
}
