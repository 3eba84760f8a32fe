import { chatId, endOf } from './chat-stream.ts'
import type { ChatFrameFacts } from './chat-stream.ts'
import { createCollector } from './collector.ts'
import type { Collector } from './collector.ts'
import { chatUsage } from './counts.ts'
import type { AnswerWriter } from './writer.ts'

/** A writer that keeps an answer, and gives it as JSON text once it has ended. */
export interface WholeWriter extends AnswerWriter {
  /** Undefined while `end` has not come. */
  result(): WholeText | undefined
}

export interface WholeText {
  readonly text: string
  /** The `usage` that stands in it. */
  readonly usage: Readonly<Record<string, unknown>>
  readonly serviceTier: unknown
}

/** Collects an answer into a chat completion. */
export function chatWholeWriter(facts: ChatFrameFacts): WholeWriter {
  const collector = createCollector()
  return {
    ...collector.writer,
    result: () => (collector.ended() ? render(collector, facts) : undefined),
  }
}

function render(collector: Collector, facts: ChatFrameFacts): WholeText {
  const counts = collector.counts()
  const usage = chatUsage(counts)
  const { said, calls, details, annotations, extra, tokens, about } = collector
  const { refusal, reasoning } = said
  const toolCalls = calls.map(({ id, name, kind, input, extra: more }) =>
    kind === 'custom'
      ? { id, type: 'custom', custom: { name, input }, ...more }
      : { id, type: 'function', function: { name, arguments: input || '{}' }, ...more },
  )
  const { reason, beside } = collector.finished()
  const why = reason === undefined || reason === 'stop' ? endOf(calls.length) : reason
  const serviceTier = counts.serviceTier ?? about().serviceTier
  const text = JSON.stringify({
    id: chatId(about().id, facts.id),
    object: 'chat.completion',
    created: facts.createdAt,
    model: about().model ?? facts.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: said.text === '' && (calls.length > 0 || refusal !== '') ? null : said.text,
          refusal: refusal === '' ? null : refusal,
          ...(reasoning !== '' && { reasoning }),
          ...(details.length > 0 && { reasoning_details: details }),
          ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
          ...(annotations.length > 0 && { annotations }),
          ...extra,
        },
        logprobs: tokens.length > 0 ? { content: tokens, refusal: null } : null,
        finish_reason: why,
        ...beside,
      },
    ],
    usage,
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
  })
  return { text, usage, serviceTier }
}
