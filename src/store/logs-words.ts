import { isObject, list, parsed } from './logs-content.ts'
import { charsIn, stringOf } from './logs-text.ts'
import type { LoggedText } from './logs-text.ts'

// The words of a call: what lists show of it, and what it is found by.

type Json = Readonly<Record<string, unknown>>

export interface Words {
  /** What the user said last, for lists. */
  readonly summary: string | undefined
  readonly stopReason: string | undefined
  /** What can be searched for. */
  readonly text: string
}

/** How much of a call is searchable however many there are: of what was asked, and of what was answered. */
const leastAsked = 256
const leastAnswered = 128
/** And with time to spare. */
const mostChars = 8 * 1024
const maxSummaryChars = 200
/** Longer texts are looked through and not parsed. */
const maxParsedChars = 64 * 1024

/**
 * Time for indexing beyond the least, in characters: so many per millisecond, which is a sixtieth of a core, and so many
 * at once. For up to some two thousand calls a second it is more than the least.
 */
const charsPerMs = 1000
const maxSavedChars = 1024 * 1024
/** With so much time saved, all that stands in a request is indexed as well: what was said before, and instructions. */
const spareChars = maxSavedChars / 4
/** So many characters are parsed in the time in which one is indexed. */
const parsedForOne = 8

/** Finds the words of calls. Busy times index less of each, so that the index never takes more than a share of a core. */
export function createWords(now: () => number = () => performance.now()): (call: Said) => Words {
  let saved = maxSavedChars
  let at = now()
  return (call) => {
    const time = now()
    saved = Math.min(maxSavedChars, saved + (time - at) * charsPerMs)
    at = time
    const more = Math.min(mostChars, saved / 2)
    const maxRest = saved > spareChars ? mostChars : 0
    const words = wordsOf(call, Math.max(leastAsked, more), Math.max(leastAnswered, more), maxRest)
    const looked =
      maxRest > 0 && call.request !== undefined ? charsIn(call.request) / parsedForOne : 0
    saved = Math.max(0, saved - words.text.length - looked)
    return words
  }
}

export interface Said {
  readonly object: string
  /** What the user said last, where that is known already. */
  readonly asked: string | undefined
  /** JSON texts; one that was cut counts as it stands. */
  readonly request: LoggedText | undefined
  readonly answer: LoggedText | undefined
}

/**
 * The words of a call, at most `maxAsked` characters of what the user said last, `maxChars` of the answer, and
 * `maxRest` of what else stands in the request.
 */
export function wordsOf(
  { object, asked, request, answer: answered }: Said,
  maxAsked: number,
  maxChars = maxAsked,
  maxRest = 0,
): Words {
  const last = asked ?? (request === undefined ? undefined : lastWordsIn(stringOf(request)))
  const pieces: string[] = []
  if (last !== undefined) pieces.push(last.slice(0, maxAsked))
  let stopReason: string | undefined
  // Numbers, and many of them.
  if (answered !== undefined && object !== 'embedding') {
    const answer = stringOf(answered)
    const plain = plainAnswer(answer, maxChars)
    if (plain) {
      stopReason = plain.stopReason
      pieces.push(plain.content.slice(0, maxChars))
    } else if (answer.length <= maxParsedChars) {
      const said = parsed(answer)
      stopReason = stopReasonOf(said)
      gather(said, maxChars, pieces)
    } else {
      stopReason = /"(?:finish_reason|stop_reason)":\s*"(\w{1,100})"/.exec(answer)?.[1]
      glean(answer, maxChars, pieces)
    }
  }
  if (maxRest > 0 && request !== undefined) gatherRest(stringOf(request), last, maxRest, pieces)
  return {
    summary: last?.slice(0, maxSummaryChars).toWellFormed(),
    stopReason,
    text: pieces.join('\n').toWellFormed(),
  }
}

const opening = '"message":{"role":"assistant","content":"'
const ending = '"finish_reason":"'

/** The usual answer: one choice that is a text, of which the beginning is wanted. Undefined for every other. */
function plainAnswer(
  answer: string,
  maxChars: number,
): { readonly content: string; readonly stopReason: string } | undefined {
  const before = answer.indexOf(opening)
  if (before < 0 || answer.includes(opening, before + 1)) return undefined
  const from = before + opening.length
  let until = answer.indexOf('"', from)
  while (until > 0 && isEscaped(answer, until)) until = answer.indexOf('"', until + 1)
  const reason = answer.indexOf(ending, until)
  if (until < 0 || reason < 0 || answer.includes('"tool_calls":[', until)) return undefined
  const quoted = answer.slice(from, until)
  const start = reason + ending.length
  const stopReason = answer.slice(start, answer.indexOf('"', start))
  return stopReason.length <= 100 ? { content: unquoted(quoted, maxChars), stopReason } : undefined
}

