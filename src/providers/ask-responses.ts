import type { Call } from '#core/call.ts'
import { readResponse, responseEventReader } from '#openai/answer/read-responses.ts'
import { toResponsesRequest } from '#openai/bridge/responses-request.ts'

import { derived, embedded, namedObject } from './bridge.ts'
import { parsed } from './dialect.ts'
import { conversationOf, failing, streamWriter, wholeWriter } from './exchange.ts'
import { mergeExtra } from './extra-params.ts'
import { applyFates } from './fates.ts'
import type { Fates } from './fates.ts'
import type { Outbound, Reading, Target } from './provider.ts'
import { sseReader } from './stream-reader.ts'

/** What becomes of chat's parameters in a Responses request. */
export const RESPONSES_FATES: Fates = {
  max_completion_tokens: 'carried',
  max_tokens: 'carried',
  temperature: 'carried',
  top_p: 'carried',
  top_k: 'dropped',
  n: 'refused',
  stop: 'dropped',
  seed: 'dropped',
  frequency_penalty: 'dropped',
  presence_penalty: 'dropped',
  logit_bias: 'dropped',
  logprobs: 'carried',
  top_logprobs: 'carried',
  tools: 'carried',
  tool_choice: 'carried',
  parallel_tool_calls: 'carried',
  functions: 'emulated',
  function_call: 'emulated',
  response_format: 'carried',
  reasoning_effort: 'carried',
  reasoning: 'carried',
  reasoning_max_tokens: 'dropped',
  verbosity: 'carried',
  modalities: 'refused',
  audio: 'refused',
  prediction: 'dropped',
  web_search_options: 'carried',
  service_tier: 'carried',
  store: 'carried',
  metadata: 'carried',
  user: 'carried',
  safety_identifier: 'carried',
  prompt_cache_key: 'carried',
  prompt_cache_retention: 'carried',
  own: ['prompt_cache_options', 'moderation'],
}

/** Serves a chat call by a response; `send` makes the request for the Responses call it becomes. */
export function chatByResponses(
  call: Call,
  target: Target,
  seals: boolean,
  send: (responses: Call) => Outbound,
): Outbound {
  const dropped: string[] = []
  const drop = (place: string): void => {
    if (!dropped.includes(place)) dropped.push(place)
  }
  const conversation = conversationOf(call)
  applyFates(conversation.request, RESPONSES_FATES, target.settings.name, drop)
  const request = mergeExtra(toResponsesRequest(conversation, { seals, drop }), call, dropped)
  const outbound = send(derived(call, 'responses', '/responses', request))
  outbound.dropped.forEach(drop)
  return { ...outbound, dropped, mending: undefined, reading: responsesReading(call, target) }
}

/** Reads responses for a caller of whatever endpoint. */
function responsesReading(call: Call, target: Target): Reading {
  const { name } = target.settings
  const reads = { failure: embedded }
  return {
    streamType: 'text/event-stream',
    whole({ text }) {
      const writer = wholeWriter(call, target)
      readResponse(parsed(text, name), writer, reads)
      return writer.result()!
    },
    stream(emit) {
      const writer = streamWriter(call, target, emit)
      const reader = responseEventReader(writer, reads)
      return failing(
        sseReader(({ data, event }) => {
          const written = data.trim()
          if (written === '' || written === '[DONE]') return
          reader.event(namedObject(event, written))
        }),
        writer,
      )
    },
  }
}
