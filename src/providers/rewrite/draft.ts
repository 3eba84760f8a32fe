import { locateAtEdge, membersAt, removeMembers } from '#lib/json.ts'
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

/** The object that is changed, as it was written. */
export interface Written {
  readonly text: string
  /** Offset of its opening brace. */
  readonly open: number
  /** May be found out when it is first asked for. */
  readonly members: readonly Member[]
  /** What was parsed of it, where that is known: it tells which members there are. Only of a whole document. */
  readonly value?: Readonly<Record<string, unknown>>
}

/** Shared by all drafts as long as nothing is put in. */
const nobody: Set<never> = new Set()
const nothing = new Map<string, never>()

/** A draft of an object. Its members are not asked for before a change needs to know where they stand. */
export function draftOf(written: Written): Draft {
  const { text, open, value: parsed } = written
  // Made when they are needed: most requests need none of them.
  let removed: Set<string> = nobody
  let names: Map<string, string> = nothing
  let values: Map<string, string> = nothing
  let added: Map<string, string> = nothing
  let nested: Map<string, Draft> | undefined
  let inner: Edit[] | undefined

  function holds(key: string): boolean {
    return parsed ? Object.hasOwn(parsed, key) : member(key) !== undefined
  }
  function member(key: string): Member | undefined {
    if (parsed && !Object.hasOwn(parsed, key)) return undefined
    const { members } = written
    // Of members with one name the last counts.
    for (let at = members.length - 1; at >= 0; at--) {
      if (members[at]!.key === key) return members[at]
    }
    return undefined
  }
  function stands(key: string): boolean {
    return !removed.has(key) && !names.has(key) && holds(key)
  }

  /** The member that will have this name. */
  function originOf(name: string): string | undefined {
    for (const [from, to] of names) if (to === name) return from
    return undefined
  }

  return {
    text,
    get members() {
      return written.members
    },
    member,
    has: (key) => added.has(key) || stands(key) || originOf(key) !== undefined,
    set(key, json) {
      const origin = originOf(key) ?? key
      if (holds(origin) && !removed.has(origin)) {
        if (values === nothing) values = new Map<string, string>()
        values.set(origin, json)
      } else {
        if (added === nothing) added = new Map<string, string>()
        added.set(key, json)
      }
    },
    remove(key) {
      if (added.size > 0) added.delete(key)
      if (!holds(key)) return
      if (removed === nobody) removed = new Set()
      removed.add(key)
    },
    rename(key, to) {
      if (names === nothing) names = new Map<string, string>()
      names.set(key, to)
    },
    edit(edit) {
      inner ??= []
      inner.push(edit)
    },
    inside(key) {
      const known = nested?.get(key)
      if (known) return known
      const holder = stands(key) && !values.has(key) ? member(key) : undefined
      if (!holder || text[holder.start] !== '{') return undefined
      const { start } = holder
      const own = draftOf({ text, open: start, members: membersAt(text, start) })
      nested ??= new Map()
      nested.set(key, own)
      return own
    },
    edits() {
      const isSame = removed.size + names.size + values.size + added.size === 0
      if (isSame && !inner && !nested) return []
      const simple = parsed && !inner && !nested && removed.size + names.size === 0
      const edges = simple && setAtEdge(text, open, values)
      if (edges) return added.size === 0 ? edges : [addition(!isEmpty(parsed)), ...edges]
      const { members } = written
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
      const within = nested ? Array.from(nested.values(), (own) => own.edits()).flat() : []
      for (const edit of [...(inner ?? []), ...within]) {
        if (kept.some(({ start, end }) => edit.start >= start && edit.end <= end)) edits.push(edit)
      }
      if (added.size > 0) {
        edits.push(addition(members.some(({ key }) => !removed.has(key))))
      }
      return edits
    },
  }

  function addition(hasOthers: boolean): Edit {
    const list = [...added].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')
    return { start: open + 1, end: open + 1, text: hasOthers ? `${list},` : list }
  }
}

/** The edits that give members other values, when each can be found without a walk through the text. */
function setAtEdge(
  text: string,
  open: number,
  values: ReadonlyMap<string, string>,
): Edit[] | undefined {
  const edits: Edit[] = []
  for (const [key, json] of values) {
    const span = locateAtEdge(text, open, key)
    if (!span) return undefined
    edits.push({ start: span.start, end: span.end, text: json })
  }
  return edits
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
