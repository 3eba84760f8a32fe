import { GatewayError } from '#core/errors.ts'

import type { KnownTool } from '../answer/responses-object.ts'
import type { ReasoningDetail } from '../answer/writer.ts'
import type { Fields } from '../conversation/fields.ts'
import { invalid, record, text, unsupported } from '../conversation/fields.ts'
import { bridgeContent } from './content.ts'
import type { Places } from './places.ts'
import { unseal } from './seal.ts'
import type { Origin } from './seal.ts'

export interface ItemContext {
  readonly origin: Origin
  readonly places: Places
  /** Tools that the model knows by another name or form. */
  readonly tools: ReadonlyMap<string, KnownTool>
  /** Calls at the end may still be without an output, as when tokens are only counted. */
  readonly isUnfinished: boolean
  readonly drop: (place: string) => void
}

/** An assistant message under construction: one turn's items become one message. */
interface Turn {
  content: string | Fields[] | undefined
  readonly calls: Fields[]
  readonly details: ReasoningDetail[]
  /** Number of the next block of reasoning. */
  nextBlock: number
  reasoning: string
}

/** Calls of OpenAI's own tools, finished long ago; what they found is in the text after them. */
const finishedCalls =
  /^(?:web_search_call|file_search_call|code_interpreter_call|image_generation_call|computer_call|mcp_call|mcp_list_tools|mcp_approval_request|shell_call|apply_patch_call|local_shell_call|compaction)$/

/** The items of a conversation as chat messages. Throws a 400 with the item's place for what has no equivalent. */
export function bridgeItems(
  items: readonly unknown[],
  first: readonly Fields[],
  context: ItemContext,
): Fields[] {
  const { places, drop } = context
  const messages: (Fields | Turn)[] = [...first]
  const turns = new Set<unknown>()
  const ids = new Set(items.flatMap(ownId))
  /** Call id → where the call stands, until its output comes. */
  const unanswered = new Map<string, string>()
  const answered = new Set<string>()
  let turn: Turn | undefined
  /** Reasoning that waits for the turn it belongs to. */
  let waiting: (Thought & { place: string })[] = []

  function open(place: string): Turn {
    if (!turn) {
      turn = { content: undefined, calls: [], details: [], nextBlock: 0, reasoning: '' }
      turns.add(turn)
      places.note(`messages[${messages.length}]`, place)
      messages.push(turn)
    }
    for (const thought of waiting) think(turn, thought, thought.place)
    waiting = []
    return turn
  }

  function think(to: Turn, { details, summary }: Thought, place: string): void {
    const at = `messages[${messages.length - 1}]`
    places.note(`${at}.reasoning_details`, place)
    places.note(`${at}.reasoning`, place)
    addThought(to, details, summary)
  }

  function push(message: Fields): void {
    turn = undefined
    for (const { place } of waiting) drop(place)
    waiting = []
    messages.push(message)
  }

  items.forEach((given, i) => {
    const item = record(given)
    const place = `input[${i}]`
    const type = text(item['type']) ?? 'message'
    switch (type) {
      case 'message': {
        const { role } = item
        if (role === 'assistant') {
          say(open(place), item, place, messages.length - 1, places)
          return
        }
        if (role !== 'user' && role !== 'system' && role !== 'developer') {
          throw invalid(`${place}.role`, `Role '${text(role) ?? ''}' is not known here.`)
        }
        const at = `messages[${messages.length}]`
        places.note(at, place)
        const content = bridgeContent(item['content'], `${place}.content`, `${at}.content`, places)
        push({ ...beyond(item), role, content })
        return
      }
      case 'function_call':
      case 'custom_tool_call': {
        const call = readCall(item, place, context)
        unanswered.set(call.id, place)
        const { calls } = open(place)
        const at = `messages[${messages.length - 1}].tool_calls[${calls.length}]`
        places.note(at, place)
        places.note(`${at}.id`, `${place}.call_id`)
        calls.push(call)
        return
      }
      case 'function_call_output':
      case 'custom_tool_call_output': {
        const id = text(item['call_id'])
        if (id === undefined) {
          throw new GatewayError(
            'missing_parameter',
            `Missing required parameter: '${place}.call_id'.`,
            { param: `${place}.call_id` },
          )
        }
        if (!unanswered.delete(id) && !answered.has(id)) {
          const what = type === 'function_call_output' ? 'function call' : 'custom tool call'
          throw invalid(
            `${place}.call_id`,
            `No tool call found for ${what} output with call_id ${id}.`,
          )
        }
        answered.add(id)
        const at = `messages[${messages.length}]`
        places.note(at, place)
        places.note(`${at}.tool_call_id`, `${place}.call_id`)
        const content = bridgeContent(item['output'], `${place}.output`, `${at}.content`, places)
        push({ role: 'tool', tool_call_id: id, content })
        return
      }
      case 'reasoning': {
        const thought = readReasoning(item, context.origin)
        if (thought.isForeign) drop(`${place}.encrypted_content`)
        if (turn && waiting.length === 0) think(turn, thought, place)
        else waiting.push({ ...thought, place })
        return
      }
      case 'item_reference': {
        const id = text(item['id'])
        // The item itself is in the conversation already; any other one is the store's to resolve.
        if (id !== undefined && ids.has(id)) return
        throw new GatewayError('invalid_request', `Item with id '${id ?? ''}' not found.`, {
          param: `${place}.id`,
          code: 'item_not_found',
        })
      }
      default:
        if (!finishedCalls.test(type)) {
          throw unsupported(
            `${place}.type`,
            `Items of type '${type}' cannot be said to provider '${context.origin.provider}'.`,
          )
        }
        drop(place)
    }
  })
  for (const { place } of waiting) drop(place)
  if (!context.isUnfinished) {
    for (const [id, place] of unanswered) {
      throw invalid(`${place}.call_id`, `No tool output found for function call ${id}.`)
    }
  }
  return messages.map((message) =>
    turns.has(message) ? finished(message as Turn) : (message as Fields),
  )
}

