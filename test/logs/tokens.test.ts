import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { buckets, findPacked, rowsInPiece, withoutRows } from '#store/logs-packed.ts'
import { createPiece } from '#store/logs-piece.ts'
import { wordsIn } from '#store/logs-tokens.ts'

describe('words', () => {
  test.each([
    ['Hello, World! x2', ['hello', 'world', 'x2']],
    ['don’t snake_case a-b', ['don', 't', 'snake', 'case', 'a', 'b']],
    ['café CAFÉ cafe\u0301 ÅNGSTRÖM Straße', ['cafe', 'cafe', 'cafe', 'angstrom', 'straße']],
    ['Ελλάδα Москва й', ['ελλαδα', 'москва', 'и']],
    ['भारत में', ['भारत', 'में']],
    ['한국어', ['한국어']],
    ['世界peace東京', ['世', '界', 'peace', '東', '京']],
    ['ok😀👍ok', ['ok', '😀', '👍', 'ok']],
    ['ok✅⚠️ ❤️❤ ☎️', ['ok', '✅', '⚠', '❤', '❤', '☎']],
    ['ΟΔΟΣ οδός', ['οδοσ', 'οδοσ']],
    ['İSTANBUL ISPARTA ısparta', ['istanbul', 'isparta', 'isparta']],
    ['a\u0301 \u0301 \uFE0F', ['a']],
    ['"quoted\\n"', ['quoted', 'n']],
    ['', []],
    ['---', []],
    ['é', ['e']],
  ])('%s', (text, words) => {
    expect(wordsIn(text)).toEqual(words)
  })

  test('that are long count by their beginning', () => {
    const long = 'x'.repeat(40)
    expect(wordsIn(`${long} ${long}yyy z`)).toEqual([long, long, 'z'])
    expect(wordsIn(`${'é'.repeat(50)}a`)).toEqual(['e'.repeat(40)])
    expect(wordsIn(`${'e'.repeat(39)}éa b`)).toEqual(['e'.repeat(40), 'b'])
  })

  test('of anything at all are found in any text around them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
        const both = wordsIn(`${left.toWellFormed()} ${right.toWellFormed()}`)
        expect(both).toEqual([...wordsIn(left.toWellFormed()), ...wordsIn(right.toWellFormed())])
        for (const word of both) expect(wordsIn(word)).toEqual([word])
      }),
    )
  })
})

/** The rows of a word, or of a beginning, in buckets that were packed. */
function rowsOf(packed: readonly (Uint8Array | undefined)[], word: string, isBegun = false) {
  const bits = new Uint8Array(rowsInPiece / 8)
  const bucket = packed[word.charCodeAt(0) % buckets]
  if (bucket) findPacked(bucket, word, isBegun, bits)
  return [...Array(rowsInPiece).keys()].filter((row) => (bits[row >> 3]! & (1 << (row & 7))) !== 0)
}

describe('a piece of the index', () => {
  const text = fc
    .array(fc.constantFrom('a', 'ab', 'abc', 'b', 'é', '界', 'common', 'x\ny'), { maxLength: 12 })
    .map((words) => words.join(' '))
  const texts = fc.dictionary(fc.integer({ min: 0, max: rowsInPiece - 1 }).map(String), text)
  const packedOf = (all: Readonly<Record<string, string>>): (Uint8Array | undefined)[] => {
    const piece = createPiece()
    for (const [row, words] of Object.entries(all)) {
      const bytes = Buffer.from(words)
      piece.add(Number(row), bytes, bytes.length)
    }
    return Array.from({ length: buckets }, (_, bucket) => piece.packed(bucket))
  }
  const expected = (
    all: Readonly<Record<string, string>>,
    isWanted: (word: string) => boolean,
  ): number[] =>
    Object.keys(all)
      .map(Number)
      .filter((row) => wordsIn(all[row]!).some(isWanted))

  test('has the rows of every word and of every beginning', () => {
    fc.assert(
      fc.property(texts, (all) => {
        const packed = packedOf(all)
        for (const word of ['a', 'ab', 'abc', 'b', 'e', '界', 'common', 'y', 'q']) {
          expect(rowsOf(packed, word)).toEqual(expected(all, (each) => each === word))
          expect(rowsOf(packed, word, true)).toEqual(expected(all, (each) => each.startsWith(word)))
        }
      }),
    )
  })

  test('has words of many rows as bits, and of few as steps', () => {
    const all = Object.fromEntries(
      Array.from({ length: rowsInPiece }, (_, row) => [
        row,
        `everywhere ${row % 2 === 0 ? 'even' : ''} ${row % 700 === 0 ? 'rare' : ''} w${row}`,
      ]),
    )
    const packed = packedOf(all)
    expect(rowsOf(packed, 'everywhere')).toHaveLength(rowsInPiece)
    expect(rowsOf(packed, 'even')).toHaveLength(rowsInPiece / 2)
    expect(rowsOf(packed, 'rare')).toEqual([0, 700, 1400])
    expect(rowsOf(packed, 'w2047')).toEqual([2047])
    expect(rowsOf(packed, 'w204', true)).toEqual([
      204,
      ...Array(8)
        .keys()
        .map((i) => 2040 + i),
    ])
  })

  test('is without the rows that are taken out, and without the words that only they had', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat({ max: rowsInPiece - 1 })), (all, more) => {
        const gone = [...more, ...Object.keys(all).slice(0, 2).map(Number)]
        const left = packedOf(all).map((packed) => packed && withoutRows(packed, gone))
        const kept = Object.fromEntries(
          Object.entries(all).filter(([row]) => !gone.includes(Number(row))),
        )
        for (const word of ['a', 'ab', 'abc', 'b', 'e', '界', 'common', 'y']) {
          expect(rowsOf(left, word)).toEqual(expected(kept, (each) => each === word))
        }
        const bytes = Buffer.concat(left.map((packed) => packed ?? new Uint8Array()))
        expect(bytes.includes('\ncommon\n')).toBe(
          Object.values(kept).some((said) => said.includes('common')),
        )
      }),
    )
  })
})
