import type { Conversation } from '#openai/conversation/conversation.ts'
import { invalid, isRecord, record, text } from '#openai/conversation/fields.ts'

import { classOf } from '../anthropic/models.ts'
import { cleanSchema } from '../anthropic/schema.ts'
import type { DialectRequest } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import type { Target } from '../provider.ts'
import { urlsOf } from './blocks.ts'
import { familyOf } from './families.ts'
import type { Family } from './families.ts'
import { messagesOf } from './messages.ts'
import { namesOf } from './names.ts'
import type { Names } from './names.ts'
import { describe, modelUrl, placeOf } from './place.ts'
import { planReasoning } from './reasoning.ts'
import type { Reasoning } from './reasoning.ts'
import { demandsCall, planTools } from './tools.ts'
import { EVENT_STREAM } from './wire.ts'
import type { Message, SystemBlock, ToolConfig } from './wire.ts'

type Fields = Readonly<Record<string, unknown>>

/** A conversation as `Converse` and `ConverseStream` take it ("Converse", API Reference, as read in November 2026). */
export function chatRequest(exchange: Exchange): DialectRequest {
  const { call, target } = exchange
  const { stream } = call
  const url = modelUrl(placeOf(target, call.model), stream ? 'converse-stream' : 'converse', target)
  const body = bodyOf(exchange)
  return { url, headers: { accept: stream ? EVENT_STREAM : 'application/json' }, body }
}

/** The same for `CountTokens`, which takes what is said and nothing about how to answer. */
export function countRequest(exchange: Exchange): DialectRequest {
  const { call, target } = exchange
  const { messages, system, toolConfig, additionalModelRequestFields } = bodyOf(exchange)
  const converse = {
    messages,
    ...(system !== undefined && { system }),
    ...(toolConfig !== undefined && { toolConfig }),
    ...(additionalModelRequestFields !== undefined && { additionalModelRequestFields }),
  }
  const url = modelUrl(placeOf(target, call.model), 'count-tokens', target)
  return { url, headers: { accept: 'application/json' }, body: { input: { converse } } }
}

/** URLs that the request has to carry the content of. */
export function resourcesOf(conversation: Conversation, _target: Target): readonly string[] {
  return conversation.turns.flatMap(({ parts }) => urlsOf(parts))
}

/** What the model is judged by, and the names of its tools: the same for a request and its answer. */
export function knowledgeOf({ call, target, conversation }: Exchange): {
  readonly described: string
  readonly family: Family
  readonly names: Names
} {
  const described = describe(target, call.model)
  const family = familyOf(described)
  return { described, family, names: namesOf(conversation, family) }
}

interface Body extends Fields {
  readonly messages: readonly Message[]
  readonly system?: readonly SystemBlock[]
  readonly toolConfig?: ToolConfig
  readonly additionalModelRequestFields?: Fields
}

function bodyOf(exchange: Exchange): Body {
  const { conversation } = exchange
  const { request } = conversation
  const { described, family, names } = knowledgeOf(exchange)
  const context = { exchange, family, documents: new Set<string>() }
  const said = messagesOf(context, names)
  const reasoning = planReasoning(
    { ...exchange, model: described },
    family,
    demandsCall(exchange, family, names),
  )
  const tools = planTools(exchange, family, names, said.called, reasoning.thinks)
  const format = formatOf(exchange, family, names)
  const system = [...said.system]
  for (const instruction of [format.instruction, tools.instruction]) {
    if (instruction !== undefined) system.push({ text: instruction })
  }
  const inference = inferenceOf(exchange, described, family, reasoning)
  const additional = additionalOf(exchange, family, [
    reasoning.additional,
    inference.additional,
    tools.additional,
  ])
  const metadata = metadataOf(exchange)
  const tier = tierOf(exchange)
  const own = (name: string): Fields =>
    isRecord(request[name]) ? { [name]: request[name] } : noFields
  return {
    ...(system.length > 0 && { system }),
    messages: said.messages,
    ...(Object.keys(inference.config).length > 0 && { inferenceConfig: inference.config }),
    ...(tools.config && { toolConfig: tools.config }),
    ...own('guardrailConfig'),
    ...(Object.keys(additional).length > 0 && { additionalModelRequestFields: additional }),
    ...(Array.isArray(request['additionalModelResponseFieldPaths']) && {
      additionalModelResponseFieldPaths: request['additionalModelResponseFieldPaths'] as unknown[],
    }),
    ...own('promptVariables'),
    ...own('performanceConfig'),
    ...(metadata && { requestMetadata: metadata }),
    ...(tier !== undefined && { serviceTier: { type: tier } }),
    ...(format.outputConfig && { outputConfig: format.outputConfig }),
  }
}

const noFields: Fields = {}

interface Inference {
  readonly config: Fields
  readonly additional: Fields
}

