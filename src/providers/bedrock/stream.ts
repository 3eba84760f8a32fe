import type { AnswerWriter } from '#openai/answer/writer.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { StreamReader } from '../provider.ts'
import { eventObject } from '../stream-reader.ts'
import { answerBlocks } from './answer.ts'
import { streamFailure } from './errors.ts'
import { frameReader } from './frames.ts'
import type { EventMessage } from './frames.ts'

const decoder = new TextDecoder()

/**
 * Reads the messages of `ConverseStream` (API Reference, as read in November 2026). Why the model stopped is said
 * before what it cost, so the answer ends with the body; once the first is known, nothing of the answer can be missing.
 */
export function streamReader(writer: AnswerWriter, exchange: Exchange): StreamReader {
  const blocks = answerBlocks(writer, exchange)
  let hasStopped = false

  function read(name: string, payload: Uint8Array): void {
    const event = eventObject(decoder.decode(payload))
    const index = integer(event['contentBlockIndex']) ?? 0
    switch (name) {
      case 'messageStart':
        writer.start({})
        return
      case 'contentBlockStart':
        blocks.start(index, record(event['start']))
        return
      case 'contentBlockDelta':
        blocks.delta(index, record(event['delta']))
        return
      case 'contentBlockStop':
        blocks.stop(index)
        return
      case 'messageStop':
        blocks.beside(event)
        blocks.finish(event['stopReason'])
        hasStopped = true
        return
      case 'metadata':
        blocks.usage(event['usage'], event['serviceTier'])
        blocks.beside(event)
        return
      default:
      // Events that are newer than this reader.
    }
  }

  return frameReader(
    ({ kind, name, message, payload }: EventMessage) => {
      if (kind === 'event') read(name, payload)
      else if (kind === 'exception' || kind === 'error') {
        throw streamFailure(name, objectIn(payload), message)
      }
    },
    () => {
      if (hasStopped) blocks.end()
    },
  )
}

function objectIn(payload: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(payload))
  } catch {
    // The name of the exception says enough.
    return undefined
  }
}
