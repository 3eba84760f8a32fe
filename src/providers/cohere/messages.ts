import type {
  AssistantTurn,
  Part,
  PastCall,
  ToolTurn,
  Turn,
  UserTurn,
} from '#openai/conversation/conversation.ts'
import { record, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { textOfFile } from '../text-file.ts'
import { thinks } from './models.ts'
import { REASONING_FORMAT, TOOL_PLAN } from './wire.ts'
import type { ContentBlock, Message, ToolCall } from './wire.ts'

/** The conversation's turns. Throws a 400 for parts that the vendor has no form for. */
export function toMessages(exchange: Exchange): Message[] {
  return exchange.conversation.turns.map((turn) => toMessage(turn, exchange))
}

function toMessage(turn: Turn, exchange: Exchange): Message {
  switch (turn.role) {
    case 'instruction':
      return { role: 'system', content: textContent(turn.parts, exchange) }
    case 'user':
      return fromUser(turn, exchange)
    case 'assistant':
      return fromAssistant(turn, exchange)
    case 'tool':
      return fromTool(turn, exchange)
  }
}

function fromUser({ parts, name, param }: UserTurn, exchange: Exchange): Message {
  if (name !== undefined) exchange.drop(`${param}.name`)
  if (!parts.some(({ type }) => type === 'image')) {
    return { role: 'user', content: textContent(parts, exchange) }
  }
  return { role: 'user', content: parts.map((part) => block(part, exchange)) }
}

function block(part: Part, exchange: Exchange): ContentBlock {
  if (part.type !== 'image') return { type: 'text', text: textOf(part, exchange) }
  const { source, detail, param } = part
  noteMarker(part, exchange)
  if (source.kind === 'file' || (source.kind === 'url' && !/^https?:/i.test(source.url))) {
    throw unsupported(`${param}.image_url.url`, 'Cohere takes images by http(s) URL or as data.')
  }
  const url =
    source.kind === 'url' ? source.url : `data:${source.mediaType};base64,${source.base64}`
  return { type: 'image_url', image_url: { url, ...(detail !== undefined && { detail }) } }
}

/** One text stays a string; several keep their borders. */
function textContent(parts: readonly Part[], exchange: Exchange): string | ContentBlock[] {
  const texts = parts.map((part) => textOf(part, exchange))
  if (texts.length <= 1) return texts[0] ?? ''
  return texts.map((text) => ({ type: 'text', text }))
}

function textOf(part: Part, exchange: Exchange): string {
  noteMarker(part, exchange)
  if (part.type === 'text') return part.text
  const inFile = part.type === 'file' ? textOfFile(part) : undefined
  if (inFile !== undefined) return inFile
  const what = part.type === 'file' ? 'files other than text' : `${part.type} here`
  throw unsupported(`${part.param}.type`, `Cohere takes no ${what}.`)
}

/** The vendor caches by itself. */
function noteMarker(
  { cacheControl, param }: Pick<Part, 'cacheControl' | 'param'>,
  exchange: Exchange,
): void {
  if (cacheControl) exchange.drop(`${param}.cache_control`)
}

function fromAssistant(turn: AssistantTurn, exchange: Exchange): Message {
  const { parts, calls, name, extra, param } = turn
  if (name !== undefined) exchange.drop(`${param}.name`)
  const { thinking, plan } = thoughts(turn, exchange)
  const texts = textContent(parts, exchange)
  const { citations, ...others } = extra
  for (const member of Object.keys(others)) exchange.drop(`${param}.${member}`)
  const own = Array.isArray(citations) ? citations.filter(isCitation) : []
  if (citations !== undefined && !(Array.isArray(citations) && own.length === citations.length)) {
    exchange.drop(`${param}.citations`)
  }
  const content =
    thinking.length === 0
      ? texts
      : [
          ...thinking.map((text): ContentBlock => ({ type: 'thinking', thinking: text })),
          ...(typeof texts === 'string' ? asBlocks(texts) : texts),
        ]
  return {
    role: 'assistant',
    ...((content.length > 0 || calls.length === 0) && { content }),
    ...(plan !== '' && { tool_plan: plan }),
    ...(calls.length > 0 && { tool_calls: calls.map((call) => toCall(call, exchange)) }),
    ...(own.length > 0 && { citations: own }),
  }
}

/** The vendor's own form; other vendors' answers have citations, too. */
function isCitation(value: unknown): boolean {
  const { start, end } = record(value)
  return typeof start === 'number' && typeof end === 'number'
}

function asBlocks(text: string): ContentBlock[] {
  return text === '' ? [] : [{ type: 'text', text }]
}

function toCall(call: PastCall, exchange: Exchange): ToolCall {
  const { id, name, kind, text, param } = call
  noteMarker(call, exchange)
  for (const member of Object.keys(call.extra)) exchange.drop(`${param}.${member}`)
  // A free text has to travel as JSON.
  const written = kind === 'custom' ? JSON.stringify({ input: text }) : text
  return { id, type: 'function', function: { name, arguments: written } }
}

interface Thoughts {
  readonly thinking: readonly string[]
  readonly plan: string
}

/**
 * What the model thought, as it was said here before. What another vendor signed or encrypted is left out, and so is
 * everything that a model without thoughts has no place for.
 */
function thoughts(
  { details, reasoning, calls, param }: AssistantTurn,
  exchange: Exchange,
): Thoughts {
  const blocks = new Map<number, string>()
  let plan = ''
  for (const { type, index, id, text, summary, format } of details) {
    const said = text ?? summary
    const isForeign = format !== undefined && format !== REASONING_FORMAT
    if (isForeign || type === 'reasoning.encrypted' || said === undefined) {
      exchange.drop(`${param}.reasoning_details`)
    } else if (id === TOOL_PLAN) {
      plan += said
    } else {
      blocks.set(index, (blocks.get(index) ?? '') + said)
    }
  }
  if (details.length === 0 && reasoning !== undefined && reasoning !== '') blocks.set(0, reasoning)
  const thinking = [...blocks.values()].filter((said) => said !== '')
  if (thinking.length === 0 || thinks(exchange.model)) return { thinking, plan }
  if (calls.length > 0 && plan === '') return { thinking: [], plan: thinking.join('\n') }
  exchange.drop(`${param}.reasoning`)
  return { thinking: [], plan }
}

function fromTool({ callId, parts, isError, param }: ToolTurn, exchange: Exchange): Message {
  if (isError) exchange.drop(`${param}.is_error`)
  return { role: 'tool', tool_call_id: callId, content: textContent(parts, exchange) }
}
