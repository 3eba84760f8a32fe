import { GatewayError } from '#core/errors.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import type { Dialect } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import type { Fates } from '../fates.ts'
import { ownHost, urlOf } from './address.ts'
import { documentMembers } from './blocks.ts'
import { parseAnthropicError } from './errors.ts'
import { limitHeaders } from './limits.ts'
import { anthropicModels } from './listing.ts'
import { classOf, claudeLacks } from './models.ts'
import { anthropicBody, betasOf, ownParams, streamsAnyway } from './request.ts'
import { readWhole } from './response.ts'
import { readStream } from './stream.ts'
import { ownMembers } from './tools.ts'
import { apiVersion } from './wire.ts'

export { parseAnthropicError } from './errors.ts'
export { anthropicBody, betasOf, resourcesOf, streamsAnyway } from './request.ts'
export type { BodyOptions } from './request.ts'
export { readWhole } from './response.ts'
export { readEvents, readStream } from './stream.ts'

// Anthropic's Messages API (docs at platform.claude.com, as read in November 2026).

/** What becomes of the parameters of a chat request wherever Claude is asked in this dialect. */
/** What callers may write into parts and tools besides. */
export const anthropicMembers: readonly string[] = [...documentMembers, ...ownMembers]

export const anthropicFates: Fates = {
  max_completion_tokens: 'carried',
  max_tokens: 'carried',
  temperature: 'carried',
  top_p: 'carried',
  top_k: 'carried',
  n: 'refused',
  stop: 'carried',
  seed: 'dropped',
  frequency_penalty: 'dropped',
  presence_penalty: 'dropped',
  logit_bias: 'dropped',
  logprobs: 'dropped',
  top_logprobs: 'dropped',
  tools: 'carried',
  tool_choice: 'carried',
  parallel_tool_calls: 'carried',
  functions: 'carried',
  function_call: 'carried',
  response_format: 'carried',
  reasoning_effort: 'carried',
  reasoning: 'carried',
  reasoning_max_tokens: 'carried',
  verbosity: 'dropped',
  modalities: 'refused',
  audio: 'dropped',
  prediction: 'dropped',
  web_search_options: 'emulated',
  service_tier: 'carried',
  store: 'dropped',
  metadata: 'carried',
  user: 'carried',
  safety_identifier: 'carried',
  prompt_cache_key: 'dropped',
  prompt_cache_retention: 'dropped',
  own: ownParams,
  // By model, or for single values.
  sometimes: {
    temperature: 'dropped',
    top_p: 'dropped',
    top_k: 'dropped',
    stop: 'dropped',
    tool_choice: 'dropped',
    reasoning_effort: 'dropped',
    reasoning: 'dropped',
    reasoning_max_tokens: 'dropped',
    service_tier: 'dropped',
    metadata: 'dropped',
  },
}

/** What `count_tokens` takes of a request. */
const counted = [
  'model',
  'system',
  'messages',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'cache_control',
  'context_management',
  'mcp_servers',
] as const

const oauthBeta = 'oauth-2025-04-20'

export const anthropic: Dialect = {
  name: 'anthropic',
  keyEnv: ['ANTHROPIC_API_KEY', 'ANTHROPIC_KEY'],
  keyless: false,
  baseUrl: ownHost,
  prefills: (model) => classOf(model).prefill,
  lacks: claudeLacks,
  chat: {
    fates: anthropicFates,
    members: anthropicMembers,
    streamType: 'text/event-stream',
    request: (exchange) => ({
      url: urlOf('/messages', exchange.call, exchange.target),
      headers: headersOf(exchange),
      body: anthropicBody(exchange),
    }),
    whole: readWhole,
    stream: readStream,
    streamsAnyway,
  },
  models: anthropicModels,
  count: {
    request(exchange) {
      const body = anthropicBody(exchange, { omitStream: true })
      return {
        url: urlOf('/messages/count_tokens', exchange.call, exchange.target),
        headers: headersOf(exchange),
        body: Object.fromEntries(
          counted.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])),
        ),
      }
    },
    read(answer) {
      const tokens = integer(record(answer)['input_tokens'])
      if (tokens !== undefined) return tokens
      throw new GatewayError('upstream_malformed', 'The provider counted no tokens.')
    },
  },
  authorize({ headers }, credential) {
    if (!credential.startsWith('sk-ant-oat')) {
      headers['x-api-key'] = credential
      return
    }
    // Tokens of a person's account instead of a key; never both headers.
    headers['authorization'] = `Bearer ${credential}`
    const betas = headers['anthropic-beta']
    if (betas?.split(',').includes(oauthBeta)) return
    headers['anthropic-beta'] = betas === undefined ? oauthBeta : `${betas},${oauthBeta}`
  },
  limitHeaders,
  parseError: parseAnthropicError,
}

function headersOf(exchange: Exchange): Record<string, string> {
  const betas = betasOf(exchange)
  return {
    'anthropic-version': apiVersion,
    ...(betas.length > 0 && { 'anthropic-beta': betas.join(',') }),
  }
}
