import type { Key, Snapshot } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'
import { applyEdits, replaceValue, scanJson } from '#lib/json.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { targetOf } from './routing.ts'
import type { Leg } from './routing.ts'

/** A caller's message as the provider gets it, or why it does not. */
export type Naming = (message: string | Uint8Array) => string | Uint8Array | GatewayError

/**
 * Names models as the provider does, where every message says which one it is for: without the provider's own prefix, and
 * by the name that the key has for it. Everything else of a message stays as it came.
 */
export function relayModel(leg: Leg, key: Key | undefined, snapshot: Snapshot): Naming {
  const { name } = leg.settings
  return (message) => {
    if (typeof message !== 'string' || !message.includes('"model"')) return message
    const members = scanJson(message).members.filter((member) => member.key === 'model')
    const [member] = members
    // Which of two counts is for the provider to say.
    if (!member || members.length > 1) return message
    const given = textIn(message.slice(member.start, member.end))
    if (given === undefined) return message
    const slash = given.indexOf('/')
    const prefix = given.slice(0, Math.max(0, slash))
    const isProvider = snapshot.providers.has(prefix) || PROVIDERS.has(prefix)
    if (isProvider && prefix !== name) {
      const text = `This WebSocket leads to provider '${name}', which has no models of '${prefix}'.`
      return new GatewayError('invalid_request', text, { param: 'model' })
    }
    const model = isProvider ? given.slice(slash + 1) : given
    const known = targetOf({ ...leg, model }, key).model ?? model
    if (known === given) return message
    return applyEdits(message, [replaceValue(member, JSON.stringify(known))])
  }
}

function textIn(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'string' ? value : undefined
  } catch {
    // No JSON: the provider will say so.
    return undefined
  }
}
