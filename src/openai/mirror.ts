// OpenAI calls cached input `cached_tokens`, Bifrost's clients look for `cached_read_tokens`: usage carries
// both. Works on the text so that every other byte stays as the provider wrote it.

const DETAILS = ['"prompt_tokens_details"', '"input_tokens_details"'] as const

interface Span {
  readonly start: number
  readonly end: number
}

/**
 * The text of a usage object with Bifrost's names for cached tokens next to OpenAI's, inside the input's
 * details. Names that are there already stay; text that is not as expected comes back unchanged.
 */
export function mirrorCachedTokens(usageText: string): string {
  if (!usageText.includes('"cached_tokens"') && !usageText.includes('"cache_write_tokens"')) {
    return usageText
  }
  let text = usageText
  for (const key of DETAILS) {
    const open = objectAfter(text, key)
    if (open === undefined) continue
    const counts = countsAt(text, open)
    if (!counts) continue
    const { read, readMirror, write, writeMirror } = counts
    // From behind, so that the offsets of what comes first stay true.
    const isReadLast = (read?.end ?? 0) > (write?.end ?? 0)
    if (isReadLast) text = withCopy(text, read, readMirror, 'cached_read_tokens')
    text = withCopy(text, write, writeMirror, 'cached_write_tokens')
    if (!isReadLast) text = withCopy(text, read, readMirror, 'cached_read_tokens')
  }
  return text
}

/**
 * What `mirrorCachedTokens` adds to the usage of an answer, and at which offset of the answer's text, where that can be
 * told without walking through it: the text counts cached tokens in one place, as `cached`, and has none of the other
 * names. Undefined where it cannot.
 */
export function mirrorAt(text: string, cached: unknown): { at: number; copy: string } | undefined {
  if (typeof cached !== 'number' || !Number.isSafeInteger(cached)) return undefined
  const key = text.indexOf('"cached_tokens"')
  if (key <= 0 || text.includes('"cached_tokens"', key + 1)) return undefined
  // The end of a longer name, which has a quote in it.
  if (text[key - 1] === '\\') return undefined
  if (text.includes('"cached_read_tokens"') || text.includes('"cache_write_tokens"')) {
    return undefined
  }
  const colon = skipSpace(text, key + '"cached_tokens"'.length)
  if (text[colon] !== ':') return undefined
  const count = countAt(text, colon + 1)
  if (!count) return undefined
  const digits = text.slice(count.start, count.end)
  if (Number(digits) !== cached) return undefined
  return { at: count.end, copy: `,"cached_read_tokens":${digits}` }
}

/** `count` once more under `name`, unless that is there already. */
function withCopy(text: string, count: Count, mirror: Count, name: string): string {
  if (!count || mirror !== undefined) return text
  const copy = `,"${name}":${text.slice(count.start, count.end)}`
  return text.slice(0, count.end) + copy + text.slice(count.end)
}

/** Where the object under a quoted key opens. A raw quote in JSON never stands inside a string. */
function objectAfter(text: string, key: string): number | undefined {
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) {
    if (text[at - 1] === '\\') continue
    const colon = skipSpace(text, at + key.length)
    if (text[colon] !== ':') continue
    const value = skipSpace(text, colon + 1)
    if (text[value] === '{') return value
  }
  return undefined
}

/** Where a count stands; null when something else does, undefined when nothing does. */
type Count = Span | null | undefined

interface Counts {
  read: Count
  readMirror: Count
  write: Count
  writeMirror: Count
}

const places: ReadonlyMap<string, keyof Counts> = new Map([
  ['cached_tokens', 'read'],
  ['cached_read_tokens', 'readMirror'],
  ['cache_write_tokens', 'write'],
  ['cached_write_tokens', 'writeMirror'],
])

/** What the object that opens at `open` says of caches; undefined when it never closes. */
function countsAt(text: string, open: number): Counts | undefined {
  const counts: Counts = {
    read: undefined,
    readMirror: undefined,
    write: undefined,
    writeMirror: undefined,
  }
  let depth = 0
  for (let at = open; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if ((code | 0x20) === 0x7b) depth++
    else if ((code | 0x20) === 0x7d) {
      depth--
      if (depth === 0) return counts
    } else if (code === 0x22) {
      const close = endOfString(text, at)
      if (close === undefined) return undefined
      if (depth === 1) {
        const place = places.get(text.slice(at + 1, close))
        const colon = place ? skipSpace(text, close + 1) : 0
        if (place && text.charCodeAt(colon) === 0x3a) counts[place] = countAt(text, colon + 1)
      }
      at = close
    }
  }
  return undefined
}

function countAt(text: string, from: number): Span | null {
  const start = skipSpace(text, from)
  let end = start
  while (isDigit(text.charCodeAt(end))) end++
  const after = text[skipSpace(text, end)]
  return end > start && (after === ',' || after === '}') ? { start, end } : null
}

function endOfString(text: string, open: number): number | undefined {
  for (let at = open + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at
  }
  return undefined
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at += 1
  return at
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}
