import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { shortenStrings } from '#lib/json.ts'

const cut = (text: string): string => shortenStrings(text, 20, 5)
const long = 'abcdefghijklmnopqrstuvwxyz'

describe('long strings', () => {
  test.each([
    [`{"a":"${long}"}`, '{"a":"abcde"}'],
    [`["${long}", "short", "${long}"]`, '["abcde", "short", "abcde"]'],
    [`"${long}"`, '"abcde"'],
    ['{"a":"abcdefghijklmnopqrst"}', '{"a":"abcdefghijklmnopqrst"}'],
  ])('%s becomes %s', (text, expected) => expect(cut(text)).toBe(expected))

  test.each([
    ['an escape', `{"a":"${long}\\n"}`],
    ['a bad escape', `{"a":"${long}\\q"}`],
    ['an escaped quote', `{"a":"${long}\\"${long}"}`],
    ['a raw control character', `{"a":"${long}\u0001"}`],
    ['a key', `{"${long}" \n:1}`],
    ['no end', `{"a":"${long}`],
  ])('with %s are left to the parser', (_, text) => expect(cut(text)).toBe(text))

  test('what stands before or behind a string does not keep it', () => {
    expect(cut(`{"x":"\\n\\\\",\n"a":"${long}"\t}\n`)).toBe('{"x":"\\n\\\\",\n"a":"abcde"\t}\n')
  })

  test('many of them among many escapes cost one pass', () => {
    const text = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => (i % 2 ? '\\"\n' : long)))
    // Quadratic work would outlast the test's time limit.
    const { length } = cut(text)
    expect(length).toBe(text.length - 10_000 * 21)
  })
})

/** `JSON.stringify` writes exactly the characters of a plain string, and more of any other. */
const shortened = (value: unknown): unknown => {
  if (typeof value === 'string') {
    return value.length > 20 && JSON.stringify(value).length === value.length + 2
      ? value.slice(0, 5)
      : value
  }
  if (Array.isArray(value)) return value.map(shortened)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, shortened(own)]))
}

describe('property', () => {
  const words = fc.oneof(fc.string({ maxLength: 60 }), fc.stringMatching(/^[a-z ]{0,80}$/))
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      words,
      fc.integer(),
      fc.constant(null),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(words, tie('json'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))

  test('a valid document keeps its shape, and only long plain strings are cut', () => {
    fc.assert(
      fc.property(json, fc.nat(2), (value, indent) => {
        expect(JSON.parse(cut(JSON.stringify(value, null, indent)))).toEqual(shortened(value))
      }),
    )
  })

  test('a document is valid exactly when its short form is', () => {
    const isValid = (text: string): boolean => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    const damage = fc.tuple(
      json,
      fc.nat(),
      fc.constantFrom('', '"', '\\', '\n', '\u0001', '{', ',', 'x'),
    )
    fc.assert(
      fc.property(damage, ([value, where, piece]) => {
        const text = JSON.stringify(value)
        const at = where % (text.length + 1)
        const damaged = text.slice(0, at) + piece + text.slice(at + (piece === '' ? 1 : 0))
        expect(isValid(cut(damaged))).toBe(isValid(damaged))
      }),
      { numRuns: 2000 },
    )
  })
})
