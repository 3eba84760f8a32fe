import { elementsAt, membersAt, parseExact } from '#lib/json.ts'
import type { Edit, Span } from '#lib/json.ts'
import { isRecord, unsupported } from '#openai/conversation/fields.ts'

import type { Fields, MessageQuirks } from '../quirks.ts'
import { Draft } from './draft.ts'
import { fitId } from './ids.ts'

// The history as a vendor takes it. A message is touched only where it holds something that has to change, and of
// such a message only the members concerned.

export interface History {
  readonly text: string
  /** Offset of the bracket of `messages` in the text; asked for only when something has to change. */
  readonly startsAt: () => number
  readonly messages: readonly unknown[]
  readonly quirks: MessageQuirks
  readonly functionsAsTools: boolean
  /** The request offers tools. */
  readonly hasTools: boolean
  /** Notes a place whose loss is declared. */
  drop(place: string): void
}

/** The changes to the history, for `applyEdits`. Throws `GatewayError` for content the vendor cannot read. */
export function historyEdits(history: History): Edit[] {
  const { text, startsAt, messages } = history
  let spans: readonly Span[] | undefined
  const edits: Edit[] = []
  messages.forEach((message, index) => {
    if (!isRecord(message)) return
    const isLast = index === messages.length - 1
    if (!concerns(message, history, isLast)) return
    spans ??= elementsAt(text, startsAt())
    const span = spans[index]
    if (!span) return
    const draft = new Draft({ text, open: span.start, members: membersAt(text, span.start) })
    clean({ message, draft, index, isLast, place: `messages[${index}]`, history })
    edits.push(...draft.edits())
  })
  return edits
}

const reasoningFields = ['reasoning', 'reasoning_content', 'reasoning_details']

/** Whether there is anything in the message to change; most have nothing. */
function concerns(message: Fields, history: History, isLast: boolean): boolean {
  const { quirks, functionsAsTools } = history
  const { role, content } = message
  if (typeof role === 'string' && quirks.roles?.[role] !== undefined) return true
  if (quirks.drop?.some((name) => message[name] !== undefined)) return true
  if (Array.isArray(content) && (quirks.parts || quirks.refuseParts)) return true
  if (role === 'tool' && quirks.idLength !== undefined) return true
  if (role === 'function') return functionsAsTools
  if (role !== 'assistant') return false
  return (
    (quirks.prefix !== undefined && isLast) ||
    (quirks.fillReasoning === true && history.hasTools) ||
    (quirks.reasoning !== undefined && reasoningFields.some((name) => name in message)) ||
    (quirks.refusalAsText === true && 'refusal' in message) ||
    quirks.strip?.some((name) => name in message) === true ||
    quirks.dropOfAnswers?.some((name) => name in message) === true ||
    (functionsAsTools && isRecord(message['function_call'])) ||
    (Array.isArray(message['tool_calls']) &&
      (quirks.idLength !== undefined || quirks.dropOfCalls !== undefined))
  )
}

/** One message on its way. */
interface Passing {
  readonly message: Fields
  readonly draft: Draft
  readonly index: number
  readonly isLast: boolean
  readonly place: string
  readonly history: History
}

function clean(passing: Passing): void {
  const { message, draft, isLast, history } = passing
  const { quirks } = history
  const role = typeof message['role'] === 'string' ? message['role'] : ''
  const wanted = quirks.roles?.[role]
  if (wanted !== undefined) draft.set('role', JSON.stringify(wanted))
  for (const name of quirks.drop ?? []) {
    // The name of a tool belongs to its result.
    if (name === 'name' && (role === 'tool' || role === 'function')) continue
    leaveOut(name, passing)
  }
  if (role === 'assistant') cleanAssistant(passing)
  if (role === 'tool' && quirks.idLength !== undefined)
    fitMember(draft, 'tool_call_id', quirks.idLength)
  if (role === 'function' && history.functionsAsTools) cleanFunctionResult(passing)
  if (quirks.prefix && role === 'assistant' && isLast) {
    for (const [name, value] of Object.entries(quirks.prefix)) {
      if (!draft.has(name)) draft.set(name, JSON.stringify(value))
    }
  }
  cleanParts(passing)
}

