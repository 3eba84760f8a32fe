import type { Call } from '#core/call.ts'
import { readResponse, responseEventReader } from '#openai/answer/read-responses.ts'
import { toResponsesRequest } from '#openai/bridge/responses-request.ts'
import type { Conversation } from '#openai/conversation/conversation.ts'

import { derived, embedded, namedObject } from './bridge.ts'
import { parsed } from './dialect.ts'
import { conversationOf, failing, streamWriter, wholeWriter } from './exchange.ts'
import { mergeExtra } from './extra-params.ts'
import { applyFates } from './fates.ts'
import type { Fates } from './fates.ts'
import type { Outbound, Reading, Target } from './provider.ts'
import { cannotBeQuiet, thinks, willThink } from './responses-models.ts'
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

/** Serves a chat call by a response of `model`, as OpenAI names it; `send` makes the request for the Responses call it becomes. */
export function chatByResponses(
  call: Call,
  target: Target,
  model: string,
  send: (responses: Call) => Outbound,
): Outbound {
  const dropped: string[] = []
  const drop = (place: string): void => {
    if (!dropped.includes(place)) dropped.push(place)
  }
  let conversation = conversationOf(call)
  for (const { place } of conversation.unread) drop(place)
  applyFates(conversation.request, RESPONSES_FATES, target.settings.name, drop)
  if (conversation.effort === 'none' && cannotBeQuiet(model)) {
    drop('reasoning_effort')
    conversation = { ...conversation, effort: 'low' }
  }
  const asked = toResponsesRequest(
    willThink(model, conversation.effort) ? withoutSampling(conversation, drop) : conversation,
    { seals: thinks(model), drop },
  )
  const request = mergeExtra(asked, call, dropped)
  const outbound = send(derived(call, 'responses', '/responses', request))
  outbound.dropped.forEach(drop)
  return { ...outbound, dropped, mending: undefined, reading: responsesReading(call, target) }
}

/** What models refuse while they think; the value that they work with anyway is no loss. */
const sampling = ['temperature', 'top_p', 'logprobs', 'top_logprobs']

function withoutSampling(conversation: Conversation, drop: (param: string) => void): Conversation {
  const request: Record<string, unknown> = { ...conversation.request }
  for (const param of sampling) {
    const value = request[param]
    delete request[param]
    const isUsual = value === undefined || value === null || value === 1 || value === false
    if (!isUsual) drop(param)
  }
  return { ...conversation, request }
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
