import type { Ending } from '#store/jobs.ts'

const readable = new TextDecoder()

/** An answer that is no JSON is put into some. */
export function answerAsJson(ending: Ending): string {
  const { headers, result } = ending
  const type = headers['content-type'] ?? ''
  const isJson = /json/i.test(type)
  if (typeof result === 'string') return isJson ? result : JSON.stringify({ text: result })
  // Text that is not quite UTF-8 is kept as the bytes that it came in.
  if (isJson || /^text\//i.test(type)) {
    return answerAsJson({ ...ending, result: readable.decode(result) })
  }
  const data = Buffer.from(result.buffer, result.byteOffset, result.length).toString('base64')
  const name = type.startsWith('audio/') ? 'audio' : 'data'
  return JSON.stringify({ [name]: data, content_type: type })
}
