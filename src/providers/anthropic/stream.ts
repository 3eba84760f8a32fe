import type { AnswerWriter } from '#openai/answer/writer.ts'
import { integer, isRecord, record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { StreamReader } from '../provider.ts'
import { eventObject, sseReader } from '../stream-reader.ts'
import { embeddedFailure } from './errors.ts'
import { toolNames } from './names.ts'
import { createSpeaker } from './speaker.ts'

/** Reads the vendor's server-sent events. */
export function readStream(writer: AnswerWriter, exchange: Exchange): StreamReader {
  let isStopped = false
  const take = readEvents(writer, exchange)
  return sseReader(
    ({ event, data }) => {
      if (event === 'ping' || data === '') return
      const said = eventObject(data)
      isStopped ||= typeof record(said['delta'])['stop_reason'] === 'string'
      take(said)
    },
    () => {
      // Once it is said why the model stopped, nothing but the end marker can be missing.
      if (isStopped) take({ type: 'message_stop' })
    },
  )
}

/**
 * Takes one event after the other, for homes that frame them differently. Throws what an `error` event reports; events
 * of unknown types are passed over, as the vendor asks of clients.
 */
export function readEvents(
  writer: AnswerWriter,
  exchange: Exchange,
): (event: Readonly<Record<string, unknown>>) => void {
  const speaker = createSpeaker(writer, toolNames(exchange.conversation, exchange.model))
  let ended = false
  return (event) => {
    if (ended) return
    switch (event['type']) {
      case 'content_block_delta':
        speaker.delta(integer(event['index']) ?? 0, record(event['delta']))
        break
      case 'content_block_start':
        speaker.openBlock(integer(event['index']) ?? 0, record(event['content_block']))
        break
      case 'content_block_stop':
        speaker.closeBlock(integer(event['index']) ?? 0)
        break
      case 'message_start': {
        const message = record(event['message'])
        speaker.start(message)
        const filled: unknown[] = Array.isArray(message['content']) ? message['content'] : []
        filled.forEach((block, at) => {
          speaker.openBlock(at, record(block))
          speaker.closeBlock(at)
        })
        break
      }
      case 'message_delta':
        speaker.stop(record(event['delta']), event['usage'])
        break
      case 'message_stop':
        ended = true
        speaker.end()
        break
      default:
        if (event['type'] === 'error' || isRecord(event['error'])) throw embeddedFailure(event)!
        break
    }
  }
}
