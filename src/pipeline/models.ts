import type { Call } from '#core/call.ts'
import { applyEdits, elementsAt, locate, membersAt, replaceValue, scanJson } from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import type { Target } from '#providers/provider.ts'

/**
 * Puts the provider's name in front of model ids in answers of the models endpoints, so that an id taken from
 * a list can be used as it is. Every other byte stays.
 */
export function nameModels(call: Call, target: Target, text: string): string {
  const { name } = target.settings
  const { endpoint } = call
  if (endpoint === 'list_models') return prefixList(text, name)
  if (endpoint !== 'model_retrieve' && endpoint !== 'model_delete') return text
  return applyEdits(text, idEdits(text, scanJson(text).open, name))
}

function prefixList(text: string, provider: string): string {
  const data = locate(text, ['data'])
  if (!data || text[data.start] !== '[') return text
  return applyEdits(
    text,
    elementsAt(text, data.start).flatMap(({ start }) => idEdits(text, start, provider)),
  )
}

function idEdits(text: string, start: number, provider: string): Edit[] {
  if (text[start] !== '{') return []
  const id = membersAt(text, start).find(({ key }) => key === 'id')
  if (!id || text[id.start] !== '"') return []
  // Gemini lists `models/gemini-…`; the part before the slash is a path, not a name.
  const own = (JSON.parse(text.slice(id.start, id.end)) as string).replace(/^models\//, '')
  return [replaceValue(id, JSON.stringify(`${provider}/${own}`))]
}

/** The text of each element of a list's `data`, for merging lists without re-serialising them. */
export function listElements(text: string): string[] {
  const data = locate(text, ['data'])
  if (!data || text[data.start] !== '[') return []
  return elementsAt(text, data.start).map(({ start, end }) => text.slice(start, end))
}
