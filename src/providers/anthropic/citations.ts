import type { AnswerWriter } from '#openai/answer/writer.ts'
import { isRecord, text } from '#openai/conversation/fields.ts'

/** Tells a writer which sources the text refers to (docs page "Citations", as read in November 2026). */
export interface Citations {
  /** A text block begins. */
  begin(): void
  /** This many more UTF-16 units have been said. */
  advance(units: number): void
  /** A citation that the current block rests on. */
  add(citation: unknown): void
  /** The block is complete; only now is it known how far it reaches. */
  finish(): void
  end(): void
}

export function createCitations(writer: AnswerWriter): Citations {
  let said = 0
  let start = 0
  let pending: { readonly url: string; readonly title: string | undefined }[] = []
  const others: unknown[] = []
  return {
    begin() {
      start = said
    },
    advance(units) {
      said += units
    },
    add(citation) {
      if (!isRecord(citation)) return
      const url = text(citation['url'])
      if (citation['type'] === 'web_search_result_location' && url !== undefined) {
        pending.push({ url, title: text(citation['title']) })
      } else others.push(citation)
    },
    finish() {
      for (const { url, title } of pending) {
        const reach = { start_index: start, end_index: said }
        const source = { url, ...(title !== undefined && { title }), ...reach }
        writer.annotation({ type: 'url_citation', url_citation: source })
      }
      pending = []
    },
    end() {
      this.finish()
      if (others.length > 0) writer.extra({ citations: others })
    },
  }
}
