// Models in the manner of DeepSeek R1 write what they think between tags at the beginning of their text, and some
// servers leave it there.

const opening = '<think>'
const closing = '</think>'

/** Takes text in pieces, cut anywhere, and tells thoughts from text. */
export interface ThinkSplitter {
  push(piece: string): void
  /** No more text comes: what might have become a tag is text. */
  flush(): void
}

/** Only a tag that comes before any other text counts; white space around the tags is dropped. */
export function createThinkSplitter(
  onText: (piece: string) => void,
  onThought: (piece: string) => void,
): ThinkSplitter {
  let state: 'before' | 'inside' | 'after' | 'text' = 'before'
  let held = ''

  function step(): boolean {
    if (state === 'before') {
      const start = held.trimStart()
      if (start.length < opening.length && opening.startsWith(start)) return false
      const isTag = start.startsWith(opening)
      state = isTag ? 'inside' : 'text'
      if (isTag) held = start.slice(opening.length).replace(/^\n/, '')
      return true
    }
    if (state === 'inside') {
      const end = held.indexOf(closing)
      if (end !== -1) {
        say(onThought, held.slice(0, end))
        held = held.slice(end + closing.length)
        state = 'after'
        return true
      }
      const kept = beginningAtEnd(held)
      say(onThought, held.slice(0, held.length - kept))
      held = kept === 0 ? '' : held.slice(-kept)
      return false
    }
    if (state === 'after') {
      held = held.trimStart()
      if (held === '') return false
      state = 'text'
    }
    say(onText, held)
    held = ''
    return false
  }

  return {
    push(piece) {
      if (state === 'text') {
        say(onText, piece)
        return
      }
      held += piece
      while (step());
    },
    flush() {
      if (held !== '') say(state === 'inside' ? onThought : onText, held)
      held = ''
    },
  }
}

function say(to: (piece: string) => void, piece: string): void {
  if (piece !== '') to(piece)
}

/** How many characters at the end may be the beginning of the closing tag. */
function beginningAtEnd(text: string): number {
  for (let length = Math.min(closing.length - 1, text.length); length > 0; length--) {
    if (closing.startsWith(text.slice(-length))) return length
  }
  return 0
}
