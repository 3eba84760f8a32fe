import type { Member, Scan } from './scan.ts'

// Small changes to JSON text. An edit names a range of the original text; edits are collected against one scan and
// applied together, so offsets never have to be corrected.

/** Replaces `[start, end)` of the original by `text`; an insertion when both are equal. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/**
 * The text with all edits made. They may come in any order; insertions at one offset keep theirs and precede a
 * replacement that begins there. Throws RangeError when two overlap or one lies outside the text.
 */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const sorted = isSorted(edits) ? edits : edits.toSorted(byPosition)
  let result = ''
  let done = 0
  for (const edit of sorted) {
    if (edit.start < done || edit.end < edit.start || edit.end > text.length) {
      throw new RangeError(`edit [${edit.start}, ${edit.end}) overlaps another or leaves the text`)
    }
    result += text.slice(done, edit.start) + edit.text
    done = edit.end
  }
  return result + text.slice(done)
}

/** Puts `json` in the place of the member's value. */
export function replaceValue(member: Member, json: string): Edit {
  return { start: member.start, end: member.end, text: json }
}

/** Gives the member another name; spacing around the colon stays. */
export function renameMember(member: Member, newKey: string): Edit {
  return { start: member.keyStart, end: member.keyEnd, text: JSON.stringify(newKey) }
}

/**
 * Removes the first member of that name with one comma; undefined when there is none. To remove several members in
 * one `applyEdits`, use `removeMembers`: neighbours share a comma, which only one edit may take. The text itself is
 * not looked at, the scan knows enough.
 */
export function removeMember(scan: Scan, key: string, _text?: string): Edit | undefined {
  const index = scan.members.findIndex((member) => member.key === key)
  return index === -1 ? undefined : removeRun(scan, index, index + 1)
}

/** Removes every member whose name is listed, one edit for each run of neighbours. Names not present are ignored. */
export function removeMembers(
  scan: Pick<Scan, 'members'>,
  keys: readonly string[],
  _text?: string,
): Edit[] {
  const { members } = scan
  const edits: Edit[] = []
  let from = -1
  for (let index = 0; index <= members.length; index++) {
    const member = members[index]
    if (member !== undefined && keys.includes(member.key)) {
      if (from === -1) from = index
    } else if (from !== -1) {
      edits.push(removeRun(scan, from, index))
      from = -1
    }
  }
  return edits
}

/**
 * Adds a first member. Throws RangeError when the root is not a complete object. It counts the members of the scan
 * to decide about the comma, so no other edit of the same `applyEdits` may fill an empty object or empty a full one.
 */
export function prependMember(scan: Scan, key: string, json: string): Edit {
  requireObject(scan)
  const at = scan.open + 1
  const separator = scan.members.length > 0 ? ',' : ''
  return { start: at, end: at, text: `${JSON.stringify(key)}:${json}${separator}` }
}

/** Adds a last member; the conditions of `prependMember` hold here too. */
export function appendMember(scan: Scan, key: string, json: string): Edit {
  requireObject(scan)
  const at = scan.close
  const separator = scan.members.length > 0 ? ',' : ''
  return { start: at, end: at, text: `${separator}${JSON.stringify(key)}:${json}` }
}

/** Removes the members `[from, to)` and as many commas: those that follow, or for the last ones those before. */
function removeRun({ members }: Pick<Scan, 'members'>, from: number, to: number): Edit {
  const start = members[from]?.keyStart ?? 0
  const end = members[to - 1]?.end ?? start
  const next = members[to]
  if (next !== undefined) return { start, end: next.keyStart, text: '' }
  const previous = members[from - 1]
  return { start: previous?.end ?? start, end, text: '' }
}

function requireObject(scan: Scan): void {
  if (scan.root !== 'object' || scan.close === -1) {
    throw new RangeError('only a complete object can get another member')
  }
}

/** Callers mostly go through the members in order, which saves the sort. */
function isSorted(edits: readonly Edit[]): boolean {
  return edits.every((edit, index) => {
    const previous = edits[index - 1]
    return previous === undefined || byPosition(previous, edit) <= 0
  })
}

function byPosition(a: Edit, b: Edit): number {
  return a.start - b.start || a.end - b.end
}
