import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'

import type { Target } from './provider.ts'

// What the configuration says about a key, a model of it and the machine, read without trusting its shape.

type Settings = Readonly<Record<string, unknown>>

const nothing: Settings = {}

/** One of the key's `*_key_config` objects; empty where the key has none. */
export function keySettings({ key }: Target, section: string): Settings {
  const settings = key?.vendor[section]
  return typeof settings === 'object' && settings !== null ? (settings as Settings) : nothing
}

/** What the alias that the caller used says beyond the model; empty for everything else. */
export function aliasSettings(call: Call, { key }: Target): Settings {
  if (!key?.aliasSettings || call.model === undefined) return nothing
  return key.aliasSettings.get(call.model.toLowerCase()) ?? nothing
}

/** A text that is not empty, secret or not. */
export function textSetting(settings: Settings, name: string): string | undefined {
  const value = settings[name]
  const text = value instanceof Secret ? value.reveal() : value
  return typeof text === 'string' && text !== '' ? text : undefined
}

/** What the environment says, where the vendor asked for it. */
export function ambientText({ settings }: Target, name: string): string | undefined {
  return settings.ambient[name]?.reveal()
}

/** A configuration that this provider cannot work with. */
export function misconfigured(target: Target, what: string): GatewayError {
  const { settings, key } = target
  const whose = key ? `Key '${key.name}' of provider` : 'Provider'
  return new GatewayError('provider_not_configured', `${whose} '${settings.name}' ${what}.`)
}

/** Every name by which the enabled keys of a provider let models be asked for; empty when they allow any. */
export function configuredModels({ settings }: Target): readonly string[] {
  const names = new Map<string, string>()
  for (const { enabled, aliases, models, blacklistedModels } of settings.keys) {
    if (!enabled) continue
    for (const name of [...(models ?? []), ...aliases.keys()]) {
      if (!blacklistedModels.has(name)) names.set(name.toLowerCase(), name)
    }
  }
  return [...names.values()]
}
