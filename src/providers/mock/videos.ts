import { newId } from '#lib/id.ts'

import { type Answer, content, json, missing, MockFailure, notFound } from './answer.ts'
import { PIXEL } from './images.ts'
import { page, type StoredObject } from './memory.ts'
import type { MockRequest } from './request.ts'
import { stringOf } from './wire.ts'

const hour = 3600

// An `ftyp` box of eight bytes of header and eight of brand: enough to be recognised as MP4.
const mp4 = Uint8Array.from(
  Buffer.from('\u0000\u0000\u0000\u0010ftypisom\u0000\u0000\u0002\u0000', 'latin1'),
)

/** `POST /videos` */
export function createVideo(request: MockRequest): Answer {
  return start(request, null)
}

/** `POST /videos/{id}/remix` */
export function remixVideo(request: MockRequest): Answer {
  return start(request, find(request).id)
}

function start({ body, memory, model, now }: MockRequest, remixed: string | null): Answer {
  if (stringOf(body.prompt) === undefined) throw missing('prompt')
  const id = `video_${newId()}`
  const object = {
    id,
    object: 'video',
    model,
    status: 'queued',
    progress: 0,
    created_at: now,
    completed_at: null,
    expires_at: now + hour,
    error: null,
    prompt: body.prompt,
    remixed_from_video_id: remixed,
    seconds: stringOf(body.seconds) ?? '4',
    size: stringOf(body.size) ?? '720x1280',
  }
  memory.videos.put({ id, object }, JSON.stringify(object).length)
  return json(object)
}

/** `GET /videos` */
export function listVideos({ memory, query }: MockRequest): Answer {
  return json(
    page(
      memory.videos.all().map(({ id, object }) => ({ ...object, id })),
      query,
    ),
  )
}

/** `GET /videos/{id}`: half done at the first look, done at the second. */
export function retrieveVideo(request: MockRequest): Answer {
  const video = find(request)
  const { status } = video.object
  if (status === 'queued') video.object = { ...video.object, status: 'in_progress', progress: 50 }
  else if (status === 'in_progress') {
    video.object = {
      ...video.object,
      status: 'completed',
      progress: 100,
      completed_at: request.now,
    }
  }
  return json(video.object)
}

/** `GET /videos/{id}/content`, with `variant=thumbnail` or `spritesheet` a picture. */
export function downloadVideo(request: MockRequest): Answer {
  const video = find(request)
  if (video.object.status !== 'completed') {
    throw new MockFailure({ status: 400, message: `Video '${video.id}' is not ready yet.` })
  }
  const variant = request.query.get('variant') ?? 'video'
  if (variant === 'video') return content(mp4, 'video/mp4')
  return content(Uint8Array.from(Buffer.from(PIXEL, 'base64')), 'image/png')
}

/** `DELETE /videos/{id}` */
export function deleteVideo(request: MockRequest): Answer {
  const { id } = find(request)
  request.memory.videos.take(id)
  return json({ id, object: 'video.deleted', deleted: true })
}

function find({ memory, params }: MockRequest): StoredObject {
  const id = params.video_id!
  const video = memory.videos.get(id)
  if (!video) throw notFound('video', id)
  return video
}
