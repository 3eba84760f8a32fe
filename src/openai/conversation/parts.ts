import type { CacheControl, Part, Source, TextPart } from './conversation.ts'
import { type Fields, invalid, isRecord, record, text } from './fields.ts'

const dataUrl = /^data:([^;,]*)((?:;[^;,]*)*),/i

/** The content of a message in one form; a string is one text part. Empty texts are kept. */
export function readParts(message: Fields, param: string): Part[] {
  const { content } = message
  const ofMessage = cacheControlOf(message)
  if (typeof content === 'string') {
    return content === ''
      ? []
      : [{ type: 'text', text: content, param: `${param}.content`, cacheControl: ofMessage }]
  }
  if (!Array.isArray(content)) return []
  const parts = content.map((given, j) => readPart(record(given), `${param}.content[${j}]`))
  const last = parts.at(-1)
  // A marker on the message means the end of its content.
  if (ofMessage && last && !last.cacheControl)
    parts[parts.length - 1] = { ...last, cacheControl: ofMessage }
  return parts
}

/** As `readParts`, for messages that hold nothing but text. */
export function textParts(message: Fields, param: string): TextPart[] {
  return readParts(message, param).map((part) => {
    if (part.type === 'text') return part
    throw invalid(
      part.param,
      `A ${String(message['role'])} message holds text only, no ${part.type}.`,
    )
  })
}

function readPart(part: Fields, param: string): Part {
  const cacheControl = cacheControlOf(part)
  const { type } = part
  switch (type) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: required(part['text'], `${param}.text`), param, cacheControl }
    case 'refusal':
      return {
        type: 'text',
        text: required(part['refusal'], `${param}.refusal`),
        param,
        cacheControl,
      }
    case 'image_url': {
      const image = part['image_url']
      const url = required(isRecord(image) ? image['url'] : image, `${param}.image_url.url`)
      const source = sourceOf(url, `${param}.image_url.url`)
      return { type: 'image', source, detail: text(record(image)['detail']), param, cacheControl }
    }
    case 'input_audio': {
      const audio = record(part['input_audio'])
      const base64 = required(audio['data'], `${param}.input_audio.data`)
      const format = required(audio['format'], `${param}.input_audio.format`)
      assertBase64(base64, `${param}.input_audio.data`)
      return { type: 'audio', base64, format, param, cacheControl }
    }
    case 'file':
      return readFile(part, param, cacheControl)
    default:
      throw invalid(`${param}.type`, `Content parts of type '${String(type)}' are not known.`)
  }
}

function readFile(written: Fields, param: string, cacheControl: CacheControl | undefined): Part {
  const file = record(written['file'])
  const filename = text(file['filename'])
  const data = text(file['file_data'])
  const url = text(file['file_url'])
  const id = text(file['file_id'])
  const base = { type: 'file', filename, written, param, cacheControl } as const
  if (data !== undefined) {
    // Some clients send bare base64; the name then says what it is.
    const source: Source = dataUrl.test(data.slice(0, 300))
      ? sourceOf(data, `${param}.file.file_data`)
      : { kind: 'data', mediaType: octets, base64: data }
    return { ...base, source: named(source, filename) }
  }
  if (url !== undefined) return { ...base, source: sourceOf(url, `${param}.file.file_url`) }
  if (id !== undefined) return { ...base, source: { kind: 'file', id } }
  throw invalid(`${param}.file`, 'A file part needs file_data, file_url or file_id.')
}

const octets = 'application/octet-stream'

/** What is only said to be a stream of octets is what its name says. */
function named(source: Source, filename: string | undefined): Source {
  if (source.kind !== 'data' || source.mediaType !== octets) return source
  return { ...source, mediaType: typeByName(filename) }
}

/** The media type that a file's name tells. A name that tells none is taken for that of a PDF, what most files are. */
export function typeByName(filename: string | undefined): string {
  const [, extension] = /\.([a-z][a-z0-9]{0,7})$/i.exec(filename ?? '') ?? []
  if (extension === undefined) return 'application/pdf'
  return typesByExtension.get(extension.toLowerCase()) ?? octets
}

const office = 'application/vnd.openxmlformats-officedocument'
const typesByExtension: ReadonlyMap<string, string> = new Map([
  ['pdf', 'application/pdf'],
  ['txt', 'text/plain'],
  ['md', 'text/markdown'],
  ['csv', 'text/csv'],
  ['html', 'text/html'],
  ['json', 'application/json'],
  ['xml', 'application/xml'],
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
  ['doc', 'application/msword'],
  ['docx', `${office}.wordprocessingml.document`],
  ['xls', 'application/vnd.ms-excel'],
  ['xlsx', `${office}.spreadsheetml.sheet`],
  ['pptx', `${office}.presentationml.presentation`],
])

/** A `data:` URL taken apart, or any other URL as it is. Throws for a `data:` URL that is not base64. */
export function sourceOf(url: string, param: string): Source {
  if (!/^data:/i.test(url)) {
    if (/^(?:https?|gs|s3):\/\//i.test(url)) return { kind: 'url', url }
    throw invalid(param, 'Expected an http(s) URL or a data URL.')
  }
  const match = dataUrl.exec(url.slice(0, 1000))
  if (!match || !/;base64$/i.test(match[2] ?? '')) {
    throw invalid(param, 'Expected a data URL of the form data:<type>;base64,<data>.')
  }
  const base64 = url.slice(match[0].length)
  assertBase64(base64, param)
  return { kind: 'data', mediaType: (match[1] || 'text/plain').toLowerCase(), base64 }
}

/** The alphabet is looked at only at both ends: the provider reads the rest, and images may be large. */
function assertBase64(base64: string, param: string): void {
  const ends = base64.slice(0, 200) + base64.slice(-200)
  if (base64 === '' || !/^[A-Za-z0-9+/=_\s-]+$/.test(ends)) {
    throw invalid(param, 'The data is not valid base64.')
  }
}

function required(value: unknown, param: string): string {
  if (typeof value === 'string') return value
  throw invalid(param, `'${param}' must be a string.`)
}

/** The cache marker of a message, part or tool; OpenAI's own explicit breakpoint counts as one. */
export function cacheControlOf(holder: Fields): CacheControl | undefined {
  const own = holder['cache_control']
  if (isRecord(own)) return own
  return isRecord(holder['prompt_cache_breakpoint']) ? { type: 'ephemeral' } : undefined
}
