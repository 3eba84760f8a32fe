import type { Call } from '#core/call.ts'
import { parseExact } from '#lib/json.ts'
import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import type { ChatFrameFacts } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import type { WholeWriter } from '#openai/answer/chat-whole.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'
import type { Conversation } from '#openai/conversation/conversation.ts'
import { readConversation } from '#openai/conversation/read.ts'

import type { Resources, Target } from './provider.ts'

/** One conversation on its way to one vendor. */
export interface Exchange {
  readonly call: Call
  readonly target: Target
  /** The model as the vendor knows it. */
  readonly model: string
  readonly conversation: Conversation
  readonly resources: Resources
  /** Notes a parameter, or a place such as `messages[0].name`, that the vendor does not get. */
  drop(param: string): void
}

const conversations = new WeakMap<Call, Conversation>()

/** The conversation of a chat or Responses call, read once per call however many vendors are tried. */
export function conversationOf(call: Call): Conversation {
  const known = conversations.get(call)
  if (known) return known
  const conversation = readConversation(chatRequestOf(call))
  conversations.set(call, conversation)
  return conversation
}

/** The call's body as a chat request, with its strings whole. */
export function chatRequestOf(call: Call): Readonly<Record<string, unknown>> {
  return bodyOf(call)
}

/** The JSON body with whole strings and exact integers. Throws SyntaxError never: the text was parsed before. */
export function bodyOf({ body }: Call): Readonly<Record<string, unknown>> {
  if (body.kind !== 'json') return {}
  const { text } = body
  const needsParsing = text.length > shortenedFrom || /\d{16}/.test(text)
  return needsParsing ? (parseExact(text) as Record<string, unknown>) : body.value
}

/** From this length on `Body.value` has its longest strings cut. */
const shortenedFrom = 256 * 1024

function factsOf(call: Call, target: Target): ChatFrameFacts {
  const createdAt = Math.floor((performance.timeOrigin + call.startedAt) / 1000)
  return { id: call.id, model: target.model ?? '', createdAt }
}

/** A writer of the stream that the call's endpoint promises. */
export function streamWriter(
  call: Call,
  target: Target,
  emit: (events: string) => void,
): AnswerWriter {
  return chatStreamWriter(factsOf(call, target), emit)
}

/** A writer of the whole answer that the call's endpoint promises. */
export function wholeWriter(call: Call, target: Target): WholeWriter {
  return chatWholeWriter(factsOf(call, target))
}
