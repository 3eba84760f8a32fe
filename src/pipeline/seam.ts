// Where one text ends and its continuation by somebody else begins. Models like to say the last words again.

/** How far back the continuation is compared. */
const tailChars = 4000
/** Fewer characters than this may be the same by chance. */
const minOverlap = 8
/** The same where all of it is repeated: some providers give the beginning back with what follows it. */
const minWhole = 4

/** The beginning of a continuation, held back until it is known whether it repeats what is there. */
export interface Seam {
  /** More of the continuation; returns what may be shown, without what is repeated. */
  push(text: string): string
  /** The continuation is over; returns what was still held back. */
  end(): string
  /** Characters that were cut. */
  readonly cut: number
}

/** `before` is the text that the caller has. */
export function createSeam(before: string): Seam {
  const tail = before.slice(-tailChars)
  let held = ''
  let isDecided = tail === ''
  let cut = 0

  function decide(): string {
    isDecided = true
    const text = held
    held = ''
    const isWhole = before.length >= minWhole && text.startsWith(before)
    cut = isWhole ? before.length : repeated(tail, text)
    return text.slice(cut)
  }

  return {
    push(text) {
      if (isDecided) return text
      held += text
      const isEcho = held.length < before.length && before.startsWith(held)
      return isEcho || mayGoOn(tail, held) ? '' : decide()
    },
    end: () => (isDecided ? '' : decide()),
    get cut() {
      return cut
    },
  }
}

/** Whether what has come so far is the beginning of a repetition that may still become longer. */
function mayGoOn(tail: string, text: string): boolean {
  const bare = text.trimStart()
  return bare === '' || goesOn(tail, text) || (bare !== text && goesOn(tail, bare))
}

function goesOn(tail: string, text: string): boolean {
  const last = tail.length - text.length - 1
  return last >= 0 && tail.lastIndexOf(text, last) !== -1
}

/** How many characters at the beginning of `text` say what the tail ends with. */
function repeated(tail: string, text: string): number {
  const direct = overlap(tail, text)
  if (direct > 0) return direct
  // Who was given the text without the blank at its end says it again.
  if (tail.endsWith(' ') && text.startsWith(' ')) return 1
  const bare = text.trimStart()
  const same = bare === text ? 0 : overlap(tail, bare)
  return same > 0 ? text.length - bare.length + same : 0
}

function overlap(tail: string, text: string): number {
  for (let length = Math.min(tail.length, text.length); length >= minOverlap; length--) {
    if (tail.endsWith(text.slice(0, length))) return length
  }
  return 0
}
