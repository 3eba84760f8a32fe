import { Secret } from '#lib/secret.ts'

import { buildAliases } from './aliases.ts'
import type { Context } from './context.ts'
import { isHeaderValue } from './headers.ts'
import { below } from './problem.ts'
import { resolve } from './reference.ts'
import type { KeyConfig } from './schema/key.ts'
import type { Key } from './snapshot.ts'
import { buildVendor } from './vendor.ts'

/** What a key is read against. */
export interface KeyPlace {
  readonly provider: string
  readonly pointer: string
  /** The provider answers without a key, or finds its credentials elsewhere. */
  readonly keyless: boolean
  readonly allowPrivateNetwork: boolean
}

/** The usable keys of one provider. A key whose value cannot be had is left out with a warning. */
export function buildKeys(configs: readonly KeyConfig[], place: KeyPlace, context: Context): Key[] {
  return configs.flatMap((config, i) => {
    const pointer = below(place.pointer, i)
    const name = config.name ?? freeName(place.provider, i + 1, context.keyNames)
    const key = buildKey(config, name, { ...place, pointer }, context)
    return key === undefined ? [] : [key]
  })
}

function buildKey(
  config: KeyConfig,
  name: string,
  place: KeyPlace,
  context: Context,
): Key | undefined {
  const { report, env } = context
  const { pointer } = place
  const id = config.id ?? idFromName(name)
  const sameId = context.keyIds.get(id)
  if (sameId === undefined) context.keyIds.set(id, pointer)
  else if (config.id !== undefined) {
    const message = `is already the id of ${sameId}; ids are unique in the whole file`
    report.problem(below(pointer, 'id'), message)
  }

  const vendor = buildVendor(config, pointer, place.allowPrivateNetwork, context)
  const hasVendor = Object.keys(vendor.settings).length > 0
  const references: Record<string, string> = { ...vendor.references }
  let unavailable = vendor.unavailable
  let value = ''
  const at = below(pointer, 'value')
  if (config.value !== undefined) {
    const resolved = resolve(config.value, env)
    if (resolved.kind === 'unavailable') unavailable ??= { pointer: at, why: resolved.why }
    else {
      value = resolved.value
      if (resolved.reference !== undefined) references['value'] = resolved.reference
    }
  }
  if (!isHeaderValue(value)) {
    report.problem(at, 'contains characters that a header cannot carry')
  }
  if (value === '' && !unavailable && !place.keyless && !hasVendor && !report.has(at)) {
    report.problem(at, config.value === undefined ? 'is required' : 'must not be empty')
  }
  const blacklisted = modelSet(
    config.blacklisted_models ?? [],
    below(pointer, 'blacklisted_models'),
  )
  const aliases = buildAliases(config, pointer, place.allowPrivateNetwork, context)
  const models = allowedModels()
  if (unavailable) {
    report.warn(unavailable.pointer, `${unavailable.why}; key ${JSON.stringify(name)} is skipped`)
    return undefined
  }
  return {
    id,
    name,
    value: new Secret(value),
    models,
    blacklistedModels: blacklisted,
    weight: config.weight ?? 1,
    enabled: config.enabled ?? true,
    useForBatchApi: config.use_for_batch_api ?? false,
    ...(config.concurrency !== undefined && { concurrency: config.concurrency }),
    ...aliases,
    vendor: vendor.settings,
    references,
  }

  function allowedModels(): ReadonlySet<string> | undefined {
    const listed = config.models
    if (blacklisted.has('*')) return new Set()
    if (listed === undefined) return undefined
    const allowed = modelSet(listed, below(pointer, 'models'))
    if (allowed.has('*')) return undefined
    return allowed.size === 0 && context.emptyMeansAll ? undefined : allowed
  }

  function modelSet(names: readonly string[], list: string): Set<string> {
    names.forEach((model, i) => {
      const here = below(list, i)
      if (model === '' || model !== model.trim()) {
        report.problem(here, 'must be a model name without white space around it')
      } else if (model.startsWith('regex:')) {
        report.problem(here, 'patterns are not understood; list the models by name')
      }
    })
    return new Set(names)
  }
}

/** Reports names that stand twice in the file, and remembers them so that generated ones avoid them. */
export function claimKeyNames(
  configs: readonly KeyConfig[],
  list: string,
  { keyNames, report }: Context,
): void {
  configs.forEach(({ name }, i) => {
    if (name === undefined) return
    const here = below(list, i, 'name')
    const first = keyNames.get(name)
    if (first === undefined) keyNames.set(name, here)
    else report.problem(here, `is already the name of another key, at ${first}`)
  })
}

function freeName(provider: string, start: number, taken: Map<string, string>): string {
  for (let n = start; ; n++) {
    const name = `${provider}-key-${n}`
    if (taken.has(name)) continue
    taken.set(name, '')
    return name
  }
}

/** The same name gives the same id in every process, so that callers may keep it. */
export function idFromName(name: string): string {
  const hex = new Bun.CryptoHasher('sha256').update(`key:${name}`).digest('hex')
  const part = (from: number, to: number) => hex.slice(from, to)
  return [part(0, 8), part(8, 12), `8${part(13, 16)}`, `a${part(17, 20)}`, part(20, 32)].join('-')
}
