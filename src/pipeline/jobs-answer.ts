import type { Ending } from '#store/jobs.ts'

/** An answer that is no JSON is put into some. */
export function answerAsJson({ headers, result }: Ending): string {
  const type = headers['content-type'] ?? ''
  if (typeof result === 'string') {
    return /json/i.test(type) ? result : JSON.stringify({ text: result })
  }
  const data = Buffer.from(result.buffer, result.byteOffset, result.length).toString('base64')
  const name = type.startsWith('audio/') ? 'audio' : 'data'
  return JSON.stringify({ [name]: data, content_type: type })
}
