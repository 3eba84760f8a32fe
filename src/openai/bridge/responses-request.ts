import { OPENAI_REASONING } from '../answer/read-responses.ts'
import type { ReasoningDetail } from '../answer/writer.ts'
import type {
  AssistantTurn,
  Conversation,
  Format,
  Part,
  Source,
  Tool,
  ToolChoice,
  ToolTurn,
  Turn,
} from '../conversation/conversation.ts'
import type { Fields } from '../conversation/fields.ts'
import { integer, isRecord, record, text, unsupported } from '../conversation/fields.ts'

/** Named alike in both. */
const same = [
  'model',
  'stream',
  'temperature',
  'top_p',
  'user',
  'metadata',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'safety_identifier',
  'moderation',
]

export interface ResponsesContext {
  /** The model thinks, and what it thought can be sealed. */
  readonly seals: boolean
  readonly drop: (place: string) => void
}

/** Fewer tokens than this are refused. */
const leastTokens = 16

/**
 * The Responses request that asks the same as a chat request. What chat alone has (`stop`, `seed`, …) is not looked
 * at: its fate is the caller's to decide.
 */
export function toResponsesRequest(
  conversation: Conversation,
  context: ResponsesContext,
): Record<string, unknown> {
  const { request, turns, tools, toolChoice, maxTokens, parallelCalls } = conversation
  const offered = [...tools.map(toolOf), ...searchTool(request['web_search_options'])]
  const include: string[] = []
  if (context.seals) include.push('reasoning.encrypted_content')
  const top = integer(request['top_logprobs'])
  if (request['logprobs'] === true) include.push('message.output_text.logprobs')
  if (maxTokens !== undefined && maxTokens < leastTokens) {
    context.drop(
      integer(request['max_completion_tokens']) === undefined
        ? 'max_tokens'
        : 'max_completion_tokens',
    )
  }
  return {
    ...Object.fromEntries(
      same.flatMap((name) => {
        const value = request[name]
        return value === undefined || value === null ? [] : [[name, value]]
      }),
    ),
    input: turns.flatMap((turn) => itemsOf(turn, context)),
    ...(maxTokens !== undefined && { max_output_tokens: Math.max(maxTokens, leastTokens) }),
    ...textOf(conversation.format, text(request['verbosity'])),
    ...reasoningOf(conversation),
    ...(offered.length > 0 && { tools: offered }),
    ...(toolChoice && { tool_choice: choiceOf(toolChoice, tools) }),
    ...(parallelCalls !== undefined && tools.length > 0 && { parallel_tool_calls: parallelCalls }),
    ...(request['logprobs'] === true && top !== undefined && { top_logprobs: top }),
    ...(include.length > 0 && { include }),
    // Chat keeps nothing unless told to; Responses keeps everything unless told not to.
    store: request['store'] === true,
  }
}

function itemsOf(turn: Turn, context: ResponsesContext): Fields[] {
  switch (turn.role) {
    case 'instruction':
      return [message('developer', turn.parts, context)]
    case 'user':
      if (turn.name !== undefined) context.drop(`${turn.param}.name`)
      return [message('user', turn.parts, context)]
    case 'assistant':
      return assistantItems(turn, context)
    case 'tool':
      return [outputOf(turn, context)]
  }
}

function message(role: string, parts: readonly Part[], context: ResponsesContext): Fields {
  const [only] = parts
  if (parts.length === 0) return { type: 'message', role, content: '' }
  const content = parts.length === 1 && only!.type === 'text' ? only!.text : undefined
  noteMarkers(parts, context)
  return { type: 'message', role, content: content ?? parts.map(inputPart) }
}

/** Markers of other vendors' caches; here the cache needs none. */
function noteMarkers(parts: readonly Part[], { drop }: ResponsesContext): void {
  for (const { cacheControl, param } of parts) if (cacheControl) drop(`${param}.cache_control`)
}

function inputPart(part: Part): Fields {
  switch (part.type) {
    case 'text':
      return { type: 'input_text', text: part.text }
    case 'image':
      return {
        type: 'input_image',
        ...(part.source.kind === 'file'
          ? { file_id: part.source.id }
          : { image_url: urlOf(part.source) }),
        detail: part.detail ?? 'auto',
      }
    case 'audio':
      return { type: 'input_audio', input_audio: { data: part.base64, format: part.format } }
    case 'file': {
      const { source, filename } = part
      return {
        type: 'input_file',
        ...(filename !== undefined && { filename }),
        ...(source.kind === 'file' && { file_id: source.id }),
        ...(source.kind === 'url' && { file_url: source.url }),
        ...(source.kind === 'data' && { file_data: urlOf(source) }),
      }
    }
  }
}

function urlOf(source: Exclude<Source, { kind: 'file' }>): string {
  return source.kind === 'url' ? source.url : `data:${source.mediaType};base64,${source.base64}`
}

