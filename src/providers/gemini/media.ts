import type {
  AudioPart,
  Conversation,
  FilePart,
  ImagePart,
} from '#openai/conversation/conversation.ts'
import { unsupported } from '#openai/conversation/fields.ts'

import type { Resources } from '../provider.ts'
import { textOfFile } from '../text-file.ts'
import type { Surface } from './surface.ts'
import type { Part } from './wire.ts'

// Pictures, sound and documents ("Part", "Files API" and "Video understanding", as read in November 2026).

const storedFile =
  /^https:\/\/generativelanguage\.googleapis\.com\/v1(?:beta|alpha)?\/files\/[^/]+$/
const video = /^https?:\/\/(?:(?:www\.|m\.)?youtube\.com\/|youtu\.be\/)/i

/** True for what the vendor reads by its address. */
function isReadByVendor(url: string, { cloudFiles }: Surface): boolean {
  return video.test(url) || (cloudFiles ? /^gs:\/\//i.test(url) : storedFile.test(url))
}

/** The URLs whose content has to travel inside the request. */
export function resourcesOf(conversation: Conversation, surface: Surface): readonly string[] {
  const urls: string[] = []
  for (const { parts } of conversation.turns) {
    for (const part of parts) {
      if (part.type === 'text' || part.type === 'audio' || part.source.kind !== 'url') continue
      const { url } = part.source
      if (/^https?:/i.test(url) && !isReadByVendor(url, surface)) urls.push(url)
    }
  }
  return urls
}

/** A part that is no text. Throws a 400 naming the part for what the vendor cannot be sent. */
export function mediaPart(
  part: ImagePart | AudioPart | FilePart,
  resources: Resources,
  surface: Surface,
): Part {
  if (part.type === 'audio') {
    return { inlineData: { mimeType: audioType(part), data: part.base64 } }
  }
  const { source, param } = part
  switch (source.kind) {
    case 'data':
      return dataPart(part, source.mediaType, source.base64)
    case 'file':
      return { fileData: { fileUri: fileUri(source.id, param, surface) } }
    case 'url': {
      const { url } = source
      if (isReadByVendor(url, surface)) return { fileData: withType(url) }
      const resource = resources.get(url)
      if (!resource) throw unsupported(param, 'This URL cannot be read by this provider.')
      return dataPart(part, resource.mediaType, resource.base64)
    }
  }
}

function dataPart(part: ImagePart | FilePart, mimeType: string, base64: string): Part {
  if (part.type === 'image') {
    if (!mimeType.startsWith('image/')) {
      throw unsupported(part.param, `An image is expected here, not '${mimeType}'.`)
    }
    return { inlineData: { mimeType, data: base64 } }
  }
  if (mimeType.startsWith('application/') && mimeType !== 'application/pdf') {
    const source = { kind: 'data', mediaType: mimeType, base64 } as const
    const text = textOfFile({ ...part, source })
    if (text !== undefined) return { text }
  }
  return { inlineData: { mimeType, data: base64 } }
}

/** `files/x` is what the vendor calls a file of its own; a bare id is its last part. */
function fileUri(id: string, param: string, { cloudFiles }: Surface): string {
  if (storedFile.test(id) || video.test(id)) return id
  if (cloudFiles && id.startsWith('gs://')) return id
  if (!cloudFiles && /^(?:files\/)?[a-z0-9-]{1,40}$/.test(id) && !id.startsWith('file-')) {
    return `https://generativelanguage.googleapis.com/v1beta/files/${id.replace('files/', '')}`
  }
  throw unsupported(`${param}.file.file_id`, 'This is no file of this provider.')
}

const typesByExtension: ReadonlyMap<string, string> = new Map([
  ['pdf', 'application/pdf'],
  ['txt', 'text/plain'],
  ['md', 'text/markdown'],
  ['csv', 'text/csv'],
  ['html', 'text/html'],
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['webp', 'image/webp'],
  ['heic', 'image/heic'],
  ['wav', 'audio/wav'],
  ['mp3', 'audio/mp3'],
  ['mp4', 'video/mp4'],
  ['mov', 'video/mov'],
  ['webm', 'video/webm'],
])

function withType(url: string): NonNullable<Part['fileData']> {
  const extension = /\.([a-z0-9]+)$/i.exec(url)?.[1]?.toLowerCase() ?? ''
  const mimeType = typesByExtension.get(extension)
  return { fileUri: url, ...(mimeType !== undefined && { mimeType }) }
}

const audioTypes: ReadonlyMap<string, string> = new Map([
  ['wav', 'audio/wav'],
  ['mp3', 'audio/mp3'],
  ['aiff', 'audio/aiff'],
  ['aac', 'audio/aac'],
  ['ogg', 'audio/ogg'],
  ['flac', 'audio/flac'],
])

function audioType({ format, param }: AudioPart): string {
  const type = audioTypes.get(format.toLowerCase())
  if (type !== undefined) return type
  throw unsupported(
    `${param}.input_audio.format`,
    `This provider reads ${[...audioTypes.keys()].join(', ')}, not '${format}'.`,
  )
}
