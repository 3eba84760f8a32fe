import { addDetail } from './collector.ts'
import type { WriteEvent } from './responses-calls.ts'
import type { Item } from './responses-object.ts'
import type { ReasoningDetail } from './writer.ts'

/** A reasoning item that is being written. */
export interface OpenReasoning {
  readonly item: Item
  add(detail: ReasoningDetail): void
  close(status: string): void
}

export interface ReasoningRules {
  /** Thoughts may be shown as summaries. */
  readonly shown: boolean
  /** The caller asked for what it needs to send the item back; what has a signature is always packed. */
  readonly packed: boolean
  readonly seal: (details: readonly ReasoningDetail[]) => string
}

/** Opens a reasoning item; each block of thoughts is a part of its summary. */
export function openReasoning(
  id: string,
  index: number,
  rules: ReasoningRules,
  write: WriteEvent,
): OpenReasoning {
  const details: ReasoningDetail[] = []
  const summary: { type: 'summary_text'; text: string }[] = []
  const item: Item = { id, type: 'reasoning', status: 'in_progress', summary: [] }
  write('response.output_item.added', `"output_index":${index},"item":${JSON.stringify(item)}`)
  item['summary'] = summary
  let block: string | undefined
  let where = ''

  function openPart(): void {
    summary.push({ type: 'summary_text', text: '' })
    where = `"item_id":${JSON.stringify(id)},"output_index":${index},"summary_index":${summary.length - 1}`
    write(
      'response.reasoning_summary_part.added',
      `${where},"part":{"type":"summary_text","text":""}`,
    )
  }

  function closePart(): void {
    const part = summary.at(-1)
    if (!part || block === undefined) return
    write('response.reasoning_summary_text.done', `${where},"text":${JSON.stringify(part.text)}`)
    write('response.reasoning_summary_part.done', `${where},"part":${JSON.stringify(part)}`)
  }

  return {
    item,
    add(detail) {
      addDetail(details, detail)
      const piece = detail.text ?? detail.summary ?? ''
      if (!rules.shown || piece === '') return
      const own = `${detail.type} ${detail.index}`
      if (own !== block) {
        closePart()
        block = own
        openPart()
      }
      summary.at(-1)!.text += piece
      write('response.reasoning_summary_text.delta', `${where},"delta":${JSON.stringify(piece)}`)
    },
    close(status) {
      closePart()
      block = undefined
      const isBound = details.some(({ signature, data }) => (signature ?? data) !== undefined)
      if (rules.packed || isBound) item['encrypted_content'] = rules.seal(details)
      item.status = status
      write('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`)
    },
  }
}