function ownId(item: unknown): string[] {
  const { type, id } = record(item)
  return typeof id === 'string' && type !== 'item_reference' ? [id] : []
}

function addThought(turn: Turn, details: readonly ReasoningDetail[], summary: string): void {
  const base = turn.nextBlock
  for (const detail of details) {
    const index = base + Math.max(0, detail.index)
    turn.details.push({ ...detail, index })
    turn.nextBlock = Math.max(turn.nextBlock, index + 1)
  }
  if (details.length === 0) turn.reasoning += summary
}

function say(turn: Turn, item: Fields, place: string, at: number, places: Places): void {
  const before = turn.content
  if (before === undefined) {
    const chat = `messages[${at}]`
    turn.content = bridgeContent(item['content'], `${place}.content`, `${chat}.content`, places)
    return
  }
  const earlier: Fields[] = typeof before === 'string' ? [{ type: 'text', text: before }] : before
  const more = bridgeContent(item['content'], `${place}.content`, `${place}.content`, places)
  const later = typeof more === 'string' ? [{ type: 'text', text: more }] : more
  later.forEach((part, j) => {
    places.note(`messages[${at}].content[${earlier.length}]`, `${place}.content[${j}]`)
    earlier.push(part)
  })
  turn.content = earlier
}

function finished({ content, calls, details, reasoning }: Turn): Fields {
  return {
    role: 'assistant',
    content:
      content === undefined || content.length === 0 ? (calls.length > 0 ? null : '') : content,
    ...(reasoning !== '' && details.length === 0 && { reasoning }),
    ...(details.length > 0 && { reasoning_details: details }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

const ownOfMessage = new Set(['type', 'id', 'role', 'content', 'status', 'phase'])

function beyond(item: Fields): Fields {
  return Object.fromEntries(
    Object.entries(item).filter(([name, value]) => !ownOfMessage.has(name) && value !== null),
  )
}

const ownOfCall = new Set([
  'type',
  'id',
  'call_id',
  'name',
  'namespace',
  'arguments',
  'input',
  'status',
  'caller',
  // The SDK's helpers leave it in what they have read.
  'parsed_arguments',
])

function readCall(item: Fields, place: string, { tools }: ItemContext): Fields & { id: string } {
  const id = text(item['call_id'])
  const name = text(item['name'])
  if (id === undefined || id === '')
    throw invalid(`${place}.call_id`, 'A tool call needs a call_id.')
  if (name === undefined || name === '') throw invalid(`${place}.name`, 'A tool call needs a name.')
  const namespace = text(item['namespace'])
  const full = namespace === undefined ? nameOf(name, tools) : `${namespace}__${name}`
  const given = item['arguments']
  const written =
    item['type'] === 'custom_tool_call'
      ? JSON.stringify({ input: text(item['input']) ?? '' })
      : (text(given) ?? (given === undefined || given === null ? '{}' : JSON.stringify(given)))
  const more = Object.entries(item).filter(([key, value]) => !ownOfCall.has(key) && value !== null)
  return {
    ...Object.fromEntries(more),
    id,
    type: 'function',
    function: { name: full, arguments: written },
  }
}

/** Callers may leave the namespace out of what they send back. */
function nameOf(name: string, tools: ReadonlyMap<string, KnownTool>): string {
  if (tools.size === 0 || tools.has(name)) return name
  let names = fullNames.get(tools)
  if (!names) {
    names = new Map([...tools].map(([full, known]) => [known.name, full]))
    fullNames.set(tools, names)
  }
  return names.get(name) ?? name
}

/** The model's names of tools by the caller's. */
const fullNames = new WeakMap<ReadonlyMap<string, KnownTool>, ReadonlyMap<string, string>>()

interface Thought {
  readonly details: readonly ReasoningDetail[]
  /** Used where there are no details. */
  readonly summary: string
  readonly isForeign: boolean
}

function readReasoning(item: Fields, origin: Origin): Thought {
  const sealed = text(item['encrypted_content'])
  const details = sealed === undefined ? undefined : unseal(sealed, origin)
  const isForeign = sealed !== undefined && sealed !== '' && details === undefined
  const summary = [...textsIn(item['content']), ...textsIn(item['summary'])]
  return { details: details ?? [], summary: isForeign ? '' : summary.join('\n\n'), isForeign }
}

function textsIn(parts: unknown): string[] {
  if (!Array.isArray(parts)) return []
  return (parts as unknown[]).flatMap((part) => text(record(part)['text']) ?? [])
}
