// OpenAI calls cached input `cached_tokens`, Bifrost's clients look for `cached_read_tokens`: usage carries
// both. Works on the text so that every other byte stays as the provider wrote it.

const DETAILS = ['"prompt_tokens_details"', '"input_tokens_details"'] as const

/** The other name of each count. */
const MIRRORS = [
  ['cached_tokens', 'cached_read_tokens'],
  ['cache_write_tokens', 'cached_write_tokens'],
] as const

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
    const members = numbersOf(text, open)
    if (members === undefined) continue
    const inserts = MIRRORS.flatMap(([from, to]) => {
      const value = members.get(from)
      return value && !members.has(to)
        ? [{ at: value.end, text: `,"${to}":${text.slice(value.start, value.end)}` }]
        : []
    }).toSorted((a, b) => b.at - a.at)
    for (const insert of inserts) {
      text = text.slice(0, insert.at) + insert.text + text.slice(insert.at)
    }
  }
  return text
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

/**
 * The members of the object that opens at `open`: where the value stands if it is a plain count, undefined if
 * it is anything else. Undefined as a whole when the object never closes.
 */
function numbersOf(text: string, open: number): Map<string, Span | undefined> | undefined {
  const members = new Map<string, Span | undefined>()
  let depth = 0
  for (let at = open; at < text.length; at++) {
    const char = text[at]
    if (char === '{' || char === '[') depth += 1
    else if (char === '}' || char === ']') {
      depth -= 1
      if (depth === 0) return members
    } else if (char === '"') {
      const close = endOfString(text, at)
      if (close === undefined) return undefined
      const colon = skipSpace(text, close + 1)
      if (depth === 1 && text[colon] === ':') {
        const start = skipSpace(text, colon + 1)
        let end = start
        while (isDigit(text.charCodeAt(end))) end += 1
        const after = text[skipSpace(text, end)]
        const plain = end > start && (after === ',' || after === '}')
        members.set(text.slice(at + 1, close), plain ? { start, end } : undefined)
      }
      at = close
    }
  }
  return undefined
}

function endOfString(text: string, open: number): number | undefined {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at
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
