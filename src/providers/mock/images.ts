import { deflateSync } from 'node:zlib'

import { type Answer, events, invalid, json, missing, typedFrame } from './answer.ts'
import type { MockRequest } from './request.ts'
import { countTokens } from './text.ts'
import { numberOf, stringOf } from './wire.ts'

/** A valid PNG of one pixel, in base64. */
export const PIXEL = png().toString('base64')

const maxImages = 10

/** `POST /images/generations` */
export function generateImage(request: MockRequest): Answer {
  if (stringOf(request.body.prompt) === undefined) throw missing('prompt')
  return draw(request, 'image_generation')
}

/** `POST /images/edits`, as a form with files or as JSON with references. */
export function editImage(request: MockRequest): Answer {
  const { body, files } = request
  if (stringOf(body.prompt) === undefined) throw missing('prompt')
  const given = files.has('image') || files.has('image[]') || body.image !== undefined
  if (!given && body.images === undefined) throw missing('image')
  return draw(request, 'image_edit')
}

/** `POST /images/variations` */
export function varyImage(request: MockRequest): Answer {
  if (!request.files.has('image')) throw missing('image')
  return draw(request, 'image_generation')
}

function draw({ body, stream, now }: MockRequest, family: string): Answer {
  const count = numberOf(body.n) ?? 1
  if (!Number.isInteger(count) || count < 1 || count > maxImages) {
    throw invalid('n', `a whole number from 1 to ${maxImages}`)
  }
  const settings = {
    background: stringOf(body.background) ?? 'opaque',
    output_format: stringOf(body.output_format) ?? 'png',
    quality: stringOf(body.quality) ?? 'low',
    size: stringOf(body.size) ?? '1024x1024',
  }
  const input = countTokens(stringOf(body.prompt) ?? '')
  const usage = {
    input_tokens: input,
    input_tokens_details: { text_tokens: input, image_tokens: 0 },
    output_tokens: 16 * count,
    output_tokens_details: { text_tokens: 0, image_tokens: 16 * count },
    total_tokens: input + 16 * count,
  }
  if (!stream) {
    const image =
      body.response_format === 'url'
        ? { url: `data:image/png;base64,${PIXEL}` }
        : { b64_json: PIXEL }
    return json({
      created: now,
      data: Array.from({ length: count }, () => image),
      ...settings,
      usage,
    })
  }
  const partial = Math.min(Math.max(numberOf(body.partial_images) ?? 0, 0), 3)
  const image = { b64_json: PIXEL, created_at: now, ...settings }
  const frames = Array.from({ length: partial }, (_, partial_image_index) =>
    typedFrame({ type: `${family}.partial_image`, ...image, partial_image_index }),
  )
  frames.push(typedFrame({ type: `${family}.completed`, ...image, usage }))
  return events(frames)
}

function png(): Buffer {
  const size = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])
  // One row: no filter, then red, green and blue.
  const pixels = deflateSync(Buffer.from([0, 255, 170, 0]))
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    pngChunk('IHDR', size),
    pngChunk('IDAT', pixels),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

function pngChunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(Bun.hash.crc32(body), body.length + 4)
  return framed
}
