import { elementsAt, membersAt, removeMembers } from '#lib/json.ts'
import type { Edit, Span } from '#lib/json.ts'
import { isOwnReasoning } from '#openai/bridge/seal.ts'
import { isRecord } from '#openai/conversation/fields.ts'

export interface Items {
  readonly text: string
  /** Offset of the bracket of `input` in the text; asked for only when something has to change. */
  readonly startsAt: () => number
  readonly items: readonly unknown[]
  /** Notes a place whose loss is declared. */
  readonly drop: (place: string) => void
}

/** Members that this gateway's items have besides OpenAI's. */
const ownMembers = ['extra_content']

/**
 * The changes that leave out of a Responses request what only this gateway understands: reasoning of other vendors as
 * it was packed here, and members of its own. For `applyEdits`.
 */
export function itemEdits({ text, startsAt, items, drop }: Items): Edit[] {
  const edits: Edit[] = []
  const gone: number[] = []
  let spans: readonly Span[] | undefined
  items.forEach((item, at) => {
    if (!isRecord(item)) return
    if (isOwnReasoning(item)) {
      gone.push(at)
      drop(`input[${at}]`)
      return
    }
    const lost = ownMembers.filter((name) => item[name] !== undefined)
    if (lost.length === 0) return
    spans ??= elementsAt(text, startsAt())
    edits.push(...removeMembers({ members: membersAt(text, spans[at]!.start) }, lost))
    for (const name of lost) if (item[name] !== null) drop(`input[${at}].${name}`)
  })
  if (gone.length > 0) edits.push(...withoutElements(spans ?? elementsAt(text, startsAt()), gone))
  return edits
}

/** Takes elements out of a list, each with one comma. `gone` are their numbers, in rising order. */
function withoutElements(spans: readonly Span[], gone: readonly number[]): Edit[] {
  const edits: Edit[] = []
  const lost = new Set(gone)
  const lastKept = spans.findLastIndex((_, at) => !lost.has(at))
  for (const at of gone) {
    if (at < lastKept) edits.push({ start: spans[at]!.start, end: spans[at + 1]!.start, text: '' })
  }
  if (lastKept < spans.length - 1) {
    const start = lastKept === -1 ? spans[0]!.start : spans[lastKept]!.end
    edits.push({ start, end: spans.at(-1)!.end, text: '' })
  }
  return edits
}
