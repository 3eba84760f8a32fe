import type { MockFailure } from './answer.ts'
import { refuse, type Rules } from './anthropic-check.ts'
import { isRecord, record, stringOf } from './wire.ts'

type Fields = Readonly<Record<string, unknown>>

/** A message with its content as blocks. */
export interface Heard {
  readonly role: string
  readonly content: readonly Fields[]
}

/** The signature of a thought, which only this mock can give; another text or another vendor's is refused. */
export function signatureOf(thinking: string): string {
  return `mocksig${Bun.hash(thinking).toString(36)}`
}

const imageTypes = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp'])

/** The messages of a request. Throws for an order or a block that the vendor does not take. */
export function checkMessages(body: Fields, rules: Rules): readonly Heard[] {
  if (!Array.isArray(body.messages) || body.messages.length === 0) {
    throw refuse('messages: at least one message is required')
  }
  const heard = body.messages.map((given, at) => hear(record(given), `messages.${at}`, rules))
  const system = typeof body.system === 'string' ? [] : (body.system ?? [])
  if (!Array.isArray(system)) throw refuse('system: Input should be a valid list')
  system.forEach((block, at) => checkText(record(block), `system.${at}`))
  checkInstructions(heard)
  checkToolOrder(heard)
  checkThoughts(heard, body)
  checkEnd(heard, rules)
  const marked = [
    ...system,
    ...(Array.isArray(body.tools) ? body.tools : []),
    ...heard.flatMap(({ content }) => content),
  ]
  const inner = heard.flatMap(({ content }) =>
    content.flatMap((block) => (Array.isArray(block.content) ? (block.content as unknown[]) : [])),
  )
  const count = [...marked, ...inner].filter((block) =>
    isRecord(record(block).cache_control),
  ).length
  if (count + (body.cache_control ? 1 : 0) > 4) {
    throw refuse(`A maximum of 4 blocks with cache_control may be provided. Found ${count}.`)
  }
  return heard
}

function hear(message: Fields, place: string, rules: Rules): Heard {
  const { role, content } = message
  if (role !== 'user' && role !== 'assistant' && !(role === 'system' && rules.laterSystem)) {
    throw refuse(`${place}.role: Input should be 'user' or 'assistant'`)
  }
  for (const name of Object.keys(message)) {
    if (name !== 'role' && name !== 'content') {
      throw refuse(`${place}.${name}: Extra inputs are not permitted`)
    }
  }
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (!Array.isArray(blocks) || blocks.length === 0) {
    throw refuse(`${place}: all messages must have non-empty content`)
  }
  blocks.map(record).forEach((block, at) => checkBlock(block, role, `${place}.content.${at}`))
  return { role, content: blocks.map(record) }
}

function checkBlock(block: Fields, role: string, place: string): void {
  switch (block.type) {
    case 'text':
      return checkText(block, place)
    case 'image':
    case 'document':
      if (role !== 'user') throw refuse(`${place}: ${block.type} blocks are only for user messages`)
      return checkSource(block, place)
    case 'tool_use':
      if (role !== 'assistant') throw refuse(`${place}: tool_use is only for assistant messages`)
      if (!/^[a-zA-Z0-9_-]+$/.test(String(block.id))) {
        throw refuse(`${place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`)
      }
      if (!isRecord(block.input) || Array.isArray(block.input)) {
        throw refuse(`${place}.tool_use.input: Input should be a valid dictionary`)
      }
      return undefined
    case 'tool_result':
      if (role !== 'user') throw refuse(`${place}: tool_result is only for user messages`)
      if (Array.isArray(block.content)) {
        block.content.map(record).forEach((inner) => checkBlock(inner, 'user', place))
      }
      return undefined
    case 'thinking':
      if (typeof block.thinking !== 'string' || block.signature !== signatureOf(block.thinking)) {
        throw refuse(`${place}: Invalid \`signature\` in \`thinking\` block`)
      }
      return undefined
    case 'redacted_thinking':
      if (!stringOf(block.data)?.startsWith('mocksig')) {
        throw refuse(`${place}: Invalid \`data\` in \`redacted_thinking\` block`)
      }
      return undefined
    default:
      if (/^(?:server_tool_use|\w+_tool_result)$/.test(String(block.type))) return undefined
      throw refuse(`${place}: Input tag '${String(block.type)}' found using 'type' does not match`)
  }
}

