import { locateAtEdge, membersAt, removeMembers } from '#lib/json.ts'
import type { Edit, Member } from '#lib/json.ts'

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

/**
 * Changes to one JSON object within a text, collected and then made together: what is not named keeps its bytes. Its
 * members are not asked for before a change needs to know where they stand.
 */
export class Draft {
  readonly text: string
  readonly #written: Written
  // Made when they are needed: most requests need none of them.
  #removed: Set<string> = nobody
  #names: Map<string, string> = nothing
  #values: Map<string, string> = nothing
  #added: Map<string, string> = nothing
  #nested: Map<string, Draft> | undefined
  #inner: Edit[] | undefined

  constructor(written: Written) {
    this.#written = written
    this.text = written.text
  }

  /** The members as they were written. */
  get members(): readonly Member[] {
    return this.#written.members
  }

  member(key: string): Member | undefined {
    const { value, members } = this.#written
    if (value && !Object.hasOwn(value, key)) return undefined
    // Of members with one name the last counts.
    for (let at = members.length - 1; at >= 0; at--) {
      if (members[at]!.key === key) return members[at]
    }
    return undefined
  }

  /** Whether the object will have such a member. */
  has(key: string): boolean {
    return this.#added.has(key) || this.#stands(key) || this.#originOf(key) !== undefined
  }

  /** Gives the member this value as JSON text, or adds it. */
  set(key: string, json: string): void {
    const origin = this.#originOf(key) ?? key
    if (this.#holds(origin) && !this.#removed.has(origin)) {
      if (this.#values === nothing) this.#values = new Map<string, string>()
      this.#values.set(origin, json)
    } else {
      if (this.#added === nothing) this.#added = new Map<string, string>()
      this.#added.set(key, json)
    }
  }

  remove(key: string): void {
    if (this.#added.size > 0) this.#added.delete(key)
    if (!this.#holds(key)) return
    if (this.#removed === nobody) this.#removed = new Set()
    this.#removed.add(key)
  }

  rename(key: string, to: string): void {
    if (this.#names === nothing) this.#names = new Map<string, string>()
    this.#names.set(key, to)
  }

  /** A change within the value of a member; void where the member is set or removed as well. */
  edit(edit: Edit): void {
    this.#inner ??= []
    this.#inner.push(edit)
  }

  /** A draft of the object that the member holds, always the same one; undefined when it holds none. */
  inside(key: string): Draft | undefined {
    const known = this.#nested?.get(key)
    if (known) return known
    const { text } = this
    const holder = this.#stands(key) && !this.#values.has(key) ? this.member(key) : undefined
    if (!holder || text[holder.start] !== '{') return undefined
    const { start } = holder
    const own = new Draft({ text, open: start, members: membersAt(text, start) })
    this.#nested ??= new Map()
    this.#nested.set(key, own)
    return own
  }

  /** All changes, for `applyEdits`. */
  edits(): Edit[] {
    const hasMoved = this.#removed.size + this.#names.size > 0
    const isDeep = this.#inner !== undefined || this.#nested !== undefined
    if (!hasMoved && !isDeep && this.#values.size + this.#added.size === 0) return []
    const { value, open } = this.#written
    const edges = value && !hasMoved && !isDeep && setAtEdge(this.text, open, this.#values)
    if (edges) return this.#added.size === 0 ? edges : [this.#addition(!isEmpty(value)), ...edges]
    return this.#editsOfMembers()
  }

  #editsOfMembers(): Edit[] {
    const { members } = this.#written
    const edits = removeMembers({ members }, [...this.#removed])
    const removed: ReadonlySet<string> = this.#removed
    for (const { key, keyStart, keyEnd, start, end } of members) {
      if (removed.has(key)) continue
      const name = this.#names.get(key)
      const value = this.#values.get(key)
      if (name !== undefined)
        edits.push({ start: keyStart, end: keyEnd, text: JSON.stringify(name) })
      if (value !== undefined) edits.push({ start, end, text: value })
    }
    const kept = members.filter(({ key }) => !removed.has(key) && !this.#values.has(key))
    const within = this.#nested
      ? Array.from(this.#nested.values(), (own) => own.edits()).flat()
      : []
    for (const edit of [...(this.#inner ?? []), ...within]) {
      if (kept.some(({ start, end }) => edit.start >= start && edit.end <= end)) edits.push(edit)
    }
    if (this.#added.size > 0)
      edits.push(this.#addition(members.some(({ key }) => !removed.has(key))))
    return edits
  }

  #addition(hasOthers: boolean): Edit {
    const list = [...this.#added].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')
    const at = this.#written.open + 1
    return { start: at, end: at, text: hasOthers ? `${list},` : list }
  }

  #holds(key: string): boolean {
    const { value } = this.#written
    return value ? Object.hasOwn(value, key) : this.member(key) !== undefined
  }

  #stands(key: string): boolean {
    return !this.#removed.has(key) && !this.#names.has(key) && this.#holds(key)
  }

  /** The member that will have this name. */
  #originOf(name: string): string | undefined {
    for (const [from, to] of this.#names) if (to === name) return from
    return undefined
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
