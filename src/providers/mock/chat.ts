import { newId } from '#lib/id.ts'

import { type Answer, dataFrame, DONE, events, invalid, json, missing } from './answer.ts'
import type { Kept } from './memory.ts'
import type { MockRequest } from './request.ts'
import { countTokens, type Wording, wording } from './text.ts'
import { type Prompt, takeTurn, type Tool, type Turn } from './turn.ts'
import { record, textOf, wholeNumber } from './wire.ts'

const maxChoices = 128

/** `POST /chat/completions`, unary and streamed. */
export function chat(request: MockRequest): Answer {
  const { body, faults } = request
  if (body.messages === undefined) throw missing('messages')
  if (!Array.isArray(body.messages) || body.messages.length === 0) {
    throw invalid('messages', 'a non-empty array')
  }
  const choices = body.n ?? 1
  if (typeof choices !== 'number' || !(choices >= 1 && choices <= maxChoices)) {
    throw invalid('n', `a number from 1 to ${maxChoices}`)
  }
  const turn = takeTurn(promptOf(request, body.messages))
  const says = wording(turn.text, faults)
  const callIds = turn.calls.map(() => `call_${newId()}`)
  const message = messageOf(turn, says, callIds)
  const completion = {
    id: `chatcmpl-${newId()}`,
    object: 'chat.completion',
    created: request.now,
    model: request.model,
    choices: Array.from({ length: Math.floor(choices) }, (_, index) => ({
      index,
      message,
      logprobs: null,
      finish_reason: turn.finish,
    })),
    usage: usageOf(body.messages, turn, says, choices),
    service_tier: 'default',
    system_fingerprint: 'fp_mock',
  }
  if (body.store === true) remember(request, completion, body.messages)
  if (!request.stream) return json(completion)
  return events(frames(request, completion, { turn, says, callIds }))
}

function promptOf(request: MockRequest, messages: readonly unknown[]): Prompt {
  const { body } = request
  const last = record(messages.at(-1))
  const user = messages.map(record).findLast(({ role }) => role === 'user')
  const format = record(body.response_format)
  return {
    behaviour: request.behaviour,
    text: textOf(user?.content),
    toolResult: last.role === 'tool' || last.role === 'function' ? textOf(last.content) : undefined,
    tools: Array.isArray(body.tools) ? body.tools.map(toolOf) : [],
    toolChoice: body.tool_choice,
    parallel: body.parallel_tool_calls === true,
    schema: format.type === 'json_schema' ? record(format.json_schema).schema : true,
    maxTokens: wholeNumber(body.max_completion_tokens ?? body.max_tokens),
  }
}

function toolOf(given: unknown, index: number): Tool {
  const tool = record(given)
  const inner = record(tool.type === 'custom' ? tool.custom : tool.function)
  if (typeof inner.name !== 'string') {
    throw missing(`tools[${index}].${tool.type === 'custom' ? 'custom' : 'function'}.name`)
  }
  return {
    name: inner.name,
    kind: tool.type === 'custom' ? 'custom' : 'function',
    schema: inner.parameters,
  }
}

function messageOf(turn: Turn, says: Wording, callIds: readonly string[]) {
  const calls = turn.calls.map((call, at) =>
    call.kind === 'custom'
      ? { id: callIds[at], type: 'custom', custom: { name: call.name, input: call.input } }
      : { id: callIds[at], type: 'function', function: { name: call.name, arguments: call.input } },
  )
  return {
    role: 'assistant',
    content: turn.refusal || calls.length > 0 ? null : says.text,
    refusal: turn.refusal ? says.text : null,
    ...(turn.reasoning === undefined
      ? {}
      : { reasoning: turn.reasoning, reasoning_content: turn.reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    annotations: [],
  }
}

function usageOf(messages: readonly unknown[], turn: Turn, says: Wording, choices: number) {
  const prompt = messages.reduce<number>(
    (sum, message) => sum + 3 + countTokens(textOf(record(message).content)),
    0,
  )
  const reasoning = turn.reasoning === undefined ? 0 : countTokens(turn.reasoning)
  const spoken = turn.calls.reduce(
    (sum, { input }) => sum + countTokens(input),
    countTokens(says.text),
  )
  const completion = (reasoning + spoken) * choices
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: reasoning * choices,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

interface Completion {
  readonly id: string
  readonly created: number
  readonly model: string
  readonly choices: readonly unknown[]
  readonly usage: unknown
}

function frames(
  request: MockRequest,
  completion: Completion,
  answer: { turn: Turn; says: Wording; callIds: readonly string[] },
): string[] {
  const { turn, says, callIds } = answer
  const wantsUsage = record(request.body.stream_options).include_usage === true
  // Load tests ask for hundreds of frames: everything that repeats is rendered once.
  const head = `data: {"id":"${completion.id}","object":"chat.completion.chunk","created":${completion.created},"model":${JSON.stringify(completion.model)},"service_tier":"default","system_fingerprint":"fp_mock","choices":[`
  const tail = wantsUsage ? '],"usage":null}\n\n' : ']}\n\n'
  const list: string[] = []
  function emit(delta: string, finish: string | null = null): void {
    const reason = finish === null ? 'null' : `"${finish}"`
    for (let index = 0; index < completion.choices.length; index++) {
      list.push(
        `${head}{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":${reason}}${tail}`,
      )
    }
  }

  emit(`{"role":"assistant","content":${turn.calls.length > 0 ? 'null' : '""'},"refusal":null}`)
  if (turn.reasoning !== undefined) {
    for (const piece of wording(turn.reasoning, {}).pieces) {
      const text = JSON.stringify(piece)
      emit(`{"reasoning":${text},"reasoning_content":${text}}`)
    }
  }
  const field = turn.refusal ? 'refusal' : 'content'
  if (turn.calls.length === 0) {
    for (const piece of says.pieces) emit(`{"${field}":${JSON.stringify(piece)}}`)
  }
  turn.calls.forEach((call, index) => {
    const [holder, argument] =
      call.kind === 'custom' ? ['custom', 'input'] : ['function', 'arguments']
    const id = callIds[index]
    const opening = { index, id, type: holder, [holder]: { name: call.name, [argument]: '' } }
    emit(JSON.stringify({ tool_calls: [opening] }))
    const half = call.input.length >> 1
    for (const piece of [call.input.slice(0, half), call.input.slice(half)]) {
      emit(JSON.stringify({ tool_calls: [{ index, [holder]: { [argument]: piece } }] }))
    }
  })
  emit('{}', turn.finish)
  if (wantsUsage) {
    const { id, created, model, usage } = completion
    list.push(
      dataFrame({ id, object: 'chat.completion.chunk', created, model, choices: [], usage }),
    )
  }
  list.push(DONE)
  return list
}

function remember(
  request: MockRequest,
  completion: Completion,
  messages: readonly unknown[],
): void {
  const { body, memory } = request
  const stored = {
    ...completion,
    metadata: record(body.metadata),
    request_id: `req_${newId()}`,
    tool_choice: body.tool_choice ?? null,
    tools: body.tools ?? null,
  }
  const listed: Kept[] = messages.map((message, index) => ({
    ...record(message),
    id: `${completion.id}-${index}`,
  }))
  const bytes = JSON.stringify(stored).length + JSON.stringify(listed).length
  memory.chats.put({ id: completion.id, completion: stored, messages: listed }, bytes)
}