/** Limits and sampling. What a model refuses is left out and declared. */
function inferenceOf(
  exchange: Exchange,
  described: string,
  family: Family,
  reasoning: Reasoning,
): Inference {
  const { conversation } = exchange
  const { request, stop } = conversation
  const samples = reasoning.samples && (family.name !== 'claude' || classOf(described).sampling)
  const asked = (name: string): number | undefined => {
    const value = request[name]
    if (typeof value !== 'number') return undefined
    if (samples) return value
    exchange.drop(name)
    return undefined
  }
  const temperature = asked('temperature')
  let topP = asked('top_p')
  // Since their version 4.5 these models take one of the two.
  if (family.name === 'claude' && temperature !== undefined && topP !== undefined) {
    if (/claude-\w+-(?:4-[5-9]|[5-9])/.test(described)) {
      topP = undefined
      exchange.drop('top_p')
    }
  }
  const topK = asked('top_k')
  if (topK !== undefined && family.topK === undefined) exchange.drop('top_k')
  const stops = stop.filter((each) => each.trim() !== '')
  if (stops.length < stop.length) exchange.drop('stop')
  return {
    config: {
      ...(reasoning.maxTokens !== undefined && { maxTokens: reasoning.maxTokens }),
      // The vendor's scale ends where OpenAI's has its middle.
      ...(temperature !== undefined && { temperature: Math.min(Math.max(temperature, 0), 1) }),
      ...(topP !== undefined && { topP }),
      ...(stops.length > 0 && { stopSequences: stops }),
    },
    additional: topK === undefined ? noFields : topKOf(family, topK),
  }
}

function topKOf({ topK }: Family, value: number): Fields {
  if (topK === undefined) return noFields
  return topK === 'inferenceConfig' ? { inferenceConfig: { topK: value } } : { [topK]: value }
}

/** What goes to the model past the vendor; the caller's own fields come last and win. */
function additionalOf(
  exchange: Exchange,
  family: Family,
  planned: readonly (Fields | undefined)[],
): Fields {
  const { request } = exchange.conversation
  const isClaude = family.name === 'claude'
  const endUser = text(request['safety_identifier']) ?? text(request['user'])
  if (!isClaude) {
    for (const name of ['user', 'safety_identifier', 'anthropic_beta', 'thinking']) {
      if (request[name] !== undefined && request[name] !== null) exchange.drop(name)
    }
  }
  const betas = request['anthropic_beta']
  const ofClaude: Fields = isClaude
    ? {
        ...(endUser !== undefined && { metadata: { user_id: endUser } }),
        ...(Array.isArray(betas) && { anthropic_beta: betas as unknown[] }),
        ...(typeof betas === 'string' && { anthropic_beta: [betas] }),
      }
    : noFields
  const own = record(request['additionalModelRequestFields'])
  return [...planned, ofClaude, own].reduce<Fields>(
    (all, more) => (more ? merged(all, more) : all),
    noFields,
  )
}

function merged(first: Fields, second: Fields): Fields {
  const result: Record<string, unknown> = { ...first }
  for (const [name, value] of Object.entries(second)) {
    const known = result[name]
    result[name] = isRecord(known) && isRecord(value) ? merged(known, value) : value
  }
  return result
}

interface FormatPlan {
  readonly outputConfig: Fields | undefined
  readonly instruction: string | undefined
}

function formatOf(exchange: Exchange, family: Family, names: Names): FormatPlan {
  const { format } = exchange.conversation
  if (format.kind === 'text') return { outputConfig: undefined, instruction: undefined }
  if (format.kind === 'json') {
    const instruction = 'Answer with a JSON object and nothing else.'
    return { outputConfig: undefined, instruction }
  }
  if (names.answerTool !== undefined) return { outputConfig: undefined, instruction: undefined }
  const { schema, name, description, strict } = format
  const param = 'response_format.json_schema.schema'
  if (!family.schema) {
    if (strict === true) exchange.drop('response_format.json_schema.strict')
    const instruction = `Answer with a JSON document that follows this JSON Schema, and nothing else:\n${JSON.stringify(schema)}`
    return { outputConfig: undefined, instruction }
  }
  const cleaned = cleanSchema(schema, param)
  const jsonSchema = {
    schema: JSON.stringify(cleaned),
    name,
    ...(description !== undefined && description !== '' && { description }),
  }
  const textFormat = { type: 'json_schema', structure: { jsonSchema } }
  return { outputConfig: { textFormat }, instruction: undefined }
}

const metadataKey = /^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$/
const metadataValue = /^[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}$/
const maxMetadata = 16

/** `metadata`, as far as its pairs fit; the vendor's own parameter besides. */
function metadataOf(exchange: Exchange): Readonly<Record<string, string>> | undefined {
  const { request } = exchange.conversation
  const kept = new Map<string, string>()
  for (const param of ['requestMetadata', 'metadata']) {
    for (const [key, value] of Object.entries(record(request[param]))) {
      const fits =
        typeof value === 'string' &&
        metadataKey.test(key) &&
        metadataValue.test(value) &&
        kept.size < maxMetadata
      // The vendor's own parameter comes first and wins.
      if (fits && !kept.has(key)) kept.set(key, value)
      else exchange.drop(`${param}.${key}`)
    }
  }
  return kept.size > 0 ? Object.fromEntries(kept) : undefined
}

const tiers: ReadonlySet<string> = new Set(['priority', 'default', 'flex', 'reserved'])

function tierOf(exchange: Exchange): string | undefined {
  const tier = exchange.conversation.request['service_tier']
  if (tier === undefined || tier === null || tier === 'auto') return undefined
  if (typeof tier !== 'string') throw invalid('service_tier', 'Expected a text.')
  if (tiers.has(tier)) return tier
  exchange.drop('service_tier')
  return undefined
}
