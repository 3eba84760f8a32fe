import { endOfString } from './scan.ts'

/** From here on a document is likely to hold an image, whose string is not copied for being parsed. */
const largeChars = 256 * 1024
const longChars = 64 * 1024
const keptChars = 1024

/** The parsed document, in which the longest strings of a large one are cut. Throws as `JSON.parse` does. */
export function parseShort(text: string): unknown {
  const shape = text.length < largeChars ? text : shortenStrings(text, longChars, keptChars)
  return JSON.parse(shape) as unknown
}

// Written as a range of what it looks for: the complement, which no linter minds, is searched twenty times slower.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f]/g

/**
 * The document with every string value of more than `longerThan` characters cut to its first `keep`. Parsing the
 * result tells whether the whole is valid JSON and what shape it has, without a second copy of an image in memory.
 * A long string that has escapes or control characters in it is left alone, so that the parser judges it; keys are
 * too. One pass, linear; `text` itself when there is nothing to cut.
 */
export function shortenStrings(text: string, longerThan: number, keep: number): string {
  const pieces: string[] = []
  let copied = 0
  // Where the next of each stands, found once and passed on from string to string.
  let backslash = -2
  let unprintable = -2
  for (let open = text.indexOf('"'); open !== -1;) {
    const close = endOfString(text, open)
    if (close === text.length) break
    if (close - open - 1 > longerThan && !isKey(text, close)) {
      if (backslash !== -1 && backslash < open) backslash = text.indexOf('\\', open)
      if (unprintable !== -1 && unprintable < open) unprintable = nextControl(text, open)
      const isPlain =
        (backslash === -1 || backslash > close) && (unprintable === -1 || unprintable > close)
      if (isPlain) {
        pieces.push(text.slice(copied, open + 1 + keep))
        copied = close
      }
    }
    open = text.indexOf('"', close + 1)
  }
  if (pieces.length === 0) return text
  pieces.push(text.slice(copied))
  return pieces.join('')
}

function nextControl(text: string, from: number): number {
  control.lastIndex = from
  return control.exec(text)?.index ?? -1
}

/** Whether the string that closes at `close` is followed by a colon. */
function isKey(text: string, close: number): boolean {
  for (let at = close + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code === 0x3a
  }
  return false
}
