import type { Snapshot } from '#config/snapshot.ts'
import { isUnrestricted, whyNotModel } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import { applyEdits, elementsAt, locate, membersAt, replaceValue, scanJson } from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import { catalogueEntry } from '#prices/catalogue.ts'
import type { Target } from '#providers/provider.ts'

import { wantsExtraFields } from './extra.ts'
import { virtualKeyOf } from './grants.ts'

/**
 * Puts the provider's name in front of model ids in answers of the models endpoints, so that an id taken from
 * a list can be used as it is, and adds what the catalogue knows of each model. Every other byte stays.
 */
export function nameModels(call: Call, target: Target, snapshot: Snapshot, text: string): string {
  const { endpoint } = call
  if (endpoint !== 'list_models' && endpoint !== 'model_retrieve' && endpoint !== 'model_delete') {
    return text
  }
  const isTold = endpoint !== 'model_delete' && wantsExtraFields(call, snapshot)
  const catalogue = isTold
    ? { snapshot, atMs: Date.now(), isAlone: endpoint !== 'list_models' }
    : undefined
  if (endpoint === 'list_models') {
    return inList(withoutForbidden(call, target, snapshot, text), target, catalogue)
  }
  return applyEdits(text, editsOf(text, scanJson(text).open, target, catalogue))
}

/** What may be told of models; undefined when nothing is to be added. */
interface Catalogue {
  readonly snapshot: Snapshot
  readonly atMs: number
  /** One model was asked for, and not a list that may be long. */
  readonly isAlone: boolean
}

/** A list without the models that the caller's virtual key may not use. */
function withoutForbidden(
  call: Call,
  { settings }: Target,
  snapshot: Snapshot,
  text: string,
): string {
  const grant = virtualKeyOf(call, snapshot)?.grants.get(settings.name)
  const data = grant && !isUnrestricted(grant) ? locate(text, ['data']) : undefined
  if (!grant || !data || text[data.start] !== '[') return text
  const allowed = elementsAt(text, data.start)
    .map(({ start, end }) => text.slice(start, end))
    .filter((element) => {
      const { id } = (JSON.parse(element) ?? {}) as { id?: unknown }
      return typeof id !== 'string' || whyNotModel(grant, ownName(id)) === undefined
    })
  return `${text.slice(0, data.start)}[${allowed.join(',')}]${text.slice(data.end)}`
}

/** Gemini lists `models/gemini-…`; the part before the slash is a path, not a name. */
function ownName(id: string): string {
  return id.replace(/^models\//, '')
}

function inList(text: string, target: Target, catalogue: Catalogue | undefined): string {
  const data = locate(text, ['data'])
  if (!data || text[data.start] !== '[') return text
  return applyEdits(
    text,
    elementsAt(text, data.start).flatMap(({ start }) => editsOf(text, start, target, catalogue)),
  )
}

function editsOf(
  text: string,
  start: number,
  target: Target,
  catalogue: Catalogue | undefined,
): Edit[] {
  if (text[start] !== '{') return []
  const members = membersAt(text, start)
  const id = members.find(({ key }) => key === 'id')
  if (!id || text[id.start] !== '"') return []
  const own = ownName(JSON.parse(text.slice(id.start, id.end)) as string)
  const named = replaceValue(id, JSON.stringify(`${target.settings.name}/${own}`))
  const facts = catalogue && factsOf(target, own, catalogue)
  const window = catalogue && members.find(({ key }) => key === 'context_window')
  if (!facts && !window) return [named]
  let more = ''
  // Under this name it is found whoever the provider is, and the provider knows it best.
  const length = window && /^\d+$/.exec(text.slice(window.start, window.end))?.[0]
  const told = length === undefined ? facts : { ...facts, context_length: Number(length) }
  for (const [name, value] of Object.entries(told ?? {})) {
    // What the provider says of its own model stands.
    if (value === undefined || members.some(({ key }) => key === name)) continue
    more += `,"${name}":${JSON.stringify(value)}`
  }
  return [{ ...named, text: named.text + more }]
}

function factsOf(
  { settings, provider }: Target,
  model: string,
  { snapshot, atMs, isAlone }: Catalogue,
): Record<string, unknown> | undefined {
  const entry = catalogueEntry(settings, model, atMs, snapshot)
  if (!entry) return undefined
  const { name, contextLength, isDeprecated, architecture, pricing } = entry
  return {
    name,
    context_length: contextLength,
    architecture,
    pricing,
    deprecated: isDeprecated || undefined,
    supported_parameters:
      isAlone && pricing?.['completion'] !== undefined ? paramsOf(provider) : undefined,
  }
}

/** What a chat with any of the provider's models may ask for. */
function paramsOf({ fates }: Target['provider']): string[] | undefined {
  if (!fates) return undefined
  const { own, sometimes: _, ...params } = fates
  const taken = Object.entries(params).filter(
    ([, fate]) => fate === 'carried' || fate === 'emulated',
  )
  return [...taken.map(([name]) => name), ...own].toSorted()
}

/** The text of each element of a list's `data`, for merging lists without re-serialising them. */
export function listElements(text: string): string[] {
  return elementsOf(text, ['data'])
}

/** The same of a list at another place; none where there is no list. */
export function elementsOf(text: string, path: readonly string[]): string[] {
  const list = locate(text, path)
  if (!list || text[list.start] !== '[') return []
  return elementsAt(text, list.start).map(({ start, end }) => text.slice(start, end))
}