function leaveOut(name: string, { message, draft, place, history }: Passing): void {
  const value = message[name]
  if (value === undefined) return
  draft.remove(name)
  if (value !== null) history.drop(`${place}.${name}`)
}

function cleanAssistant(passing: Passing): void {
  const { message, draft, history } = passing
  const { quirks } = history
  for (const name of quirks.strip ?? []) draft.remove(name)
  for (const name of quirks.dropOfAnswers ?? []) leaveOut(name, passing)
  if (quirks.refusalAsText) cleanRefusal(passing)
  cleanCalls(passing)
  if (history.functionsAsTools && isRecord(message['function_call'])) {
    const call = draft.member('function_call')!
    const fn = draft.text.slice(call.start, call.end)
    draft.remove('function_call')
    const id = JSON.stringify(functionCallId(passing.index, quirks))
    draft.set('tool_calls', `[{"id":${id},"type":"function","function":${fn}}]`)
  }
  if (quirks.reasoning) cleanReasoning(passing, quirks.reasoning)
  const field = quirks.reasoning
  if (
    quirks.fillReasoning &&
    history.hasTools &&
    (field === 'reasoning' || field === 'reasoning_content')
  ) {
    if (!draft.has(field)) draft.set(field, '""')
  }
}

function cleanRefusal({ message, draft, place, history }: Passing): void {
  const { refusal, content } = message
  if (refusal === undefined) return
  const said = draft.member('refusal')!
  draft.remove('refusal')
  if (typeof refusal !== 'string' || refusal === '') return
  const isEmpty = content === undefined || content === null || content === ''
  if (isEmpty) draft.set('content', draft.text.slice(said.start, said.end))
  else history.drop(`${place}.refusal`)
}

function cleanCalls({ message, draft, place, history }: Passing): void {
  const calls = message['tool_calls']
  const { idLength, dropOfCalls } = history.quirks
  if (!Array.isArray(calls) || (idLength === undefined && dropOfCalls === undefined)) return
  const spans = elementsAt(draft.text, draft.member('tool_calls')!.start)
  calls.forEach((call: unknown, at) => {
    const span = spans[at]
    if (!span || !isRecord(call)) return
    const own = new Draft({
      text: draft.text,
      open: span.start,
      members: membersAt(draft.text, span.start),
    })
    if (idLength !== undefined) fitMember(own, 'id', idLength)
    for (const name of dropOfCalls ?? []) {
      if (call[name] === undefined) continue
      own.remove(name)
      if (call[name] !== null) history.drop(`${place}.tool_calls[${at}].${name}`)
    }
    for (const edit of own.edits()) draft.edit(edit)
  })
}

/** Calls and results get the same new id, since it depends on nothing but the old one. */
function fitMember(draft: Draft, name: string, length: number): void {
  const member = draft.member(name)
  if (!member) return
  const id: unknown = JSON.parse(draft.text.slice(member.start, member.end))
  if (typeof id !== 'string') return
  const fitted = fitId(id, length)
  if (fitted !== id) draft.set(name, JSON.stringify(fitted))
}

function functionCallId(index: number, { idLength }: MessageQuirks): string {
  const id = `call_of_message_${index}`
  return idLength === undefined ? id : fitId(id, idLength)
}

/** The result of a deprecated function call answers the latest one before it. */
function cleanFunctionResult({ draft, index, history }: Passing): void {
  const { messages, quirks } = history
  const call = messages.findLastIndex(
    (message, at) => at < index && isRecord(message) && isRecord(message['function_call']),
  )
  draft.set('role', '"tool"')
  draft.set('tool_call_id', JSON.stringify(functionCallId(Math.max(call, 0), quirks)))
}

