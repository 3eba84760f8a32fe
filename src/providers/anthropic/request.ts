import type { Conversation } from '#openai/conversation/conversation.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { limitMarkers } from './cache.ts'
import { type Marker, tellTurns } from './messages.ts'
import { classOf } from './models.ts'
import { toolNames } from './names.ts'
import { cleanSchema } from './schema.ts'
import { type Effort, planEffort } from './thinking.ts'
import { forcesTool, toolChoiceOf, toolsOf } from './tools.ts'

/** How the body differs in another home of the vendor. */
export interface BodyOptions {
  /** The URL names the model. */
  readonly omitModel?: boolean
  /** The URL says whether the answer is streamed. */
  readonly omitStream?: boolean
  /** Stands in the body as `anthropic_version` where the home has no such header; the beta names follow it there. */
  readonly anthropicVersion?: string
  /** The home fetches nothing: images and documents are taken from `exchange.resources`. */
  readonly downloadsUrls?: boolean
}

type Fields = Readonly<Record<string, unknown>>

/** Asks a model for JSON where the vendor has no mode for it. */
const jsonLine =
  'Answer with a single valid JSON object and nothing else: no introduction, no explanation, no code fence.'

/**
 * The body of a Messages request (docs page "Create a Message", as read in November 2026). Places that get lost are
 * declared on `exchange`; throws a 400 naming the parameter for what must not get lost.
 */
export function anthropicBody(exchange: Exchange, options: BodyOptions = {}): Fields {
  const { conversation, model, call } = exchange
  const { request, format } = conversation
  const is = classOf(model)
  const names = toolNames(conversation, model)
  const toolMarkers: Marker[] = []
  const elsewhere = options.anthropicVersion !== undefined
  const told = tellTurns(exchange, {
    names,
    downloadsUrls: options.downloadsUrls ?? false,
    laterSystem: is.laterSystem && !elsewhere,
    prefill: is.prefill,
  })
  if (format.kind === 'json') told.system.push({ type: 'text', text: jsonLine })
  const tools = toolsOf(exchange, names, toolMarkers)
  limitMarkers(exchange, toolMarkers, told)
  const effort = planEffort(exchange, forcesTool(exchange, names))
  const toolChoice = toolChoiceOf(exchange, names, tools, effort.thinks)
  const outputConfig = outputConfigOf(exchange, effort)
  const user = userOf(exchange)
  const tier = tierOf(exchange)
  const stops = stopsOf(exchange)
  const betas = elsewhere ? betasOf(exchange) : []

  return {
    ...(options.anthropicVersion !== undefined && { anthropic_version: options.anthropicVersion }),
    ...(betas.length > 0 && { anthropic_beta: betas }),
    ...(options.omitModel !== true && { model }),
    max_tokens: effort.maxTokens,
    ...(told.system.length > 0 && { system: told.system }),
    messages: told.messages,
    ...(tools.length > 0 && { tools }),
    ...(toolChoice && { tool_choice: toolChoice }),
    ...(effort.thinking && { thinking: effort.thinking }),
    ...(outputConfig && { output_config: outputConfig }),
    ...samplingOf(exchange, effort.thinks),
    ...(stops.length > 0 && { stop_sequences: stops }),
    ...(tier !== undefined && { service_tier: tier }),
    ...(user !== undefined && { metadata: { user_id: user } }),
    ...ownOf(request),
    ...(options.omitStream !== true &&
      (call.stream || effort.maxTokens > mostWhole) && { stream: true }),
  }
}

/** The vendor's own parameters that are sent as the caller wrote them. */
const passed = [
  'cache_control',
  'container',
  'context_management',
  'inference_geo',
  'mcp_servers',
  'speed',
  'diagnostics',
] as const

/** Every parameter of the vendor's own that callers may use by name. */
export const ownParams: readonly string[] = [...passed, 'thinking', 'output_config']

function ownOf(request: Fields): Fields {
  const own: Record<string, unknown> = {}
  for (const name of passed) {
    if (request[name] !== undefined && request[name] !== null) own[name] = request[name]
  }
  return own
}

