import { GatewayError } from '#core/errors.ts'

import { readAssistant } from './assistant.ts'
import type { Conversation, Turn } from './conversation.ts'
import { integer, invalid, isRecord, record, text } from './fields.ts'
import { readParts, textParts } from './parts.ts'
import { readFormat, readToolChoice, readTools } from './tools.ts'
import { unreadIn } from './unread.ts'

/**
 * Reads a chat request that has passed its schema. Throws `GatewayError` with the parameter's place: parts that are
 * not what they say, tool results that answer no call, arguments missing where a vendor cannot do without.
 */
export function readConversation(request: Readonly<Record<string, unknown>>): Conversation {
  const messages = Array.isArray(request['messages']) ? (request['messages'] as unknown[]) : []
  const reasoning = record(request['reasoning'])
  const effort = text(request['reasoning_effort']) ?? text(reasoning['effort'])
  const summary = text(reasoning['summary']) ?? text(reasoning['generate_summary'])
  return {
    turns: readTurns(messages),
    tools: readTools(request),
    toolChoice: readToolChoice(request),
    parallelCalls:
      typeof request['parallel_tool_calls'] === 'boolean'
        ? request['parallel_tool_calls']
        : undefined,
    format: readFormat(request['response_format']),
    maxTokens: integer(request['max_completion_tokens']) ?? integer(request['max_tokens']),
    stop: stops(request['stop']),
    effort,
    unread: unreadIn(request),
    wantsReasoning: summary !== undefined || (effort !== undefined && effort !== 'none'),
    request,
  }
}

function stops(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((stop) => typeof stop === 'string') : []
}

function readTurns(messages: readonly unknown[]): Turn[] {
  /** Every call so far: id → name and kind. */
  const calls = new Map<string, { readonly name: string; readonly kind: 'function' | 'custom' }>()
  /** The latest call of the deprecated form, whose result names no id. */
  let lastFunction: { readonly id: string; readonly name: string } | undefined
  return messages.map((given, i): Turn => {
    const param = `messages[${i}]`
    const message = record(given)
    switch (message['role']) {
      case 'system':
      case 'developer':
        return {
          role: 'instruction',
          as: message['role'],
          parts: textParts(message, param),
          param,
        }
      case 'user':
        return {
          role: 'user',
          parts: readParts(message, param),
          name: text(message['name']),
          param,
        }
      case 'assistant': {
        const turn = readAssistant(message, param, i)
        for (const { id, name, kind } of turn.calls) calls.set(id, { name, kind })
        if (isRecord(message['function_call'])) lastFunction = turn.calls.at(-1)
        return turn
      }
      case 'tool': {
        const callId = text(message['tool_call_id'])
        if (callId === undefined) {
          throw new GatewayError(
            'missing_parameter',
            `Missing required parameter: '${param}.tool_call_id'.`,
            { param: `${param}.tool_call_id` },
          )
        }
        const call = calls.get(callId)
        if (!call) {
          throw invalid(
            `${param}.tool_call_id`,
            `No tool call with id '${callId}' precedes this result: a 'tool' message answers one of the tool_calls of an earlier assistant message.`,
          )
        }
        return toolTurn(message, param, callId, call.name, call.kind)
      }
      case 'function': {
        const name = text(message['name'])
        if (!lastFunction || (name !== undefined && name !== lastFunction.name)) {
          throw invalid(
            `${param}.name`,
            `No call of the function '${name ?? ''}' precedes this result.`,
          )
        }
        return toolTurn(message, param, lastFunction.id, lastFunction.name, 'function')
      }
      default:
        throw invalid(`${param}.role`, `Role '${String(message['role'])}' is not known.`)
    }
  })
}

function toolTurn(
  message: Readonly<Record<string, unknown>>,
  param: string,
  callId: string,
  name: string,
  kind: 'function' | 'custom',
): Turn {
  const parts = readParts(message, param)
  return { role: 'tool', callId, name, kind, parts, isError: message['is_error'] === true, param }
}