function cleanReasoning(passing: Passing, mode: NonNullable<MessageQuirks['reasoning']>): void {
  const { message, draft, place, history } = passing
  const details = detailsOf(draft)
  const { reasoning, reasoning_content: content } = message
  const own = [reasoning, content].some((text) => typeof text === 'string' && text !== '')
  const said = own || details.text !== ''
  draft.remove('reasoning_details')
  if (details.isSealed) history.drop(`${place}.reasoning_details`)
  if (mode === 'none') {
    draft.remove('reasoning')
    draft.remove('reasoning_content')
    if (own) history.drop(`${place}.reasoning`)
    else if (said && !details.isSealed) history.drop(`${place}.reasoning_details`)
    return
  }
  if (mode === 'parts') {
    draft.remove('reasoning')
    draft.remove('reasoning_content')
    if (said)
      asParts(
        draft,
        jsonOf(draft, 'reasoning', 'reasoning_content') ?? JSON.stringify(details.text),
      )
    return
  }
  if (mode === 'either') {
    if (!own && details.text !== '') draft.set('reasoning', JSON.stringify(details.text))
    return
  }
  const other = mode === 'reasoning' ? 'reasoning_content' : 'reasoning'
  if (typeof message[mode] === 'string') draft.remove(other)
  else if (typeof message[other] === 'string' && !(mode in message)) draft.rename(other, mode)
  else {
    const written = jsonOf(draft, other)
    draft.remove(other)
    draft.remove(mode)
    if (written !== undefined) draft.set(mode, written)
    else if (details.text !== '') draft.set(mode, JSON.stringify(details.text))
  }
}

/** The first of these members that holds text, as JSON. */
function jsonOf(draft: Draft, ...names: string[]): string | undefined {
  for (const name of names) {
    const member = draft.member(name)
    const json = member && draft.text.slice(member.start, member.end)
    if (json?.startsWith('"') && json !== '""') return json
  }
  return undefined
}

function detailsOf(draft: Draft): { text: string; isSealed: boolean } {
  const member = draft.member('reasoning_details')
  const value = member && (JSON.parse(draft.text.slice(member.start, member.end)) as unknown)
  let text = ''
  let isSealed = false
  for (const detail of Array.isArray(value) ? (value as unknown[]) : []) {
    if (!isRecord(detail)) continue
    const said = detail['text'] ?? detail['summary']
    if (typeof said === 'string') text += said
    if (typeof detail['signature'] === 'string' || typeof detail['data'] === 'string')
      isSealed = true
  }
  return { text, isSealed }
}

/** The content as a list of parts, the thinking (JSON text of a string) first. */
function asParts(draft: Draft, thinkingJson: string): void {
  const parts = [
    `{"type":"thinking","thinking":[{"type":"text","text":${thinkingJson}}],"closed":true}`,
  ]
  const content = draft.member('content')
  const json = content && draft.text.slice(content.start, content.end)
  if (json?.startsWith('"') && json !== '""') parts.push(`{"type":"text","text":${json}}`)
  else if (json?.startsWith('[')) {
    for (const { start, end } of elementsAt(draft.text, content!.start)) {
      parts.push(draft.text.slice(start, end))
    }
  }
  draft.set('content', `[${parts.join(',')}]`)
}

function cleanParts({ message, draft, place, history }: Passing): void {
  const { content } = message
  const { parts, refuseParts } = history.quirks
  if (!Array.isArray(content) || (!parts && !refuseParts)) return
  let spans: readonly Span[] | undefined
  content.forEach((part: unknown, at) => {
    const type = isRecord(part) ? part['type'] : undefined
    if (typeof type !== 'string') return
    const param = `${place}.content[${at}]`
    if (refuseParts?.includes(type)) {
      throw unsupported(param, `This provider's models read no content parts of type '${type}'.`)
    }
    const convert = parts && Object.hasOwn(parts, type) ? parts[type] : undefined
    if (!convert) return
    spans ??= elementsAt(draft.text, draft.member('content')!.start)
    const { start, end } = spans[at]!
    // Of large bodies the parsed form has its strings cut.
    const whole = parseExact(draft.text.slice(start, end)) as Fields
    draft.edit({ start, end, text: JSON.stringify(convert(whole, param)) })
  })
}
