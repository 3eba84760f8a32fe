import { newId } from '#lib/id.ts'

import { type Answer, json, MockFailure, type Problem } from './answer.ts'
import { checkConverse, invalid, isClaude, REDACTED, signatureOf } from './bedrock-check.ts'
import { embed } from './bedrock-embed.ts'
import { eventFrame, eventTypeOf, exceptionFrame } from './bedrock-frames.ts'
import { checkAuthorization } from './bedrock-sign.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { countTokens, wording } from './text.ts'
import { takeTurn, type Turn } from './turn.ts'
import { record, textOf, wholeNumber } from './wire.ts'

// Amazon Bedrock's runtime ("Converse", "ConverseStream", "InvokeModel", "CountTokens") and the models of its control
// plane, API Reference, as read in November 2026.

type Fields = Readonly<Record<string, unknown>>

const operation = /^\/model\/([^/]+)\/(converse|converse-stream|invoke|count-tokens)$/
const listing = /^\/foundation-models(?:\/([^/]+))?$/
/** A model's id may say whose it is and how it behaves: `us.anthropic.claude-opus-4-6-tools-v1:0`. */
const behaviours = /(?:^|[.:/-])(echo|tools|reason|json|refuse|length|reverse|missing)(?=$|[.:-])/

export const bedrockDialect: MockDialect = {
  name: 'bedrock',
  modelOf(method, pathname) {
    const asked = method === 'POST' ? operation.exec(pathname) : null
    if (asked) return decoded(asked[1]!)
    return method === 'GET' && listing.test(pathname) ? '' : undefined
  },
  answer,
  failure,
  frames: {
    isEnd: (frame) => /^(?:messageStop|metadata)$/.test(eventTypeOf(frame as Uint8Array)),
    errorFrame: ({ status, code, message }) =>
      exceptionFrame(lowered(exceptionOf(status, code)), { message }),
    broken(frame) {
      const bytes = new Uint8Array(frame as Uint8Array)
      const at = bytes.length - 5
      bytes[at] = bytes[at]! ^ 1
      return bytes
    },
  },
}

function answer(request: DialectRequest): Answer {
  checkAuthorization(request)
  const { pathname, body } = request
  const listed = listing.exec(pathname)
  if (listed) return modelsAnswer(listed[1])
  const behaviour = behaviours.exec(request.behaviour)?.[1] ?? request.behaviour
  if (behaviour === 'missing') throw missing()
  const asked = operation.exec(pathname)?.[2]
  if (asked === 'invoke') return embed(request)
  if (asked === 'converse-stream') return stream(request, behaviour)
  if (asked === 'converse') return whole(request, behaviour)
  const { converse } = record(body.input)
  checkConverse(record(converse), request.behaviour)
  return json({ inputTokens: countTokens(JSON.stringify(converse)) })
}

function missing(): MockFailure {
  return new MockFailure({
    status: 404,
    code: 'ResourceNotFoundException',
    message: 'Could not resolve the foundation model from the provided model identifier.',
  })
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw invalid('The provided model identifier is invalid.')
  }
}

const requestId = () => ({ 'x-amzn-requestid': newId().toLowerCase() })

function whole(request: DialectRequest, behaviour: string): Answer {
  const turn = turnOf(request, behaviour)
  const { text } = wording(turn.text, request.faults)
  const content: unknown[] = []
  for (const thought of thoughtsOf(turn, request)) {
    content.push({
      reasoningContent:
        'redacted' in thought
          ? { redactedContent: thought.redacted }
          : { reasoningText: thought.signature === undefined ? { text: thought.text } : thought },
    })
  }
  if (text !== '') content.push({ text })
  turn.calls.forEach(({ name, input }, n) => {
    content.push({ toolUse: { toolUseId: callIdOf(n), name, input: JSON.parse(input) } })
  })
  return {
    ...json({
      metrics: { latencyMs: 1 },
      output: { message: { role: 'assistant', content } },
      stopReason: stopReasonOf(turn),
      usage: usageOf(request.body, outputOf(turn, text)),
    }),
    headers: requestId(),
  }
}

