import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import { parseExact } from '#lib/json.ts'
import { chatStreamWriter } from '#openai/answer/chat-stream.ts'
import type { ChatFrameFacts } from '#openai/answer/chat-stream.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import type { WholeWriter } from '#openai/answer/chat-whole.ts'
import type { ResponseFacts } from '#openai/answer/responses-object.ts'
import { responsesStreamWriter, responsesWholeWriter } from '#openai/answer/responses-stream.ts'
import type { StreamWriter } from '#openai/answer/responses-stream.ts'
import { toChatRequest } from '#openai/bridge/chat-request.ts'
import type { BridgedRequest } from '#openai/bridge/chat-request.ts'
import { seal } from '#openai/bridge/seal.ts'
import type { Origin } from '#openai/bridge/seal.ts'
import type { Conversation } from '#openai/conversation/conversation.ts'
import { readConversation } from '#openai/conversation/read.ts'

import type { Resources, StreamReader, Target } from './provider.ts'

/** One conversation on its way to one vendor. */
export interface Exchange {
  readonly call: Call
  readonly target: Target
  /** The model as the vendor knows it. */
  readonly model: string
  readonly conversation: Conversation
  readonly resources: Resources
  /** Notes a parameter, or a place such as `messages[0].name`, that the vendor does not get. */
  readonly drop: (param: string) => void
}

const conversations = new WeakMap<Call, Conversation>()
const bridged = new WeakMap<Call, BridgedRequest>()

/** The conversation of a chat or Responses call, read once per call however many vendors are tried. */
export function conversationOf(call: Call): Conversation {
  const known = conversations.get(call)
  if (known) return known
  try {
    const conversation = readConversation(chatRequestOf(call))
    conversations.set(call, conversation)
    return conversation
  } catch (thrown) {
    throw inCallersTerms(call, thrown)
  }
}

/** The call's body as a chat request, with its strings whole. */
export function chatRequestOf(call: Call): Readonly<Record<string, unknown>> {
  return bridgedOf(call)?.request ?? bodyOf(call)
}

/** How a Responses call is asked as chat; undefined for other calls. Throws a 400 for what cannot be asked. */
export function bridgedOf(call: Call): BridgedRequest | undefined {
  const isCount = call.endpoint === 'count_tokens'
  if (call.endpoint !== 'responses' && !isCount) return undefined
  const known = bridged.get(call)
  if (known) return known
  const { previous_response_id: previous, ...body } = bodyOf(call)
  const isExpanded = call.continues !== undefined
  const request = toChatRequest(
    isExpanded ? body : { ...body, previous_response_id: previous },
    originOf(call),
    isCount,
  )
  bridged.set(call, request)
  return request
}

/** An error that names a place of the chat request, with the place that the caller knows. */
export function inCallersTerms(call: Call, thrown: unknown): unknown {
  if (!(thrown instanceof GatewayError) || thrown.param === undefined || thrown.upstream) {
    return thrown
  }
  const known = bridged.get(call)
  const param = known?.placeOf(thrown.param)
  if (param === undefined || param === thrown.param) return thrown
  const message = thrown.message.replaceAll(`'${thrown.param}'`, `'${param}'`)
  return new GatewayError(thrown.kind, message, {
    param,
    code: thrown.code ?? undefined,
    cause: thrown,
  })
}

function originOf({ provider, model = '' }: Call): Origin {
  return { provider, model }
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

function secondsOf(timeMs: number): number {
  return Math.floor((performance.timeOrigin + timeMs) / 1000)
}

function chatFacts(call: Call, target: Target): ChatFrameFacts {
  return { id: call.id, model: target.model ?? '', createdAt: secondsOf(call.startedAt) }
}

function responseFacts(call: Call, target: Target): ResponseFacts {
  return {
    // A caller may name two requests alike; two responses never are.
    id: `resp_${newId().toLowerCase()}`,
    model: target.model ?? '',
    createdAt: secondsOf(call.startedAt),
    now: () => secondsOf(performance.now()),
    request: bodyOf(call),
    continues: call.continues,
    tools: bridgedOf(call)?.tools ?? new Map<string, never>(),
    seal: (details) => seal(details, originOf(call)),
    onResponse: call.onResponse,
  }
}

/** A writer of the stream that the call's endpoint promises. */
export function streamWriter(
  call: Call,
  target: Target,
  emit: (events: string) => void,
): StreamWriter {
  return call.endpoint === 'responses'
    ? responsesStreamWriter(responseFacts(call, target), emit)
    : chatStreamWriter(chatFacts(call, target), emit)
}

/** A writer of the whole answer that the call's endpoint promises. */
export function wholeWriter(call: Call, target: Target): WholeWriter {
  return call.endpoint === 'responses'
    ? responsesWholeWriter(responseFacts(call, target))
    : chatWholeWriter(chatFacts(call, target))
}

/** `reader`, whose failure is written by its writer where that can. */
export function failing(reader: StreamReader, writer: StreamWriter): StreamReader {
  if (writer.fail) reader.fail = (error) => writer.fail?.(error)
  return reader
}