function checkText({ text }: Fields, place: string): void {
  if (typeof text !== 'string') throw refuse(`${place}.text: Field required`)
  if (text.trim() === '') {
    throw refuse(`${place}: text content blocks must contain non-whitespace text`)
  }
}

function checkSource({ type, source }: Fields, place: string): void {
  const { type: kind, media_type: mediaType, data, url } = record(source)
  const fits =
    (kind === 'base64' &&
      typeof data === 'string' &&
      (type === 'image' ? imageTypes.has(String(mediaType)) : mediaType === 'application/pdf')) ||
    (kind === 'url' && /^https?:/.test(String(url))) ||
    (kind === 'text' && type === 'document' && mediaType === 'text/plain') ||
    kind === 'file'
  if (!fits) throw refuse(`${place}.${String(type)}.source: not a source of this kind`)
}

/** A later instruction stands between what the user says and the answer to it. */
function checkInstructions(heard: readonly Heard[]): void {
  heard.forEach(({ role }, at) => {
    if (role !== 'system') return
    if (heard[at - 1]?.role !== 'user') {
      throw refuse(`messages.${at}: role 'system' must follow a 'user' message`)
    }
    if (at < heard.length - 1 && heard[at + 1]!.role !== 'assistant') {
      throw refuse(
        `messages.${at}: role 'system' must precede an 'assistant' message or end the array`,
      )
    }
  })
}

/** Every call is answered in the next message, before anything else that stands there. */
function checkToolOrder(heard: readonly Heard[]): void {
  const seen = new Set<unknown>()
  heard.forEach(({ role, content }, at) => {
    const called = content.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
    for (const id of called) {
      if (seen.has(id)) throw refuse('messages: `tool_use` ids must be unique')
      seen.add(id)
    }
    const before = at === 0 ? [] : heard[at - 1]!.content
    const asked = new Set(before.filter(({ type }) => type === 'tool_use').map(({ id }) => id))
    const results = content.filter(({ type }) => type === 'tool_result')
    for (const { tool_use_id: id } of results) {
      if (!asked.delete(id)) {
        throw refuse(
          `messages.${at}.content: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}`,
        )
      }
    }
    if (
      role === 'user' &&
      content.slice(0, results.length).some(({ type }) => type !== 'tool_result')
    ) {
      throw refuse(`messages.${at}: tool_result blocks must come first`)
    }
    if (asked.size > 0) throw unanswered(at - 1, asked)
    if (at === heard.length - 1 && called.length > 0) throw unanswered(at, called)
  })
}

function unanswered(at: number, ids: Iterable<unknown>): MockFailure {
  return refuse(
    `messages.${at}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${[...ids].join(', ')}`,
  )
}

/** A model with a budget for thinking wants to see, in a loop of calls, the thoughts that led to them. */
function checkThoughts(heard: readonly Heard[], body: Fields): void {
  if (record(body.thinking).type !== 'enabled') return
  const last = heard.at(-1)
  if (!last?.content.some(({ type }) => type === 'tool_result')) return
  const first = heard.at(-2)?.content[0]?.type
  if (first !== 'thinking' && first !== 'redacted_thinking') {
    throw refuse(`Expected \`thinking\` or \`redacted_thinking\`, but found \`${String(first)}\`.`)
  }
}

function checkEnd(heard: readonly Heard[], rules: Rules): void {
  const last = heard.at(-1)
  if (last?.role !== 'assistant') return
  if (!rules.prefill) {
    throw refuse('This model does not support assistant message prefill.')
  }
  const text = last.content.at(-1)?.text
  if (typeof text === 'string' && text !== text.trimEnd()) {
    throw refuse('messages: final assistant content cannot end with trailing whitespace')
  }
}
