import type { GatewayError } from '#core/errors.ts'

import { isRecord } from '../conversation/fields.ts'
import type { WholeWriter } from './chat-whole.ts'
import { responseUsage } from './counts.ts'
import { openCallItem } from './responses-calls.ts'
import type { OpenItemOfCall } from './responses-calls.ts'
import { openMessage } from './responses-message.ts'
import type { OpenMessage } from './responses-message.ts'
import { responseObject } from './responses-object.ts'
import type { Item, ResponseFacts, Status } from './responses-object.ts'
import { openReasoning } from './responses-reasoning.ts'
import type { OpenReasoning } from './responses-reasoning.ts'
import type { AnswerFacts, AnswerWriter, FinishReason, TokenCounts } from './writer.ts'

/** A writer of a stream that can say of itself that it failed. */
export interface StreamWriter extends AnswerWriter {
  /** The last event of a stream that failed, in place of `end`. Absent where an error event ends the stream. */
  fail?(error: GatewayError): void
}

/**
 * Writes an answer as the events of a streamed response, in the order that the helpers of the SDKs insist on. `emit`
 * gets whole events. The first events leave with the first thing said: until then a failure can still be a status.
 */
export function responsesStreamWriter(
  facts: ResponseFacts,
  emit: (events: string) => void,
): StreamWriter {
  return createWriter(facts, emit).writer
}

/** Collects an answer into a response object; the same as the last event of the stream holds. */
export function responsesWholeWriter(facts: ResponseFacts): WholeWriter {
  const { writer, finished } = createWriter(facts, undefined)
  return {
    ...writer,
    result() {
      const response = finished()
      if (!response) return undefined
      const usage = response['usage'] as Readonly<Record<string, unknown>>
      return { text: JSON.stringify(response), usage, serviceTier: response['service_tier'] }
    },
  }
}

interface Created {
  readonly writer: StreamWriter
  readonly finished: () => Record<string, unknown> | undefined
}

function createWriter(facts: ResponseFacts, emit: ((events: string) => void) | undefined): Created {
  const { request } = facts
  const reasoning = isRecord(request['reasoning']) ? request['reasoning'] : {}
  const include = Array.isArray(request['include']) ? (request['include'] as unknown[]) : []
  const rules = {
    shown: reasoning['summary'] !== null,
    packed: include.includes('reasoning.encrypted_content'),
    seal: facts.seal,
  }
  const output: Item[] = []
  /** By the writer's number of the call; closed ones are undefined. */
  const calls: (OpenItemOfCall | undefined)[] = []
  let message: OpenMessage | undefined
  let lastMessage: OpenMessage | undefined
  let thought: OpenReasoning | undefined
  let said = 0
  let hasRefused = false
  let about: AnswerFacts = {}
  let counts: Partial<TokenCounts> = {}
  let reason: FinishReason | undefined
  const extra: Record<string, unknown> = {}
  let sequence = 0
  let begun = false
  let response: Record<string, unknown> | undefined

  function write(type: string, members: string): void {
    emit?.(
      `event: ${type}\ndata: {"type":"${type}","sequence_number":${sequence++},${members}}\n\n`,
    )
  }

  function snapshot(status: Status, error: { code: string; message: string } | null = null) {
    const isOver = status !== 'in_progress'
    const why = reason === 'length' ? 'max_output_tokens' : 'content_filter'
    return responseObject(facts, {
      status,
      model: about.model,
      serviceTier: counts.serviceTier ?? about.serviceTier,
      output,
      usage: isOver ? responseUsage(counts) : null,
      completedAt: status === 'completed' ? facts.now() : null,
      error,
      reason: status === 'incomplete' ? why : null,
      extra,
    })
  }

  function begin(): void {
    if (begun) return
    begun = true
    if (!emit) return
    const first = `"response":${JSON.stringify(snapshot('in_progress'))}`
    write('response.created', first)
    write('response.in_progress', first)
  }

  const idOf = (prefix: string): string =>
    `${prefix}_${facts.id.replace(/^resp_/, '')}${output.length.toString(16).padStart(4, '0')}`

  /** Everything that is complete is closed before something else opens. Calls may go on side by side. */
  function makeWay(): void {
    begin()
    message?.close('completed')
    message = undefined
    thought?.close('completed')
    thought = undefined
    calls.forEach((call, at) => {
      if (!call?.isWhole()) return
      call.close('completed')
      calls[at] = undefined
    })
  }

  function messageItem(): OpenMessage {
    if (message) return message
    makeWay()
    message = openMessage(idOf('msg'), output.length, said, write)
    lastMessage = message
    output.push(message.item)
    return message
  }

  /** The last item of an answer that was cut short is itself cut short. */
  function closeAll(isCut: boolean): void {
    const open = [message, thought, ...calls].filter((each) => each !== undefined)
    open.sort((a, b) => output.indexOf(a.item) - output.indexOf(b.item))
    for (const each of open) {
      const isHalf =
        isCut && (each.item === output.at(-1) || ('isWhole' in each && !each.isWhole()))
      each.close(isHalf ? 'incomplete' : 'completed')
    }
    message = undefined
    thought = undefined
    calls.fill(undefined)
  }

  const writer: StreamWriter = {
    start(given) {
      about = given
    },
    text(piece) {
      if (piece === '') return
      messageItem().text(piece)
      said += piece.length
    },
    refusal(piece) {
      if (piece === '') return
      hasRefused = true
      messageItem().refusal(piece)
    },
    reasoning(detail) {
      if (!thought) {
        makeWay()
        thought = openReasoning(idOf('rs'), output.length, rules, write)
        output.push(thought.item)
      }
      thought.add(detail)
    },
    openCall(call) {
      makeWay()
      const place = { id: idOf, index: output.length }
      const open = openCallItem(call, facts.tools.get(call.name), place, write)
      output.push(open.item)
      return calls.push(open) - 1
    },
    callArguments(call, piece) {
      calls[call]?.add(piece)
    },
    annotation(annotation) {
      ;(message ?? lastMessage ?? messageItem()).annotation(annotation)
    },
    logprobs(tokens) {
      ;(message ?? lastMessage ?? messageItem()).logprobs(tokens)
    },
    extra(fields) {
      for (const [name, value] of Object.entries(fields)) {
        const known = extra[name]
        extra[name] =
          Array.isArray(known) && Array.isArray(value)
            ? [...(known as unknown[]), ...(value as unknown[])]
            : value
      }
    },
    finish(why, beside) {
      reason = why
      if (beside) Object.assign(extra, beside)
    },
    usage(more) {
      counts = { ...counts, ...more }
    },
    end() {
      begin()
      const isCut = reason === 'length' || (reason === 'content_filter' && !hasRefused)
      closeAll(isCut)
      const status = isCut ? 'incomplete' : 'completed'
      response = snapshot(status)
      facts.onResponse?.(response)
      if (emit) write(`response.${status}`, `"response":${JSON.stringify(response)}`)
    },
    fail(error) {
      begin()
      for (const item of output) if (item.status === 'in_progress') item.status = 'incomplete'
      const failed = snapshot('failed', { code: codeOf(error), message: messageOf(error) })
      write('response.failed', `"response":${JSON.stringify(failed)}`)
    },
  }
  return { writer, finished: () => response }
}

/** OpenAI has few codes for a response that failed; the provider's own words are in the message. */
function codeOf(error: GatewayError): string {
  if (error.status === 429) return 'rate_limit_exceeded'
  return error.status === 400 || error.status === 422 ? 'invalid_prompt' : 'server_error'
}

function messageOf(error: GatewayError): string {
  return error.upstream?.message ?? error.message
}