function outputConfigOf(exchange: Exchange, { effort }: Effort): Fields | undefined {
  const { conversation, model } = exchange
  const { format, request } = conversation
  const given = request['output_config']
  const config: Record<string, unknown> = {
    ...(effort !== undefined && { effort }),
    ...(isRecord(given) ? given : undefined),
  }
  if (format.kind === 'schema' && classOf(model).structured) {
    const described =
      format.description === undefined || format.schema['description'] !== undefined
        ? format.schema
        : { ...format.schema, description: format.description }
    const schema = cleanSchema(described, 'response_format.json_schema.schema')
    config['format'] = { type: 'json_schema', schema }
  }
  return Object.keys(config).length > 0 ? config : undefined
}

/** Newer models take nothing but their defaults; so do all while they think (docs page "Migration guide"). */
function samplingOf(exchange: Exchange, thinks: boolean): Fields {
  const { temperature, top_p: topP, top_k: topK } = exchange.conversation.request
  const may = classOf(exchange.model).sampling && !thinks
  const fields: Record<string, unknown> = {}
  if (typeof temperature === 'number') {
    // OpenAI's scale goes to 2, and the upper half of it has no counterpart.
    if (may) fields['temperature'] = Math.min(Math.max(temperature, 0), 1)
    else if (temperature !== 1) exchange.drop('temperature')
  }
  if (typeof topP === 'number' && topP !== 1) {
    if (may && fields['temperature'] === undefined) fields['top_p'] = topP
    else exchange.drop('top_p')
  }
  if (typeof topK === 'number') {
    if (may) fields['top_k'] = topK
    else exchange.drop('top_k')
  }
  return fields
}

/** The vendor refuses stop sequences without a visible character. */
function stopsOf(exchange: Exchange): readonly string[] {
  const { stop } = exchange.conversation
  const visible = stop.filter((sequence) => sequence.trim() !== '')
  if (visible.length < stop.length) exchange.drop('stop')
  return visible
}

function tierOf(exchange: Exchange): string | undefined {
  const tier = text(exchange.conversation.request['service_tier'])
  if (tier === undefined) return undefined
  if (tier === 'auto' || tier === 'standard_only') return tier
  if (tier === 'default') return 'standard_only'
  exchange.drop('service_tier')
  return undefined
}

function userOf(exchange: Exchange): string | undefined {
  const { safety_identifier: safety, user, metadata } = exchange.conversation.request
  const { user_id: inMetadata, ...others } = record(metadata)
  if (Object.keys(others).length > 0) exchange.drop('metadata')
  return text(inMetadata) ?? text(safety) ?? text(user)
}

/** Beyond this many tokens the vendor's own SDK refuses to wait for a whole answer: it would take ten minutes. */
const mostWhole = 21_333

/** True where the answer is asked for as a stream although the caller wants it whole. */
export function streamsAnyway(exchange: Exchange): boolean {
  const names = toolNames(exchange.conversation, exchange.model)
  return planEffort(exchange, forcesTool(exchange, names)).maxTokens > mostWhole
}

/** Names for the `anthropic-beta` header: the caller's own, then what the request's parameters need. */
export function betasOf({ call, conversation }: Exchange): string[] {
  const { request } = conversation
  const betas = new Set(
    (call.headers['anthropic-beta'] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  )
  const has = (name: string): boolean => request[name] !== undefined && request[name] !== null
  if (has('mcp_servers')) betas.add('mcp-client-2025-11-20')
  if (has('context_management')) {
    betas.add('context-management-2025-06-27')
    const edits: unknown = record(request['context_management'])['edits']
    if (
      Array.isArray(edits) &&
      edits.some((edit) => String(record(edit)['type']).startsWith('compact'))
    ) {
      betas.add('compact-2026-01-12')
    }
  }
  if (isRecord(request['container']) && request['container']['skills'] !== undefined) {
    betas.add('skills-2025-10-02')
  }
  if (has('speed')) betas.add('fast-mode-2026-02-01')
  if (record(request['output_config'])['task_budget'] !== undefined) {
    betas.add('task-budgets-2026-03-13')
  }
  return [...betas]
}

/** URLs of images and documents, for homes that want their content. */
export function resourcesOf(conversation: Conversation): readonly string[] {
  const urls = new Set<string>()
  for (const turn of conversation.turns) {
    if (turn.role !== 'user' && turn.role !== 'tool') continue
    for (const part of turn.parts) {
      if ((part.type === 'image' || part.type === 'file') && part.source.kind === 'url') {
        urls.add(part.source.url)
      }
    }
  }
  return [...urls]
}
