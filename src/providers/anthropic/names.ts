import type { Conversation } from '#openai/conversation/conversation.ts'
import { isRecord } from '#openai/conversation/fields.ts'

import { classOf } from './models.ts'

/** Names of tools and ids of calls, in the alphabet that the vendor allows. */
export interface ToolNames {
  /** The vendor's name of a tool of the caller. */
  out(name: string): string
  /** The caller's name of a tool of the vendor's answer. */
  back(name: string): string
  /** A tool of the caller that takes free text. */
  isCustom(name: string): boolean
  /** The tool whose input is the answer, where a JSON schema has to be emulated. */
  readonly answerTool: string | undefined
}

const allowed = /^[a-zA-Z0-9_-]{1,128}$/

/** The name of the vendor's own search tool. */
export const searchTool = 'web_search'

/** The names in one conversation; the same conversation gives the same names. */
export function toolNames(conversation: Conversation, model: string): ToolNames {
  const { format, request, tools } = conversation
  const emulates = format.kind === 'schema' && !classOf(model).structured
  const searches = isRecord(request['web_search_options'])
  const fits = (name: string): boolean => allowed.test(name) && !(searches && name === searchTool)
  if (tools.every(({ name, kind }) => fits(name) && kind === 'function') && !emulates) {
    return asWritten
  }
  const outward = new Map<string, string>()
  const inward = new Map<string, string>()
  if (searches) inward.set(searchTool, searchTool)
  // What needs no change keeps its name, whatever else might become the same.
  for (const { name } of tools) {
    if (fits(name)) register(outward, inward, name, name)
  }
  for (const { name } of tools) {
    if (!outward.has(name)) register(outward, inward, name, free(inward, cleaned(name)))
  }
  const custom = new Set(tools.filter(({ kind }) => kind === 'custom').map(({ name }) => name))
  const answerTool =
    emulates && format.kind === 'schema' ? free(inward, cleaned(format.name)) : undefined
  return {
    out: (name) => outward.get(name) ?? cleaned(name),
    back: (name) => inward.get(name) ?? name,
    isCustom: (name) => custom.has(name),
    answerTool,
  }
}

const asWritten: ToolNames = {
  out: cleaned,
  back: (name) => name,
  isCustom: () => false,
  answerTool: undefined,
}

function register(
  outward: Map<string, string>,
  inward: Map<string, string>,
  own: string,
  theirs: string,
): void {
  outward.set(own, theirs)
  inward.set(theirs, own)
}

function cleaned(name: string): string {
  if (allowed.test(name)) return name
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 128) || '_'
}

function free(taken: ReadonlyMap<string, string>, wanted: string): string {
  let name = wanted
  for (let n = 2; taken.has(name); n++) name = `${wanted.slice(0, 120)}_${n}`
  return name
}

/** Ids of calls, unique in the conversation and in the vendor's alphabet. */
export function createCallIds(): (id: string) => string {
  const taken = new Set<string>()
  return (id) => {
    const base = id.replaceAll(/[^a-zA-Z0-9_-]/g, '_')
    let unique = base
    for (let n = 2; taken.has(unique); n++) unique = `${base}_${n}`
    taken.add(unique)
    return unique
  }
}
