import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'

import { anthropic } from '../anthropic/index.ts'
import { translated } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import type { Provider, Target } from '../provider.ts'
import { aliasSettings, textSetting } from '../settings.ts'
import { placeOf } from './place.ts'

// Claude in Foundry: Anthropic's own API below the resource's address, deployments in the place of models. "Deploy
// and use Claude models in Microsoft Foundry", as read in November 2026.

/** Whether a call is for a deployment that takes Anthropic's requests. */
export function isClaude(call: Call, target: Target): boolean {
  const alias = aliasSettings(call, target)
  if (typeof alias['use_anthropic_endpoints'] === 'boolean') return alias['use_anthropic_endpoints']
  const family = textSetting(alias, 'model_family')
  if (family !== undefined) return family.toLowerCase() === 'anthropic'
  const name = textSetting(alias, 'model_name') ?? target.model
  return name !== undefined && /^claude/i.test(name)
}

const dialect = translated({
  ...anthropic,
  chat: {
    ...anthropic.chat,
    request: (exchange) => moved(exchange, anthropic.chat.request(exchange), '/messages'),
  },
  count: {
    ...anthropic.count!,
    request: (exchange) =>
      moved(exchange, anthropic.count!.request(exchange), '/messages/count_tokens'),
  },
})

/** Throws a 400 for operations that these deployments lack. */
export const claudeRequest: Provider['request'] = (call, target, resources) => {
  const { endpoint } = call
  if (endpoint !== 'chat_completion' && endpoint !== 'responses' && endpoint !== 'count_tokens') {
    throw new GatewayError(
      'unsupported_endpoint',
      `Deployment '${target.model}' of provider '${target.settings.name}' does not support ${requestType(endpoint, call.stream)}.`,
    )
  }
  const outbound = dialect.request(call, target, resources)
  return placeOf(call, target).isCallers ? { ...outbound, isCallersAddress: true } : outbound
}

type Request = ReturnType<typeof anthropic.chat.request>

function moved({ call, target }: Exchange, request: Request, path: string): Request {
  const version = textSetting(aliasSettings(call, target), 'anthropic_version')
  return {
    ...request,
    url: `${placeOf(call, target).base}/anthropic/v1${path}`,
    headers: { ...request.headers, ...(version !== undefined && { 'anthropic-version': version }) },
  }
}
