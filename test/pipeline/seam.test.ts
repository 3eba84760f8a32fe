import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { createSeam } from '#pipeline/seam.ts'

/** What is shown of a continuation that comes in these pieces. */
function shown(before: string, pieces: readonly string[]): string {
  const seam = createSeam(before)
  let text = ''
  for (const piece of pieces) text += seam.push(piece)
  return text + seam.end()
}

describe('a continuation', () => {
  test.each([
    ['goes on where the text stops', 'The cat sat on', [' the', ' mat.'], ' the mat.'],
    ['says the last words again', 'The cat sat on the', ['sat on', ' the mat.'], ' mat.'],
    ['begins again from the start', 'The cat sat on', ['The cat', ' sat on the mat.'], ' the mat.'],
    ['begins with a blank before it', 'The cat sat on the', [' ', 'cat sat on the mat.'], ' mat.'],
    [
      'shares a letter or two by chance',
      'It was the',
      ['the', 'me of the evening'],
      'theme of the evening',
    ],
    ['begins with the blank that is there', 'The cat ', [' ', 'sat'], 'sat'],
    ['says nothing new', 'The cat sat on the mat.', ['sat on the mat.'], ''],
    ['gives back all there is, be it little', 'The cat', ['The', ' cat sat'], ' sat'],
    ['begins like the little there is', 'The', ['The', 'me'], 'Theme'],
    ['is empty', 'The cat', [], ''],
    ['is everything', '', ['The ', 'cat'], 'The cat'],
    [
      'is a repetition up to the end of what it says',
      'the cat sat on the mat',
      ['the cat sat'],
      'the cat sat',
    ],
  ])('that %s', (_, before, pieces, wanted) => {
    expect(shown(before, pieces)).toBe(wanted)
  })

  test('that gives back a long text is cut where that ends, and held back only as long', () => {
    const before = Array.from({ length: 3000 }, (_, n) => `word ${n}`).join(' ')
    const again = `${before} and the end.`
    const pieces = again.match(/[^]{1,50}/g)!
    expect(shown(before, pieces)).toBe(' and the end.')
    const seam = createSeam(before)
    expect(seam.push(before.slice(0, 100))).toBe('')
    expect(seam.push('something else')).toBe(`${before.slice(0, 100)}something else`)
  })

  test('is shown as soon as it cannot be a repetition any more', () => {
    const seam = createSeam('one two three')
    expect(seam.push('two ')).toBe('')
    expect(seam.push('four')).toBe('two four')
    expect(seam.push(' five')).toBe(' five')
    expect([seam.end(), seam.cut]).toEqual(['', 0])
  })

  test('is the same however it is cut, and loses only what was there', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 40 })
    fc.assert(
      fc.property(letters, letters, fc.integer({ min: 1, max: 7 }), (before, after, size) => {
        const pieces = after.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
        const text = shown(before, pieces)
        expect(after.endsWith(text)).toBe(true)
        const cut = after.slice(0, after.length - text.length).trimStart()
        expect(before.endsWith(cut) || cut === '').toBe(true)
      }),
    )
  })
})
