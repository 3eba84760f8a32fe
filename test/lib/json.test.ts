import { describe, expect, test } from 'bun:test'

import {
  appendMember,
  applyEdits,
  countKeys,
  elementsAt,
  findDuplicateKey,
  locate,
  membersAt,
  prependMember,
  removeMember,
  removeMembers,
  renameMember,
  replaceValue,
  scanJson,
} from '#lib/json.ts'
import type { Member, Scan, Span } from '#lib/json.ts'

const keysOf = (scan: Scan) => scan.members.map(({ key }) => key)
const cut = (text: string, span: Span | undefined) => span && text.slice(span.start, span.end)

function memberOf(scan: Scan, key: string): Member {
  const member = scan.members.find((candidate) => candidate.key === key)
  if (member === undefined) throw new Error(`no member ${key}`)
  return member
}

const nested = (depth: number) => '{"a":'.repeat(depth - 1) + '{}' + '}'.repeat(depth - 1)

describe('scanJson', () => {
  test('reports members, their spans and the shape of the document', () => {
    const text = ' {"model" : "a/b" ,\n "n":1.0,"deep":{"x":[1,{"y":"}:,"}]}\t}\n'
    const scan = scanJson(text)
    expect(keysOf(scan)).toEqual(['model', 'n', 'deep'])
    expect(scan.members.map((member) => cut(text, member))).toEqual([
      '"a/b"',
      '1.0',
      '{"x":[1,{"y":"}:,"}]}',
    ])
    expect(scan.members.map(({ keyStart, keyEnd }) => text.slice(keyStart, keyEnd))).toEqual([
      '"model"',
      '"n"',
      '"deep"',
    ])
    expect(scan).toMatchObject({ open: 1, depth: 4, colons: 5, root: 'object' })
    expect(text[scan.close]).toBe('}')
    expect(text.slice(scan.close + 1)).toBe('\n')
  })

  test.each([
    ['', { root: 'none', open: -1, close: -1, depth: 0 }],
    [' \r\n\t', { root: 'none', open: -1, close: -1, depth: 0 }],
    ['{}', { root: 'object', open: 0, close: 1, depth: 1 }],
    [' { } ', { root: 'object', open: 1, close: 3, depth: 1 }],
    ['[[], {"a":1}]', { root: 'array', open: 0, close: 12, depth: 2, colons: 1 }],
    [' "a:b"', { root: 'scalar', open: 1, close: -1, depth: 0, colons: 0 }],
    ['null', { root: 'scalar', open: 0, close: -1, depth: 0 }],
    ['{"a":1', { root: 'object', open: 0, close: -1 }],
    ['{"a":"b}', { root: 'object', close: -1 }],
    ['{"a":"b\\"}', { root: 'object', close: -1 }],
    ['{"a":[{}', { root: 'object', close: -1 }],
    ['[[1]', { root: 'array', close: -1 }],
  ])('shape of %j', (text, shape) => {
    expect(scanJson(text)).toMatchObject(shape)
  })

  test('knows a key however it is escaped', () => {
    const text = '{"\\u006dodel":1,"a\\"b":2,"\\ud83d\\ude00":3,"\\\\":4,"t\\n\\/":5,"":6}'
    expect(keysOf(scanJson(text))).toEqual(Object.keys(JSON.parse(text)))
    expect(keysOf(scanJson(text))).toEqual(['model', 'a"b', '😀', '\\', 't\n/', ''])
  })

  test('lists duplicates and inherited names like any other key', () => {
    expect(keysOf(scanJson('{"a":1,"__proto__":2,"a":3,"constructor":4}'))).toEqual([
      'a',
      '__proto__',
      'a',
      'constructor',
    ])
  })

  test.each([1, 2, 15, 16, 17, 18, 31, 32, 33, 200])(
    'finds the end of a string after %d characters and every run of backslashes',
    (length) => {
      for (let slashes = 0; slashes < 6; slashes++) {
        for (const tail of ['', 'x', '"', '\\', '"x', '\\"\\']) {
          const value = 'v'.repeat(length) + '\\'.repeat(slashes) + tail
          const text = JSON.stringify({ a: value, b: [value, { [value]: value }], c: 1 })
          const scan = scanJson(text)
          expect(keysOf(scan)).toEqual(['a', 'b', 'c'])
          expect(scan.colons).toBe(4)
          expect(scan.close).toBe(text.length - 1)
        }
      }
    },
  )

  test('stops as soon as the nesting exceeds the allowed depth', () => {
    expect(scanJson(nested(512), 512)).toMatchObject({ depth: 512, close: 512 * 6 - 5 })
    expect(scanJson(nested(513), 512)).toMatchObject({ depth: 513, close: -1 })
    expect(scanJson('[[[1]]]', 3)).toMatchObject({ depth: 3, close: 6 })
    expect(scanJson('[[[1]]]', 2)).toMatchObject({ depth: 3, close: -1 })
    expect(scanJson('{}', 0)).toMatchObject({ depth: 1, close: -1 })
    expect(scanJson('{"a":[[1]],"b":2}', 2)).toMatchObject({ depth: 3, close: -1, members: [] })
    expect(scanJson('{"a":1,"b":[[1]],"c":2}', 2)).toMatchObject({ depth: 3, close: -1 })
  })

  test('needs no stack for deep nesting, with a limit or without', () => {
    for (const depth of [10_000, 1_000_000]) {
      const arrays = '['.repeat(depth) + ']'.repeat(depth)
      expect(scanJson(arrays)).toMatchObject({ depth, close: 2 * depth - 1 })
      expect(scanJson(arrays, 512)).toMatchObject({ depth: 513, close: -1 })
      const objects = '{"a":'.repeat(depth)
      expect(scanJson(objects)).toMatchObject({ depth, colons: depth, close: -1 })
      expect(scanJson(objects, 512)).toMatchObject({ depth: 513, close: -1 })
      expect(scanJson(`{"a":${arrays},"b":1}`).members).toHaveLength(2)
      expect(locate(arrays, [0, 0, 0])).toEqual({ start: 3, end: 2 * depth - 3 })
      expect(findDuplicateKey(arrays)).toBeUndefined()
    }
  })

  test('gets through large strings of quotes and backslashes', () => {
    const value = ['"', '\\', '\\"', 'a"', '\\\\\\"', 'x'.repeat(15) + '"'].map((unit) =>
      unit.repeat(200_000),
    )
    const text = JSON.stringify({ value, last: true })
    expect(scanJson(text)).toMatchObject({ close: text.length - 1, colons: 2 })
    expect(keysOf(scanJson(text))).toEqual(['value', 'last'])
  })

  test.each([
    '{',
    '{"',
    '{"a',
    '{"a\\',
    '{"a"',
    '{"a":',
    '{"a":,"b"}',
    '{,}',
    '{:}',
    '{:::}',
    '{"a" "b":1}',
    '{"a":1 2 :3}',
    '{1:2}',
    '}',
    ']',
    '{]',
    '[}',
    '{"a":}}}',
    '{"a":[}',
    '{"\\u00zz":1,"\\',
    '\\',
    '"',
    '"\\',
    '{"a":1}{"b":2}',
    '[,,,]',
    '[',
    '[1,',
    '\u0000',
    '\ufeff{}',
    '{"\ud800":1}',
  ])('neither throws nor hangs on %j', (text) => {
    const scan = scanJson(text)
    expect(scan.close).toBeLessThan(text.length)
    for (const { keyStart, keyEnd, start, end } of scan.members) {
      expect(keyStart).toBeLessThan(keyEnd)
      expect(keyEnd).toBeLessThanOrEqual(start)
      expect(start).toBeLessThanOrEqual(end)
      expect(end).toBeLessThanOrEqual(text.length)
    }
    findDuplicateKey(text)
    locate(text, ['a', 0])
    locate(text, [0, 'a'])
    for (const offset of [-1, 0, 1, text.length]) {
      membersAt(text, offset)
      elementsAt(text, offset)
    }
  })
})

