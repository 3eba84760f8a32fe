import { newId } from '#lib/id.ts'

import { type Answer, events, json, typedFrame } from './answer.ts'
import { checkChat, refuse } from './cohere-check.ts'
import { embed } from './cohere-embed.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { MODELS } from './models.ts'
import { countTokens, wording } from './text.ts'
import type { Wording } from './text.ts'
import { takeTurn, type Tool, type Turn } from './turn.ts'
import { record, stringOf, textOf, wholeNumber } from './wire.ts'

/** Cohere's API v2: chat, embeddings, and the list of models (which is asked for with a page size, unlike OpenAI's). */
export const cohereDialect: MockDialect = {
  name: 'cohere',
  modelOf(method, pathname, body, query) {
    if (method === 'POST' && (pathname === '/v2/chat' || pathname === '/v2/embed')) {
      return stringOf(body.model) ?? ''
    }
    return method === 'GET' && pathname === '/v1/models' && query?.has('page_size') ? '' : undefined
  },
  answer(request) {
    if (!/^Bearer ./.test(request.headers.get('authorization') ?? '')) {
      throw refuse(401, 'no api key supplied')
    }
    if (request.method === 'GET') return listModels()
    if (request.model === '') throw refuse(400, 'invalid request: model must be set.')
    return request.pathname === '/v2/embed' ? embed(request) : chat(request)
  },
  failure: ({ status, message }) => json({ id: newId(), message }, status),
  frames: {
    isEnd: (frame) => frame.toString().startsWith('event: message-end\n'),
    errorFrame: ({ message }) =>
      typedFrame({
        type: 'message-end',
        delta: { error: message, finish_reason: 'ERROR', usage: {} },
      }),
    broken: (frame) => `${frame.toString().slice(0, -4)}\n\n`,
  },
}

function listModels(): Answer {
  return json({
    models: MODELS.map((name) => ({
      name,
      endpoints: name === 'embed' ? ['embed'] : ['chat'],
      finetuned: false,
      context_length: 256_000,
      tokenizer_url: '',
      default_endpoints: [],
      features: ['tools'],
    })),
  })
}

interface Said {
  readonly id: string
  readonly turn: Turn
  readonly says: Wording
  readonly thinking: string | undefined
  readonly plan: string | undefined
  readonly calls: readonly unknown[]
  readonly citations: readonly unknown[]
  readonly reason: string
  readonly usage: unknown
}

function chat(request: DialectRequest): Answer {
  const { body, faults } = request
  const messages = checkChat(body)
  const turn = takeTurn({
    behaviour: request.behaviour,
    text: textOf(messages.findLast(({ role }) => role === 'user')?.content),
    toolResult: messages.at(-1)?.role === 'tool' ? textOf(messages.at(-1)?.content) : undefined,
    tools: Array.isArray(body.tools) ? body.tools.map(toolOf) : [],
    toolChoice: (stringOf(body.tool_choice) ?? 'auto').toLowerCase(),
    parallel: true,
    schema: record(body.response_format).json_schema ?? true,
    maxTokens: wholeNumber(body.max_tokens),
  })
  const says = wording(turn.text, faults)
  const wantsThought = record(body.thinking).type === 'enabled'
  const thinking = turn.reasoning ?? (wantsThought ? 'Let me think.' : undefined)
  const said: Said = {
    id: newId(),
    turn,
    says,
    thinking: record(body.thinking).type === 'disabled' ? undefined : thinking,
    plan: turn.calls.length > 0 ? `I will use ${turn.calls[0]!.name}.` : undefined,
    calls: turn.calls.map(({ name, input }, at) => ({
      id: `${name}_${at}${newId().slice(-8).toLowerCase()}`,
      type: 'function',
      function: { name, arguments: input },
    })),
    citations: citationsOf(body.documents, says),
    reason: { stop: 'COMPLETE', length: 'MAX_TOKENS', tool_calls: 'TOOL_CALL' }[turn.finish],
    usage: usageOf(messages, turn, says, thinking),
  }
  return body.stream === true ? events(frames(said, body)) : json(whole(said, body))
}

function toolOf(given: unknown): Tool {
  const { name, parameters } = record(record(given).function)
  return { name: String(name), kind: 'function', schema: parameters }
}

