import { isUnrestricted, whyNotModel } from '#config/virtual-key.ts'
import type { Grant } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'

import { anyModel, modelBlocked, withoutProvider } from './grants.ts'
import { modelsInText } from './named-models.ts'

/** Says why a message of the caller is not passed on; undefined lets it through. */
export type RelayDoor = (message: string | Uint8Array) => GatewayError | undefined

/**
 * What stands between a caller's socket and the provider's where a virtual key may use only some models: messages name
 * models as well. Undefined where nothing has to be looked at.
 */
export function relayDoor(call: Call, grant: Grant | undefined): RelayDoor | undefined {
  if (!grant || isUnrestricted(grant)) return undefined
  return (message) => {
    const text = typeof message === 'string' ? message : Buffer.from(message).toString('utf8')
    // Sound makes up most of what is said, and names no model; escapes could spell one.
    const isPlain = typeof message === 'string' && !/model|\\u/i.test(text)
    if (isPlain && !(call.endpoint === 'websocket_responses' && call.model === undefined)) {
      return undefined
    }
    const value = parsed(text)
    const named = modelsInText(text)
    if (named === 'any') return anyModel(call, grant)
    if (named.length === 0 && call.model === undefined && asksForResponse(value)) {
      return anyModel(call, grant)
    }
    const blocked = named.find(
      (model) => whyNotModel(grant, withoutProvider(model, grant)) !== undefined,
    )
    return blocked === undefined ? undefined : modelBlocked(call, blocked, grant)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Whatever the provider makes of it, nobody here can tell.
    return undefined
  }
}

function asksForResponse(value: unknown): boolean {
  return (value as { type?: unknown } | null)?.type === 'response.create'
}