/** What an escaped letter stands for, when not for itself. */
const escaped: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }

/** A JSON string without its quotes; at least so much of it. */
function unquoted(quoted: string, maxChars: number): string {
  let at = quoted.indexOf('\\')
  let text = ''
  let from = 0
  for (; at >= 0 && text.length < maxChars; at = quoted.indexOf('\\', from)) {
    const letter = quoted[at + 1] ?? ''
    text += quoted.slice(from, at)
    from = at + 2
    if (letter === 'u') {
      text += String.fromCharCode(Number.parseInt(quoted.slice(from, from + 4), 16))
      from += 4
    } else text += escaped[letter] ?? letter
  }
  return text + quoted.slice(from)
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0
  while (text[at - 1 - slashes] === '\\') slashes++
  return slashes % 2 === 1
}

/** Members that hold what people and models say. */
const spoken = new Set(
  'content text output choices message arguments function tool_calls refusal reasoning reasoning_content'.split(
    ' ',
  ),
)

/** Members of a request that hold what is said in it. */
const given = ['messages', 'input', 'prompt', 'query', 'instructions', 'system', 'documents']

/** What stands in a request beside `last`, the newest first. */
function gatherRest(
  request: string,
  last: string | undefined,
  maxChars: number,
  pieces: string[],
): void {
  if (request.length > maxParsedChars) {
    glean(request, maxChars, pieces)
    return
  }
  const value = parsed(request)
  if (!isObject(value)) return
  const said = given.flatMap((name) => {
    const member: unknown = value[name]
    return Array.isArray(member) ? (member as unknown[]).toReversed() : [member]
  })
  const found: string[] = []
  gather(said, maxChars, found)
  for (const piece of found) if (piece !== last) pieces.push(piece)
}

function gather(said: unknown, maxChars: number, pieces: string[]): void {
  let left = maxChars
  const take = (value: unknown, depth: number): void => {
    if (left <= 0 || depth > 8) return
    if (typeof value === 'string') {
      if (value.length < 2 || value.startsWith('data:')) return
      pieces.push(value.slice(0, left))
      left -= value.length + 1
    } else if (Array.isArray(value)) {
      for (const item of value as unknown[]) take(item, depth + 1)
    } else if (isObject(value)) {
      for (const name in value) if (spoken.has(name)) take(value[name], depth + 1)
    }
  }
  take(said, 0)
}

/** The beginning of what is said in a text that is too long to parse. */
function glean(answer: string, maxChars: number, pieces: string[]): void {
  let left = maxChars
  const text = answer.slice(0, maxParsedChars)
  for (const [, said = ''] of text.matchAll(/"(?:content|text)":\s*"((?:[^"\\]|\\.)*)/g)) {
    if (left <= 0) return
    pieces.push(said.slice(0, left).replaceAll(/\\(?:u[\da-f]{4}|.)/gi, ' '))
    left -= said.length + 1
  }
}

function lastWordsIn(request: string): string | undefined {
  if (request.length > maxParsedChars) return undefined
  const value = parsed(request)
  if (isObject(value)) return lastWords(value)
  return typeof value === 'string' ? value : undefined
}

/** What the user said last in a request of any endpoint. */
export function lastWords(request: Json): string | undefined {
  const { messages, input, prompt } = request
  const said = messages ?? input ?? prompt ?? request['query']
  if (typeof said === 'string') return said
  if (!Array.isArray(said)) return undefined
  for (let i = said.length - 1; i >= 0; i--) {
    const item = (said as unknown[])[i]
    if (typeof item === 'string') return item
    if (!isObject(item) || (item['role'] !== undefined && item['role'] !== 'user')) continue
    const { content } = item
    if (typeof content === 'string') return content
    const texts = list(content).flatMap(({ text }) => (typeof text === 'string' ? [text] : []))
    if (texts.length > 0) return texts.join('\n')
  }
  return undefined
}

function stopReasonOf(answer: unknown): string | undefined {
  if (!isObject(answer)) return undefined
  const reason =
    list(answer['choices'])[0]?.['finish_reason'] ?? answer['stop_reason'] ?? answer['status']
  return typeof reason === 'string' ? reason.slice(0, 100) : undefined
}
