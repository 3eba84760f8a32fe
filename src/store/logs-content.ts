import { createSseParser } from '#lib/sse.ts'

// What becomes of a body on its way into the log: streams are put together, secrets taken out, the rest cut and
// packed. Runs in the log's own thread.

type Json = Record<string, unknown>

const hidden = '[redacted]'
/** Shorter ones are words as well. */
const minSecretChars = 8

/** A function that takes secrets out of a text, in every spelling that JSON and URLs give them. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const spellings = new Set<string>()
  for (const secret of secrets) {
    if (secret.length < minSecretChars) continue
    spellings.add(secret)
    spellings.add(JSON.stringify(secret).slice(1, -1))
    spellings.add(secret.replaceAll('/', '\\/'))
    if (secret.isWellFormed()) spellings.add(encodeURIComponent(secret))
  }
  // One that holds another has to go first, or its rest would stay.
  const ordered = [...spellings].toSorted((a, b) => b.length - a.length)
  return (text) => {
    let clean = text
    for (const spelling of ordered) {
      if (clean.includes(spelling)) clean = clean.replaceAll(spelling, hidden)
    }
    return clean
  }
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
  const response = events.findLast(({ response: whole }) => isObject(whole))
  return JSON.stringify(response ? response['response'] : { events })
}

function chatOf(events: readonly Json[]): Json {
  const whole: Json = {}
  const choices: Json[] = []
  for (const { choices: parts, ...rest } of events) {
    add(whole, rest)
    for (const part of list(parts)) {
      const { index = 0, delta, ...beside } = part
      if (typeof index !== 'number' || index < 0 || index > 127) continue
      const choice = (choices[index] ??= { index, message: {} })
      for (const [name, value] of Object.entries(beside)) {
        if (value !== null && value !== undefined) choice[name] = value
      }
      if (isObject(delta)) merge(choice['message'] as Json, delta)
    }
  }
  if (whole['object'] === 'chat.completion.chunk') whole['object'] = 'chat.completion'
  return { ...whole, ...(choices.length > 0 && { choices: choices.filter(Boolean) }) }
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
  return name === 'role' || name === 'id' || name === 'type'
}

function textOf(events: readonly Json[]): Json {
  const whole: Json = {}
  const choices: Json[] = []
  for (const { choices: parts, ...rest } of events) {
    add(whole, rest)
    for (const { index = 0, text = '', ...beside } of list(parts)) {
      if (typeof index !== 'number' || index < 0 || index > 127) continue
      const choice = (choices[index] ??= { index, text: '' })
      choice['text'] = `${String(choice['text'])}${typeof text === 'string' ? text : ''}`
      for (const [name, value] of Object.entries(beside)) if (value !== null) choice[name] = value
    }
  }
  return { ...whole, choices: choices.filter(Boolean) }
}

export interface Words {
  /** What the user said last, for lists. */
  readonly summary: string | undefined
  readonly stopReason: string | undefined
  /** What can be searched for. */
  readonly text: string
}

const maxSearchChars = 8 * 1024
const maxSummaryChars = 300

/** The words of a call, from its JSON texts; a text that was cut counts as it stands. */
export function wordsOf(request: string | undefined, answer: string | undefined): Words {
  const asked = request === undefined ? undefined : parsed(request)
  const said = answer === undefined ? undefined : parsed(answer)
  const pieces: string[] = []
  let left = maxSearchChars
  const take = (value: unknown, depth: number): void => {
    if (left <= 0 || depth > 8) return
    if (typeof value === 'string') {
      if (value.length < 2 || /^data:/i.test(value)) return
      const piece = value.slice(0, left)
      pieces.push(piece)
      left -= piece.length + 1
    } else if (Array.isArray(value)) {
      for (const item of (value as unknown[]).toReversed()) take(item, depth + 1)
    } else if (isObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        if (spoken.has(name)) take(member, depth + 1)
      }
    }
  }
  let summary: string | undefined
  if (isObject(asked)) {
    summary = lastWords(asked)
    if (summary !== undefined) pieces.push(summary)
  }
  take(said, 0)
  take(asked ?? request?.slice(0, maxSearchChars), 0)
  return {
    summary: summary?.slice(0, maxSummaryChars).toWellFormed(),
    stopReason: stopReasonOf(said),
    text: pieces.join('\n').toWellFormed(),
  }
}

/** Members that hold what people and models say. */
const spoken = new Set(
  'messages input instructions prompt content text output choices message arguments function tool_calls refusal reasoning query documents'.split(
    ' ',
  ),
)

function lastWords(request: Json): string | undefined {
  const { messages, input, prompt } = request
  const said = messages ?? input ?? prompt
  if (typeof said === 'string') return said
  for (const item of list(said).toReversed()) {
    if (item['role'] !== undefined && item['role'] !== 'user') continue
    const { content } = item
    if (typeof content === 'string') return content
    const texts = list(content).flatMap(({ text }) => (typeof text === 'string' ? [text] : []))
    if (texts.length > 0) return texts.join('\n')
  }
  return undefined
}

function stopReasonOf(answer: unknown): string | undefined {
  if (!isObject(answer)) return undefined
  const reason = list(answer['choices'])[0]?.['finish_reason'] ?? answer['status']
  return typeof reason === 'string' ? reason.slice(0, 100) : undefined
}

const gzipMark = 0x8b1f
const zstdMark = 0xfd2fb528

/** Tiny texts as they are, larger ones compressed: short ones by what starts fastest, long ones by what runs fastest. */
export function packed(text: string): string | Uint8Array {
  if (text.length < 256) return text
  return text.length < 16_384
    ? Bun.gzipSync(text, { level: 1 })
    : Bun.zstdCompressSync(text, { level: 1 })
}

/** Whether the bytes are a text that was packed. */
export function isPacked(stored: Uint8Array): boolean {
  if (stored.length < 5) return false
  const view = new DataView(stored.buffer, stored.byteOffset)
  return view.getUint16(0, true) === gzipMark || view.getUint32(0, true) === zstdMark
}

/** What `packed` was given. */
export function unpacked(stored: string | Uint8Array): string {
  if (typeof stored === 'string') return stored
  const isZstd = new DataView(stored.buffer, stored.byteOffset).getUint32(0, true) === zstdMark
  const bytes = new Uint8Array(stored)
  return new TextDecoder().decode(isZstd ? Bun.zstdDecompressSync(bytes) : Bun.gunzipSync(bytes))
}

/** The value of a JSON text; undefined when it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Cut, or never JSON: the text itself is all there is to know.
    return undefined
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : []
}
