import { type Fields, isRecord, record } from './fields.ts'

/** A member of a message, part or tool that no reader of conversations knows. */
export interface Unread {
  /** `messages[0].content[1].citations` */
  readonly place: string
  readonly member: string
  readonly of: 'message' | 'part' | 'tool'
}

/** What clients send back that an answer held, and that says nothing to a model. */
const echoes = ['annotations', 'parsed', 'audio']
const ofMessage = new Set([
  ...['role', 'content', 'refusal', 'tool_calls', 'function_call', 'tool_call_id', 'is_error'],
  ...['reasoning', 'reasoning_content', 'reasoning_details'],
  ...['cache_control', 'prompt_cache_breakpoint', ...echoes],
])
const markers = ['type', 'cache_control', 'prompt_cache_breakpoint']
const ofPart: Readonly<Record<string, ReadonlySet<string>>> = {
  text: new Set([...markers, 'text', ...echoes]),
  refusal: new Set([...markers, 'refusal']),
  image_url: new Set([...markers, 'image_url']),
  input_audio: new Set([...markers, 'input_audio']),
  file: new Set([...markers, 'file']),
}
const inside: Readonly<Record<string, ReadonlySet<string>>> = {
  image_url: new Set(['url', 'detail']),
  input_audio: new Set(['data', 'format']),
  file: new Set(['filename', 'file_data', 'file_url', 'file_id']),
}
const ofTool = new Set([...markers, 'function', 'custom'])
const ofFunction = new Set([
  'name',
  'description',
  'parameters',
  'strict',
  'cache_control',
  'format',
])

/**
 * The members of a chat request's messages and tools that are read by nobody, in order. An assistant message's own
 * further members are not among them: those are kept with its turn, and each vendor says which it takes.
 */
export function unreadIn(request: Fields): Unread[] {
  const found: Unread[] = []
  const look = (holder: Fields, known: ReadonlySet<string>, at: string, of: Unread['of']): void => {
    for (const member in holder) {
      const value = holder[member]
      if (known.has(member) || value === null || value === undefined) continue
      found.push({ place: `${at}.${member}`, member, of })
    }
  }
  listOf(request['messages']).forEach((given, i) => {
    const message = record(given)
    const at = `messages[${i}]`
    const { role, content } = message
    if (role !== 'assistant') {
      // A user's name is read; a tool message's name repeats its call's.
      look(withoutName(message, role), ofMessage, at, 'message')
    }
    listOf(content).forEach((piece, j) => {
      const part = record(piece)
      const type = String(part['type'])
      const known = ofPart[type] ?? ofPart['text']!
      look(part, known, `${at}.content[${j}]`, 'part')
      const held = part[type]
      if (inside[type] && isRecord(held))
        look(held, inside[type], `${at}.content[${j}].${type}`, 'part')
    })
  })
  listOf(request['tools']).forEach((given, i) => {
    const tool = record(given)
    look(tool, ofTool, `tools[${i}]`, 'tool')
    for (const kind of ['function', 'custom'] as const) {
      if (isRecord(tool[kind])) look(tool[kind], ofFunction, `tools[${i}].${kind}`, 'tool')
    }
  })
  return found
}

function withoutName(message: Fields, role: unknown): Fields {
  if (message['name'] === undefined || role === 'system' || role === 'developer') return message
  const { name: _, ...rest } = message
  return rest
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
