// Offsets of members, elements and values in JSON text. One forward pass without recursion; on malformed text the
// answers mean nothing, but every loop moves forward and ends at the text's end.

/** A half-open range of offsets into the text. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** One member of an object; offsets point into the scanned text. */
export interface Member extends Span {
  /** Unescaped. */
  readonly key: string
  /** Offset of the key's opening quote. */
  readonly keyStart: number
  /** Offset just after the key's closing quote. */
  readonly keyEnd: number
  /** First character of the value, whitespace left out. */
  readonly start: number
  /** Just after the value's last character. */
  readonly end: number
}

export interface Scan {
  /** Top-level members in order, duplicates included; empty when the root is not an object. */
  readonly members: readonly Member[]
  /** Offset of the root's first character, -1 when the text is blank. */
  readonly open: number
  /** Offset of the root's closing bracket; -1 for a scalar and for truncated or too deep text. */
  readonly close: number
  /** Deepest nesting seen: 0 for a scalar, 1 for `{}`. */
  readonly depth: number
  /** Colons outside strings, which is the number of object members when the text is valid. */
  readonly colons: number
  readonly root: 'object' | 'array' | 'scalar' | 'none'
}

interface Tally {
  depth: number
  colons: number
  /** The matching bracket was found before the text or the allowed depth ran out. */
  closed: boolean
  readonly maxDepth: number
}

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
// `[` and `]` become `{` and `}` when bit 0x20 is set, so one comparison serves both.
const opener = 0x7b
const closer = 0x7d
const bracketBit = 0x20

/** Looped over by hand before the native search is called, which costs as much as some 20 characters. */
const shortString = 16

/**
 * Finds the root of a document and, for an object, its members. Stops as soon as nesting exceeds `maxDepth`;
 * then `close` is -1 and `depth` is `maxDepth + 1`. What follows the root is not looked at.
 */
export function scanJson(text: string, maxDepth = Number.POSITIVE_INFINITY): Scan {
  const open = skipSpace(text, 0)
  if (open >= text.length) {
    return { members: [], open: -1, close: -1, depth: 0, colons: 0, root: 'none' }
  }
  const first = text.charCodeAt(open)
  if ((first | bracketBit) !== opener) {
    return { members: [], open, close: -1, depth: 0, colons: 0, root: 'scalar' }
  }
  const tally: Tally = { depth: 0, colons: 0, closed: false, maxDepth }
  const members: Member[] = []
  const isObject = first === opener
  const end = isObject ? readMembers(text, open, tally, members) : skipNested(text, open, 1, tally)
  return {
    members,
    open,
    close: tally.closed ? end - 1 : -1,
    depth: tally.depth,
    colons: tally.colons,
    root: isObject ? 'object' : 'array',
  }
}

/** Members of the object that opens at `offset`; none when another kind of value stands there. */
export function membersAt(text: string, offset: number): readonly Member[] {
  const members: Member[] = []
  if (text.charCodeAt(offset) === opener) readMembers(text, offset, unlimited(), members)
  return members
}

/** Spans of the elements of the array that opens at `offset`; none when another kind of value stands there. */
export function elementsAt(text: string, offset: number): readonly Span[] {
  const elements: Span[] = []
  if (text.charAt(offset) !== '[') return elements
  const tally = unlimited()
  let start = skipSpace(text, offset + 1)
  let at = start
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at) + 1
    else if ((code | bracketBit) === opener) at = skipNested(text, at, 1, tally)
    else if (code === comma || (code | bracketBit) === closer) {
      if (at > start) elements.push({ start, end: trimEnd(text, start, at) })
      if (code !== comma) break
      start = skipSpace(text, at + 1)
      at = start
    } else at++
  }
  return elements
}

/**
 * Span of the object that the root's last member `key` holds, as `locate` finds it, but looked for from the end: in
 * answers the short things that are asked for stand behind the long ones. `close` is the offset of the root's closing
 * brace.
 */
export function locateLate(text: string, key: string, close: number): Span | undefined {
  const name = `"${key}"`
  const at = text.lastIndexOf(name, close)
  // A quote inside a string is escaped, so what has both of its own is no part of a longer one.
  if (at <= 0 || text.charCodeAt(at - 1) === backslash) return locate(text, [key])
  const colonAt = skipSpace(text, at + name.length)
  const start = skipSpace(text, colonAt + 1)
  if (text.charCodeAt(colonAt) !== colon || text.charCodeAt(start) !== opener) {
    return locate(text, [key])
  }
  const end = skipNested(text, start, 1, unlimited())
  // With no bracket up to the root's own, it is the root that it stands in.
  for (let rest = end; rest < close; rest++) {
    const code = text.charCodeAt(rest) | bracketBit
    if (code === opener || code === closer) return locate(text, [key])
  }
  return { start, end }
}