function stream(request: DialectRequest, behaviour: string): Answer {
  const turn = turnOf(request, behaviour)
  const { text, pieces } = wording(turn.text, request.faults)
  const body: Uint8Array<ArrayBuffer>[] = [
    eventFrame('messageStart', { role: 'assistant', p: 'ab' }),
  ]
  let contentBlockIndex = 0
  const say = (delta: unknown): void => {
    body.push(eventFrame('contentBlockDelta', { contentBlockIndex, delta, p: 'abcdefgh' }))
  }
  const stop = (): void => {
    body.push(eventFrame('contentBlockStop', { contentBlockIndex, p: 'abc' }))
    contentBlockIndex++
  }
  for (const thought of thoughtsOf(turn, request)) {
    if ('redacted' in thought) say({ reasoningContent: { redactedContent: thought.redacted } })
    else {
      for (const piece of thought.text.match(/\s*\S+/g) ?? [])
        say({ reasoningContent: { text: piece } })
      if (thought.signature !== undefined)
        say({ reasoningContent: { signature: thought.signature } })
    }
    stop()
  }
  if (text !== '') {
    for (const piece of pieces) say({ text: piece })
    stop()
  }
  turn.calls.forEach(({ name, input }, n) => {
    const start = { toolUse: { toolUseId: callIdOf(n), name } }
    body.push(eventFrame('contentBlockStart', { contentBlockIndex, start, p: 'abcd' }))
    // A call without arguments has no delta at all.
    if (input !== '{}')
      for (const piece of input.match(/.{1,9}/gs) ?? []) say({ toolUse: { input: piece } })
    stop()
  })
  body.push(eventFrame('messageStop', { stopReason: stopReasonOf(turn), p: 'abcde' }))
  body.push(
    eventFrame('metadata', {
      usage: usageOf(request.body, outputOf(turn, text)),
      metrics: { latencyMs: 1 },
      p: 'abcdef',
    }),
  )
  return {
    status: 200,
    contentType: 'application/vnd.amazon.eventstream',
    body,
    headers: requestId(),
  }
}

type Thought =
  { readonly text: string; readonly signature: string | undefined } | { readonly redacted: string }

function thoughtsOf({ reasoning }: Turn, { behaviour }: DialectRequest): Thought[] {
  if (reasoning === undefined) return []
  const signature = isClaude(behaviour) ? signatureOf(reasoning) : undefined
  const shown: Thought = { text: reasoning, signature }
  return signature !== undefined && reasoning.includes('secret')
    ? [shown, { redacted: REDACTED }]
    : [shown]
}

function callIdOf(n: number): string {
  return `tooluse_mock_${n}`
}

function stopReasonOf({ refusal, finish }: Turn): string {
  if (refusal) return 'content_filtered'
  if (finish === 'length') return 'max_tokens'
  return finish === 'tool_calls' ? 'tool_use' : 'end_turn'
}

function turnOf({ body, behaviour: model }: DialectRequest, behaviour: string): Turn {
  checkConverse(body, model)
  const messages = Array.isArray(body.messages) ? body.messages.map(record) : []
  const { content } = messages.at(-1) ?? {}
  const blocks = Array.isArray(content) ? content.map(record) : []
  const results = blocks.flatMap(({ toolResult }) =>
    toolResult === undefined ? [] : [record(toolResult)],
  )
  const { tools, toolChoice, parallel } = toolsOf(body)
  const asked = messages.findLast(({ content: parts }) => textOf(parts) !== '')
  return takeTurn({
    // A model that has to call does, whatever else it is good at.
    behaviour: toolChoice === undefined || toolChoice === 'auto' ? behaviour : 'tools',
    text: textOf(blocks) || textOf(asked?.content),
    toolResult:
      results.length > 0 ? results.map((result) => textOf(result.content)).join(' ') : undefined,
    tools,
    toolChoice,
    parallel,
    schema: schemaOf(body),
    maxTokens: wholeNumber(record(body.inferenceConfig).maxTokens),
  })
}

