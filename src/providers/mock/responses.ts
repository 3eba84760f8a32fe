import { newId } from '#lib/id.ts'

import { type Answer, events, invalid, json, missing, MockFailure } from './answer.ts'
import type { MockRequest } from './request.ts'
import { responseFrames } from './response-events.ts'
import {
  type InputItem,
  type Item,
  type ResponseObject,
  unfinished,
  usageOf,
} from './response-object.ts'
import { countTokens, type Wording, wording } from './text.ts'
import { type Prompt, takeTurn, type Tool, type Turn } from './turn.ts'
import { record, textOf, wholeNumber } from './wire.ts'

/** `POST /responses`, unary, streamed and in the background. */
export function createResponse(request: MockRequest): Answer {
  const { body, faults, memory } = request
  const input = inputItems(body)
  const previous = body.previous_response_id
  if (typeof previous === 'string' && !memory.responses.get(previous)) {
    throw new MockFailure({
      status: 400,
      message: `Previous response with id '${previous}' not found.`,
      param: 'previous_response_id',
      code: 'previous_response_not_found',
    })
  }
  const turn = takeTurn(promptOf(request, input))
  const says = wording(turn.text, faults)
  const response = assemble(request, input, { turn, says })
  const waits = body.background === true && !request.stream
  if (body.store !== false) {
    const bytes = JSON.stringify(response).length + JSON.stringify(input).length
    memory.responses.put({ id: response.id, response, input, pollsLeft: waits ? 2 : 0 }, bytes)
  }
  if (request.stream) return events(responseFrames(response, says.pieces))
  return json(waits ? unfinished(response, 'queued') : response)
}

/** The items of `input`, each with an id; throws when there is no input. */
export function inputItems(body: MockRequest['body']): InputItem[] {
  const { input } = body
  if (input === undefined || input === null) {
    if (body.prompt !== undefined || body.conversation !== undefined) return []
    throw missing('input')
  }
  if (typeof input === 'string') {
    const content = [{ type: 'input_text', text: input }]
    return [{ id: `msg_${newId()}`, type: 'message', role: 'user', status: 'completed', content }]
  }
  if (!Array.isArray(input)) throw invalid('input', 'a string or an array')
  return input.map((given) => {
    const item = record(given)
    const type = typeof item.type === 'string' ? item.type : 'message'
    const id =
      typeof item.id === 'string' ? item.id : `${type === 'message' ? 'msg' : 'item'}_${newId()}`
    return { ...item, id, type }
  })
}

/** A stable made-up count for input items and instructions. */
export function countInput(body: MockRequest['body'], input: readonly InputItem[]): number {
  const instructions = typeof body.instructions === 'string' ? countTokens(body.instructions) : 0
  return input.reduce(
    (sum, item) => sum + 3 + countTokens(textOf(item.content ?? item.output)),
    instructions,
  )
}

function promptOf(request: MockRequest, input: readonly InputItem[]): Prompt {
  const { body } = request
  const last = input.at(-1)
  const user = input.findLast(({ type, role }) => type === 'message' && role === 'user')
  const format = record(record(body.text).format)
  return {
    behaviour: request.behaviour,
    text: textOf(user?.content),
    toolResult: last?.type.endsWith('_call_output') ? textOf(last.output) : undefined,
    tools: Array.isArray(body.tools) ? body.tools.flatMap(toolOf) : [],
    toolChoice: body.tool_choice,
    parallel: body.parallel_tool_calls === true,
    schema: format.type === 'json_schema' ? format.schema : true,
    maxTokens: wholeNumber(body.max_output_tokens),
  }
}

function toolOf(given: unknown): Tool[] {
  const { type, name, parameters } = record(given)
  // Hosted tools run at the provider; the mock has none to run.
  if (type !== 'function' && type !== 'custom') return []
  if (typeof name !== 'string') throw missing('tools[].name')
  return [{ name, kind: type, schema: parameters }]
}

interface Spoken {
  readonly turn: Turn
  readonly says: Wording
}

function assemble(
  request: MockRequest,
  input: readonly InputItem[],
  { turn, says }: Spoken,
): ResponseObject {
  const { body, now } = request
  const cut = turn.finish === 'length'
  const reasoning = turn.reasoning === undefined ? 0 : countTokens(turn.reasoning)
  const spoken = turn.calls.reduce(
    (sum, call) => sum + countTokens(call.input),
    countTokens(says.text),
  )
  return {
    id: `resp_${newId()}`,
    object: 'response',
    created_at: now,
    status: cut ? 'incomplete' : 'completed',
    background: body.background ?? false,
    completed_at: cut ? null : now,
    error: null,
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    model: request.model,
    output: outputItems(request, { turn, says }),
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null, ...record(body.reasoning) },
    service_tier: 'default',
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: { type: 'text' }, ...record(body.text) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    usage: usageOf(countInput(body, input), spoken + reasoning, reasoning),
    user: body.user ?? null,
    metadata: body.metadata ?? {},
  }
}

function outputItems(request: MockRequest, { turn, says }: Spoken): Item[] {
  const items: Item[] = []
  if (turn.reasoning !== undefined) {
    const { include } = request.body
    const sealed = Array.isArray(include) && include.includes('reasoning.encrypted_content')
    items.push({
      id: `rs_${newId()}`,
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: turn.reasoning }],
      ...(sealed ? { encrypted_content: Buffer.from(turn.reasoning).toString('base64') } : {}),
    })
  }
  for (const call of turn.calls) {
    const shared = { status: 'completed', call_id: `call_${newId()}`, name: call.name }
    items.push(
      call.kind === 'custom'
        ? { id: `ctc_${newId()}`, type: 'custom_tool_call', ...shared, input: call.input }
        : { id: `fc_${newId()}`, type: 'function_call', ...shared, arguments: call.input },
    )
  }
  if (turn.calls.length === 0) {
    const part = turn.refusal
      ? { type: 'refusal', refusal: says.text }
      : { type: 'output_text', text: says.text, annotations: [], logprobs: [] }
    const status = turn.finish === 'length' ? 'incomplete' : 'completed'
    items.push({
      id: `msg_${newId()}`,
      type: 'message',
      status,
      role: 'assistant',
      content: [part],
    })
  }
  return items
}
