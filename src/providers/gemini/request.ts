import { invalid, record, text } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { contentsOf } from './contents.ts'
import { noteUnknown, ownParam } from './extensions.ts'
import { formatInWords, generationConfig } from './generation.ts'
import { factsOf } from './models.ts'
import type { Surface } from './surface.ts'
import { toolsOf } from './tools.ts'
import type { GenerateRequest } from './wire.ts'

/**
 * The body of `generateContent` for a conversation. Throws a 400 naming the parameter for what the vendor cannot be
 * sent; what is left out is noted with `exchange.drop`.
 */
export function geminiBody(exchange: Exchange, surface: Surface): GenerateRequest {
  const { conversation } = exchange
  const { request } = conversation
  const facts = factsOf(exchange.model)
  noteUnknown(request, exchange)
  const { system, contents } = contentsOf(exchange, surface, facts)
  const inWords = formatInWords(conversation, facts)
  const instructions = inWords === '' ? system : [...system, { text: inWords }]
  const cachedContent = cachedOf(exchange)
  const tools = toolsOf(exchange, surface, facts)
  const generation = generationConfig(exchange, facts)
  const safetySettings = safetyOf(exchange)
  const serviceTier = tierOf(exchange)
  const labels = surface.labels ? labelsOf(exchange) : {}
  if (cachedContent !== undefined) noteCached(exchange)
  return {
    contents,
    ...(instructions.length > 0 &&
      cachedContent === undefined && { systemInstruction: { parts: instructions } }),
    ...(cachedContent === undefined && tools),
    ...(safetySettings && { safetySettings }),
    ...(cachedContent !== undefined && { cachedContent }),
    ...(Object.keys(generation).length > 0 && { generationConfig: generation }),
    ...(serviceTier !== undefined && { serviceTier }),
    ...(Object.keys(labels).length > 0 && { labels }),
  }
}

function cachedOf({ conversation }: Exchange): string | undefined {
  const own = ownParam(conversation.request, 'cached_content')
  if (!own) return undefined
  const name = text(own.value)
  if (name === undefined || name === '') throw invalid(own.param, 'Expected the name of a cache.')
  return name
}

/** The cache holds instructions and tools; the vendor refuses a request that brings its own beside it. */
function noteCached(exchange: Exchange): void {
  const { conversation } = exchange
  for (const { role, param } of conversation.turns) if (role === 'instruction') exchange.drop(param)
  for (const name of ['tools', 'functions', 'tool_choice', 'function_call', 'web_search_options']) {
    const value = conversation.request[name]
    if (value !== undefined && value !== null) exchange.drop(name)
  }
}

function safetyOf({ conversation }: Exchange): readonly unknown[] | undefined {
  const own = ownParam(conversation.request, 'safety_settings')
  if (!own) return undefined
  if (Array.isArray(own.value)) return own.value as unknown[]
  throw invalid(own.param, 'Expected a list of {category, threshold}.')
}

const tiers: ReadonlyMap<unknown, string | undefined> = new Map([
  ['auto', undefined],
  // OpenAI's usual class is the vendor's usual one.
  ['default', undefined],
  ['standard', 'standard'],
  ['flex', 'flex'],
  ['priority', 'priority'],
])

function tierOf(exchange: Exchange): string | undefined {
  const wanted = exchange.conversation.request['service_tier']
  if (wanted === undefined || wanted === null) return undefined
  if (!tiers.has(wanted)) exchange.drop('service_tier')
  return tiers.get(wanted)
}

/** Keys and values are lower case, and at most 63 characters of a small alphabet ("Labels", as read in November 2026). */
function labelsOf(exchange: Exchange): Record<string, string> {
  const { user, metadata } = exchange.conversation.request
  const labels: Record<string, string> = {}
  for (const [name, value] of Object.entries(record(metadata))) {
    const key = labelText(name).replace(/^[^a-z]+/, '')
    if (key === '' || Object.hasOwn(labels, key)) exchange.drop(`metadata.${name}`)
    else labels[key] = labelText(String(value))
  }
  const who = text(user)
  if (who !== undefined && who !== '') labels['user'] = labelText(who)
  return labels
}

function labelText(value: string): string {
  return value
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '_')
    .slice(0, 63)
}
