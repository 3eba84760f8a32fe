import { GatewayError } from '#core/errors.ts'
import type { AnswerWriter, FinishReason } from '#openai/answer/writer.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

import { cite } from './citations.ts'
import { failedAnswer } from './errors.ts'
import { REASONING_FORMAT, TOOL_PLAN } from './wire.ts'

/** Says a whole answer of `/v2/chat`. Throws `GatewayError` when it is none, or says that it failed. */
export function readWhole(answer: unknown, writer: AnswerWriter): void {
  const root = record(answer)
  const { message } = root
  // The form of its errors, whatever the status.
  if (typeof message === 'string') throw failedAnswer(502, message)
  if (!isRecord(message)) {
    throw new GatewayError('upstream_malformed', 'The provider sent an answer without a message.')
  }
  writer.start({ id: text(root['id']) })
  let said = ''
  let thoughts = 0
  const { content } = message
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [content]
  for (const block of blocks) {
    const { thinking, text: words } = typeof block === 'string' ? { text: block } : record(block)
    if (typeof thinking === 'string' && thinking !== '') {
      writer.reasoning(thought(thoughts++, thinking))
    }
    if (typeof words === 'string') {
      said += words
      writer.text(words)
    }
  }
  const plan = text(message['tool_plan'])
  if (plan) writer.reasoning(planned(thoughts++, plan))
  for (const call of listOf(message['tool_calls'])) readCall(call, writer)
  for (const citation of listOf(message['citations'])) cite(writer, citation, said)
  sayLogprobs(root['logprobs'], writer)
  close(writer, root['finish_reason'], root['usage'], root['error'])
}

/** A piece of a thinking block. */
export function thought(index: number, piece: string) {
  return { type: 'reasoning.text', index, text: piece, format: REASONING_FORMAT } as const
}

/** A piece of what the model means to do with the tools. */
export function planned(index: number, piece: string) {
  return {
    type: 'reasoning.text',
    index,
    id: TOOL_PLAN,
    text: piece,
    format: REASONING_FORMAT,
  } as const
}

function readCall(given: unknown, writer: AnswerWriter): void {
  const call = record(given)
  const fn = record(call['function'])
  const at = openCall(call, writer)
  const written = argumentsOf(fn['arguments'])
  if (written !== 'null') writer.callArguments(at, written)
}

/** Opens a call. Throws `upstream_malformed` for one without an id or a name. */
export function openCall(call: Readonly<Record<string, unknown>>, writer: AnswerWriter): number {
  const id = text(call['id'])
  const name = text(record(call['function'])['name'])
  if (id === undefined || name === undefined) {
    throw new GatewayError(
      'upstream_malformed',
      'The provider sent a tool call without its id or name.',
    )
  }
  return writer.openCall({ id, name })
}

/** Arguments as text; some deployments send the object itself. */
export function argumentsOf(value: unknown): string {
  return isRecord(value) ? JSON.stringify(value) : (text(value) ?? '')
}

/**
 * The vendor's log probabilities as OpenAI's. An entry covers a run of tokens and has one text for all of them, so the
 * run counts as one token with the sum.
 */
export function sayLogprobs(given: unknown, writer: AnswerWriter): void {
  if (given === undefined || given === null) return
  const tokens = (Array.isArray(given) ? (given as unknown[]) : [given]).flatMap((each) => {
    const { text: token, logprobs } = record(each)
    if (typeof token !== 'string' || !Array.isArray(logprobs)) return []
    const logprob = (logprobs as unknown[]).reduce<number>(
      (sum, value) => sum + (typeof value === 'number' ? value : 0),
      0,
    )
    return [{ token, logprob, bytes: [...Buffer.from(token)], top_logprobs: [] }]
  })
  if (tokens.length > 0) writer.logprobs(tokens)
}

const reasons: Readonly<Record<string, FinishReason>> = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop',
  MAX_TOKENS: 'length',
  ERROR_LIMIT: 'length',
  TOOL_CALL: 'tool_calls',
  ERROR_TOXIC: 'content_filter',
}

/** Ends an answer as the vendor says it ended. Throws `upstream_error` when that is a failure. */
export function close(
  writer: AnswerWriter,
  reason: unknown,
  usage: unknown,
  problem: unknown,
): void {
  if (reason === 'TIMEOUT') throw failedAnswer(504, problem)
  if (reason === 'ERROR') throw failedAnswer(500, problem)
  const known = text(reason)
  writer.finish((known === undefined ? undefined : reasons[known]) ?? 'stop')
  const { tokens, billed_units, cached_tokens } = record(usage)
  const counted = isRecord(tokens) ? tokens : record(billed_units)
  const cached = integer(cached_tokens)
  writer.usage({
    input: integer(counted['input_tokens']) ?? 0,
    output: integer(counted['output_tokens']) ?? 0,
    ...(cached !== undefined && { cached }),
    ...(isRecord(billed_units) && { extra: { billed_units } }),
  })
  writer.end()
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
