// Secrets in texts: found fast, because nearly no text holds one, and taken out in every spelling.

const hidden = '[redacted]'
/** Shorter ones are words as well. */
const minSecretChars = 8

export interface Secrets {
  /** Whether one of them stands in the text; false is certain. */
  isIn(text: string): boolean
  /** The same for the first `length` bytes of a text in UTF-8. */
  isInBytes(bytes: Buffer, length: number): boolean
  /** The text without them. */
  clean(text: string): string
}

/** Finds secrets in the spellings that JSON and URLs give them. */
export function secretsOf(secrets: readonly string[]): Secrets {
  const spellings = new Set<string>()
  for (const secret of secrets) {
    if (secret.length < minSecretChars) continue
    spellings.add(secret)
    const quoted = JSON.stringify(secret).slice(1, -1)
    spellings.add(quoted)
    // In a JSON text inside of another.
    spellings.add(JSON.stringify(quoted).slice(1, -1))
    spellings.add(secret.replaceAll('/', '\\/'))
    if (secret.isWellFormed()) {
      const inUrl = encodeURIComponent(secret)
      spellings.add(inUrl)
      spellings.add(inUrl.replaceAll(/%../g, (escape) => escape.toLowerCase()))
    }
  }
  // One that holds another has to go first, or its rest would stay.
  const ordered = [...spellings].toSorted((a, b) => b.length - a.length)
  const isPlain = finder(ordered)
  const isNumbered = (text: string): boolean =>
    text.includes(numberMark) && isPlain(withoutNumbers(text))
  let isPlainInBytes: Secrets['isInBytes'] | undefined
  return {
    isIn: (text) => isPlain(text) || isNumbered(text),
    isInBytes(bytes, length) {
      isPlainInBytes ??= byteFinder(ordered.map((spelling) => Buffer.from(spelling)))
      if (isPlainInBytes(bytes, length)) return true
      return (
        bytes.subarray(0, length).includes(numberMark) &&
        isNumbered(bytes.toString('utf8', 0, length))
      )
    },
    clean(text) {
      let clean = text
      if (isNumbered(text)) {
        const plain = withoutNumbers(text)
        for (const spelling of ordered) {
          if (plain.includes(spelling)) clean = clean.replaceAll(anyNumbered(spelling), hidden)
        }
      }
      if (!isPlain(clean)) return clean
      for (const spelling of ordered) {
        if (clean.includes(spelling)) clean = clean.replaceAll(spelling, hidden)
      }
      return clean
    },
  }
}

// JSON may write any character as its number. Some write `+`, `&` and quotes so, which are in keys and in what people
// say; within a text that stands in another one there are more backslashes before it.

const numberMark = '\\u00'
const numbered = /\\+u00([2-7][\da-f])/gi

function withoutNumbers(text: string): string {
  return text.replaceAll(numbered, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** Matches a spelling, whichever of its characters are written as numbers. */
function anyNumbered(spelling: string): RegExp {
  const each = Array.from(spelling, (character) => {
    const plain = RegExp.escape(character)
    const code = character.codePointAt(0)!
    if (code < 0x20 || code >= 0x80) return plain
    const hex = code.toString(16)
    return `(?:${plain}|\\\\+u00${hex.replace(/[a-f]/, (digit) => `[${digit}${digit.toUpperCase()}]`)})`
  })
  return new RegExp(each.join(''), 'g')
}

const bits = 13
const size = 2 ** bits
/** Fewer are looked for one by one: that is what the engine does fastest. */
const fewSpellings = 2

/**
 * A search for many texts at once (after Wu and Manber): looks at every few characters only and moves on by as many as
 * no text can begin in, so that a thousand keys take no longer than one.
 */
function finder(spellings: readonly string[]): (text: string) => boolean {
  if (spellings.length === 0) return () => false
  if (spellings.length <= fewSpellings) {
    return (text) => spellings.some((spelling) => text.includes(spelling))
  }
  const { window, shifts, ending } = windowsOf(spellings, hashOf)
  return (text) => {
    const { length } = text
    for (let at = window - 1; at < length;) {
      const hash = hashOf(text, at)
      const shift = shifts[hash]!
      if (shift > 0) at += shift
      else {
        const from = at - window + 1
        if (ending.get(hash)?.some((spelling) => text.startsWith(spelling, from))) return true
        at++
      }
    }
    return false
  }
}

function hashOf(text: string, end: number): number {
  return (
    ((text.charCodeAt(end - 2) << 9) ^ (text.charCodeAt(end - 1) << 5) ^ text.charCodeAt(end)) &
    (size - 1)
  )
}

/** The same for bytes. */
function byteFinder(spellings: readonly Buffer[]): Secrets['isInBytes'] {
  if (spellings.length === 0) return () => false
  if (spellings.length <= fewSpellings) {
    return (bytes, length) =>
      spellings.some((spelling) => bytes.subarray(0, length).includes(spelling))
  }
  const { window, shifts, ending } = windowsOf(spellings, byteHashOf)
  return (bytes, length) => {
    for (let at = window - 1; at < length;) {
      const hash = byteHashOf(bytes, at)
      const shift = shifts[hash]!
      if (shift > 0) at += shift
      else {
        const from = at - window + 1
        const isThere = (spelling: Buffer): boolean =>
          bytes.subarray(from, Math.min(length, from + spelling.length)).equals(spelling)
        if (ending.get(hash)?.some(isThere)) return true
        at++
      }
    }
    return false
  }
}

interface Windows<Spelling> {
  /** How many characters are looked at, of which three at the end. */
  readonly window: number
  /** By those three: how far the window may move. */
  readonly shifts: Uint8Array
  /** What may begin where the window does, if it may not move. */
  readonly ending: ReadonlyMap<number, readonly Spelling[]>
}

function windowsOf<Spelling extends { readonly length: number }>(
  spellings: readonly Spelling[],
  hash: (spelling: Spelling, end: number) => number,
): Windows<Spelling> {
  const window = Math.min(...spellings.map(({ length }) => length), 32)
  const shifts = new Uint8Array(size).fill(window - 2)
  const ending = new Map<number, Spelling[]>()
  for (const spelling of spellings) {
    for (let end = 2; end < window; end++) {
      const at = hash(spelling, end)
      shifts[at] = Math.min(shifts[at]!, window - 1 - end)
      if (end === window - 1) ending.set(at, [...(ending.get(at) ?? []), spelling])
    }
  }
  return { window, shifts, ending }
}

function byteHashOf(bytes: Buffer, end: number): number {
  return ((bytes[end - 2]! << 9) ^ (bytes[end - 1]! << 5) ^ bytes[end]!) & (size - 1)
}
