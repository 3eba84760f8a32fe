import type { Answer } from './rig.ts'
import { DONE, events, json } from './rig.ts'

// Well-formed answers of a provider, in the shapes the SDK's helpers are strict about.

const chatBase = { id: 'chatcmpl-1', created: 1_763_700_000, model: 'gpt-6-luna' }
const chatUsage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }

export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

/** A unary chat answer: text, or tool calls with null content. */
export function chat(said: string | ToolCall[]): Answer {
  const message =
    typeof said === 'string'
      ? { role: 'assistant', content: said, refusal: null }
      : { role: 'assistant', content: null, refusal: null, tool_calls: said.map(toolCall) }
  return json({
    ...chatBase,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message,
        logprobs: null,
        finish_reason: typeof said === 'string' ? 'stop' : 'tool_calls',
      },
    ],
    usage: chatUsage,
    system_fingerprint: 'fp_1',
    unknown_field: { deep: [1] },
  })
}

function toolCall(call: ToolCall) {
  return { id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }
}

/** One chunk with the given delta. */
export function chunk(delta: object, finish: string | null = null, more: object = {}): object {
  return {
    ...chatBase,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...more,
  }
}

/** The events of a streamed chat answer, `[DONE]` excluded; usage is in a last chunk without choices. */
export function chatChunks(said: readonly string[] | ToolCall[]): object[] {
  const tools = said.some((item) => typeof item === 'object')
  const deltas = said.flatMap((item, index): object[] =>
    typeof item === 'string' ? [{ content: item }] : toolDeltas(item, index),
  )
  return [
    chunk({ role: 'assistant', content: tools ? null : '', refusal: null }, null, {
      unknown_field: { deep: [1] },
    }),
    ...deltas.map((delta) => chunk(delta)),
    chunk({}, tools ? 'tool_calls' : 'stop'),
    { ...chatBase, object: 'chat.completion.chunk', choices: [], usage: chatUsage },
  ]
}

function toolDeltas(call: ToolCall, index: number): object[] {
  const middle = Math.ceil(call.arguments.length / 2)
  return [
    { tool_calls: [{ ...toolCall({ ...call, arguments: '' }), index }] },
    { tool_calls: [{ index, function: { arguments: call.arguments.slice(0, middle) } }] },
    { tool_calls: [{ index, function: { arguments: call.arguments.slice(middle) } }] },
  ]
}

export function chatStream(said: readonly string[] | ToolCall[]): Answer {
  return events(...chatChunks(said), DONE)
}

/** A Responses object with the given output items. */
export function responseObject(
  status: string,
  output: readonly object[],
  more: object = {},
): object {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_763_700_000,
    status,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model: 'gpt-6-luna',
    output,
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: status === 'completed' ? responseUsage : null,
    ...more,
  }
}

const responseUsage = {
  input_tokens: 3,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 2,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 5,
}

export function textItem(text: string): object {
  return {
    id: 'msg_1',
    type: 'message',
    status: 'completed',
    role: 'assistant',
    content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
  }
}

export function callItem(name: string, args: string): object {
  return {
    id: 'fc_1',
    type: 'function_call',
    call_id: 'call_1',
    name,
    arguments: args,
    status: 'completed',
  }
}

/** The events of a streamed Responses answer that says the pieces in one message. */
export function responseEvents(pieces: readonly string[]): object[] {
  const text = pieces.join('')
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  return numbered([
    { type: 'response.created', response: responseObject('in_progress', []) },
    { type: 'response.in_progress', response: responseObject('in_progress', []) },
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { id: 'msg_1', type: 'message', status: 'in_progress', role: 'assistant', content: [] },
    },
    { type: 'response.content_part.added', ...at, part },
    ...pieces.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: { ...part, text } },
    { type: 'response.output_item.done', output_index: 0, item: textItem(text) },
    { type: 'response.completed', response: responseObject('completed', [textItem(text)]) },
  ])
}

/** The events of a streamed function call. */
export function responseCallEvents(name: string, args: string): object[] {
  const at = { item_id: 'fc_1', output_index: 0 }
  const item = callItem(name, args)
  return numbered([
    { type: 'response.created', response: responseObject('in_progress', []) },
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...item, arguments: '', status: 'in_progress' },
    },
    ...[args.slice(0, 4), args.slice(4)].map((delta) => ({
      type: 'response.function_call_arguments.delta',
      ...at,
      delta,
    })),
    { type: 'response.function_call_arguments.done', ...at, name, arguments: args },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: responseObject('completed', [item]) },
  ])
}

function numbered(items: readonly object[]): object[] {
  return items.map((item, index) => ({ ...item, sequence_number: index }))
}
