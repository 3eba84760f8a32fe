import { newId } from '#lib/id.ts'

import { type Answer, events, json, typedFrame } from './answer.ts'
import { checkHeaders, checkRequest, refuse, rulesOf } from './anthropic-check.ts'
import { checkMessages, type Heard, signatureOf } from './anthropic-messages.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { MODELS } from './models.ts'
import { countTokens, wording } from './text.ts'
import { takeTurn, type Turn } from './turn.ts'
import { isRecord, record, stringOf, textOf } from './wire.ts'

type Fields = Readonly<Record<string, unknown>>

/** Anthropic's Messages API: messages, token counts, and the list of models (asked for with a page size). */
export const anthropicDialect: MockDialect = {
  name: 'anthropic',
  modelOf(method, pathname, body, query) {
    if (method === 'POST' && /^\/v1\/messages(?:\/count_tokens)?$/.test(pathname)) {
      return stringOf(body.model) ?? ''
    }
    return method === 'GET' && pathname === '/v1/models' && query?.has('limit') ? '' : undefined
  },
  answer(request) {
    checkHeaders(request.headers)
    if (request.method === 'GET') return listModels()
    if (request.model === '') throw refuse('model: Field required')
    return answerMessages(request, request.pathname.endsWith('/count_tokens'))
  },
  failure: ({ status, type, code, message }) =>
    json(
      {
        type: 'error',
        error: { type: errorType(status, type, code), message },
        request_id: newRequestId(),
      },
      status,
    ),
  frames: {
    isEnd: (frame) => /^event: message_(?:delta|stop)\n/.test(frame.toString()),
    errorFrame: ({ status, message }) =>
      typedFrame({ type: 'error', error: { type: errorType(status), message } }),
    broken: (frame) => `${frame.toString().slice(0, -4)}\n\n`,
  },
}

