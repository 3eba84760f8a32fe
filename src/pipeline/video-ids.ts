import type { Call } from '#core/call.ts'
import { applyEdits, elementsAt, locate, membersAt, replaceValue, scanJson } from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import type { Target } from '#providers/provider.ts'

const operations: ReadonlySet<string> = new Set([
  ...['video_generation', 'video_list', 'video_retrieve', 'video_delete', 'video_remix'],
])
const ofVideo: ReadonlySet<string> = new Set(['id', 'remixed_from_video_id'])
const ofList: ReadonlySet<string> = new Set(['first_id', 'last_id'])

/**
 * Puts the provider behind the ids of videos (`video_1:azure`), as Bifrost does, where a call that says no more than the
 * id would ask another one: SDKs poll with the id alone. Every other byte stays.
 */
export function nameVideos(call: Call, { settings }: Target, text: string): string {
  const { endpoint, usualProvider } = call
  if (!operations.has(endpoint) || usualProvider === undefined) return text
  if (settings.name === usualProvider) return text
  const edits = (start: number, names: ReadonlySet<string>): Edit[] =>
    text[start] === '{' ? idEdits(text, start, names, `:${settings.name}`) : []
  const { open } = scanJson(text)
  if (endpoint !== 'video_list') return applyEdits(text, edits(open, ofVideo))
  const data = locate(text, ['data'])
  const videos = data && text[data.start] === '[' ? elementsAt(text, data.start) : []
  return applyEdits(text, [
    ...edits(open, ofList),
    ...videos.flatMap(({ start }) => edits(start, ofVideo)),
  ])
}

function idEdits(text: string, open: number, names: ReadonlySet<string>, owner: string): Edit[] {
  return membersAt(text, open).flatMap((member) => {
    if (!names.has(member.key) || text[member.start] !== '"') return []
    const id = JSON.parse(text.slice(member.start, member.end)) as string
    return id === '' || id.endsWith(owner) ? [] : [replaceValue(member, JSON.stringify(id + owner))]
  })
}