/** The first word is cited from each document. */
function citationsOf(documents: unknown, { text, pieces }: Wording): unknown[] {
  if (!Array.isArray(documents) || text === '') return []
  const end = Array.from(pieces[0] ?? '').length
  const sources = documents.map((given, at) => {
    const { id, data } = record(given)
    const document = typeof given === 'string' ? { id: `doc:${at}`, text: given } : record(data)
    return { type: 'document', id: stringOf(id) ?? `doc:${at}`, document }
  })
  return [{ start: 0, end, text: pieces[0], sources, type: 'TEXT_CONTENT' }]
}

function usageOf(
  messages: readonly Readonly<Record<string, unknown>>[],
  turn: Turn,
  { text }: Wording,
  thinking = '',
) {
  const counts = messages.map(({ content }) => 3 + countTokens(textOf(content)))
  const input = counts.reduce((sum, count) => sum + count, 0)
  const output = [text, thinking, ...turn.calls.map((call) => call.input)].reduce(
    (sum, part) => sum + countTokens(part),
    0,
  )
  return {
    billed_units: { input_tokens: input, output_tokens: output },
    tokens: { input_tokens: input + 60, output_tokens: output },
    // All but the last message was there before.
    cached_tokens: input - (counts.at(-1) ?? 0),
  }
}

function whole(said: Said, body: DialectRequest['body']) {
  const { id, turn, says, thinking, plan, calls, citations, reason, usage } = said
  const content = [
    ...(thinking === undefined ? [] : [{ type: 'thinking', thinking }]),
    ...(calls.length > 0 ? [] : [{ type: 'text', text: says.text }]),
  ]
  return {
    id,
    finish_reason: reason,
    message: {
      role: 'assistant',
      ...(content.length > 0 && { content }),
      ...(plan !== undefined && { tool_plan: plan }),
      ...(turn.calls.length > 0 && { tool_calls: calls }),
      ...(citations.length > 0 && { citations }),
    },
    usage,
    ...(body.logprobs === true && { logprobs: says.pieces.map(logprobOf) }),
  }
}

function logprobOf(text: string) {
  return { text, token_ids: [text.length], logprobs: [-0.5] }
}

function frames(said: Said, body: DialectRequest['body']): string[] {
  const { id, says, thinking, plan, calls, citations, reason, usage } = said
  const list = [
    typedFrame({
      type: 'message-start',
      id,
      delta: {
        message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] },
      },
    }),
  ]
  const say = (type: string, index: number | undefined, message?: unknown, more?: object): void => {
    list.push(
      typedFrame({
        type,
        ...(index !== undefined && { index }),
        ...(message !== undefined && { delta: { message } }),
        ...more,
      }),
    )
  }
  let blocks = 0
  const block = (type: 'thinking' | 'text', pieces: readonly string[]): void => {
    const index = blocks++
    say('content-start', index, { content: { type, [type]: '' } })
    for (const piece of pieces) {
      const more = body.logprobs === true && type === 'text' ? { logprobs: logprobOf(piece) } : {}
      say('content-delta', index, { content: { [type]: piece } }, more)
    }
    say('content-end', index)
  }
  if (thinking !== undefined) block('thinking', wording(thinking, {}).pieces)
  for (const piece of wording(plan ?? '', {}).pieces) {
    say('tool-plan-delta', undefined, { tool_plan: piece })
  }
  calls.forEach((call, index) => {
    const { id: callId, type, function: fn } = record(call)
    const { name, arguments: input } = record(fn)
    const opening = { id: callId, type, function: { name, arguments: '' } }
    say('tool-call-start', index, { tool_calls: opening })
    // Calls without arguments stream none.
    const text = input === '{}' ? '' : String(input)
    for (const piece of text.match(/.{1,5}/gs) ?? []) {
      say('tool-call-delta', index, { tool_calls: { function: { arguments: piece } } })
    }
    say('tool-call-end', index)
  })
  if (calls.length === 0) block('text', says.pieces)
  citations.forEach((citation, index) => {
    say('citation-start', index, { citations: citation })
    say('citation-end', index)
  })
  list.push(typedFrame({ type: 'message-end', delta: { finish_reason: reason, usage } }))
  return list
}
