import { createHash } from 'node:crypto'

import type { Conversation } from '#openai/conversation/conversation.ts'

import type { Family } from './families.ts'

/** Names of tools and ids of calls in one conversation, in the alphabets that the vendor allows. */
export interface Names {
  /** The vendor's name of a tool of the caller. */
  out(name: string): string
  /** The caller's name of a tool in the vendor's answer. */
  back(name: string): string
  /** A tool of the caller that takes free text. */
  isCustom(name: string): boolean
  /** The tool whose input is the answer, where a JSON schema is emulated by one. */
  readonly answerTool: string | undefined
}

const allowed = /^[a-zA-Z0-9_-]{1,64}$/

/** The names in a conversation; the same conversation gives the same names. */
export function namesOf(conversation: Conversation, family: Family): Names {
  const { tools, turns } = conversation
  const emulates = emulatesByTool(conversation, family)
  const used = new Set(tools.map(({ name }) => name))
  // Tools of the history may be gone from the list.
  for (const turn of turns) {
    if (turn.role === 'assistant') for (const { name } of turn.calls) used.add(name)
  }
  const custom = new Set(tools.filter(({ kind }) => kind === 'custom').map(({ name }) => name))
  const outward = new Map<string, string>()
  const inward = new Map<string, string>()
  for (const name of used) if (allowed.test(name)) inward.set(name, name)
  for (const name of used) {
    if (allowed.test(name)) continue
    const theirs = free(inward, cleaned(name))
    outward.set(name, theirs)
    inward.set(theirs, name)
  }
  const { format } = conversation
  return {
    out: (name) => outward.get(name) ?? name,
    back: (name) => inward.get(name) ?? name,
    isCustom: (name) => custom.has(name),
    answerTool:
      emulates && format.kind === 'schema' ? free(inward, cleaned(format.name)) : undefined,
  }
}

/** A model without schemas of its own can be made to follow one by a tool that it has to call. */
function emulatesByTool({ format, tools }: Conversation, family: Family): boolean {
  return format.kind === 'schema' && !family.schema && family.namedTool && tools.length === 0
}

function cleaned(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || '_'
}

function free(taken: ReadonlyMap<string, string>, wanted: string): string {
  let name = wanted
  for (let n = 2; taken.has(name); n++) name = `${wanted.slice(0, 58)}_${n}`
  return name
}

const allowedId = /^[a-zA-Z0-9_.:-]{1,64}$/
const nineAlphanumerics = /^[a-zA-Z0-9]{9}$/

/** The vendor's form of a call's id: the same for the call and its result, different for different calls. */
export function callId(id: string, family: Family): string {
  const isMistral = family.name === 'mistral' || family.name === 'mistral-large'
  if (isMistral) return nineAlphanumerics.test(id) ? id : digest(id).slice(0, 9)
  return allowedId.test(id) ? id : `call_${digest(id).slice(0, 32)}`
}

function digest(id: string): string {
  return createHash('sha256').update(id).digest('hex')
}
