import { GatewayError } from '#core/errors.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'
import { record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { embeddedFailure } from './errors.ts'
import { toolNames } from './names.ts'
import { createSpeaker } from './speaker.ts'

/** Says a whole answer. Throws what it reports as a failure, or `upstream_malformed` when it is no message. */
export function readWhole(answer: unknown, writer: AnswerWriter, exchange: Exchange): void {
  const message = record(answer)
  const failure = embeddedFailure(message)
  if (failure) throw failure
  const { content, usage } = message
  if (!Array.isArray(content)) {
    throw new GatewayError(
      'upstream_malformed',
      'The provider answered with success and no message.',
    )
  }
  const speaker = createSpeaker(writer, toolNames(exchange.conversation, exchange.model))
  speaker.start(message)
  content.forEach((block, index) => {
    speaker.openBlock(index, record(block))
    speaker.closeBlock(index)
  })
  speaker.stop(message, usage)
  speaker.end()
}
