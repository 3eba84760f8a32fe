import { GatewayError } from '#core/errors.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'
import type { Fields } from '#openai/conversation/fields.ts'

import type { StreamReader } from '../provider.ts'
import { readEmbeddedError } from '../refusal.ts'
import { eventObject, sseReader } from '../stream-reader.ts'
import { cite } from './citations.ts'
import { failedAnswer } from './errors.ts'
import { argumentsOf, close, openCall, planned, sayLogprobs, thought } from './response.ts'

/** Says a stream of `/v2/chat` ("Streaming" and "Tool use streaming", as read in November 2026). */
export function streamReader(writer: AnswerWriter): StreamReader {
  /** Numbers of the reasoning blocks, by content index or as the plan. */
  const thoughts = new Map<number | 'plan', number>()
  const calls = new Map<number, OpenCall>()
  let said = ''

  function thoughtAt(key: number | 'plan'): number {
    const known = thoughts.get(key)
    if (known !== undefined) return known
    thoughts.set(key, thoughts.size)
    return thoughts.size - 1
  }

  function sayContent(content: Fields, index: number): void {
    const words = content['text']
    if (typeof words === 'string' && words !== '') {
      said += words
      writer.text(words)
      return
    }
    const { thinking } = content
    if (typeof thinking === 'string' && thinking !== '') {
      writer.reasoning(thought(thoughtAt(index), thinking))
    }
  }

  function callAt(index: number): OpenCall {
    const call = calls.get(index)
    if (call) return call
    throw new GatewayError(
      'upstream_malformed',
      'The provider sent arguments of a tool call that it had not begun.',
    )
  }

  function take(event: Fields): void {
    const message = record(record(event['delta'])['message'])
    const index = typeof event['index'] === 'number' ? event['index'] : 0
    switch (event['type']) {
      case 'content-delta':
        sayContent(record(message['content']), index)
        sayLogprobs(event['logprobs'], writer)
        return
      case 'tool-call-delta': {
        const { arguments: piece } = record(record(message['tool_calls'])['function'])
        addArguments(callAt(index), argumentsOf(piece), writer)
        return
      }
      case 'message-start':
        writer.start({ id: text(event['id']) })
        return
      case 'content-start':
        sayContent(record(message['content']), index)
        return
      case 'tool-plan-delta': {
        const plan = text(message['tool_plan'])
        if (plan) writer.reasoning(planned(thoughtAt('plan'), plan))
        return
      }
      case 'tool-call-start': {
        const given = record(message['tool_calls'])
        const call = { at: openCall(given, writer), held: '' }
        calls.set(index, call)
        addArguments(call, argumentsOf(record(given['function'])['arguments']), writer)
        return
      }
      case 'tool-call-end': {
        const call = calls.get(index)
        if (call) endArguments(call, writer)
        return
      }
      case 'citation-start': {
        const { citations } = message
        for (const citation of Array.isArray(citations) ? (citations as unknown[]) : [citations]) {
          if (isRecord(citation)) cite(writer, citation, said)
        }
        return
      }
      case 'message-end': {
        for (const call of calls.values()) endArguments(call, writer)
        const delta = record(event['delta'])
        close(writer, delta['finish_reason'], delta['usage'], delta['error'])
        return
      }
      case undefined:
        throw reported(event)
    }
  }

  return sseReader(({ data }) => {
    if (data !== '[DONE]' && data !== '') take(eventObject(data))
  })
}

interface OpenCall {
  readonly at: number
  /** The beginning of the arguments while they may still turn out to be `null`, which means none; then undefined. */
  held: string | undefined
}

function addArguments(call: OpenCall, piece: string, writer: AnswerWriter): void {
  if (call.held === undefined) {
    writer.callArguments(call.at, piece)
    return
  }
  call.held += piece
  if (!'null'.startsWith(call.held)) endArguments(call, writer)
}

function endArguments(call: OpenCall, writer: AnswerWriter): void {
  const { held } = call
  call.held = undefined
  if (held !== undefined && held !== 'null') writer.callArguments(call.at, held)
}

/** What an object says that is no event: an error body in mid-stream. */
function reported(event: Fields): GatewayError {
  const upstream = readEmbeddedError(event)
  if (upstream) return new GatewayError('upstream_error', upstream.message, { upstream })
  if (typeof event['message'] === 'string') return failedAnswer(502, event['message'])
  return new GatewayError('upstream_malformed', 'The provider sent an event without a type.')
}
