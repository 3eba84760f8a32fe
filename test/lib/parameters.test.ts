import { expect, test } from 'bun:test'

import { readParameters } from '#lib/parameters.ts'

const read = (text: string): Record<string, string> | undefined => {
  const found = readParameters(text)
  return found && Object.fromEntries(found)
}

test.each<[string, Record<string, string>]>([
  ['', {}],
  [' ; ', {}],
  ['; a=b', { a: 'b' }],
  [';A = "b; c=\\"d\\"" ;e=', { a: 'b; c=\\"d\\"', e: '' }],
  [';filename*=utf-8\'\'%41; filename="é.mp3";', { 'filename*': "utf-8''%41", filename: 'é.mp3' }],
  ["; boundary=----'()+_,-./:=?", { boundary: "----'()+_,-./:=?" }],
])('%j', (text, expected) => expect(read(text)).toEqual(expected))

test.each([
  'a=b',
  '; a',
  '; a=b c',
  '; a="b',
  '; a="b"c',
  '; a=b; A=c',
  '; a=b, multipart/form-data; c=d',
  '; a=b\\c',
  ';\u00a0a=b',
  `;${' '.repeat(60_000)}x`,
  `; a=b${' '.repeat(60_000)}x`,
  `; a="${'\\"'.repeat(60_000)}`,
])('%p is ambiguous', (text) => expect(read(text)).toBeUndefined())
