import type { WriteEvent } from './responses-calls.ts'
import type { Item } from './responses-object.ts'
import type { UrlCitation } from './writer.ts'

type TextPart = { type: 'output_text'; text: string; annotations: unknown[]; logprobs: unknown[] }
type RefusalPart = { type: 'refusal'; refusal: string }

/** A message that is being written. */
export interface OpenMessage {
  readonly item: Item
  text(piece: string): void
  refusal(piece: string): void
  annotation(annotation: UrlCitation): void
  logprobs(tokens: readonly unknown[]): void
  close(status: string): void
}

/** Opens a message item. `textBefore` is how much text earlier messages of the answer hold. */
export function openMessage(
  id: string,
  index: number,
  textBefore: number,
  write: WriteEvent,
): OpenMessage {
  const parts: (TextPart | RefusalPart)[] = []
  const item: Item = { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] }
  const quotedId = JSON.stringify(id)
  write('response.output_item.added', `"output_index":${index},"item":${JSON.stringify(item)}`)
  item['content'] = parts
  let isClosed = false
  let isPartOpen = false
  let where = ''

  function openPart<P extends TextPart | RefusalPart>(part: P): P {
    closePart()
    parts.push(part)
    isPartOpen = true
    where = `"item_id":${quotedId},"output_index":${index},"content_index":${parts.length - 1}`
    write('response.content_part.added', `${where},"part":${JSON.stringify(part)}`)
    return part
  }

  function textPart(): TextPart {
    const last = parts.at(-1)
    if (last?.type === 'output_text') return last
    return openPart({ type: 'output_text', text: '', annotations: [], logprobs: [] })
  }

  function closePart(): void {
    const part = parts.at(-1)
    if (!part || !isPartOpen) return
    isPartOpen = false
    if (part.type === 'refusal') {
      write('response.refusal.done', `${where},"refusal":${JSON.stringify(part.refusal)}`)
    } else {
      const { text, logprobs } = part
      write(
        'response.output_text.done',
        `${where},"text":${JSON.stringify(text)},"logprobs":${JSON.stringify(logprobs)}`,
      )
    }
    write('response.content_part.done', `${where},"part":${JSON.stringify(part)}`)
  }

  return {
    item,
    text(piece) {
      const part = textPart()
      part.text += piece
      write('response.output_text.delta', `${where},"delta":${JSON.stringify(piece)},"logprobs":[]`)
    },
    refusal(piece) {
      const last = parts.at(-1)
      const part = last?.type === 'refusal' ? last : openPart({ type: 'refusal', refusal: '' })
      part.refusal += piece
      write('response.refusal.delta', `${where},"delta":${JSON.stringify(piece)}`)
    },
    annotation({ url_citation: { url, title = '', start_index, end_index } }) {
      // A source that comes after its message is only found in the finished response.
      const texts = parts.filter((part) => part.type === 'output_text')
      const part = isClosed ? texts.at(-1) : textPart()
      if (!part) return
      const annotation = {
        type: 'url_citation',
        url,
        title,
        start_index: Math.max(0, (start_index ?? 0) - textBefore),
        end_index: Math.max(0, (end_index ?? 0) - textBefore),
      }
      part.annotations.push(annotation)
      if (isClosed) return
      const at = part.annotations.length - 1
      write(
        'response.output_text.annotation.added',
        `${where},"annotation_index":${at},"annotation":${JSON.stringify(annotation)}`,
      )
    },
    logprobs(tokens) {
      const texts = parts.filter((part) => part.type === 'output_text')
      const part = texts.at(-1) ?? (isClosed ? undefined : textPart())
      part?.logprobs.push(...tokens)
    },
    close(status) {
      closePart()
      isClosed = true
      item.status = status
      write('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`)
    },
  }
}
