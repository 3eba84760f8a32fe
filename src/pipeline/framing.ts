import type { StreamFraming } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { readUsage } from '#openai/usage.ts'
import type { Usage } from '#openai/usage.ts'
import { readEmbeddedError } from '#providers/refusal.ts'

// What an event of an OpenAI stream means to the one who relays it. Most events mean nothing and are never
// looked at; `interesting` finds the others in a run of bytes without parsing any of them.

/** A cheap superset of the events that need reading, per framing. Escaped JSON inside a string cannot match. */
const interesting: Record<StreamFraming, RegExp> = {
  chat: /"finish_reason":\s*"|"usage":\s*\{|"error":|\[DONE\]|event:\s*error/,
  responses: /response\.(?:completed|failed|incomplete)"|"type":\s*"error"|"error":\s*[^n\s]/,
  events: /"error":|"type":\s*"(?:error|[\w.]*\.(?:completed|done))"/,
}

/** Whether any event in `view` has to be read; `view` holds the bytes as Latin-1, one character each. */
export function needsReading(framing: StreamFraming, view: string): boolean {
  return interesting[framing].test(view)
}

export type Meaning =
  /** Passes as it is. */
  | { readonly kind: 'plain' }
  /** A comment, or nothing at all. */
  | { readonly kind: 'comment' }
  /** The last thing said but for usage; may carry usage itself. */
  | { readonly kind: 'finish'; readonly usage: Usage | undefined }
  /** A chat chunk that holds nothing but usage. */
  | { readonly kind: 'usage'; readonly usage: Usage | undefined }
  /** The terminal event of a framing that ends with one. */
  | { readonly kind: 'terminal'; readonly usage: Usage | undefined; readonly failed: boolean }
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly error: GatewayError }

const plain: Meaning = { kind: 'plain' }
const terminalResponse = /^response\.(?:completed|failed|incomplete)$/
const terminalEvent =
  /^(?:image_generation\.completed|image_edit\.completed|transcript\.text\.done|speech\.audio\.done)$/

/** Reads one event. `data` undefined means the event has no data line. */
export function readEvent(
  framing: StreamFraming,
  event: { readonly name: string | undefined; readonly data: string | undefined },
): Meaning {
  const { data, name } = event
  if (data === undefined || data === '') return { kind: 'comment' }
  if (framing === 'chat' && data === '[DONE]') return { kind: 'done' }
  const value = parse(data)
  if (value === undefined) {
    return framing === 'events' ? plain : { kind: 'error', error: malformed() }
  }
  const error = errorIn(framing, name, value)
  if (error) return { kind: 'error', error }
  switch (framing) {
    case 'chat':
      return readChat(value)
    case 'responses':
      return readResponses(value)
    case 'events': {
      const type = value['type']
      return typeof type === 'string' && terminalEvent.test(type)
        ? { kind: 'terminal', usage: readUsage(value['usage']), failed: false }
        : plain
    }
  }
}

function readChat(value: Record<string, unknown>): Meaning {
  const choices = value['choices']
  const own = value['usage'] ?? (value['x_groq'] as { usage?: unknown } | undefined)?.usage
  const usage = own ? readUsage(own) : undefined
  if (usage && Array.isArray(choices) && choices.length === 0) return { kind: 'usage', usage }
  const finished =
    Array.isArray(choices) &&
    choices.some((choice) => Boolean((choice as { finish_reason?: unknown } | null)?.finish_reason))
  return finished ? { kind: 'finish', usage } : plain
}

function readResponses(value: Record<string, unknown>): Meaning {
  const type = value['type']
  if (typeof type !== 'string' || !terminalResponse.test(type)) return plain
  const response = value['response'] as { usage?: unknown } | null | undefined
  return {
    kind: 'terminal',
    usage: readUsage(response?.usage),
    failed: type === 'response.failed',
  }
}

function errorIn(
  framing: StreamFraming,
  name: string | undefined,
  value: Record<string, unknown>,
): GatewayError | undefined {
  const flat = value['type'] === 'error' || name === 'error'
  if (!flat && !(value['error'] && framing !== 'responses')) return undefined
  const nested = typeof value['error'] === 'object' && value['error'] !== null
  const upstream = readEmbeddedError(nested ? value : { error: withoutType(value) })
  if (!upstream) return undefined
  return new GatewayError('upstream_error', upstream.message, { upstream })
}

/** In a flat Responses error `type` is the event's name and not the error's type. */
function withoutType(value: Record<string, unknown>): Record<string, unknown> {
  const { type, sequence_number: _, ...rest } = value
  return type === 'error' ? rest : { ...rest, type }
}

function malformed(): GatewayError {
  return new GatewayError(
    'upstream_malformed',
    'The provider sent an event that is not valid JSON.',
  )
}

function parse(data: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(data) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