/**
 * Span of the value at `path`, names for members and numbers for elements; the whole root for an empty path.
 * Undefined when the path leads nowhere. Of duplicate members the last counts, as in `JSON.parse`.
 */
export function locate(text: string, path: readonly (string | number)[]): Span | undefined {
  const open = skipSpace(text, 0)
  let span: Span = { start: open, end: trimEnd(text, open, text.length) }
  for (const step of path) {
    const found =
      typeof step === 'number'
        ? elementsAt(text, span.start)[step]
        : membersAt(text, span.start).findLast(({ key }) => key === step)
    if (found === undefined) return undefined
    span = found
  }
  return span.start < span.end ? { start: span.start, end: span.end } : undefined
}

/** The key between two quotes as JSON means it: `\u006dodel` is `model`. Unknown escapes stay as written. */
export function keyText(text: string, open: number, close: number): string {
  const raw = text.slice(open + 1, close)
  return raw.includes('\\') ? raw.replace(escapes, decodeEscape) : raw
}

/** Offset of the quote that ends the string opened at `open`, or the text's length when there is none. */
export function endOfString(text: string, open: number): number {
  const { length } = text
  let at = open + 1
  for (;;) {
    // Alternating a short loop with the native search keeps keys, long strings and strings full of escaped
    // quotes all cheap.
    for (const near = Math.min(length, at + shortString); at < near; at++) {
      const code = text.charCodeAt(at)
      if (code === quote) return at
      if (code === backslash) at++
    }
    const found = text.indexOf('"', at)
    if (found === -1) return length
    let before = found - 1
    while (before >= at && text.charCodeAt(before) === backslash) before--
    if (((found - before) & 1) === 1) return found
    at = found + 1
  }
}

/** Offset of the quote that a colon at this offset would make the end of a key; -1 when none can be that. */
export function endOfKey(text: string, colonAt: number): number {
  let at = colonAt - 1
  while (at > 0 && isSpace(text.charCodeAt(at))) at--
  if (text.charCodeAt(at) !== quote) return -1
  let before = at - 1
  while (before >= 0 && text.charCodeAt(before) === backslash) before--
  return ((at - before) & 1) === 1 ? at : -1
}

/** Offset of the first character at or after `at` that is not JSON whitespace. */
export function skipSpace(text: string, at: number): number {
  while (at < text.length && isSpace(text.charCodeAt(at))) at++
  return at
}

/** Collects the members of the object that opens at `open`; returns the offset after it, or where it had to stop. */
function readMembers(text: string, open: number, tally: Tally, members: Member[]): number {
  const { length } = text
  if (!deepen(tally, 1)) return open
  let keyStart = -1
  let keyEnd = -1
  let start = -1
  let at = open + 1
  while (at < length) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      const end = endOfString(text, at) + 1
      if (keyStart === -1) {
        keyStart = at
        keyEnd = end
      }
      at = end
    } else if (code === colon) {
      tally.colons++
      at = skipSpace(text, at + 1)
      start = at
    } else if ((code | bracketBit) === opener) {
      at = skipNested(text, at, 2, tally)
      if (!tally.closed) return at
      tally.closed = false
    } else if (code === comma || (code | bracketBit) === closer) {
      if (keyStart !== -1 && start !== -1) {
        const key = keyText(text, keyStart, keyEnd - 1)
        members.push({ key, keyStart, keyEnd, start, end: trimEnd(text, start, at) })
      }
      at++
      if (code !== comma) {
        tally.closed = true
        return at
      }
      keyStart = -1
      start = -1
    } else at++
  }
  return length
}

/**
 * Offset after the array or object that opens at `open`, itself the `level`th of its nesting. Counts on the way.
 * When the text or the allowed depth runs out first, `tally.closed` stays false.
 */
function skipNested(text: string, open: number, level: number, tally: Tally): number {
  const { length } = text
  let colons = 0
  let depth = level - 1
  let at = open
  for (; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at)
    else if (code === colon) colons++
    else if (code > 0x5a) {
      const bracket = code | bracketBit
      if (bracket === opener) {
        depth++
        if (depth > tally.depth && !deepen(tally, depth)) break
      } else if (bracket === closer) {
        depth--
        if (depth < level) {
          tally.closed = true
          at++
          break
        }
      }
    }
  }
  tally.colons += colons
  return at
}

function unlimited(): Tally {
  return { depth: 0, colons: 0, closed: false, maxDepth: Number.POSITIVE_INFINITY }
}

function deepen(tally: Tally, depth: number): boolean {
  tally.depth = depth
  return depth <= tally.maxDepth
}

function trimEnd(text: string, start: number, end: number): number {
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return end
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

const escapes = /\\(?:u([0-9a-fA-F]{4})|([^]))/g
const shortEscapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

function decodeEscape(_match: string, hex: string | undefined, letter: string | undefined): string {
  if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
  const char = letter ?? ''
  return shortEscapes[char] ?? char
}
