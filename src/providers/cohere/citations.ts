import type { AnswerWriter } from '#openai/answer/writer.ts'
import { integer, record, text } from '#openai/conversation/fields.ts'

/**
 * Says one citation: as the vendor wrote it, and for each source that has a URL as OpenAI's annotation. `said` is the
 * answer's text so far.
 */
export function cite(writer: AnswerWriter, given: unknown, said: string): void {
  const citation = record(given)
  writer.extra({ citations: [citation] })
  const type = text(citation['type'])
  const isOfText = type === undefined || type === 'TEXT_CONTENT'
  const sources = citation['sources']
  if (!Array.isArray(sources)) return
  for (const each of sources as unknown[]) {
    const source = record(each)
    const document = record(source['document'] ?? source['tool_output'])
    const url = text(document['url'])
    if (url === undefined) continue
    const title = text(document['title'])
    writer.annotation({
      type: 'url_citation',
      url_citation: {
        url,
        ...(title !== undefined && { title }),
        ...(isOfText && placeOf(citation, said)),
      },
    })
  }
}

/** The vendor counts characters, OpenAI's clients UTF-16 units. */
function placeOf(
  citation: Readonly<Record<string, unknown>>,
  said: string,
): { start_index: number; end_index: number } | undefined {
  const start = integer(citation['start'])
  const end = integer(citation['end'])
  if (start === undefined || end === undefined || start < 0 || end < start) return undefined
  if (said.slice(start, end) === citation['text']) return { start_index: start, end_index: end }
  const start_index = unitsOf(said, start)
  const end_index = unitsOf(said, end)
  return said.slice(start_index, end_index) === citation['text']
    ? { start_index, end_index }
    : { start_index: start, end_index: end }
}

/** The length in UTF-16 units of the first `characters` of a text. */
function unitsOf(said: string, characters: number): number {
  let at = 0
  for (let left = characters; left > 0 && at < said.length; left--) {
    at += said.codePointAt(at)! > 0xffff ? 2 : 1
  }
  return at
}
