import type { RE2JS } from 're2js'

// Regular expressions of operators over texts of callers: in RE2's syntax, so that no text makes one take long.

const maxPatternChars = 500

/** Whether the pattern occurs in a text. Throws an error with a reason in words when it is no RE2 pattern. */
export function linearPattern(pattern: string): (text: string) => boolean {
  if (pattern.length > maxPatternChars) {
    throw new Error(`a regular expression has at most ${maxPatternChars} characters`)
  }
  // Most configurations have none, and then it is not loaded.
  const { RE2JS: Maker } = require('re2js') as typeof import('re2js')
  let compiled: RE2JS
  try {
    compiled = Maker.compile(pattern)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new Error(`it is not a valid RE2 pattern: ${why.slice(0, 200)}`, { cause: thrown })
  }
  return (text) => compiled.matcher(text).find()
}
