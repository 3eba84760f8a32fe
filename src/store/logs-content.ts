import { mayBeDeeper, scanJson } from '#lib/json.ts'
import { createSseParser } from '#lib/sse.ts'

import { secretsOf } from './logs-secrets.ts'

// Streams on their way into the log: they are put together. Runs in the log's own thread.

type Json = Record<string, unknown>

/** A function that takes secrets out of a text, in every spelling that JSON and URLs give them. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const found = secretsOf(secrets)
  return (text) => found.clean(text)
}

/** What a stream of server-sent events says, as one JSON text: the completion or response that it is made of. */
export function assembled(bytes: Uint8Array, object: string): string {
  const events: Json[] = []
  const parser = createSseParser({
    onEvent: ({ data }) => {
      const value = data === '[DONE]' ? undefined : parsed(data)
      if (isObject(value)) events.push(value)
    },
  })
  parser.push(new TextDecoder().decode(bytes))
  if (parser.pending) parser.push('\n\n')
  if (object === 'chat_completion') return JSON.stringify(chatOf(events))
  if (object === 'text_completion') return JSON.stringify(textOf(events))
  return JSON.stringify(responseOf(events) ?? { events })
}

/** The response that was told last, which is the whole of it, unless the stream broke off before its end. */
function responseOf(events: readonly Json[]): Json | undefined {
  const response = events.findLast(({ response: told }) => isObject(told))?.['response']
  if (!isObject(response)) return undefined
  const output = list(response['output']).length > 0 ? [] : outputOf(events)
  return output.length > 0 ? { ...response, output } : response
}

/** Where texts of an item that come in pieces belong: in which list, at which place of it, in what, under what name. */
const partTexts: Readonly<Record<string, readonly [string, string, string, string]>> = {
  'response.output_text.delta': ['content', 'content_index', 'output_text', 'text'],
  'response.refusal.delta': ['content', 'content_index', 'refusal', 'refusal'],
  'response.reasoning_text.delta': ['content', 'content_index', 'reasoning_text', 'text'],
  'response.reasoning_summary_text.delta': ['summary', 'summary_index', 'summary_text', 'text'],
}
const itemTexts: Readonly<Record<string, string>> = {
  'response.function_call_arguments.delta': 'arguments',
  'response.mcp_call_arguments.delta': 'arguments',
  'response.custom_tool_call_input.delta': 'input',
  'response.code_interpreter_call_code.delta': 'code',
}

/** The items of a response as far as they came. */
function outputOf(events: readonly Json[]): Json[] {
  const items: Json[] = []
  for (const event of events) {
    const { type, output_index: at, item: told, delta } = event
    if (typeof type !== 'string' || !isPlace(at)) continue
    if (type.startsWith('response.output_item.') && isObject(told)) items[at] = told
    if (typeof delta !== 'string') continue
    const item = (items[at] ??= {})
    const part = Object.hasOwn(partTexts, type) ? partTexts[type] : undefined
    const own = Object.hasOwn(itemTexts, type) ? itemTexts[type] : undefined
    if (own !== undefined) goOn(item, own, delta)
    if (!part) continue
    const [among, placedBy, kind, name] = part
    const place = event[placedBy]
    if (!isPlace(place)) continue
    if (!Array.isArray(item[among])) item[among] = []
    const parts = item[among] as unknown[]
    if (!isObject(parts[place])) parts[place] = { type: kind }
    goOn(parts[place] as Json, name, delta)
  }
  return items.filter(Boolean)
}

function goOn(into: Json, name: string, delta: string): void {
  const known = into[name]
  into[name] = typeof known === 'string' ? known + delta : delta
}

/** Places are the provider's word: no list gets as long as it likes. */
function isPlace(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 127
}

