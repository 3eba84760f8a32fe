import type { Conversation, Tool } from '#openai/conversation/conversation.ts'
import { integer, record, unsupported } from '#openai/conversation/fields.ts'

import type { DialectRequest } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import { offeredTools, schemaOf } from '../offered-tools.ts'
import { addressOf } from './address.ts'
import { MEMBERS, OPTIONS } from './fates.ts'
import { toMessages } from './messages.ts'

/** `POST /api/chat` ("Chat", API reference, as read in November 2026). */
export function chatRequest(exchange: Exchange): DialectRequest {
  const { call, conversation, model, target } = exchange
  const { request } = conversation
  const options = optionsOf(conversation)
  const body: Record<string, unknown> = {
    model,
    messages: toMessages(exchange),
    // Streaming is what happens when this is left out.
    stream: call.stream,
    ...toolsMember(exchange),
    ...formatMember(conversation),
    ...thinkMember(exchange),
    ...logprobsMembers(exchange),
    ...pick(request, MEMBERS),
    ...(Object.keys(options).length > 0 && { options }),
  }
  return { url: addressOf('/api/chat', target), body }
}

/** The members that are set. */
export function pick(
  request: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    names.flatMap((name) =>
      request[name] === undefined || request[name] === null ? [] : [[name, request[name]]],
    ),
  )
}

const sampling = ['temperature', 'top_p', 'top_k', 'seed', 'frequency_penalty', 'presence_penalty']

function optionsOf({ request, maxTokens, stop }: Conversation): Record<string, unknown> {
  return {
    ...(maxTokens !== undefined && { num_predict: maxTokens }),
    ...pick(request, sampling),
    ...(stop.length > 0 && { stop }),
    ...pick(request, OPTIONS),
    ...record(request['options']),
  }
}

function toolsMember(exchange: Exchange): Record<string, unknown> {
  const { conversation, target } = exchange
  const { tools, mode, param: place } = offeredTools(conversation, target.settings.name)
  if (tools.length === 0 || mode === 'none') return {}
  if (mode === 'required') exchange.drop(place)
  for (const { cacheControl, strict, param } of tools) {
    if (cacheControl) exchange.drop(`${param}.cache_control`)
    if (strict === true) exchange.drop(`${param}.strict`)
  }
  return { tools: tools.map(toTool) }
}

function toTool(tool: Tool): Record<string, unknown> {
  const { name, description } = tool
  return {
    type: 'function',
    function: {
      name,
      ...(description !== undefined && { description }),
      parameters: schemaOf(tool),
    },
  }
}

function formatMember({ format }: Conversation): Record<string, unknown> {
  if (format.kind === 'text') return {}
  if (format.kind === 'json') return { format: 'json' }
  const { schema, description } = format
  return description === undefined || schema['description'] !== undefined
    ? { format: schema }
    : { format: { ...schema, description } }
}

/** Models without levels take any of them for `true`. */
const levels: ReadonlyMap<string, string | false> = new Map<string, string | false>([
  ['none', false],
  ['minimal', 'low'],
  ['low', 'low'],
  ['medium', 'medium'],
  ['high', 'high'],
  ['xhigh', 'max'],
  ['max', 'max'],
])

function thinkMember(exchange: Exchange): Record<string, unknown> {
  const { effort, request } = exchange.conversation
  if (integer(record(request['reasoning'])['max_tokens']) !== undefined) {
    exchange.drop('reasoning.max_tokens')
  }
  if (effort === undefined) return {}
  const think = levels.get(effort)
  if (think !== undefined) return { think }
  throw unsupported(
    request['reasoning_effort'] === undefined ? 'reasoning' : 'reasoning_effort',
    `Effort '${effort}' is not known; ${[...levels.keys()].join(', ')} are.`,
  )
}

function logprobsMembers(exchange: Exchange): Record<string, unknown> {
  const { logprobs, top_logprobs } = exchange.conversation.request
  const wanted = logprobs === true || (typeof logprobs === 'number' && logprobs > 0)
  if (!wanted) {
    if (typeof top_logprobs === 'number' && top_logprobs > 0) exchange.drop('top_logprobs')
    return {}
  }
  return { logprobs: true, ...(typeof top_logprobs === 'number' && { top_logprobs }) }
}
