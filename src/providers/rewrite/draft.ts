import { membersAt, removeMembers } from '#lib/json.ts'
import type { Edit, Member } from '#lib/json.ts'

/** Changes to one JSON object within a text, collected and then made together: what is not named keeps its bytes. */
export interface Draft {
  readonly text: string
  /** The members as they were written. */
  readonly members: readonly Member[]
  member(key: string): Member | undefined
  /** Whether the object will have such a member. */
  has(key: string): boolean
  /** Gives the member this value as JSON text, or adds it. */
  set(key: string, json: string): void
  remove(key: string): void
  rename(key: string, to: string): void
  /** A change within the value of a member; void where the member is set or removed as well. */
  edit(edit: Edit): void
  /** A draft of the object that the member holds, always the same one; undefined when it holds none. */
  inside(key: string): Draft | undefined
  /** All changes, for `applyEdits`. */
  edits(): Edit[]
}

/** A draft of the object that opens at `open` and has these members. */
export function draftOf(text: string, open: number, members: readonly Member[]): Draft {
  const removed = new Set<string>()
  const names = new Map<string, string>()
  const values = new Map<string, string>()
  const added = new Map<string, string>()
  const inner: Edit[] = []
  const nested = new Map<string, Draft>()

  function member(key: string): Member | undefined {
    // Of members with one name the last counts.
    return members.findLast((each) => each.key === key)
  }
  function stands(key: string): boolean {
    return !removed.has(key) && !names.has(key) && member(key) !== undefined
  }

  return {
    text,
    members,
    member,
    has: (key) => added.has(key) || stands(key) || [...names.values()].includes(key),
    set(key, json) {
      const origin = [...names].find(([, to]) => to === key)?.[0] ?? key
      if (member(origin) && !removed.has(origin)) values.set(origin, json)
      else added.set(key, json)
    },
    remove(key) {
      added.delete(key)
      if (member(key)) removed.add(key)
    },
    rename(key, to) {
      names.set(key, to)
    },
    edit(edit) {
      inner.push(edit)
    },
    inside(key) {
      const known = nested.get(key)
      if (known) return known
      const holder = stands(key) && !values.has(key) ? member(key) : undefined
      if (!holder || text[holder.start] !== '{') return undefined
      const own = draftOf(text, holder.start, membersAt(text, holder.start))
      nested.set(key, own)
      return own
    },
    edits() {
      const edits = removeMembers({ members }, [...removed])
      for (const { key, keyStart, keyEnd, start, end } of members) {
        if (removed.has(key)) continue
        const name = names.get(key)
        const value = values.get(key)
        if (name !== undefined)
          edits.push({ start: keyStart, end: keyEnd, text: JSON.stringify(name) })
        if (value !== undefined) edits.push({ start, end, text: value })
      }
      const kept = members.filter(({ key }) => !removed.has(key) && !values.has(key))
      for (const edit of [...inner, ...[...nested.values()].flatMap((own) => own.edits())]) {
        if (kept.some(({ start, end }) => edit.start >= start && edit.end <= end)) edits.push(edit)
      }
      if (added.size > 0) {
        const list = [...added].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')
        const comma = members.some(({ key }) => !removed.has(key)) ? ',' : ''
        edits.push({ start: open + 1, end: open + 1, text: list + comma })
      }
      return edits
    },
  }
}
