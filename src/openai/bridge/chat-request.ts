import { GatewayError } from '#core/errors.ts'

import type { KnownTool } from '../answer/responses-object.ts'
import type { Fields } from '../conversation/fields.ts'
import { integer, invalid, isRecord, record, text } from '../conversation/fields.ts'
import { bridgeItems } from './items.ts'
import { Places } from './places.ts'
import type { Origin } from './seal.ts'
import { bridgeTools } from './tools.ts'

/** A Responses request as a chat request. */
export interface BridgedRequest {
  readonly request: Fields
  /** Places in the caller's body that chat cannot say. */
  readonly dropped: readonly string[]
  /** Tools that the model knows by another name or form. */
  readonly tools: ReadonlyMap<string, KnownTool>
  /** Set when a web search tool was asked for, which became `web_search_options`. */
  readonly search: { readonly param: string; readonly type: string } | undefined
  /** The caller's name for a place in the chat request. */
  readonly placeOf: (chat: string) => string
}

/** Read here, or said in the response alone. */
const own = new Set([
  'input',
  'instructions',
  'previous_response_id',
  'conversation',
  'tools',
  'tool_choice',
  'reasoning',
  'text',
  'truncation',
  'max_output_tokens',
  'max_tool_calls',
  'top_logprobs',
  'include',
  'prompt',
  'background',
  'store',
  'metadata',
  'context_management',
  'moderation',
  'stream_options',
])

/**
 * The chat request that asks the same as a Responses request, for a provider that knows chat only. Throws a 400 with
 * the caller's own place for what cannot be asked. `isCount`: only the tokens are to be counted.
 */
export function toChatRequest(body: Fields, origin: Origin, isCount = false): BridgedRequest {
  const { provider } = origin
  refuse(body, provider)
  const places = new Places()
  const dropped = new Set<string>()
  const drop = (place: string): void => void dropped.add(place)
  const { tools, choice, search, known } = bridgeTools(body, { provider, places, drop })
  const messages = messagesOf(body, {
    origin,
    places,
    tools: known,
    isUnfinished: isCount,
    drop,
  })
  const reasoning = record(body['reasoning'])
  for (const name of ['context', 'mode']) {
    if (reasoning[name] !== undefined && reasoning[name] !== null) drop(`reasoning.${name}`)
  }
  for (const name of ['max_tool_calls', 'context_management', 'moderation']) {
    if (body[name] !== undefined && body[name] !== null) drop(name)
  }
  if (body['truncation'] === 'auto') drop('truncation')
  const request: Record<string, unknown> = {
    ...Object.fromEntries(Object.entries(body).filter(([name]) => !own.has(name))),
    messages,
    ...(typeof body['max_output_tokens'] === 'number' && {
      max_completion_tokens: body['max_output_tokens'],
    }),
    ...reasoningOf(reasoning),
    ...formatOf(record(body['text'])),
    ...logprobsOf(body),
    ...(tools.length > 0 && { tools }),
    ...(tools.length > 0 && choice !== undefined && choice !== null && { tool_choice: choice }),
    ...(search && { web_search_options: search.options }),
  }
  // Chat servers refuse it where there is nothing to call.
  if (tools.length === 0) delete request['parallel_tool_calls']
  if (search) places.note('web_search_options', search.param.replace(/\.type$/, ''))
  return { request, dropped: [...dropped], tools: known, search, placeOf: places.of }
}

function refuse(body: Fields, provider: string): void {
  const no = (param: string, message: string, code: string): GatewayError =>
    new GatewayError('invalid_request', message, { param, code })
  const { previous_response_id: previous, conversation, prompt } = body
  if (typeof previous === 'string') {
    throw no(
      'previous_response_id',
      `Previous response with id '${previous}' not found.`,
      'previous_response_not_found',
    )
  }
  if (conversation !== undefined && conversation !== null) {
    throw no(
      'conversation',
      `Provider '${provider}' keeps no conversations; continue with previous_response_id or send the items.`,
      'unsupported_parameter',
    )
  }
  if (prompt !== undefined && prompt !== null) {
    throw no('prompt', `Provider '${provider}' keeps no prompts.`, 'unsupported_parameter')
  }
  if (body['background'] === true) {
    throw no(
      'background',
      `Provider '${provider}' does not answer in the background.`,
      'unsupported_parameter',
    )
  }
}

function messagesOf(body: Fields, context: Parameters<typeof bridgeItems>[2]): Fields[] {
  const { input, instructions } = body
  const first: Fields[] = []
  if (typeof instructions === 'string' && instructions !== '') {
    context.places.note('messages[0]', 'instructions')
    context.places.note('messages[0].content', 'instructions')
    first.push({ role: 'system', content: instructions })
  }
  if (typeof input === 'string') {
    context.places.note(`messages[${first.length}]`, 'input')
    context.places.note(`messages[${first.length}].content`, 'input')
    return [...first, { role: 'user', content: input }]
  }
  if (Array.isArray(input)) return bridgeItems(input, first, context)
  if (input !== undefined && input !== null) {
    throw invalid('input', 'Expected text or a list of items.')
  }
  throw new GatewayError('missing_parameter', "Missing required parameter: 'input'.", {
    param: 'input',
  })
}

/** The object stays whole beside the plain effort: dialects that show what was thought look for `summary`. */
function reasoningOf(reasoning: Fields): Fields {
  const effort = text(reasoning['effort'])
  const { context: _, mode: __, effort: ___, ...rest } = reasoning
  const more = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null))
  return {
    ...(effort !== undefined && { reasoning_effort: effort }),
    ...(Object.keys(more).length > 0 && { reasoning: more }),
  }
}

function formatOf(written: Fields): Fields {
  const verbosity = text(written['verbosity'])
  const format = written['format']
  return {
    ...(verbosity !== undefined && { verbosity }),
    ...(isRecord(format) && format['type'] !== 'text' && { response_format: nested(format) }),
  }
}

function nested(format: Fields): Fields {
  if (format['type'] !== 'json_schema') return format
  const { type, name, schema, strict, description } = format
  return {
    type,
    json_schema: {
      name: text(name) ?? 'response',
      ...(typeof description === 'string' && { description }),
      schema,
      ...(typeof strict === 'boolean' && { strict }),
    },
  }
}

function logprobsOf(body: Fields): Fields {
  const top = integer(body['top_logprobs'])
  const include = Array.isArray(body['include']) ? (body['include'] as unknown[]) : []
  const wanted = include.includes('message.output_text.logprobs') || (top ?? 0) > 0
  return wanted ? { logprobs: true, ...(top !== undefined && { top_logprobs: top }) } : {}
}
