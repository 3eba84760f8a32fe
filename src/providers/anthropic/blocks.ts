import type { FilePart, ImagePart, Part, Source } from '#openai/conversation/conversation.ts'
import { invalid, record, unsupported } from '#openai/conversation/fields.ts'

import type { Resources } from '../provider.ts'
import type { BlockSource, DocumentBlock, ImageBlock, TextBlock } from './wire.ts'

// Content parts as the vendor's blocks (docs pages "Vision" and "PDF support", as read in November 2026).

const imageTypes: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/png',
  'image/gif',
  'image/webp',
])

/** What one part needs besides itself. */
export interface PartContext {
  readonly resources: Resources
  /** URLs are not the vendor's business in this home of it: their content is sent. */
  readonly downloadsUrls: boolean
  drop(place: string): void
}

/** One part; undefined for a text without a visible character, which the vendor refuses. */
export function blockOf(
  part: Part,
  context: PartContext,
): TextBlock | ImageBlock | DocumentBlock | undefined {
  switch (part.type) {
    case 'text':
      return part.text.trim() === '' ? undefined : { type: 'text', text: part.text }
    case 'image':
      if (part.detail !== undefined && part.detail !== 'auto') {
        context.drop(`${part.param}.image_url.detail`)
      }
      return { type: 'image', source: imageSource(part, fetched(part, context)) }
    case 'file':
      return fileBlock(part, fetched(part, context))
    case 'audio':
      throw unsupported(part.param, 'This provider does not take audio.')
    default:
      return part satisfies never
  }
}

function fetched(part: ImagePart | FilePart, context: PartContext): Source {
  const { source } = part
  if (source.kind !== 'url') return source
  if (!context.downloadsUrls) {
    if (/^https?:/i.test(source.url)) return source
    throw unsupported(part.param, 'This provider fetches http(s) URLs only.')
  }
  const resource = context.resources.get(source.url)
  if (!resource) throw invalid(part.param, 'What this URL refers to could not be fetched.')
  return { kind: 'data', ...resource }
}

function imageSource(part: ImagePart | FilePart, source: Source): BlockSource {
  if (source.kind === 'url') return { type: 'url', url: source.url }
  if (source.kind === 'file') return { type: 'file', file_id: source.id }
  const type = source.mediaType === 'image/jpg' ? 'image/jpeg' : source.mediaType
  if (imageTypes.has(type)) return { type: 'base64', media_type: type, data: source.base64 }
  throw unsupported(
    part.param,
    `This provider takes JPEG, PNG, GIF and WebP images, not '${type}'.`,
  )
}

function fileBlock(part: FilePart, source: Source): ImageBlock | DocumentBlock {
  if (source.kind === 'data' && source.mediaType.startsWith('image/')) {
    return { type: 'image', source: imageSource(part, source) }
  }
  const title = part.filename === undefined ? undefined : { title: part.filename.slice(0, 500) }
  return { type: 'document', source: documentSource(part, source), ...title, ...ownOf(part) }
}

/** Members of a document that only this vendor has; they stand beside `file`, or in it. */
export const documentMembers = ['citations', 'context']

function ownOf({ written }: FilePart): Readonly<Record<string, unknown>> {
  const file = record(written['file'])
  return Object.fromEntries(
    documentMembers.flatMap((name) => {
      const value = written[name] ?? file[name]
      return value === undefined || value === null ? [] : [[name, value]]
    }),
  )
}

function documentSource(part: FilePart, source: Source): BlockSource {
  if (source.kind === 'url') return { type: 'url', url: source.url }
  if (source.kind === 'file') return { type: 'file', file_id: source.id }
  const { mediaType: type, base64 } = source
  if (type === 'application/pdf') return { type: 'base64', media_type: type, data: base64 }
  if (isText(type)) {
    const data = Buffer.from(base64, 'base64').toString('utf8')
    return { type: 'text', media_type: 'text/plain', data }
  }
  throw unsupported(
    part.param,
    `This provider takes PDF and text documents and images, not '${type}'.`,
  )
}

function isText(type: string): boolean {
  return (
    type.startsWith('text/') || /^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|x-yaml)$/.test(type)
  )
}
