/** Sixteen digits in a row may not fit a double; anything shorter does. */
const longNumber = /\d{16}/

/**
 * `JSON.parse`, but integers that a double cannot hold keep their digits: `JSON.stringify` writes them as they came.
 * Throws SyntaxError as `JSON.parse` does. Costs one search more than it on documents without such numbers.
 */
export function parseExact(text: string): unknown {
  return longNumber.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text)
}

/** Of the proposal "JSON.parse source text access", which JavaScriptCore has and TypeScript does not know yet. */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown }

function keepDigits(_key: string, value: unknown, context?: { source?: string }): unknown {
  const isLong = typeof value === 'number' && !Number.isSafeInteger(value)
  const source = isLong ? context?.source : undefined
  return source !== undefined && /^-?\d+$/.test(source) ? rawJSON(source) : value
}
