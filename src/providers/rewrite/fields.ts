import { elementsAt, membersAt } from '#lib/json.ts'
import { isRecord, record } from '#openai/conversation/fields.ts'

import { isHarmless, refused } from '../fates.ts'
import type { Fields, Quirks } from '../quirks.ts'
import type { Draft } from './draft.ts'
import { itemEdits } from './items.ts'
import { historyEdits } from './messages.ts'

/** One request on its way to a vendor. */
export interface Rewriting {
  readonly draft: Draft
  /** As it was written; of large bodies the longest strings are cut. */
  readonly request: Fields
  readonly quirks: Quirks
  /** For messages. */
  readonly provider: string
  readonly drop: (place: string) => void
}

/**
 * Applies a vendor's quirks to the draft of a request. Throws the 400 for what the vendor can neither take nor do
 * without.
 */
export function applyQuirks(rewriting: Rewriting): void {
  const { request, quirks } = rewriting
  refuse(rewriting)
  if (quirks.functionsAsTools) functionsAsTools(rewriting)
  if (quirks.filterTools) filterTools(rewriting)
  if (quirks.effort) setEffort(rewriting, quirks.effort)
  if (quirks.forcedWithout) forceTool(rewriting, quirks.forcedWithout)
  dropFields(rewriting)
  changeFields(rewriting)
  if (quirks.sizeAsSides) splitSize(rewriting)
  rewriteHistory(rewriting)
  if (quirks.noForeignItems) rewriteItems(rewriting)
  const format = request['response_format']
  if (quirks.schemaInWords && isRecord(format) && format['type'] === 'json_schema') {
    saySchema(rewriting)
  }
}

function refuse({ draft, request, quirks, provider }: Rewriting): void {
  for (const name of quirks.refuse ?? []) {
    const value = request[name]
    if (value === undefined) continue
    if (value !== null && !isHarmless(name, value)) throw refused(name, provider)
    draft.remove(name)
  }
}

function functionsAsTools({ draft, request, drop }: Rewriting): void {
  const { functions, function_call: choice } = request
  if (functions !== undefined) {
    const member = draft.member('functions')!
    draft.remove('functions')
    const list = elementsAt(draft.text, member.start).map(
      ({ start, end }) => `{"type":"function","function":${draft.text.slice(start, end)}}`,
    )
    if (list.length > 0) {
      if (Array.isArray(request['tools']) && request['tools'].length > 0) drop('functions')
      else draft.set('tools', `[${list.join(',')}]`)
    }
  }
  if (choice === undefined) return
  draft.remove('function_call')
  if (choice === null || request['tool_choice'] !== undefined) return
  const name = record(choice)['name']
  const wanted = typeof name === 'string' ? { type: 'function', function: { name } } : choice
  draft.set('tool_choice', JSON.stringify(wanted))
}

/** Sends only those tools that the caller allows. */
function filterTools({ draft, request, quirks }: Rewriting): void {
  const choice = request['tool_choice']
  if (!isRecord(choice) || choice['type'] !== 'allowed_tools') return
  const allowed = isRecord(choice['allowed_tools']) ? choice['allowed_tools'] : choice
  const names = namesOf(allowed['tools'])
  const mode = allowed['mode'] === 'required' ? 'required' : 'auto'
  draft.set('tool_choice', JSON.stringify(quirks.values?.['tool_choice']?.[mode] ?? mode))
  const tools = draft.member('tools')
  if (!tools || !Array.isArray(request['tools'])) return
  const kept = elementsAt(draft.text, tools.start).filter((_, at) => {
    const [name] = namesOf([(request['tools'] as unknown[])[at]])
    return name !== undefined && names.includes(name)
  })
  draft.set('tools', `[${kept.map(({ start, end }) => draft.text.slice(start, end)).join(',')}]`)
}

function namesOf(tools: unknown): string[] {
  return (Array.isArray(tools) ? (tools as unknown[]) : []).flatMap((tool) => {
    const { function: fn, custom, name } = record(tool)
    const found = record(fn)['name'] ?? record(custom)['name'] ?? name
    return typeof found === 'string' ? [found] : []
  })
}