function assistantItems(turn: AssistantTurn, context: ResponsesContext): Fields[] {
  const { parts, calls, details, param } = turn
  if (turn.name !== undefined) context.drop(`${param}.name`)
  for (const name of Object.keys(turn.extra)) context.drop(`${param}.${name}`)
  for (const call of calls) {
    for (const name of Object.keys(call.extra)) context.drop(`${call.param}.${name}`)
  }
  if (details.length === 0 && turn.reasoning) context.drop(`${param}.reasoning`)
  noteMarkers(parts, context)
  const said = parts.map((part) => {
    if (part.type === 'text') return { type: 'output_text', text: part.text }
    throw unsupported(part.param, `An assistant message holds text only here, no ${part.type}.`)
  })
  return [
    ...thoughtsOf(details, `${param}.reasoning_details`, context),
    ...(said.length > 0 ? [{ type: 'message', role: 'assistant', content: said }] : []),
    ...calls.map(({ id, name, kind, text: written }) =>
      kind === 'custom'
        ? { type: 'custom_tool_call', call_id: id, name, input: written }
        : { type: 'function_call', call_id: id, name, arguments: written },
    ),
  ]
}

/** The reasoning items that the details came from. Without what is sealed in them nobody can read them again. */
function thoughtsOf(
  details: readonly ReasoningDetail[],
  param: string,
  { drop }: ResponsesContext,
): Fields[] {
  const items: Fields[] = []
  const blocks = Map.groupBy(details, ({ index }) => index)
  for (const { type, data, format, index, id } of details) {
    const block = blocks.get(index) ?? []
    if (format !== OPENAI_REASONING) drop(param)
    else if (type === 'reasoning.encrypted' && data !== undefined) {
      const summary = block
        .filter((each) => each.summary !== undefined)
        .map((each) => ({ type: 'summary_text', text: each.summary }))
      items.push({
        type: 'reasoning',
        ...(id !== undefined && { id }),
        summary,
        encrypted_content: data,
      })
    } else if (!block.some((each) => each.data !== undefined)) drop(param)
  }
  return items
}

function outputOf(turn: ToolTurn, context: ResponsesContext): Fields {
  const { parts, callId, kind, isError, param } = turn
  if (isError) context.drop(`${param}.is_error`)
  noteMarkers(parts, context)
  const isText = parts.every((part) => part.type === 'text')
  const output = isText
    ? parts.map((part) => (part.type === 'text' ? part.text : '')).join('')
    : parts.map(inputPart)
  const type = kind === 'custom' ? 'custom_tool_call_output' : 'function_call_output'
  return { type, call_id: callId, output }
}

function toolOf({ kind, name, description, schema, strict, written }: Tool): Fields {
  const told = { name, ...(description !== undefined && { description }) }
  if (kind === 'custom') {
    const format = record(record(written['custom'])['format'])
    const { grammar, ...rest } = format
    const flat = { ...rest, ...record(grammar) }
    return { type: 'custom', ...told, ...(Object.keys(flat).length > 0 && { format: flat }) }
  }
  // Strict is what Responses tries by itself, and chat does not.
  const parameters = schema ?? { type: 'object', properties: {} }
  return { type: 'function', ...told, parameters, strict: strict ?? false }
}

function searchTool(options: unknown): Fields[] {
  if (!isRecord(options)) return []
  const { search_context_size: size, user_location: where } = options
  const approximate = record(record(where)['approximate'])
  return [
    {
      type: 'web_search',
      ...(size !== undefined && size !== null && { search_context_size: size }),
      ...(isRecord(where) && { user_location: { type: 'approximate', ...approximate } }),
    },
  ]
}

function choiceOf(choice: ToolChoice, tools: readonly Tool[]): unknown {
  const named = (name: string): Fields => ({
    type: tools.find((tool) => tool.name === name)?.kind ?? 'function',
    name,
  })
  switch (choice.mode) {
    case 'named':
      return named(choice.name)
    case 'allowed':
      return {
        type: 'allowed_tools',
        mode: choice.required ? 'required' : 'auto',
        tools: choice.names.map(named),
      }
    case 'auto':
    case 'none':
    case 'required':
      return choice.mode
  }
}

function textOf(format: Format, verbosity: string | undefined): Fields {
  const written =
    format.kind === 'schema'
      ? {
          type: 'json_schema',
          name: format.name,
          ...(format.description !== undefined && { description: format.description }),
          schema: format.schema,
          ...(format.strict !== undefined && { strict: format.strict }),
        }
      : format.kind === 'json'
        ? { type: 'json_object' }
        : undefined
  if (!written && verbosity === undefined) return {}
  return {
    text: { ...(written && { format: written }), ...(verbosity !== undefined && { verbosity }) },
  }
}

function reasoningOf({ effort, wantsReasoning, request }: Conversation): Fields {
  const given = record(request['reasoning'])
  const summary = text(given['summary']) ?? text(given['generate_summary'])
  if (effort === undefined && !wantsReasoning) return {}
  return {
    reasoning: {
      ...(effort !== undefined && { effort }),
      ...(wantsReasoning && { summary: summary ?? 'auto' }),
    },
  }
}
