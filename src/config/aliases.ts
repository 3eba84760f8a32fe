import { checkUrl } from './address.ts'
import type { Context } from './context.ts'
import { below } from './problem.ts'
import { isWritten, resolveOrReport } from './reference.ts'
import { AliasObject } from './schema/key.ts'
import type { KeyConfig } from './schema/key.ts'
import type { Key } from './snapshot.ts'
import { vendorConfigs } from './vendor.ts'

// The names by which callers may ask for a key's models, and what each of them sets differently.

type Aliases = NonNullable<KeyConfig['aliases']>
type Alias = Aliases[string]

/** The aliases of a key, those written as `deployments` among them; every name in lower case. */
export function buildAliases(
  config: KeyConfig,
  pointer: string,
  allowPrivateNetwork: boolean,
  context: Context,
): Pick<Key, 'aliases' | 'aliasSettings'> {
  const { report } = context
  const aliases = new Map<string, string>()
  const aliasSettings = new Map<string, Readonly<Record<string, unknown>>>()
  add(below(pointer, 'aliases'), config.aliases ?? {}, false)
  for (const [field, settings] of vendorConfigs(config)) {
    if ('deployments' in settings && settings.deployments)
      add(below(pointer, field, 'deployments'), settings.deployments, true)
  }
  return aliasSettings.size === 0 ? { aliases } : { aliases, aliasSettings }

  function add(list: string, entries: Aliases, keepFirst: boolean): void {
    for (const [name, target] of Object.entries(entries)) {
      const here = below(list, name)
      const model = typeof target === 'string' ? target : target.model_id
      const key = name.toLowerCase()
      if (name.trim() === '' || name !== name.trim() || model !== model.trim() || model === '') {
        report.problem(here, 'an alias and its model must not be empty or padded', 'name')
      } else if (!aliases.has(key)) {
        aliases.set(key, model)
        const settings = settingsOf(target, here, allowPrivateNetwork, context)
        if (settings) aliasSettings.set(key, settings)
      } else if (!keepFirst) {
        report.problem(here, 'this alias stands twice; case is ignored', 'name')
      }
    }
  }
}

/** What an alias written as an object says beyond its model, with every reference resolved. */
function settingsOf(
  alias: Alias,
  pointer: string,
  allowPrivateNetwork: boolean,
  context: Context,
): Readonly<Record<string, unknown>> | undefined {
  if (typeof alias === 'string') return undefined
  const { model_id: _, description: __, ...rest } = alias
  const fields: Readonly<Record<string, Record<string, unknown>>> = AliasObject.properties
  const settings: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(rest)) {
    // An unknown field was reported by the validation.
    if (value === undefined || !Object.hasOwn(fields, field)) continue
    const kind = fields[field]?.['x-kind']
    if (kind === undefined || !isWritten(value)) {
      settings[field] = value
      continue
    }
    const here = below(pointer, field)
    const resolved = resolveOrReport(value, context, here)
    if (!resolved) continue
    settings[field] = resolved.value
    if (kind !== 'url') continue
    const checked = checkUrl(resolved.value, allowPrivateNetwork)
    if ('problem' in checked) context.report.problem(here, checked.problem)
    else settings[field] = checked.url
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}