function setEffort(
  { draft, request, quirks, drop }: Rewriting,
  { words, lossy, off }: NonNullable<Quirks['effort']>,
): void {
  let effort = request['reasoning_effort']
  let place = 'reasoning_effort'
  const { reasoning } = request
  if (reasoning !== undefined && (!quirks.takesReasoning || 'effort' in record(reasoning))) {
    draft.remove('reasoning')
    const { effort: own, enabled, ...others } = record(reasoning)
    if (typeof effort !== 'string') {
      effort = own ?? (enabled === false ? 'none' : undefined)
      place = 'reasoning.effort'
    }
    for (const [name, value] of Object.entries(others)) {
      if (value !== null && value !== undefined && value !== false) drop(`reasoning.${name}`)
    }
  }
  if (typeof effort !== 'string') return
  if (quirks.drop?.includes('reasoning_effort')) {
    draft.remove('reasoning_effort')
    drop(place)
    return
  }
  if (effort === 'none' && off) {
    draft.remove('reasoning_effort')
    for (const [name, value] of Object.entries(off)) {
      if (!draft.has(name)) draft.set(name, JSON.stringify(value))
    }
    return
  }
  const word = Object.hasOwn(words, effort) ? words[effort]! : effort
  if (lossy?.includes(effort)) drop(place)
  if (word !== request['reasoning_effort']) draft.set('reasoning_effort', JSON.stringify(word))
}

/** A forced tool is a promise, thinking is not. */
function forceTool({ draft, request, drop }: Rewriting, fields: Fields): void {
  const choice = request['tool_choice'] ?? request['function_call']
  const isForced = choice === 'required' || choice === 'any' || isRecord(choice)
  if (!isForced || (isRecord(choice) && record(choice['allowed_tools'])['mode'] === 'auto')) return
  for (const [name, value] of Object.entries(fields)) draft.set(name, JSON.stringify(value))
  if (!draft.has('reasoning_effort')) return
  draft.remove('reasoning_effort')
  drop('reasoning_effort')
}

function dropFields({ draft, request, quirks, drop }: Rewriting): void {
  for (const name of quirks.drop ?? []) {
    const value = request[name]
    if (value === undefined || !draft.has(name)) continue
    draft.remove(name)
    const isDefault = quirks.defaults?.[name] === value
    if (value !== null && !isDefault && !isHarmless(name, value)) drop(name)
  }
}

function changeFields({ draft, request, quirks }: Rewriting): void {
  const { values = none, rename = none, add = none } = quirks
  for (const name in values) {
    const table = values[name]!
    const value = request[name]
    if (typeof value === 'object' || value === undefined || !draft.has(name)) continue
    const written = typeof value === 'string' ? value : JSON.stringify(value)
    const wanted = Object.hasOwn(table, written) ? table[written] : undefined
    if (wanted !== undefined) draft.set(name, JSON.stringify(wanted))
  }
  for (const name in rename) {
    const to = rename[name]!
    // The caller may have written both spellings; the vendor's own then wins and ours must not double it.
    if (!(to in request) && draft.has(name)) draft.rename(name, to)
  }
  for (const name in add) {
    const { value, unless } = add[name]!
    if (!draft.has(name) && !unless.some((other) => draft.has(other))) {
      draft.set(name, JSON.stringify(value))
    }
  }
}

/** What a vendor without such quirks has of them. */
const none: Readonly<Record<string, never>> = {}

function splitSize({ draft, request }: Rewriting): void {
  const sides = /^(\d{1,5})x(\d{1,5})$/.exec(String(request['size']))
  if (!sides || draft.has('width') || draft.has('height')) return
  draft.remove('size')
  draft.set('width', sides[1]!)
  draft.set('height', sides[2]!)
}

function rewriteHistory({ draft, request, quirks, drop }: Rewriting): void {
  const { messages } = request
  if (!quirks.messages || !Array.isArray(messages)) return
  const edits = historyEdits({
    text: draft.text,
    startsAt: () => draft.member('messages')!.start,
    messages,
    quirks: quirks.messages,
    functionsAsTools: quirks.functionsAsTools === true,
    hasTools: draft.has('tools'),
    drop,
  })
  for (const edit of edits) draft.edit(edit)
}

function rewriteItems({ draft, request, drop }: Rewriting): void {
  const { input } = request
  if (!Array.isArray(input)) return
  const startsAt = (): number => draft.member('input')!.start
  for (const edit of itemEdits({ text: draft.text, startsAt, items: input, drop })) draft.edit(edit)
}

/** Plain JSON mode, and the schema in a system message before all others. */
function saySchema({ draft, request }: Rewriting): void {
  const { text } = draft
  const format = draft.member('response_format')!
  const holder = membersAt(text, format.start).findLast(({ key }) => key === 'json_schema')
  const schema = holder && membersAt(text, holder.start).findLast(({ key }) => key === 'schema')
  draft.set('response_format', '{"type":"json_object"}')
  const messages = draft.member('messages')
  if (!schema || !messages) return
  const words = `Answer with one JSON object that fits this JSON Schema, and with nothing else:\n${text.slice(schema.start, schema.end)}`
  const comma = (request['messages'] as readonly unknown[]).length > 0 ? ',' : ''
  const at = messages.start + 1
  const message = JSON.stringify({ role: 'system', content: words })
  draft.edit({ start: at, end: at, text: message + comma })
}
