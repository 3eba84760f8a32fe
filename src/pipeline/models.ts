import type { Snapshot } from '#config/snapshot.ts'
import { isUnrestricted, whyNotModel } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import { applyEdits, elementsAt, locate, membersAt, replaceValue, scanJson } from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import { catalogueEntry } from '#prices/catalogue.ts'
import type { CatalogueEntry } from '#prices/catalogue.ts'
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
  const catalogue = isTold ? { snapshot, atMs: Date.now() } : undefined
  if (endpoint === 'list_models') {
    return inList(withoutForbidden(call, target, snapshot, text), target, catalogue)
  }
  return applyEdits(text, editsOf(text, scanJson(text).open, target, catalogue))
}

/** What may be told of models; undefined when nothing is to be added. */
interface Catalogue {
  readonly snapshot: Snapshot
  readonly atMs: number
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
  { snapshot, atMs }: Catalogue,
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
      pricing?.['completion'] !== undefined && isConversing(architecture)
        ? paramsOf(provider, model)
        : undefined,
  }
}

/** What only listens or only speaks has no chat. */
function isConversing(architecture: CatalogueEntry['architecture']): boolean {
  if (!architecture) return true
  const { input_modalities: input, output_modalities: output } = architecture
  return input.includes('text') && output.includes('text')
}

/** What a chat with the model may ask for; undefined where nobody knows. */
export function paramsOf(
  { fates, lacks }: Target['provider'],
  model: string,
): string[] | undefined {
  if (!fates) return undefined
  const { own, sometimes = {}, ...params } = fates
  const lacking = lacks ? lacks(model) : Object.keys(sometimes)
  if (!lacking) return undefined
  const taken = Object.entries(params).filter(
    ([name, fate]) => (fate === 'carried' || fate === 'emulated') && !lacking.includes(name),
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
