import { GatewayError } from '#core/errors.ts'
import { Cohort } from '#lib/cohort.ts'

// Answers that are read to their end before anything is said about them.

const maxAnswerBytes = 256 * 1024 * 1024

/** Answers that have been read go on together. */
export const answers = new Cohort()

/** The provider answered, but not with what was asked for. */
export function wrongForm(provider: string, what: string): GatewayError {
  return new GatewayError('upstream_malformed', `Provider '${provider}' answered with ${what}.`)
}

/** The body as text, of a response with these headers. Throws `GatewayError` when it is too long. */
export function readText(
  response: Response,
  headers: Readonly<Record<string, string>>,
  provider: string,
): Promise<string> {
  const declared = Number(headers['content-length'] ?? Number.NaN)
  // Compressed, it may be any length.
  return declared <= maxAnswerBytes && headers['content-encoding'] === undefined
    ? response.text()
    : readBounded(response, provider)
}

async function readBounded(response: Response, provider: string): Promise<string> {
  if (!response.body) return ''
  const decoder = new TextDecoder()
  let size = 0
  let text = ''
  for await (const chunk of response.body) {
    size += chunk.byteLength
    if (size > maxAnswerBytes) {
      throw new GatewayError(
        'upstream_malformed',
        `Provider '${provider}' sent an answer of more than ${maxAnswerBytes} bytes.`,
      )
    }
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
