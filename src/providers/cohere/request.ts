import type { Conversation, Tool } from '#openai/conversation/conversation.ts'
import { integer, record, unsupported } from '#openai/conversation/fields.ts'

import type { DialectRequest } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import { offeredTools, schemaOf } from '../offered-tools.ts'
import { addressOf } from './address.ts'
import { FATES } from './fates.ts'
import { toMessages } from './messages.ts'
import { budgetOf, thinks } from './models.ts'

/** `POST /v2/chat` ("Chat", API reference v2, as read in November 2026). */
export function chatRequest(exchange: Exchange): DialectRequest {
  const { call, conversation, model, target } = exchange
  const { request, stop, maxTokens } = conversation
  const given = (name: string, as = name): Record<string, unknown> =>
    request[name] === undefined || request[name] === null ? {} : { [as]: request[name] }
  const body: Record<string, unknown> = {
    model,
    messages: toMessages(exchange),
    stream: call.stream,
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...given('temperature'),
    ...topP(request['top_p']),
    ...given('top_k', 'k'),
    ...given('seed'),
    ...penalty('frequency_penalty', request),
    ...penalty('presence_penalty', request),
    ...(stop.length > 0 && { stop_sequences: stop }),
    ...logprobs(request['logprobs']),
    ...toolMembers(exchange),
    ...formatMember(conversation),
    ...thinkingMember(exchange),
  }
  for (const name of FATES.own) Object.assign(body, given(name))
  return { url: addressOf('/v2/chat', target), body }
}

/** The vendor's range ends short of 0 and 1, which are as good as its ends. */
function topP(value: unknown): Record<string, unknown> {
  if (typeof value !== 'number') return {}
  return { p: Math.min(Math.max(value, 0.01), 0.99) }
}

function penalty(name: string, request: Conversation['request']): Record<string, unknown> {
  const value = request[name]
  if (typeof value !== 'number') return {}
  if (value >= 0 && value <= 1) return { [name]: value }
  throw unsupported(name, `Cohere takes a '${name}' from 0 to 1.`)
}

function logprobs(value: unknown): Record<string, unknown> {
  return value === true || (typeof value === 'number' && value > 0) ? { logprobs: true } : {}
}

function toolMembers(exchange: Exchange): Record<string, unknown> {
  const { conversation, target } = exchange
  const { tools, mode } = offeredTools(conversation, target.settings.name)
  if (tools.length === 0) return {}
  const strict = tools.filter((tool) => tool.strict === true)
  // Strictness is for all tools or for none.
  const isStrict = strict.length === tools.length
  if (!isStrict) for (const { param } of strict) exchange.drop(`${param}.strict`)
  for (const { cacheControl, param } of tools)
    if (cacheControl) exchange.drop(`${param}.cache_control`)
  return {
    tools: tools.map(toTool),
    ...(isStrict && { strict_tools: true }),
    ...(mode !== 'auto' && { tool_choice: mode.toUpperCase() }),
  }
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

function formatMember({ format, tools, request }: Conversation): Record<string, unknown> {
  if (format.kind === 'text') return {}
  for (const other of ['tools', 'documents']) {
    if (other === 'tools' ? tools.length > 0 : request[other] !== undefined) {
      throw unsupported('response_format', `Cohere cannot give JSON together with '${other}'.`)
    }
  }
  if (format.kind === 'json') return { response_format: { type: 'json_object' } }
  const { schema, description } = format
  const described =
    description === undefined || schema['description'] !== undefined
      ? schema
      : { ...schema, description }
  return { response_format: { type: 'json_object', json_schema: described } }
}

function thinkingMember(exchange: Exchange): Record<string, unknown> {
  const { conversation, model } = exchange
  const { effort, request, maxTokens } = conversation
  const asked =
    integer(request['reasoning_max_tokens']) ?? integer(record(request['reasoning'])['max_tokens'])
  if (effort === undefined && asked === undefined) return {}
  const place = request['reasoning_effort'] === undefined ? 'reasoning' : 'reasoning_effort'
  if (!thinks(model)) {
    if (effort !== 'none') exchange.drop(place)
    return {}
  }
  if (effort === 'none') return { thinking: { type: 'disabled' } }
  const wanted = asked ?? budgetOf(effort ?? '')
  if (wanted === undefined) {
    throw unsupported(
      place,
      `Effort '${effort}' is not known; 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' and 'max' are.`,
    )
  }
  // Thinking counts against the limit of the answer, and something has to be left for it.
  const most = maxTokens === undefined ? wanted : Math.max(1, Math.floor(maxTokens * 0.8))
  return { thinking: { type: 'enabled', token_budget: Math.min(wanted, most) } }
}
