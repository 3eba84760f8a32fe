import type { Fields } from '../conversation/fields.ts'
import { invalid, record, text, unsupported } from '../conversation/fields.ts'
import type { Places } from './places.ts'

/**
 * The content of a message or of a tool's output as chat has it: a string where it is nothing but one text. `place` is
 * where it stands in the request, `chat` where it will stand in the chat request.
 */
export function bridgeContent(
  content: unknown,
  place: string,
  chat: string,
  places: Places,
): string | Fields[] {
  places.note(chat, place)
  if (content === undefined || content === null) return ''
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw invalid(place, 'Expected text or a list of parts.')
  const parts = (content as unknown[]).map((given, j) => {
    places.note(`${chat}[${j}]`, `${place}[${j}]`)
    return bridgePart(record(given), `${place}[${j}]`)
  })
  const [only] = parts
  const isPlain = parts.length === 1 && only!['type'] === 'text' && Object.keys(only!).length === 2
  if (!isPlain) return parts
  places.note(chat, `${place}[0]`)
  return only!['text'] as string
}

/** `parsed` is left by the SDK's helpers in what they have read. */
const ownOfText = new Set(['type', 'text', 'annotations', 'logprobs', 'parsed'])

function bridgePart(part: Fields, place: string): Fields {
  const { type } = part
  switch (type) {
    case 'input_text':
    case 'output_text':
    case 'text': {
      const written = text(part['text'])
      if (written === undefined) throw invalid(`${place}.text`, 'A text part needs its text.')
      return { type: 'text', text: written, ...beyond(part, ownOfText) }
    }
    case 'refusal':
      return { type: 'refusal', refusal: text(part['refusal']) ?? '' }
    case 'input_image':
      return image(part, place)
    case 'input_file':
      return file(part)
    case 'input_audio':
      return { type: 'input_audio', input_audio: part['input_audio'] }
    default:
      throw invalid(
        `${place}.type`,
        `Content parts of type '${text(type) ?? ''}' are not known here.`,
      )
  }
}

const ownOfImage = new Set(['type', 'image_url', 'file_id', 'detail'])

function image(part: Fields, place: string): Fields {
  const given = part['image_url']
  const url = text(given) ?? text(record(given)['url'])
  if (url === undefined) {
    const isFile = text(part['file_id']) !== undefined
    throw isFile
      ? unsupported(
          `${place}.file_id`,
          'This provider takes images as URLs or as data, not as uploaded files.',
        )
      : invalid(`${place}.image_url`, 'An image part needs its image_url.')
  }
  const detail = text(part['detail'])
  return {
    type: 'image_url',
    image_url: {
      url,
      // Chat has no word for the size as it is.
      ...(detail !== undefined && { detail: detail === 'original' ? 'high' : detail }),
    },
    ...beyond(part, ownOfImage),
  }
}

const ownOfFile = new Set(['type', 'file_data', 'file_url', 'file_id', 'filename', 'detail'])

function file(part: Fields): Fields {
  const named = (['filename', 'file_data', 'file_url', 'file_id'] as const).flatMap((name) => {
    const found = text(part[name])
    return found === undefined ? [] : [[name, found]]
  })
  return { type: 'file', file: Object.fromEntries(named), ...beyond(part, ownOfFile) }
}

function beyond(part: Fields, known: ReadonlySet<string>): Fields {
  return Object.fromEntries(
    Object.entries(part).filter(([name, value]) => !known.has(name) && value !== null),
  )
}