function chatOf(events: readonly Json[]): Json {
  const whole: Json = {}
  const choices: Json[] = []
  for (const { choices: parts, ...rest } of events) {
    add(whole, rest)
    for (const part of list(parts)) {
      const { index = 0, delta, ...beside } = part
      if (!isPlace(index)) continue
      const choice = (choices[index] ??= { index, message: {} })
      put(choice, beside)
      if (isObject(delta)) merge(choice['message'] as Json, delta)
    }
  }
  if (whole['object'] === 'chat.completion.chunk') whole['object'] = 'chat.completion'
  return { ...whole, ...(choices.length > 0 && { choices: choices.filter(Boolean) }) }
}

/** What stands beside the text of a choice: each chunk has the probabilities of its own tokens, and the last word on the rest. */
function put(choice: Json, beside: Json): void {
  for (const [name, value] of Object.entries(beside)) {
    if (value === null) continue
    const known = choice[name]
    if (name !== 'logprobs' || !isObject(known) || !isObject(value)) choice[name] = value
    else for (const [of, more] of Object.entries(value)) known[of] = joined(known[of], more)
  }
}

function joined(known: unknown, more: unknown): unknown {
  if (!Array.isArray(known) || !Array.isArray(more)) return more ?? known
  for (const item of more as unknown[]) known.push(item)
  return known
}

/** What is said later stands, unless it is nothing. */
function add(whole: Json, more: Json): void {
  for (const [name, value] of Object.entries(more)) {
    if (value !== null || whole[name] === undefined) whole[name] = value
  }
}

/** Texts go on, lists go on by their `index`, everything else is replaced. */
function merge(into: Json, delta: Json): void {
  for (const [name, value] of Object.entries(delta)) {
    const known = Object.hasOwn(into, name) ? into[name] : undefined
    if (value === null && known !== undefined) continue
    if (typeof known === 'string' && typeof value === 'string' && !isName(name)) {
      into[name] = known + value
    } else if (Array.isArray(value)) {
      const items = Array.isArray(known) ? (known as unknown[]) : []
      for (const item of value as unknown[]) {
        const place = isObject(item) ? item['index'] : undefined
        const same =
          typeof place === 'number'
            ? items.find((other) => isObject(other) && other['index'] === place)
            : undefined
        if (isObject(same) && isObject(item)) merge(same, item)
        else items.push(isObject(item) ? structuredClone(item) : item)
      }
      into[name] = items
    } else if (isObject(known) && isObject(value)) merge(known, value)
    else if (name !== '__proto__') into[name] = value
  }
}

/** Repeated in every chunk rather than continued. */
function isName(name: string): boolean {
  return name === 'role' || name === 'id' || name === 'type' || name === 'format'
}

function textOf(events: readonly Json[]): Json {
  const whole: Json = {}
  const choices: Json[] = []
  for (const { choices: parts, ...rest } of events) {
    add(whole, rest)
    for (const { index = 0, text = '', ...beside } of list(parts)) {
      if (!isPlace(index)) continue
      const choice = (choices[index] ??= { index, text: '' })
      choice['text'] = `${String(choice['text'])}${typeof text === 'string' ? text : ''}`
      put(choice, beside)
    }
  }
  return { ...whole, choices: choices.filter(Boolean) }
}

/** Deeper than anything is said. Some ten thousand levels are parsed, and cannot be written again. */
const maxDepth = 512
/** A shorter text may be all brackets. */
const carefreeChars = 16 * 1024

/** The value of a JSON text; undefined when it is none, or is nested without an end. */
export function parsed(text: string): unknown {
  if (text.length > carefreeChars && mayBeDeeper(text, maxDepth)) {
    if (scanJson(text, maxDepth).depth > maxDepth) return undefined
  }
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Cut, or never JSON: the text itself is all there is to know.
    return undefined
  }
}

/** The names and values of a row's metadata, as they can be searched for. */
export function metadataIn(text: string): [string, string][] {
  const value = parsed(text)
  if (!isObject(value)) return []
  return Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The objects in a list, if it is one. */
export function list(value: unknown): Json[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : []
}
