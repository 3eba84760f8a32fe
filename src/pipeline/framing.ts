import type { StreamFraming } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { readResponseUsage, readUsage } from '#openai/usage.ts'
import type { Usage } from '#openai/usage.ts'
import { readEmbeddedError } from '#providers/refusal.ts'

// What an event of an OpenAI stream means to the one who relays it. Most events mean nothing and are never
// looked at; `interesting` finds the others in a run of bytes without parsing any of them.

/** A cheap superset of the events that need reading, per framing. Escaped JSON inside a string cannot match. */
const interesting: Record<StreamFraming, RegExp> = {
  chat: /"finish_reason"\s*:\s*"|"usage"\s*:\s*\{|"error"\s*:|\[DONE\]|event:\s*error/,
  responses:
    /response\.(?:completed|failed|incomplete)"|"type"\s*:\s*"error"|"error"\s*:\s*[^n\s]|event:\s*error/,
  events: /"error"\s*:|\[DONE\]|event:\s*error|"type"\s*:\s*"(?:error|[\w.]*\.(?:completed|done))"/,
}

/** Whether any event in `view` has to be read; `view` holds the bytes as Latin-1, one character each. */
export function needsReading(framing: StreamFraming, view: string): boolean {
  return interesting[framing].test(view)
}

export type Meaning =
  /** Passes as it is; some providers repeat the usage so far. */
  | { readonly kind: 'plain'; readonly usage?: Usage | undefined; readonly type?: string }
  /** Not a JSON object; only streams that are not OpenAI's own may hold it. */
  | { readonly kind: 'opaque' }
  /** A comment, or nothing at all. */
  | { readonly kind: 'comment' }
  /** The last thing said about these choices but for usage; may carry usage itself. */
  | {
      readonly kind: 'finish'
      readonly choices: readonly number[]
      readonly usage: Usage | undefined
    }
  /** A chat chunk that holds nothing but usage. */
  | { readonly kind: 'usage'; readonly usage: Usage | undefined }
  /** The terminal event of a framing that ends with one. */
  | { readonly kind: 'terminal'; readonly usage: Usage | undefined }
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly error: GatewayError }

const plain: Meaning = { kind: 'plain' }
const terminalResponse = /^response\.(?:completed|failed|incomplete)$/
const terminalEvent = /\.(?:completed|done)$/
/** Families of events that OpenAI ends with a terminal event of their own. */
const endedByEvent = /^(?:speech\.audio|transcript\.text|image_generation|image_edit)\./

/** Whether a stream that has an event of this type must have a terminal one as well. */
export function promisesTerminal(type: string | undefined): boolean {
  return type !== undefined && endedByEvent.test(type)
}

/** Reads one event. `data` undefined means the event has no data line. */
export function readEvent(
  framing: StreamFraming,
  event: { readonly name: string | undefined; readonly data: string | undefined },
): Meaning {
  const { data, name } = event
  if (data === undefined || data.trim() === '') return { kind: 'comment' }
  if (data.trim() === '[DONE]') return { kind: 'done' }
  const value = parse(data)
  if (value === undefined) {
    return framing === 'events' ? { kind: 'opaque' } : { kind: 'error', error: malformed() }
  }
  const error = errorIn(framing, name, value)
  if (error) return { kind: 'error', error }
  switch (framing) {
    case 'chat':
      return readChat(value)
    case 'responses':
      return readResponses(value)
    case 'events': {
      const { type } = value
      if (typeof type !== 'string') return plain
      return terminalEvent.test(type)
        ? { kind: 'terminal', usage: readUsage(value['usage'], value['service_tier']) }
        : { kind: 'plain', type }
    }
  }
}

function readChat(value: Record<string, unknown>): Meaning {
  const choices = Array.isArray(value['choices']) ? (value['choices'] as unknown[]) : []
  const own = value['usage']
  const usage = own ? readUsage(own, value['service_tier']) : undefined
  if (usage && choices.length === 0) return { kind: 'usage', usage }
  const finished = choices.filter((choice) => field(choice, 'finish_reason'))
  if (finished.length === 0) return usage ? { kind: 'plain', usage } : plain
  return {
    kind: 'finish',
    choices: finished.map((choice) => Number(field(choice, 'index') ?? 0)),
    usage,
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined
}

function readResponses(value: Record<string, unknown>): Meaning {
  const { type } = value
  if (typeof type !== 'string' || !terminalResponse.test(type)) return plain
  return { kind: 'terminal', usage: readResponseUsage(value['response']) }
}

function errorIn(
  framing: StreamFraming,
  name: string | undefined,
  value: Record<string, unknown>,
): GatewayError | undefined {
  const flat = value['type'] === 'error' || name === 'error'
  // Responses events are objects of their own, which may report an error as part of what they are.
  const isOwn = framing === 'responses' && String(value['type']).startsWith('response.')
  if (!flat && (isOwn || !value['error'])) return undefined
  const upstream = readEmbeddedError(value['error'] ? value : { error: withoutType(value) })
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
