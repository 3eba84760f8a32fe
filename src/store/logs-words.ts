import { isObject, list, parsed } from './logs-content.ts'
import { Gathering } from './logs-gathering.ts'
import { beginningOf, packedOf, stringOf } from './logs-text.ts'
import type { LoggedText, PackedText } from './logs-text.ts'

// The words of a call: what lists show of it, and what it is found by.

type Json = Readonly<Record<string, unknown>>

export interface Words {
  /** What the user said last, for lists. */
  readonly summary: string | undefined
  readonly stopReason: string | undefined
}

export interface Found extends Words {
  /** What can be searched for. Only until the next call. */
  readonly said: Gathering
}

/** How many characters are searchable: of what the user said last, of the answer, and of what else stands in the request. */
export interface Share {
  readonly asked: number
  readonly answered: number
  readonly rest: number
}

/** How much of a call is searchable however many there are: of what was asked, and of what was answered. */
export const leastAsked = 256
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
export function createWords(now: () => number = () => performance.now()): (call: Said) => Found {
  const said = new Gathering()
  let saved = maxSavedChars
  let at = now()
  return (call) => {
    const time = now()
    saved = Math.min(maxSavedChars, saved + (time - at) * charsPerMs)
    at = time
    const more = Math.min(mostChars, Math.floor(saved / 2))
    const rest = saved > spareChars ? mostChars : 0
    const share = {
      asked: Math.max(leastAsked, more),
      answered: Math.max(leastAnswered, more),
      rest,
    }
    const { summary, stopReason } = gatherWords(call, share, said)
    const looked = rest > 0 ? lengthOf(call.request) / parsedForOne : 0
    saved = Math.max(0, saved - said.length - looked)
    return { summary, stopReason, said }
  }
}

function lengthOf(text: LoggedText | undefined): number {
  if (text === undefined) return 0
  return typeof text === 'string' ? text.length : text.chars
}

export interface Said {
  readonly object: string
  /** What the user said last, where that is known already. */
  readonly asked: LoggedText | undefined
  /** JSON texts; one that was cut counts as it stands. */
  readonly request: LoggedText | undefined
  readonly answer: LoggedText | undefined
}

/** Puts what can be searched for into `into`, in the place of what was there, and returns what else is found on the way. */
export function gatherWords(
  { object, asked, request, answer: answered }: Said,
  share: Share,
  into: Gathering,
): Words {
  into.clear()
  const last = asked ?? (request === undefined ? undefined : lastWordsIn(stringOf(request)))
  if (last !== undefined) into.add(last, share.asked)
  let stopReason: string | undefined
  // Numbers, and many of them.
  if (answered !== undefined && object !== 'embedding') {
    stopReason = gatherAnswer(answered, share.answered, into)
  }
  if (share.rest > 0 && request !== undefined) {
    const said = last === undefined ? undefined : stringOf(last)
    gatherRest(stringOf(request), said, share.rest, into)
  }
  return {
    summary: last === undefined ? undefined : beginningOf(last, maxSummaryChars),
    stopReason,
  }
}

/** Returns why the answer ended, if it says so. */
function gatherAnswer(answered: LoggedText, maxChars: number, into: Gathering): string | undefined {
  const packed = typeof answered === 'string' ? packedOf(answered) : answered
  const plain = plainAnswer(packed)
  if (plain) {
    into.addQuoted(packed, plain.contentAt, maxChars)
    return plain.stopReason
  }
  const answer = stringOf(answered)
  if (answer.length <= maxParsedChars) {
    const said = parsed(answer)
    gather(said, maxChars, into)
    return stopReasonOf(said)
  }
  glean(answer, maxChars, into)
  return /"(?:finish_reason|stop_reason)":\s*"(\w{1,100})"/.exec(answer)?.[1]
}

const opening = Buffer.from('"message":{"role":"assistant","content":"')
const ending = Buffer.from('"finish_reason":"')
const calls = Buffer.from('"tool_calls":[')
const quote = 0x22
const maxReasonBytes = 100

/**
 * The usual answer: one choice that is a text. Undefined for every other. Quotes within the text are escaped, so that what
 * is looked for with its quotes is not found there.
 */
function plainAnswer({
  memory,
  from,
  until,
}: PackedText): { readonly contentAt: number; readonly stopReason: string } | undefined {
  const said = memory.subarray(from, until)
  const before = said.indexOf(opening)
  if (before < 0) return undefined
  const content = before + opening.length
  const reason = said.indexOf(ending, content)
  if (reason < 0 || said.includes(opening, content) || said.includes(calls, content)) {
    return undefined
  }
  const begin = reason + ending.length
  const end = said.indexOf(quote, begin)
  if (end < 0 || end - begin > maxReasonBytes) return undefined
  return {
    contentAt: from + content,
    stopReason: isStop(said, begin, end) ? 'stop' : said.toString('utf8', begin, end),
  }
}

const stop = Buffer.from('stop')

/** Nearly always: then no string has to be made of it. */
function isStop(said: Buffer, begin: number, end: number): boolean {
  if (end - begin !== stop.length) return false
  for (let i = 0; i < stop.length; i++) if (said[begin + i] !== stop[i]) return false
  return true
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
  into: Gathering,
): void {
  if (request.length > maxParsedChars) {
    glean(request, maxChars, into)
    return
  }
  const value = parsed(request)
  if (!isObject(value)) return
  const said = given.flatMap((name) => {
    const member: unknown = value[name]
    return Array.isArray(member) ? (member as unknown[]).toReversed() : [member]
  })
  gather(said, maxChars, into, last)
}

/** Adds what is said in a value, but for one text that is there already. */
function gather(said: unknown, maxChars: number, into: Gathering, known?: string): void {
  let left = maxChars
  const take = (value: unknown, depth: number): void => {
    if (left <= 0 || depth > 8) return
    if (typeof value === 'string') {
      if (value.length < 2 || value.startsWith('data:')) return
      if (value !== known) into.add(value, left)
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
function glean(answer: string, maxChars: number, into: Gathering): void {
  let left = maxChars
  const text = answer.slice(0, maxParsedChars)
  for (const [, said = ''] of text.matchAll(/"(?:content|text)":\s*"((?:[^"\\]|\\.)*)/g)) {
    if (left <= 0) return
    into.add(said.slice(0, left).replaceAll(/\\(?:u[\da-f]{4}|.)/gi, ' '), left)
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
