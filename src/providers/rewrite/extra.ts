import type { Call } from '#core/call.ts'
import { membersAt } from '#lib/json.ts'

import type { Draft } from './draft.ts'

/**
 * Adds the members of the caller's `extra_params` when the header asks for it; what is there already stands, objects
 * are merged. Without the header they are not sent, and count as dropped.
 */
export function addExtra(call: Call, draft: Draft, drop: (place: string) => void): void {
  const { text } = draft
  const member = draft.member('extra_params')
  const extra = member ? membersAt(text, member.start) : []
  if (extra.length === 0) return
  if (call.headers['x-bf-passthrough-extra-params'] !== 'true') {
    drop('extra_params')
    return
  }
  const allowed = extra.filter(({ key }) => !reserved.has(key))
  addMembers(draft, allowed, 0)
}

/** How the answer comes back, and what speaks to the gateway, is settled before. */
const reserved = new Set(['stream', 'fallbacks', 'extra_params'])

/** Far more than any parameter is nested; the rest of something deeper is left out. */
const maxDepth = 100

function addMembers(draft: Draft, extra: ReturnType<typeof membersAt>, depth: number): void {
  const { text } = draft
  for (const { key, start, end } of extra) {
    if (!draft.has(key)) draft.set(key, text.slice(start, end))
    else if (text[start] === '{' && depth < maxDepth) {
      const own = draft.inside(key)
      if (own) addMembers(own, membersAt(text, start), depth + 1)
    }
  }
}
