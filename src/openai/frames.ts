import type { StreamFraming } from '#core/endpoint.ts'

// Text of the frames that the gateway itself puts into a stream.

/** Ends a chat or text completion stream. */
export const DONE = 'data: [DONE]\n\n'

/** A comment: keeps connections open and no client sees it. */
export const KEEP_ALIVE = ': keep-alive\n\n'

export interface ErrorFacts {
  readonly message: string
  readonly type?: string | null | undefined
  readonly code?: string | null | undefined
  readonly param?: string | null | undefined
}

/**
 * The last event of a stream that failed. OpenAI SDKs raise on a `data:` object with a truthy `error`, which
 * the envelope has. A Responses stream needs an event of a known type as well, so there the envelope's fields
 * move into a flat `error` event; its own `type` gives way and is kept in `error.type`.
 */
export function errorFrame(
  framing: StreamFraming,
  envelopeJson: string,
  error: ErrorFacts,
  sequenceNumber = 0,
): string {
  if (framing !== 'responses') return `data: ${oneLine(envelopeJson)}\n\n`
  const parsed: unknown = JSON.parse(envelopeJson)
  const envelope = isObject(parsed) ? parsed : {}
  const facts = {
    message: error.message,
    type: error.type ?? null,
    code: error.code ?? null,
    param: error.param ?? null,
  }
  const event = {
    ...envelope,
    type: 'error',
    sequence_number: sequenceNumber,
    code: facts.code,
    message: facts.message,
    param: facts.param,
    error: isObject(envelope.error) ? { ...envelope.error, ...facts } : facts,
  }
  return `event: error\ndata: ${JSON.stringify(event)}\n\n`
}

/** Line ends inside JSON are only whitespace, but would end the `data:` field. */
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, ' ') : json
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
