// The words of an answer: how long they are, how they are cut, what they would have cost.

import type { Faults } from './faults.ts'

/** A made-up but stable token count: four characters a token. */
export function countTokens(text: string): number {
  return Math.ceil(text.length / 4)
}

/** The text of an answer and the pieces it is streamed in. */
export interface Wording {
  readonly text: string
  readonly pieces: readonly string[]
}

/** `text` by words, or in the size and number of pieces that the faults ask for. */
export function wording(text: string, faults: Faults): Wording {
  if (faults.size === undefined && faults.chunks === undefined) {
    return { text, pieces: words(text) }
  }
  if (faults.size === undefined) {
    const vocabulary = words(text.endsWith(' ') ? text : `${text} `)
    const pieces = Array.from(
      { length: faults.chunks! },
      (_, at) => vocabulary[at % vocabulary.length]!,
    )
    return { text: pieces.join(''), pieces }
  }
  const filled = filler(faults.size)
  return { text: filled, pieces: faults.chunks ? evenly(filled, faults.chunks) : words(filled) }
}

/** Words with the white space before them; together they are exactly `text`. */
export function words(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? []
}

/** Truncates to the first `count` words. */
export function firstWords(text: string, count: number): string {
  return words(text).slice(0, count).join('')
}

function evenly(text: string, count: number): string[] {
  const each = Math.max(1, Math.ceil(text.length / count))
  const pieces: string[] = []
  for (let at = 0; at < text.length; at += each) pieces.push(text.slice(at, at + each))
  return pieces
}

let lastFiller = ''

function filler(length: number): string {
  // A load test asks for the same size over and over.
  if (lastFiller.length !== length) {
    lastFiller = 'over the rainbow bridge '.repeat(Math.ceil(length / 24)).slice(0, length)
  }
  return lastFiller
}