describe('inside a document', () => {
  const text = `{
    "messages" : [ {"role":"user", "content":[]} , {"role":"\\u0061"},[ ], 3 ],
    "stream_options": { "include_usage" :true }, "empty": [\n], "none": {\n}
  }`

  test('locate finds values by name and by index', () => {
    const at = (...path: (string | number)[]) => cut(text, locate(text, path))
    expect(at('messages', 1, 'role')).toBe('"\\u0061"')
    expect(at('messages', 0, 'content')).toBe('[]')
    expect(at('messages', 3)).toBe('3')
    expect(at('stream_options', 'include_usage')).toBe('true')
    expect(at()).toBe(text)
    expect(cut(' 12 ', locate(' 12 ', []))).toBe('12')
    expect(locate(' ', [])).toBeUndefined()
  })

  test.each([
    [['nothing']],
    [['messages', 4]],
    [['messages', -1]],
    [['messages', 0.5]],
    [['messages', '0']],
    [['messages', 'length']],
    [[0]],
    [['messages', 3, 'x']],
    [['messages', 0, 'role', 0]],
    [['empty', 0]],
    [['none', '']],
  ])('locate finds nothing at %j', (path) => {
    expect(locate(text, path)).toBeUndefined()
  })

  test('of two members with one name locate takes the one JSON.parse takes', () => {
    const twice = '{"a":{"b":1},"a":{"b":2,"b":3}}'
    expect(cut(twice, locate(twice, ['a', 'b']))).toBe('3')
  })

  test('membersAt and elementsAt answer only where such a value opens', () => {
    const open = text.indexOf('[')
    expect(elementsAt(text, open).map((span) => cut(text, span))).toEqual([
      '{"role":"user", "content":[]}',
      '{"role":"\\u0061"}',
      '[ ]',
      '3',
    ])
    expect(membersAt(text, text.indexOf('{', open)).map(({ key }) => key)).toEqual([
      'role',
      'content',
    ])
    expect(elementsAt(text, text.indexOf('[\n]'))).toEqual([])
    expect(membersAt(text, text.indexOf('{\n}'))).toEqual([])
    expect(membersAt(text, open)).toEqual([])
    expect(elementsAt(text, 0)).toEqual([])
  })
})