function toolsOf({ toolConfig, additionalModelRequestFields }: Fields) {
  const { tools, toolChoice } = record(toolConfig)
  const { auto, any, tool } = record(toolChoice)
  const own = record(record(additionalModelRequestFields).tool_choice)
  return {
    tools: (Array.isArray(tools) ? tools.map(record) : []).flatMap(({ toolSpec }) => {
      if (toolSpec === undefined) return []
      const { name, inputSchema } = record(toolSpec)
      return [{ name: String(name), kind: 'function' as const, schema: record(inputSchema).json }]
    }),
    toolChoice: any ? 'required' : tool ? { name: record(tool).name } : auto ? 'auto' : undefined,
    parallel: own.disable_parallel_tool_use !== true,
  }
}

function schemaOf(body: Fields): unknown {
  const { schema } = record(
    record(record(record(body.outputConfig).textFormat).structure).jsonSchema,
  )
  return typeof schema === 'string' ? JSON.parse(schema) : undefined
}

/** Everything the model wrote. */
function outputOf({ reasoning = '', calls }: Turn, text: string): string {
  return [reasoning, text, ...calls.map(({ name, input }) => name + input)].join('')
}

/** What stands before a cache point was read from the cache, as it would be the second time. */
function usageOf({ messages, system, toolConfig }: Fields, text: string) {
  const written = JSON.stringify([toolConfig, system, messages])
  const mark = written.lastIndexOf('{"cachePoint"')
  const cached = mark === -1 ? 0 : countTokens(written.slice(0, mark))
  const inputTokens = Math.max(countTokens(written) - cached, 0)
  const outputTokens = countTokens(text)
  return {
    inputTokens,
    outputTokens,
    totalTokens: inputTokens + cached + outputTokens,
    ...(cached > 0 && { cacheReadInputTokens: cached, cacheWriteInputTokens: 0 }),
  }
}

const summaries = [
  ['anthropic.claude-opus-4-6-v1', 'Claude Opus 4.6', 'Anthropic', ['INFERENCE_PROFILE']],
  ['amazon.nova-lite-v1:0', 'Nova Lite', 'Amazon', ['ON_DEMAND']],
  ['amazon.titan-embed-text-v2:0', 'Titan Text Embeddings V2', 'Amazon', ['ON_DEMAND']],
].map(([modelId, modelName, providerName, inferenceTypesSupported]) => ({
  modelId,
  modelArn: `arn:aws:bedrock:us-east-1::foundation-model/${String(modelId)}`,
  modelName,
  providerName,
  inputModalities: ['TEXT'],
  outputModalities: [String(modelId).includes('embed') ? 'EMBEDDING' : 'TEXT'],
  inferenceTypesSupported,
  modelLifecycle: { status: 'ACTIVE' },
}))

function modelsAnswer(id: string | undefined): Answer {
  if (id === undefined) return json({ modelSummaries: summaries })
  const modelDetails = summaries.find(({ modelId }) => modelId === decoded(id))
  if (modelDetails) return json({ modelDetails })
  throw invalid('The provided model identifier is invalid.')
}

const exceptions: ReadonlyMap<number, string> = new Map([
  [400, 'ValidationException'],
  [403, 'AccessDeniedException'],
  [404, 'ResourceNotFoundException'],
  [408, 'ModelTimeoutException'],
  [424, 'ModelErrorException'],
  [429, 'ThrottlingException'],
  [503, 'ServiceUnavailableException'],
])

function exceptionOf(status: number, code: string | null | undefined): string {
  // Faults of the mock name OpenAI's codes as well.
  if (typeof code === 'string' && /^[A-Z]\w+$/.test(code)) return code
  return (
    exceptions.get(status) ?? (status < 500 ? 'ValidationException' : 'InternalServerException')
  )
}

function lowered(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

function failure({ status, code, message }: Problem): Answer {
  const name = exceptionOf(status, code)
  return {
    ...json({ message }, status),
    headers: { ...requestId(), 'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/` },
  }
}
