import type {
  AudioPart,
  FilePart,
  ImagePart,
  Part,
  Source,
} from '#openai/conversation/conversation.ts'
import { invalid, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { Family } from './families.ts'
import type {
  AudioBlock,
  BlockSource,
  CachePoint,
  DocumentBlock,
  ImageBlock,
  TextBlock,
} from './wire.ts'

// Content parts as the vendor's blocks ("ImageBlock", "DocumentBlock" and "AudioBlock", API Reference, as read in
// November 2026).

export type PartBlock = TextBlock | ImageBlock | DocumentBlock | AudioBlock

/** What the translation of one conversation shares. */
export interface BlockContext {
  readonly exchange: Exchange
  readonly family: Family
  /** Names of documents that are taken; the vendor refuses two of the same. */
  readonly documents: Set<string>
}

const imageFormats: ReadonlyMap<string, string> = new Map([
  ['image/png', 'png'],
  ['image/jpeg', 'jpeg'],
  ['image/jpg', 'jpeg'],
  ['image/gif', 'gif'],
  ['image/webp', 'webp'],
])

const documentFormats: ReadonlyMap<string, string> = new Map([
  ['application/pdf', 'pdf'],
  ['text/csv', 'csv'],
  ['application/msword', 'doc'],
  ['application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'docx'],
  ['application/vnd.ms-excel', 'xls'],
  ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 'xlsx'],
  ['text/html', 'html'],
  ['text/plain', 'txt'],
  ['text/markdown', 'md'],
])
const documentExtensions: ReadonlySet<string> = new Set([...documentFormats.values()])

/** URLs among the parts whose content has to be fetched; the vendor reads only its own storage. */
export function urlsOf(parts: readonly Part[]): string[] {
  return parts.flatMap((part) =>
    (part.type === 'image' || part.type === 'file') &&
    part.source.kind === 'url' &&
    /^https?:/i.test(part.source.url)
      ? [part.source.url]
      : [],
  )
}

/** One part; undefined for a text without a visible character, which the vendor refuses. */
export function blockOf(part: Part, context: BlockContext): PartBlock | undefined {
  switch (part.type) {
    case 'text':
      return part.text.trim() === '' ? undefined : { text: part.text }
    case 'image':
      if (part.detail !== undefined && part.detail !== 'auto') {
        context.exchange.drop(`${part.param}.image_url.detail`)
      }
      return imageBlock(part, context)
    case 'file':
      return fileBlock(part, context)
    case 'audio':
      return audioBlock(part, context)
    default:
      return part satisfies never
  }
}

/** The block that marks the end of a cacheable prefix; undefined where the model has no cache, which is declared. */
export function cachePoint(
  { cacheControl, param }: Pick<Part, 'cacheControl' | 'param'>,
  { exchange, family }: Pick<BlockContext, 'exchange' | 'family'>,
  isPossible = family.caches,
): CachePoint | undefined {
  if (!cacheControl) return undefined
  if (!isPossible) {
    exchange.drop(`${param}.cache_control`)
    return undefined
  }
  const { ttl } = cacheControl
  if (ttl === undefined) return { cachePoint: { type: 'default' } }
  if (family.cacheTtl && (ttl === '5m' || ttl === '1h')) {
    return { cachePoint: { type: 'default', ttl } }
  }
  exchange.drop(`${param}.cache_control.ttl`)
  return { cachePoint: { type: 'default' } }
}

interface Content {
  readonly mediaType: string | undefined
  readonly source: BlockSource
}

function contentOf(part: ImagePart | FilePart, { exchange }: BlockContext): Content {
  const source: Source = part.source
  switch (source.kind) {
    case 'data':
      return { mediaType: source.mediaType, source: { bytes: source.base64 } }
    case 'file':
      throw unsupported(
        part.param,
        'This provider keeps no files: send the content as a data URL, or name an s3:// object.',
      )
    case 'url': {
      if (/^s3:/i.test(source.url)) {
        return { mediaType: undefined, source: { s3Location: { uri: source.url } } }
      }
      if (!/^https?:/i.test(source.url)) {
        throw unsupported(part.param, 'This provider takes http(s) and s3 URLs only.')
      }
      const resource = exchange.resources.get(source.url)
      if (!resource) throw invalid(part.param, 'What this URL refers to could not be fetched.')
      return { mediaType: resource.mediaType, source: { bytes: resource.base64 } }
    }
    default:
      return source satisfies never
  }
}

function imageBlock(part: ImagePart | FilePart, context: BlockContext): ImageBlock {
  const { mediaType, source } = contentOf(part, context)
  const named = extensionOf(part.source.kind === 'url' ? part.source.url : undefined)
  const format =
    mediaType === undefined ? imageFormats.get(`image/${named}`) : imageFormats.get(mediaType)
  if (format !== undefined) return { image: { format, source } }
  throw unsupported(
    part.param,
    `This provider takes JPEG, PNG, GIF and WebP images, not '${mediaType ?? named}'.`,
  )
}

function fileBlock(part: FilePart, context: BlockContext): ImageBlock | DocumentBlock {
  const { mediaType, source } = contentOf(part, context)
  if (mediaType?.startsWith('image/')) return imageBlock(part, context)
  const url = part.source.kind === 'url' ? part.source.url : undefined
  const name = part.filename ?? url?.split(/[?#]/, 1)[0]?.split('/').at(-1)
  const extension = extensionOf(name)
  const byType = mediaType === undefined ? undefined : documentFormats.get(mediaType)
  // Some servers and clients call everything a stream of octets; the name knows better.
  const format = byType ?? (documentExtensions.has(extension) ? extension : textFormat(mediaType))
  if (format === undefined) {
    throw unsupported(
      part.param,
      `This provider takes pdf, csv, doc, docx, xls, xlsx, html, txt and md documents and images, not '${mediaType ?? extension}'.`,
    )
  }
  return { document: { format, name: documentName(name, context.documents), source } }
}

/** Other kinds of text are still text. */
function textFormat(mediaType: string | undefined): string | undefined {
  return mediaType !== undefined &&
    /^text\/|^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|x-yaml)$/.test(mediaType)
    ? 'txt'
    : undefined
}

/** Letters, digits, single spaces, `-()[]`, at most 200 of them, and no two alike. */
function documentName(filename: string | undefined, taken: Set<string>): string {
  const base =
    (filename ?? '')
      .replace(/\.[^.]*$/, '')
      .replaceAll(/[^a-zA-Z0-9()[\] -]/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim()
      .slice(0, 190)
      .trim() || 'document'
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base} (${n})`
  taken.add(name)
  return name
}

function extensionOf(name: string | undefined): string {
  return /\.([a-z0-9]{1,8})(?:[?#].*)?$/i.exec(name ?? '')?.[1]?.toLowerCase() ?? ''
}

function audioBlock(part: AudioPart, { family }: BlockContext): AudioBlock {
  if (family.audio) return { audio: { format: part.format, source: { bytes: part.base64 } } }
  throw unsupported(part.param, 'This model does not take audio.')
}
