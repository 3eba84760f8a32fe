import { jsonBody } from '#core/body.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { chatChunkReader, readChatCompletion } from '#openai/answer/read-chat.ts'
import type { ChatReadOptions } from '#openai/answer/read-chat.ts'
import { unsupportedTool } from '#openai/bridge/tools.ts'

import { parsed } from './dialect.ts'
import { bridgedOf, failing, inCallersTerms, streamWriter, wholeWriter } from './exchange.ts'
import type { Outbound, Reading, Target } from './provider.ts'
import { readEmbeddedError } from './refusal.ts'
import { eventObject, sseReader } from './stream-reader.ts'

/** What a vendor of the OpenAI-compatible family can be told of a Responses request. */
export interface ChatDoor {
  /** It takes `reasoning` as an object, and not only `reasoning_effort`. */
  readonly reasoningObject?: boolean | undefined
  /** It takes `web_search_options`. */
  readonly webSearch?: boolean | undefined
  /** Where its chat completions differ from OpenAI's. */
  readonly reads?: ChatReadOptions | undefined
}

/** Serves a Responses call by a chat completion; `send` makes the request for the chat call it becomes. */
export function respondByChat(
  call: Call,
  target: Target,
  door: ChatDoor,
  send: (chat: Call) => Outbound,
): Outbound {
  const bridged = bridgedOf(call)!
  const { provider } = call
  if (bridged.search && door.webSearch !== true) {
    throw unsupportedTool(bridged.search.param, bridged.search.type, provider)
  }
  const request: Record<string, unknown> = { ...bridged.request }
  const dropped = [...bridged.dropped]
  if (!door.reasoningObject) {
    const reasoning = request['reasoning'] as Readonly<Record<string, unknown>> | undefined
    if (reasoning?.['max_tokens'] !== undefined) dropped.push('reasoning.max_tokens')
    delete request['reasoning']
  }
  try {
    const outbound = send(derived(call, 'chat_completion', '/chat/completions', request))
    for (const param of outbound.dropped.map(bridged.placeOf)) {
      if (!dropped.includes(param)) dropped.push(param)
    }
    const reading = chatReading(call, target, door.reads)
    return { ...outbound, dropped, mending: undefined, reading }
  } catch (thrown) {
    throw inCallersTerms(call, thrown)
  }
}

/** The same call at another endpoint, with another body. */
export function derived(
  call: Call,
  endpoint: 'chat_completion' | 'responses',
  path: string,
  value: Readonly<Record<string, unknown>>,
): Call {
  const text = JSON.stringify(value)
  return { ...call, endpoint, path, body: jsonBody(text, value) }
}

/** Reads chat completions for a caller of whatever endpoint. */
export function chatReading(call: Call, target: Target, options: ChatReadOptions = {}): Reading {
  const { name } = target.settings
  const reads = { failure: embedded, ...options }
  return {
    streamType: 'text/event-stream',
    whole({ text }) {
      const writer = wholeWriter(call, target)
      readChatCompletion(parsed(text.trim(), name), writer, reads)
      return writer.result()!
    },
    stream(emit) {
      const writer = streamWriter(call, target, emit)
      const reader = chatChunkReader(writer, reads)
      return failing(
        sseReader(
          ({ data, event }) => {
            const written = data.trim()
            if (written === '[DONE]') reader.done()
            else if (written !== '') reader.chunk(namedObject(event, written))
          },
          () => reader.close(),
        ),
        writer,
      )
    },
  }
}

/** An event named `error` is one, whatever is in it. */
export function namedObject(event: string | undefined, data: string): Record<string, unknown> {
  const value = eventObject(data)
  return event === 'error' && !value['error'] ? { error: value } : value
}

/** The failure that an answer or an event reports; some servers write it flat. */
export function embedded(value: Readonly<Record<string, unknown>>): GatewayError | undefined {
  const root = value['object'] === 'error' && !value['error'] ? { error: value } : value
  const upstream = readEmbeddedError(root)
  return upstream && new GatewayError('upstream_error', upstream.message, { upstream })
}
