import type { AnswerWriter } from '#openai/answer/writer.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { WholeAnswer } from '../provider.ts'
import { answerBlocks } from './answer.ts'
import type { AnswerBlocks } from './answer.ts'
import { streamFailure } from './errors.ts'

type Fields = Readonly<Record<string, unknown>>

/** Reads the answer of `Converse` (API Reference, as read in November 2026). */
export function readWhole(
  given: unknown,
  writer: AnswerWriter,
  exchange: Exchange,
  headers: WholeAnswer['headers'],
): void {
  const answer = record(given)
  const { output, stopReason, message } = answer
  if (output === undefined && typeof message === 'string') {
    throw streamFailure(text(answer['__type'])?.split('#').at(-1) ?? '', answer)
  }
  writer.start({ id: headers['x-amzn-requestid'] })
  const blocks = answerBlocks(writer, exchange)
  const { content } = record(record(output)['message'])
  if (Array.isArray(content)) {
    content.forEach((block, index) => readBlock(record(block), index, blocks))
  }
  // Without a reason to stop it is no answer, or half of one.
  if (typeof stopReason !== 'string') return
  blocks.finish(stopReason)
  blocks.usage(answer['usage'], answer['serviceTier'])
  blocks.beside(answer)
  blocks.end()
}

function readBlock(block: Fields, index: number, blocks: AnswerBlocks): void {
  const { toolUse, toolResult, reasoningContent, citationsContent, image } = block
  if (typeof block['text'] === 'string') blocks.delta(index, block)
  else if (isRecord(toolUse)) {
    const { input, ...start } = toolUse
    blocks.start(index, { toolUse: start })
    blocks.delta(index, { toolUse: { input: JSON.stringify(input ?? {}) } })
  } else if (isRecord(reasoningContent)) {
    const { reasoningText, redactedContent } = reasoningContent
    blocks.delta(index, {
      reasoningContent: isRecord(reasoningText) ? reasoningText : { redactedContent },
    })
  } else if (isRecord(citationsContent)) {
    for (const piece of listOf(citationsContent['content'])) {
      blocks.delta(index, { text: text(record(piece)['text']) ?? '' })
    }
    for (const citation of listOf(citationsContent['citations'])) blocks.delta(index, { citation })
  } else if (isRecord(image)) {
    blocks.start(index, { image })
    blocks.delta(index, { image })
  } else if (isRecord(toolResult)) {
    const { content, ...start } = toolResult
    blocks.start(index, { toolResult: start })
    blocks.delta(index, { toolResult: listOf(content) })
  }
  blocks.stop(index)
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
