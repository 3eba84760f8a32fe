import { endOfKey, endOfString, skipSpace } from './scan.ts'
import type { Span } from './scan.ts'

// What can be known of a document without walking through it: the engine's search for a character reads sixteen at once.

/**
 * How many members the objects of a valid document have at most, which is nearly always how many they have: colons that
 * a quote stands before. A string that begins with a colon counts as one too many.
 */
export function maxMembers(text: string): number {
  let count = 0
  for (let at = text.indexOf(':'); at !== -1; at = text.indexOf(':', at + 1)) {
    if (endOfKey(text, at) !== -1) count++
  }
  return count
}

/** Whether a document could be nested more than `depth` levels deep: it has more brackets than that. */
export function mayBeDeeper(text: string, depth: number): boolean {
  let left = depth
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (--left < 0) return true
    }
  }
  return false
}

const quote = 0x22
const colon = 0x3a
const backslash = 0x5c
const bracketBit = 0x20

/**
 * Span of the text that the root's member `key` holds, when that is its first member or stands behind everything that
 * is nested, as `model` does in what SDKs write; undefined when it takes a walk to know. `open` is the offset of the
 * root's brace, and the document, which is valid, has the member once.
 */
export function locateAtEdge(text: string, open: number, key: string): Span | undefined {
  const name = `"${key}"`
  const first = skipSpace(text, open + 1)
  if (text.startsWith(name, first)) return textAfter(text, first + name.length)
  const at = text.lastIndexOf(name)
  // A quote inside a string is escaped, so what has both of its own is no part of a longer one.
  if (at <= open || text.charCodeAt(at - 1) === backslash) return undefined
  const span = textAfter(text, at + name.length)
  // With no bracket between it and the root's own, it is the root that it stands in.
  return span && bracketsAfter(text, span.end) === 1 ? span : undefined
}

function textAfter(text: string, at: number): Span | undefined {
  const colonAt = skipSpace(text, at)
  const start = skipSpace(text, colonAt + 1)
  if (text.charCodeAt(colonAt) !== colon || text.charCodeAt(start) !== quote) return undefined
  return { start, end: endOfString(text, start) + 1 }
}

/** How many brackets of either kind follow, in strings too; no more than two are counted. */
function bracketsAfter(text: string, from: number): number {
  let count = 0
  for (let at = from; at < text.length && count < 2; at++) {
    const code = text.charCodeAt(at) | bracketBit
    if (code === 0x7b || code === 0x7d) count++
  }
  return count
}