const errorTypes: ReadonlyMap<number, string> = new Map([
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [409, 'conflict_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
])

function errorType(status: number, type?: string, code?: string | null): string {
  if (code === 'insufficient_quota') return 'billing_error'
  if (type === 'authentication_error') return type
  return errorTypes.get(status) ?? (status < 500 ? 'invalid_request_error' : 'api_error')
}

function newRequestId(): string {
  return `req_${newId()}`
}

function listModels(): Answer {
  const data = MODELS.map((id) => ({
    type: 'model',
    id,
    display_name: `Mock ${id}`,
    created_at: '2026-01-01T00:00:00Z',
    max_input_tokens: 200_000,
    max_tokens: 64_000,
  }))
  return json({ data, has_more: false, first_id: data[0]!.id, last_id: data.at(-1)!.id })
}

/** Answers a request in this dialect, wherever its path and credentials come from. */
export function answerMessages(request: DialectRequest, isCount = false): Answer {
  const { body, model, faults } = request
  const rules = rulesOf(model)
  checkRequest(body, rules, isCount)
  const heard = checkMessages(body, rules)
  const input = usageOf(body, heard)
  if (isCount) {
    return json({ input_tokens: Object.values(input).reduce((sum, count) => sum + count, 0) })
  }
  const turn = turnOf(request, heard)
  const says = wording(turn.text, faults)
  const blocks = blocksOf(turn, says.text, body, !rules.off)
  const spoken = blocks.reduce((sum, block) => sum + countTokens(JSON.stringify(block)), 0)
  const thought = turn.reasoning === undefined ? 0 : countTokens(turn.reasoning)
  const message = {
    id: `msg_${newId()}`,
    type: 'message',
    role: 'assistant',
    model,
    content: blocks,
    stop_reason: stopReason(turn),
    stop_sequence: null,
    ...(turn.refusal && {
      stop_details: { type: 'refusal', category: 'general_harms', explanation: turn.text },
    }),
    usage: {
      ...input,
      output_tokens: spoken,
      output_tokens_details: { thinking_tokens: thought },
      service_tier: 'standard',
    },
  }
  return body.stream === true ? events(frames(message, says.pieces)) : json(message)
}

function stopReason({ refusal, finish }: Turn): string {
  if (refusal) return 'refusal'
  if (finish === 'tool_calls') return 'tool_use'
  return finish === 'length' ? 'max_tokens' : 'end_turn'
}

/** The models of the list, alone or at the end of a Claude's name: `claude-haiku-4-5-tools`. */
function behaviourOf(behaviour: string): string {
  const last =
    behaviour
      .replace(/-v\d+:\d+$/, '')
      .split('-')
      .at(-1) ?? ''
  return (MODELS as readonly string[]).includes(last) ? last : behaviour
}

function turnOf({ body, behaviour }: DialectRequest, heard: readonly Heard[]): Turn {
  const choice = record(body.tool_choice)
  const forced = choice.type === 'tool' || choice.type === 'any'
  const last = heard.at(-1)!
  const results = last.content.filter(({ type }) => type === 'tool_result')
  const said = heard.findLast(
    ({ role, content }) => role === 'user' && content.some(({ type }) => type === 'text'),
  )
  const tools = Array.isArray(body.tools) ? body.tools.map(record) : []
  const turn = takeTurn({
    behaviour: forced ? 'tools' : behaviourOf(behaviour),
    text: textOf(said?.content),
    toolResult:
      results.length > 0 ? results.map(({ content }) => textOf(content)).join(' ') : undefined,
    tools: tools
      .filter(({ input_schema: schema }) => isRecord(schema))
      .map(({ name, input_schema: schema }) => ({ name: String(name), kind: 'function', schema })),
    toolChoice: choice.type === 'none' ? 'none' : choice.type === 'tool' ? choice : undefined,
    parallel: choice.disable_parallel_tool_use !== true,
    schema: record(record(body.output_config).format).schema ?? true,
    maxTokens: Number(body.max_tokens) < 100 ? Number(body.max_tokens) : undefined,
  })
  const { type } = record(body.thinking)
  const thinks = type === 'enabled' || type === 'adaptive'
  if (turn.reasoning === undefined && thinks) {
    return { ...turn, reasoning: `The user said: ${textOf(said?.content)}` }
  }
  // Whoever did not ask a model to think gets no thoughts from it.
  return type === 'disabled' ? { ...turn, reasoning: undefined } : turn
}

function blocksOf(turn: Turn, text: string, body: Fields, isNew: boolean): Fields[] {
  const blocks: Fields[] = []
  if (turn.reasoning !== undefined) {
    const { display } = record(body.thinking)
    // Newer models keep their thoughts to themselves unless asked.
    const thinking = display === 'omitted' || (isNew && display === undefined) ? '' : turn.reasoning
    blocks.push({ type: 'thinking', thinking, signature: signatureOf(thinking) })
  }
  if (!turn.refusal && text !== '') blocks.push({ type: 'text', text })
  for (const { name, input } of turn.calls) {
    blocks.push({ type: 'tool_use', id: `toolu_${newId()}`, name, input: JSON.parse(input) })
  }
  return blocks
}

/** A prefix that ends before the last marker counts as read from the cache, what the last one adds as written to it. */
function usageOf(body: Fields, heard: readonly Heard[]) {
  const system = typeof body.system === 'string' ? [{ text: body.system }] : body.system
  const blocks = [
    ...(Array.isArray(body.tools) ? body.tools : []),
    ...(Array.isArray(system) ? system : []),
    ...heard.flatMap(({ content }) => content),
  ].map(record)
  const isMarked = ({ cache_control: marker }: Fields): boolean => isRecord(marker)
  const written = blocks.findLastIndex(isMarked) + 1
  const read = blocks.slice(0, Math.max(0, written - 1)).findLastIndex(isMarked) + 1
  const tokens = (some: readonly Fields[]): number =>
    some.reduce(
      (sum, block) => sum + countTokens(JSON.stringify({ ...block, cache_control: undefined })),
      0,
    )
  return {
    input_tokens: tokens(blocks.slice(written)),
    cache_creation_input_tokens: tokens(blocks.slice(read, written)),
    cache_read_input_tokens: tokens(blocks.slice(0, read)),
  }
}

function frames(message: Fields & { content: Fields[] }, pieces: readonly string[]): string[] {
  const { content, stop_reason, stop_sequence, stop_details, usage } = message
  const { output_tokens: output, ...input } = record(usage)
  const start = {
    ...message,
    content: [],
    stop_reason: null,
    usage: { ...input, output_tokens: 1 },
  }
  const list = [typedFrame({ type: 'message_start', message: start }), typedFrame({ type: 'ping' })]
  content.forEach((block, index) => {
    list.push(...blockFrames(block, index, pieces))
    list.push(typedFrame({ type: 'content_block_stop', index }))
  })
  const delta = { stop_reason, stop_sequence, ...(isRecord(stop_details) && { stop_details }) }
  list.push(
    typedFrame({ type: 'message_delta', delta, usage: { ...input, output_tokens: output } }),
    typedFrame({ type: 'message_stop' }),
  )
  return list
}

function blockFrames(block: Fields, index: number, pieces: readonly string[]): string[] {
  const open = (content_block: Fields): string =>
    typedFrame({ type: 'content_block_start', index, content_block })
  const delta = (given: Fields): string =>
    typedFrame({ type: 'content_block_delta', index, delta: given })
  if (block.type === 'thinking') {
    return [
      open({ type: 'thinking', thinking: '', signature: '' }),
      ...wording(String(block.thinking), {}).pieces.map((thinking) =>
        delta({ type: 'thinking_delta', thinking }),
      ),
      delta({ type: 'signature_delta', signature: block.signature }),
    ]
  }
  if (block.type === 'tool_use') {
    const text = JSON.stringify(block.input)
    const half = text.length >> 1
    const parts = text === '{}' ? [''] : ['', text.slice(0, half), text.slice(half)]
    return [
      open({ ...block, input: {} }),
      ...parts.map((partial_json) => delta({ type: 'input_json_delta', partial_json })),
    ]
  }
  return [
    open({ type: 'text', text: '' }),
    ...pieces.map((text) => delta({ type: 'text_delta', text })),
  ]
}
