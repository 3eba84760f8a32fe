import type { CallRecord } from '#pipeline/books.ts'
import { secretsIn } from '#pipeline/journal.ts'
import { assembled, redactor } from '#store/logs-content.ts'

// What was asked and answered, in the words of OpenTelemetry's conventions: messages of parts, as JSON text.

type Json = Readonly<Record<string, unknown>>

/** What an answer says of itself. */
export interface Said {
  readonly id: string | undefined
  readonly model: string | undefined
  readonly finishReasons: readonly string[] | undefined
  readonly messages: readonly Json[]
}

const nothing: Said = { id: undefined, model: undefined, finishReasons: undefined, messages: [] }

/** The answer as far as it was kept; a stream is put together. */
export function saidIn({ answer, call }: CallRecord): Said {
  if (answer === undefined) return nothing
  const whole = object(typeof answer === 'string' ? answer : assembled(answer, call.endpoint))
  if (!whole) return nothing
  const choices = objects(whole['choices'])
  const reasons = choices.flatMap(({ finish_reason: reason }) => text(reason) ?? [])
  const status = reasonOf(whole)
  return {
    id: text(whole['id']),
    model: text(whole['model']),
    finishReasons: reasons.length > 0 ? reasons : status === undefined ? undefined : [status],
    messages: [
      ...choices.map((choice) => ({
        ...messageOf(isObject(choice['message']) ? choice['message'] : { content: choice['text'] }),
        finish_reason: choice['finish_reason'],
      })),
      ...objects(whole['output']).map(itemOf),
    ],
  }
}

/** Of a Responses object, which has a status where a completion has a reason. */
function reasonOf({ object: kind, status, incomplete_details: details }: Json): string | undefined {
  if (kind !== 'response') return undefined
  if (status === 'completed') return 'stop'
  return isObject(details) ? text(details['reason']) : text(status)
}

/** What was asked; undefined when that was no conversation. */
export function askedIn({ call: { body } }: CallRecord): readonly Json[] | undefined {
  if (body.kind !== 'json') return undefined
  const { messages, input, prompt } = body.value
  if (Array.isArray(messages)) return objects(messages).map(messageOf)
  const said = input ?? prompt
  if (typeof said === 'string') return [messageOf({ role: 'user', content: said })]
  return Array.isArray(said) && said.some(isObject) ? objects(said).map(itemOf) : undefined
}

function itemOf(item: Json): Json {
  const { type, call_id: id, name } = item
  if (type === 'function_call') {
    const call = { type: 'tool_call', id, name, arguments: item['arguments'] }
    return { role: 'assistant', parts: [call] }
  }
  if (type === 'function_call_output') {
    return { role: 'tool', parts: [{ type: 'tool_call_response', id, response: item['output'] }] }
  }
  return messageOf(item)
}

function messageOf(message: Json): Json {
  const { role = 'assistant', content, tool_calls: calls, tool_call_id: answered } = message
  if (answered !== undefined) {
    return { role, parts: [{ type: 'tool_call_response', id: answered, response: content }] }
  }
  const parts: Json[] =
    typeof content === 'string' ? [{ type: 'text', content }] : objects(content).map(partOf)
  for (const { id, function: called } of objects(calls)) {
    const { name, arguments: given } = isObject(called) ? called : {}
    parts.push({ type: 'tool_call', id, name, arguments: given })
  }
  return { role, parts }
}

/** Pictures and recordings are named and not sent along. */
function partOf({ type, text: said }: Json): Json {
  return typeof said === 'string' ? { type: 'text', content: said } : { type }
}

/** Takes out of a text what the keys of the call were. */
export function withoutSecrets({ call, credential }: CallRecord): (text: string) => string {
  return redactor(
    secretsIn(call.headers, call.caller.directKey, call.caller.virtualKey, credential),
  )
}

function object(json: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return isObject(value) ? value : undefined
  } catch {
    // What is not JSON has nothing to tell here: pictures, recordings.
    return undefined
  }
}

function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