describe('edits', () => {
  test('leave every other byte alone', () => {
    const text =
      '{ "temperature":1.0,"big":1152921504606846976,"huge":1e400,"model" :"openai/x", "s":"\\ud800\\/\\u00e9é" }'
    const scan = scanJson(text)
    expect(applyEdits(text, [replaceValue(memberOf(scan, 'model'), '"x"')])).toBe(
      text.replace('openai/x', 'x'),
    )
    expect(applyEdits(text, [renameMember(memberOf(scan, 'model'), 'mo"del')])).toBe(
      text.replace('"model"', '"mo\\"del"'),
    )
    expect(applyEdits(text, [])).toBe(text)
  })

  test('come in any order; insertions at one place keep theirs', () => {
    expect(
      applyEdits('0123456789', [
        { start: 8, end: 10, text: 'Y' },
        { start: 2, end: 4, text: 'X' },
        { start: 2, end: 2, text: 'a' },
        { start: 4, end: 4, text: 'c' },
        { start: 2, end: 2, text: 'b' },
        { start: 0, end: 0, text: '<' },
        { start: 10, end: 10, text: '>' },
      ]),
    ).toBe('<01abXc4567Y>')
  })

  test.each([
    {
      ranges: [
        [2, 5],
        [4, 6],
      ],
    },
    {
      ranges: [
        [2, 5],
        [2, 5],
      ],
    },
    {
      ranges: [
        [2, 5],
        [3, 3],
      ],
    },
    {
      ranges: [
        [0, 9],
        [2, 3],
      ],
    },
    { ranges: [[-1, 2]] },
    { ranges: [[9, 11]] },
    { ranges: [[5, 4]] },
  ])('that overlap or leave the text are refused: %j', ({ ranges }) => {
    const edits = ranges.map(([start = 0, end = 0]) => ({ start, end, text: '' }))
    expect(() => applyEdits('0123456789', edits)).toThrow(RangeError)
    expect(() => applyEdits('0123456789', edits.toReversed())).toThrow(RangeError)
  })

  test.each([
    ['{}', '{"k":1}', '{"k":1}'],
    ['{ \n}', '{"k":1 \n}', '{ \n"k":1}'],
    ['{"a":0}', '{"k":1,"a":0}', '{"a":0,"k":1}'],
    [' { "a":0 } ', ' {"k":1, "a":0 } ', ' { "a":0 ,"k":1} '],
  ])('add a member in front of and behind %j', (text, first, last) => {
    expect(applyEdits(text, [prependMember(scanJson(text), 'k', '1')])).toBe(first)
    expect(applyEdits(text, [appendMember(scanJson(text), 'k', '1')])).toBe(last)
  })

  test.each(['[]', '1', '', '{"a":1', '[{}]'])('cannot add a member to %j', (text) => {
    expect(() => prependMember(scanJson(text), 'k', '1')).toThrow(RangeError)
    expect(() => appendMember(scanJson(text), 'k', '1')).toThrow(RangeError)
  })

  test.each([
    [['a'], '{ "b" : 2,\n"c":3 }'],
    [['b'], '{ "a":1 , "c":3 }'],
    [['c'], '{ "a":1 , "b" : 2 }'],
    [['a', 'b'], '{ "c":3 }'],
    [['b', 'c'], '{ "a":1 }'],
    [['c', 'a'], '{ "b" : 2 }'],
    [['a', 'b', 'c', 'd'], '{  }'],
    [['d'], '{ "a":1 , "b" : 2,\n"c":3 }'],
    [[], '{ "a":1 , "b" : 2,\n"c":3 }'],
  ])('remove %j', (keys, expected) => {
    const text = '{ "a":1 , "b" : 2,\n"c":3 }'
    const scan = scanJson(text)
    expect(applyEdits(text, removeMembers(scan, keys, text))).toBe(expected)
    const [key = ''] = keys
    if (keys.length === 1) {
      const edit = removeMember(scan, key, text)
      expect(applyEdits(text, edit ? [edit] : [])).toBe(expected)
    }
  })

  test('remove every member of a name, or only the first', () => {
    const text = '{"a":1,"b":2,"\\u0061":3}'
    const scan = scanJson(text)
    expect(applyEdits(text, removeMembers(scan, ['a'], text))).toBe('{"b":2}')
    expect(applyEdits(text, [removeMember(scan, 'a', text)!])).toBe('{"b":2,"\\u0061":3}')
    expect(removeMember(scan, 'z', text)).toBeUndefined()
  })

  test('go together on one document', () => {
    const text = '{"fallbacks":[1],"model":"p/m","max":5,"user":"u"}'
    const scan = scanJson(text)
    const edits = [
      appendMember(scan, 'z', '{}'),
      ...removeMembers(scan, ['user', 'fallbacks'], text),
      replaceValue(memberOf(scan, 'model'), '"m"'),
      renameMember(memberOf(scan, 'max'), 'max_tokens'),
      prependMember(scan, 'x', 'null'),
    ]
    expect(applyEdits(text, edits)).toBe('{"x":null,"model":"m","max_tokens":5,"z":{}}')
  })
})

