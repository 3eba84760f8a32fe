import type { FilePart } from '#openai/conversation/conversation.ts'
import { invalid } from '#openai/conversation/fields.ts'

const textual = /^(?:text\/|application\/(?:json|xml|yaml|x-yaml|javascript|x-ndjson)$)/

/**
 * What a text file says, its name in front, for vendors that take text and no files; undefined when it is no text or
 * not at hand. Throws a 400 when it is said to be text and is not UTF-8.
 */
export function textOfFile({ source, filename, param }: FilePart): string | undefined {
  if (source.kind !== 'data' || !textual.test(source.mediaType)) return undefined
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(source.base64, 'base64'))
  } catch {
    throw invalid(`${param}.file.file_data`, 'The file is said to be text and is not valid UTF-8.')
  }
  return filename === undefined ? text : `${filename}:\n${text}`
}
