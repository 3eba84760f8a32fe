import { newId } from '#lib/id.ts'

import { type Answer, json } from './answer.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { unitVector } from './embeddings.ts'
import { MODELS } from './models.ts'
import { checkChat, refuse } from './ollama-check.ts'
import { countTokens, wording } from './text.ts'
import type { Wording } from './text.ts'
import { takeTurn, type Tool, type Turn } from './turn.ts'
import { record, stringOf, textOf, wholeNumber } from './wire.ts'

const posts = new Set(['/api/chat', '/api/embed', '/api/show'])
const gets = new Set(['/api/tags', '/api/version'])

/** Ollama's own API. The compatible surface below `/v1` is the mock's own dialect. */
export const ollamaDialect: MockDialect = {
  name: 'ollama',
  modelOf(method, pathname, body) {
    if (method === 'POST' && posts.has(pathname)) return stringOf(body.model) ?? ''
    return method === 'GET' && gets.has(pathname) ? '' : undefined
  },
  answer(request) {
    switch (request.pathname) {
      case '/api/version':
        return json({ version: '0.21.0' })
      case '/api/tags':
        return json({ models: MODELS.map(listed) })
    }
    if (request.model === '') throw refuse(400, 'model is required')
    switch (request.pathname) {
      case '/api/show':
        return show(request)
      case '/api/embed':
        return embed(request)
      default:
        return chat(request)
    }
  },
  failure: ({ status, message }) => json({ error: message }, status),
  frames: {
    isEnd: (frame) => frame.toString().includes('"done":true'),
    errorFrame: ({ message }) => `${JSON.stringify({ error: message })}\n`,
    broken: (frame) => `${frame.toString().slice(0, -4)}\n`,
  },
}

const modifiedAt = '2026-10-05T08:15:30.123456789+02:00'
const details = {
  parent_model: '',
  format: 'gguf',
  family: 'mock',
  families: ['mock'],
  parameter_size: '8.0B',
  quantization_level: 'Q4_K_M',
}

function listed(name: string) {
  const model = `${name}:latest`
  return { name: model, model, modified_at: modifiedAt, size: 1000, digest: 'd0d0', details }
}

function show({ behaviour }: DialectRequest): Answer {
  return json({
    license: '',
    template: '{{ .Prompt }}',
    details,
    model_info: { 'general.architecture': 'mock', 'mock.context_length': 131_072 },
    capabilities: behaviour === 'embed' ? ['embedding'] : ['completion', 'tools', 'thinking'],
    modified_at: modifiedAt,
  })
}

const usualDimensions = 8

function embed({ body, model }: DialectRequest): Answer {
  const { input } = body
  const texts = typeof input === 'string' ? [input] : input
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string')) {
    throw refuse(400, 'invalid input type')
  }
  const dimensions = wholeNumber(body.dimensions ?? usualDimensions)
  if (!dimensions) throw refuse(400, 'dimensions must be positive')
  return json({
    model,
    embeddings: texts.map((text) => [...unitVector(text, dimensions)]),
    total_duration: 1_000_000,
    load_duration: 100_000,
    prompt_eval_count: texts.reduce<number>((sum, text) => sum + countTokens(text), 0),
  })
}

interface Said {
  readonly turn: Turn
  readonly says: Wording
  readonly thinking: string | undefined
  readonly calls: readonly unknown[]
  readonly logprobs: boolean
  /** What stands on every line. */
  readonly head: { readonly model: string; readonly created_at: string }
  /** What only the last line has. */
  readonly tail: Readonly<Record<string, unknown>>
}

function chat({ body, behaviour, model, faults, now }: DialectRequest): Answer {
  const messages = checkChat(body, behaviour)
  const last = messages.at(-1)
  const turn = takeTurn({
    behaviour,
    text: textOf(messages.findLast(({ role }) => role === 'user')?.content),
    toolResult: last?.role === 'tool' ? textOf(last.content) : undefined,
    tools: Array.isArray(body.tools) ? body.tools.map(toolOf) : [],
    toolChoice: 'auto',
    parallel: true,
    schema: typeof body.format === 'object' ? body.format : true,
    maxTokens: wholeNumber(record(body.options).num_predict),
  })
  const thought = turn.reasoning ?? (body.think ? 'Let me think.' : undefined)
  const thinking = body.think === false ? undefined : thought
  const says = wording(turn.text, faults)
  const said: Said = {
    turn,
    says,
    thinking,
    calls: turn.calls.map(({ name, input }, index) => ({
      id: `call_${newId().slice(-8).toLowerCase()}`,
      function: { index, name, arguments: JSON.parse(input) as unknown },
    })),
    logprobs: body.logprobs === true,
    head: { model, created_at: new Date(now * 1000).toISOString().replace('Z', '123456Z') },
    tail: {
      done: true,
      done_reason: turn.finish === 'length' ? 'length' : 'stop',
      ...countsOf(messages, turn, says, thinking),
    },
  }
  if (body.stream === false) return json(whole(said))
  return { status: 200, contentType: 'application/x-ndjson', body: lines(said) }
}

function toolOf(given: unknown): Tool {
  const { name, parameters } = record(record(given).function)
  return { name: String(name), kind: 'function', schema: parameters }
}

function countsOf(
  messages: readonly Readonly<Record<string, unknown>>[],
  turn: Turn,
  { text }: Wording,
  thinking = '',
) {
  const spoken = [text, thinking, ...turn.calls.map(({ input }) => input)]
  return {
    total_duration: 5_000_000,
    load_duration: 1_000_000,
    prompt_eval_count: messages.reduce(
      (sum, { content }) => sum + 3 + countTokens(textOf(content)),
      0,
    ),
    prompt_eval_duration: 2_000_000,
    eval_count: spoken.reduce((sum, part) => sum + countTokens(part), 0),
    eval_duration: 2_000_000,
  }
}

function logprobOf(token: string) {
  return { token, logprob: -0.5, bytes: [...Buffer.from(token)] }
}

function whole({ turn, says, thinking, calls, logprobs, head, tail }: Said) {
  return {
    ...head,
    message: {
      role: 'assistant',
      content: turn.calls.length > 0 ? '' : says.text,
      ...(thinking !== undefined && { thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    ...(logprobs && { logprobs: says.pieces.map(logprobOf) }),
    ...tail,
  }
}

function lines({ turn, says, thinking, calls, logprobs, head, tail }: Said): string[] {
  const line = (message: object, more: object = { done: false }): string =>
    `${JSON.stringify({ ...head, message: { role: 'assistant', content: '', ...message }, ...more })}\n`
  return [
    ...wording(thinking ?? '', {}).pieces.map((piece) => line({ thinking: piece })),
    ...(turn.calls.length > 0 ? [] : says.pieces).map((piece) =>
      line({ content: piece }, { done: false, ...(logprobs && { logprobs: [logprobOf(piece)] }) }),
    ),
    ...calls.map((call) => line({ tool_calls: [call] })),
    line({}, tail),
  ]
}
