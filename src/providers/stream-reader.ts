import { GatewayError } from '#core/errors.ts'
import { createSseParser } from '#lib/sse.ts'
import type { ServerEvent } from '#lib/sse.ts'

import type { StreamReader } from './provider.ts'

// The framings that vendors' streams have, each taken apart into what a dialect reads.

/** Server-sent events. `onEnd` is called when the connection has ended. */
export function sseReader(
  onEvent: (event: ServerEvent) => void,
  onEnd: () => void = nothing,
): StreamReader {
  const decoder = new TextDecoder()
  const parser = createSseParser({ onEvent })
  return {
    push: (bytes) => parser.push(decoder.decode(bytes, { stream: true })),
    end() {
      parser.push(decoder.decode())
      // Some servers leave out the blank line after their last event.
      if (parser.pending) parser.push('\n\n')
      onEnd()
    },
  }
}

const maxLineChars = 16 * 1024 * 1024

/** One JSON document per line; blank lines are skipped. */
export function lineReader(
  onLine: (line: string) => void,
  onEnd: () => void = nothing,
): StreamReader {
  const decoder = new TextDecoder()
  let rest = ''
  function take(text: string): void {
    let at = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', at)) {
      const line = (rest + text.slice(at, end)).trim()
      rest = ''
      at = end + 1
      if (line !== '') onLine(line)
    }
    rest += text.slice(at)
    if (rest.length > maxLineChars) {
      throw new GatewayError(
        'upstream_malformed',
        `A line of the stream is longer than ${maxLineChars} characters.`,
      )
    }
  }
  return {
    push: (bytes) => take(decoder.decode(bytes, { stream: true })),
    end() {
      take(`${decoder.decode()}\n`)
      onEnd()
    },
  }
}

function nothing(): void {}

/** One event's JSON object. Throws `upstream_malformed` for anything else. */
export function eventObject(data: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch (cause) {
    throw new GatewayError(
      'upstream_malformed',
      'The provider sent an event that is not valid JSON.',
      { cause },
    )
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new GatewayError(
    'upstream_malformed',
    'The provider sent an event that is not a JSON object.',
  )
}
