import { parseExact } from '#lib/json.ts'

import type { ReasoningDetail } from '../answer/writer.ts'
import type { AssistantTurn, PastCall } from './conversation.ts'
import { type Fields, integer, invalid, isRecord, record, text } from './fields.ts'
import { cacheControlOf, readParts } from './parts.ts'

const own = new Set([
  'role',
  'content',
  'name',
  'refusal',
  'tool_calls',
  'function_call',
  'reasoning',
  'reasoning_content',
  'reasoning_details',
  'cache_control',
  'annotations',
])
const ownOfCall = new Set(['id', 'type', 'index', 'function', 'custom', 'cache_control'])

/** An assistant message. The deprecated `function_call` becomes a call with a made-up id. */
export function readAssistant(message: Fields, param: string, index: number): AssistantTurn {
  const parts = readParts(message, param)
  const refusal = text(message['refusal'])
  if (refusal !== undefined && refusal !== '') {
    parts.push({ type: 'text', text: refusal, param: `${param}.refusal`, cacheControl: undefined })
  }
  const written = Array.isArray(message['tool_calls']) ? (message['tool_calls'] as unknown[]) : []
  const calls = written.map((call, j) => readCall(record(call), `${param}.tool_calls[${j}]`))
  const old = message['function_call']
  if (isRecord(old)) {
    const call = { id: `call_of_message_${index}`, type: 'function', function: old }
    calls.push(readCall(call, `${param}.function_call`))
  }
  const details = Array.isArray(message['reasoning_details'])
    ? (message['reasoning_details'] as unknown[]).flatMap(readDetail)
    : []
  return {
    role: 'assistant',
    parts,
    calls,
    details,
    reasoning: text(message['reasoning']) ?? text(message['reasoning_content']),
    name: text(message['name']),
    extra: beyond(message, own),
    param,
  }
}

function readCall(call: Fields, param: string): PastCall {
  const kind = call['type'] === 'custom' ? 'custom' : 'function'
  const body = record(call[kind])
  const id = text(call['id'])
  const name = text(body['name'])
  if (id === undefined || id === '') throw invalid(`${param}.id`, 'A tool call needs an id.')
  if (name === undefined) throw invalid(`${param}.${kind}.name`, 'A tool call needs a name.')
  const base = {
    id,
    name,
    kind,
    extra: beyond(call, ownOfCall),
    cacheControl: cacheControlOf(call),
    param,
  } as const
  if (kind === 'custom') return { ...base, text: text(body['input']) ?? '', input: undefined }
  const given = body['arguments']
  if (isRecord(given)) return { ...base, text: JSON.stringify(given), input: given }
  const written = text(given) ?? ''
  return { ...base, text: written === '' ? '{}' : written, input: parseObject(written) }
}

function parseObject(written: string): Fields | undefined {
  if (written.trim() === '') return {}
  try {
    const value = parseExact(written)
    if (value === null) return {}
    // A lone number that is kept digit by digit is an object, too.
    return isRecord(value) && written.trimStart().startsWith('{') ? value : undefined
  } catch {
    // The model's own mistake, recorded in the history; each vendor has its own way to say it again.
    return undefined
  }
}

const detailTypes = new Set(['reasoning.text', 'reasoning.summary', 'reasoning.encrypted'])

/** A piece of reasoning as a caller sends it back; none for what is something else. */
export function readDetail(value: unknown, position: number): ReasoningDetail[] {
  if (!isRecord(value) || !detailTypes.has(text(value['type']) ?? '')) return []
  const texts = Object.fromEntries(
    (['id', 'text', 'summary', 'signature', 'data', 'format'] as const).flatMap((name) => {
      const found = text(value[name])
      return found === undefined ? [] : [[name, found]]
    }),
  )
  const type = value['type'] as ReasoningDetail['type']
  return [{ ...texts, type, index: integer(value['index']) ?? position }]
}

function beyond(holder: Fields, known: ReadonlySet<string>): Fields {
  return Object.fromEntries(
    Object.entries(holder).filter(([name, value]) => !known.has(name) && value !== null),
  )
}