describe('duplicate keys', () => {
  test.each([
    ['{"a":1,"a":2}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"messages":[{"role":"u","x":[{}],"role":"s"}]}', 'messages[0].role'],
    ['{"messages":[{"role":"u"},{"b":{"c":1},"role":1,"b":2}]}', 'messages[1].b'],
    ['[[],[1,{"a":{"b c":{"d":1,"d":1}}}]]', '[1][1].a["b c"].d'],
    ['{"a":{"":1,"":2}}', 'a[""]'],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
    ['{"toString":1,"x":{"toString":1}}', undefined],
    ['{"a":"a","b":["a","a"],"c":{"a":{"a":1}}}', undefined],
    ['[1,"a","a"]', undefined],
    ['"a"', undefined],
  ])('%j', (text, path) => {
    expect(findDuplicateKey(text)).toBe(path)
    expect(scanJson(text).colons > countKeys(JSON.parse(text), 100)).toBe(path !== undefined)
  })

  test('countKeys counts members down to a depth, and says when there is more', () => {
    expect(countKeys({ a: { b: [{ c: 1 }, [[{ d: null }]]] }, e: 'f' }, 6)).toBe(5)
    expect(countKeys(null, 0)).toBe(0)
    expect(countKeys('text', 0)).toBe(0)
    expect(countKeys(JSON.parse('{"__proto__":{"a":1},"1":{"2":3}}'), 2)).toBe(4)
    let value: unknown = {}
    for (let depth = 0; depth < 100_000; depth++) value = depth % 2 ? [value] : { a: value }
    expect(countKeys(value, 512)).toBe(-1)
  })
})
