import { parseExact } from '#lib/json.ts'
import type {
  AssistantTurn,
  Conversation,
  Part,
  PastCall,
  Source,
  Turn,
} from '#openai/conversation/conversation.ts'
import { invalid, isRecord, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { textOfFile } from '../text-file.ts'
import type { Message, ToolCall } from './wire.ts'

/** URLs whose content has to travel with the request: the vendor fetches nothing. */
export function urlsIn({ turns }: Conversation): string[] {
  return turns.flatMap(({ parts }) =>
    (parts as readonly Part[]).flatMap((part) =>
      (part.type === 'image' || part.type === 'file') &&
      part.source.kind === 'url' &&
      /^https?:/i.test(part.source.url)
        ? [part.source.url]
        : [],
    ),
  )
}

/** The conversation's turns. Throws a 400 for parts that the vendor has no form for. */
export function toMessages(exchange: Exchange): Message[] {
  return exchange.conversation.turns.map((turn) => toMessage(turn, exchange))
}

function toMessage(turn: Turn, exchange: Exchange): Message {
  const { param } = turn
  if ('name' in turn && turn.name !== undefined && turn.role !== 'tool') {
    exchange.drop(`${param}.name`)
  }
  const content = contentOf(turn.parts, exchange)
  switch (turn.role) {
    case 'instruction':
      return { role: 'system', ...content }
    case 'user':
      return { role: 'user', ...content }
    case 'assistant':
      return fromAssistant(turn, content, exchange)
    case 'tool':
      if (turn.isError) exchange.drop(`${param}.is_error`)
      return { role: 'tool', ...content, tool_name: turn.name, tool_call_id: turn.callId }
  }
}

type Content = Pick<Message, 'content' | 'images'>

function contentOf(parts: readonly Part[], exchange: Exchange): Content {
  const texts: string[] = []
  const images: string[] = []
  for (const part of parts) {
    // The server keeps prefixes by itself.
    if (part.cacheControl) exchange.drop(`${part.param}.cache_control`)
    switch (part.type) {
      case 'text':
        texts.push(part.text)
        break
      case 'image':
        images.push(imageOf(part.source, part.param, exchange))
        if (part.detail !== undefined && part.detail !== 'auto') {
          exchange.drop(`${part.param}.image_url.detail`)
        }
        break
      case 'audio':
        images.push(part.base64)
        break
      case 'file': {
        const source = fetched(part.source, exchange)
        const text = textOfFile({ ...part, source })
        if (text === undefined) {
          throw unsupported(`${part.param}.type`, 'Ollama takes no files other than text.')
        }
        texts.push(text)
      }
    }
  }
  return { content: texts.join('\n'), ...(images.length > 0 && { images }) }
}

function imageOf(given: Source, param: string, exchange: Exchange): string {
  const source = fetched(given, exchange)
  if (source.kind !== 'data') {
    throw unsupported(`${param}.image_url.url`, 'Ollama takes images by http(s) URL or as data.')
  }
  if (given.kind === 'url' && !source.mediaType.startsWith('image/')) {
    throw invalid(`${param}.image_url.url`, `The URL leads to '${source.mediaType}' and no image.`)
  }
  return source.base64
}

/** What stood at a URL, in place of the URL. */
function fetched(source: Source, { resources }: Exchange): Source {
  const found = source.kind === 'url' ? resources.get(source.url) : undefined
  return found ? { kind: 'data', ...found } : source
}

function fromAssistant(turn: AssistantTurn, content: Content, exchange: Exchange): Message {
  const { calls, extra, param } = turn
  for (const member of Object.keys(extra)) exchange.drop(`${param}.${member}`)
  const thinking = thinkingOf(turn, exchange)
  return {
    role: 'assistant',
    ...content,
    ...(thinking !== '' && { thinking }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call, index) => toCall(call, index, exchange)),
    }),
  }
}

/** What the model thought in the clear; what another vendor signed or encrypted is left out. */
function thinkingOf({ details, reasoning, param }: AssistantTurn, exchange: Exchange): string {
  if (details.length === 0) return reasoning ?? ''
  let thinking = ''
  for (const { type, text, summary, format } of details) {
    const said = text ?? summary
    if (format !== undefined || type === 'reasoning.encrypted' || said === undefined) {
      exchange.drop(`${param}.reasoning_details`)
    } else {
      thinking += said
    }
  }
  return thinking
}

function toCall(call: PastCall, index: number, exchange: Exchange): ToolCall {
  const { id, name, param } = call
  if (call.cacheControl) exchange.drop(`${param}.cache_control`)
  for (const member of Object.keys(call.extra)) exchange.drop(`${param}.${member}`)
  return { id, function: { index, name, arguments: argumentsOf(call, exchange) } }
}

/** The arguments as an object. Free text, and text that is no JSON object, becomes the one member of an object. */
function argumentsOf({ kind, text, input, param }: PastCall, exchange: Exchange): unknown {
  if (kind === 'custom') return { input: text }
  if (!input) {
    exchange.drop(`${param}.function.arguments`)
    return { input: text }
  }
  // Read anew, since large integers have to keep their digits.
  const exact = /\d{16}/.test(text) ? parseExact(text) : undefined
  return isRecord(exact) ? exact : input
}
