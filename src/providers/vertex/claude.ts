import { anthropic, anthropicBody, anthropicFates, resourcesOf } from '../anthropic/index.ts'
import type { ChatDialect, CountDialect } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import { aliasSettings, textSetting } from '../settings.ts'
import { modelOf, modelUrl, prefixOf } from './place.ts'

// Claude as a partner model: Anthropic's requests behind the cloud's own verbs. "Claude on Vertex AI" of both vendors'
// docs, as read in November 2026.

const usualVersion = 'vertex-2023-10-16'

/** Parameters of Anthropic's own API that this home refuses. */
const lacking = [
  'cache_control',
  'container',
  'mcp_servers',
  'inference_geo',
  'speed',
  'diagnostics',
  'service_tier',
]

export const claudeChat: ChatDialect = {
  ...anthropic.chat,
  fates: {
    ...anthropicFates,
    service_tier: 'dropped',
    own: anthropicFates.own.filter((name) => !lacking.includes(name)),
  },
  resources: resourcesOf,
  request(exchange) {
    const written = anthropicBody(exchange, {
      omitModel: true,
      anthropicVersion: versionOf(exchange),
      downloadsUrls: true,
    })
    const body = Object.fromEntries(
      Object.entries(written).filter(([name]) => !lacking.includes(name)),
    )
    const verb = body['stream'] === true ? ':streamRawPredict' : ':rawPredict'
    return { url: modelUrl(exchange.call, exchange.target, verb), body }
  },
}

export const claudeCount: CountDialect = {
  ...anthropic.count!,
  request(exchange) {
    const { call, target } = exchange
    const model = modelOf(call, target)
    const { body } = anthropic.count!.request(exchange)
    return {
      url: `${prefixOf(call, target, model)}/publishers/anthropic/models/count-tokens:rawPredict`,
      body: { anthropic_version: versionOf(exchange), ...body, model: model.name },
    }
  },
}

function versionOf({ call, target }: Exchange): string {
  return textSetting(aliasSettings(call, target), 'anthropic_version') ?? usualVersion
}
