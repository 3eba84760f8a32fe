import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import {
  appendMember,
  applyEdits,
  countKeys,
  findDuplicateKey,
  locate,
  locateAtEdge,
  maxMembers,
  mayBeDeeper,
  prependMember,
  removeMembers,
  renameMember,
  replaceValue,
  scanJson,
} from '#lib/json.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

// Keys and strings are drawn from what a scanner gets wrong: quotes, backslashes, brackets, lengths around the
// switch to the native search, lone surrogates.
const piece = fc.constantFrom(
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  'u0061',
  '\n',
  'é',
  '\ud83d',
  '\ude00',
  '狐',
)
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc
    .array(fc.oneof(piece, fc.constant('x'.repeat(15))), { maxLength: 8 })
    .map((parts) => parts.join('')),
)
const keyText = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('model', 'a', 'b', 'c', 'stream_options') },
  anyText,
)
const { value: anyValue } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      // JSON text can say -0, but JSON.stringify never does.
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number || 0),
      anyText,
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(keyText, tie('value')), { maxLength: 5 }).map(fromEntries),
  ),
}))
const anyObject = fc.array(fc.tuple(keyText, anyValue), { maxLength: 6 }).map(fromEntries)

/** Own properties even for `__proto__`, as `JSON.parse` makes them. */
function fromEntries(entries: readonly (readonly [string, Json])[]): { [key: string]: Json } {
  return Object.fromEntries(entries)
}

const unicode = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Writes a value as JSON in one of the many ways JSON allows, chosen by the numbers in `choices`. */
function write(value: Json, choices: readonly number[]): string {
  let turn = 0
  const choose = (count: number) => (choices[turn++ % choices.length] ?? 0) % count
  const space = () => ['', ' ', '\n', '\r\n\t', '', ''][choose(6)] ?? ''
  const text = (from: string) => {
    let out = '"'
    for (let index = 0; index < from.length; index++) {
      const unit = from.charAt(index)
      const plain = JSON.stringify(unit).slice(1, -1)
      out += choose(5) === 0 ? unicode(unit) : unit === '/' && choose(2) ? '\\/' : plain
    }
    return `${out}"`
  }
  const any = (from: Json): string => {
    if (typeof from === 'string') return text(from)
    if (typeof from === 'number') return String(from).replace('e', 'E')
    if (Array.isArray(from))
      return `[${from.map((item) => space() + any(item) + space()).join(',') || space()}]`
    if (typeof from !== 'object' || from === null) return String(from)
    const members = Object.entries(from).map(
      ([key, item]) => `${space()}${text(key)}${space()}:${space()}${any(item)}${space()}`,
    )
    return `{${members.join(',') || space()}}`
  }
  return space() + any(value) + space()
}

const choices = fc.array(fc.nat(59), { minLength: 1, maxLength: 40 })
const objectText = fc.tuple(anyObject, choices).map(([value, picks]) => write(value, picks))
const documentText = fc.tuple(anyValue, choices).map(([value, picks]) => write(value, picks))
/** More than any document here has. */
const levels = 100
const parse = (text: string): Json => JSON.parse(text)
const parseObject = (text: string): { [key: string]: Json } => JSON.parse(text)

describe('for any document', () => {
  test('members are those of JSON.parse, in their order and with their values', () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const scan = scanJson(text)
        // Entries rather than key lists: JSON.parse puts integer names first.
        const scanned = scan.members.map(
          ({ key, start, end }) => [key, parse(text.slice(start, end))] as const,
        )
        expect(Object.fromEntries(scanned)).toEqual(parseObject(text))
        expect(scanned).toHaveLength(Object.keys(parseObject(text)).length)
        expect(text.slice(0, scan.open).trim() + text.slice(scan.close + 1).trim()).toBe('')
        for (const { key, keyStart, keyEnd, start, end } of scan.members) {
          expect(parse(text.slice(keyStart, keyEnd))).toBe(key)
          expect(text.slice(start, end).trim()).toBe(text.slice(start, end))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('colons equal keys, and no duplicate is found', () => {
    fc.assert(
      fc.property(documentText, (text) => {
        const { colons } = scanJson(text)
        expect(colons).toBe(countKeys(parse(text), levels))
        expect(maxMembers(text)).toBeGreaterThanOrEqual(colons)
        expect(findDuplicateKey(text)).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  test('depth is that of the parsed value', () => {
    const depthOf = (value: Json): number =>
      typeof value === 'object' && value !== null
        ? 1 + Math.max(0, ...Object.values(value).map(depthOf))
        : 0
    fc.assert(
      fc.property(documentText, fc.nat(6), (text, maxDepth) => {
        const depth = depthOf(parse(text))
        expect(scanJson(text).depth).toBe(depth)
        expect(mayBeDeeper(text, maxDepth) || depth <= maxDepth).toBe(true)
        expect(countKeys(parse(text), maxDepth) === -1).toBe(depth > maxDepth)
        const limited = scanJson(text, maxDepth)
        expect(limited.depth).toBe(Math.min(depth, maxDepth + 1))
        if (depth > maxDepth) expect(limited.close).toBe(-1)
      }),
    )
  })

  test('locate finds every value', () => {
    const visit = (text: string, value: Json, path: (string | number)[]) => {
      const span = locate(text, path)
      expect(span && parse(text.slice(span.start, span.end))).toEqual(value)
      if (Array.isArray(value)) value.forEach((item, index) => visit(text, item, [...path, index]))
      else if (typeof value === 'object' && value !== null) {
        for (const [key, item] of Object.entries(value)) visit(text, item, [...path, key])
      }
    }
    fc.assert(fc.property(documentText, (text) => visit(text, parse(text), [])))
  })

  test('what stands at an edge is found without a walk, or left to it', () => {
    const plainKey = fc.constantFrom('model', 'a', 'b', 'c', 'stream_options')
    let found = 0
    fc.assert(
      fc.property(
        anyObject,
        choices,
        plainKey,
        fc.constantFrom('first', 'last', 'anywhere'),
        (object, picks, key, place) => {
          const { [key]: _, ...others } = object
          const own = { [key]: 'gpt' }
          const value =
            place === 'first'
              ? { ...own, ...others }
              : place === 'last'
                ? { ...others, ...own }
                : object
          fc.pre(Object.hasOwn(value, key))
          const text = write(value, picks)
          const span = locateAtEdge(text, text.indexOf('{'), key)
          if (!span) return
          found++
          expect(span).toEqual(locate(text, [key])!)
        },
      ),
      { numRuns: 1000 },
    )
    expect(found).toBeGreaterThan(100)
  })

  test('a planted duplicate is found and named', () => {
    const withTwin = fc
      .tuple(anyObject, keyText, anyValue, choices)
      .filter(([value, key]) => Object.hasOwn(value, key))
      .map(([value, key, twin, picks]) => ({ text: write(value, picks), key, twin }))
    fc.assert(
      fc.property(
        withTwin,
        fc.array(fc.boolean(), { maxLength: 5 }),
        ({ text, key, twin }, wraps) => {
          const scan = scanJson(text)
          let planted = applyEdits(text, [appendMember(scan, key, JSON.stringify(twin))])
          for (const wrap of wraps) planted = wrap ? `[0, ${planted}]` : `{"w":${planted}}`
          expect(scanJson(planted).colons).toBe(
            countKeys(parse(planted), levels) + lostBy(text, key),
          )
          const outside = wraps.toReversed().map((wrap) => (wrap ? '[1]' : '.w'))
          const last = /^[\w$-]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
          expect(findDuplicateKey(planted)).toBe((outside.join('') + last).replace(/^\./, ''))
        },
      ),
    )
  })

  test('edits of members equal edits of the object', () => {
    fc.assert(
      fc.property(
        objectText,
        fc.record({
          remove: fc.array(fc.nat(6)),
          replace: fc.array(fc.tuple(fc.nat(6), anyValue)),
          rename: fc.array(fc.nat(6)),
          add: fc.constantFrom('first', 'last', 'none'),
          added: anyValue,
          order: fc.nat(),
        }),
        (text, plan) => {
          const scan = scanJson(text)
          const names = scan.members.map(({ key }) => key)
          const removed = new Set(plan.remove.map((index) => names[index] ?? 'absent'))
          const replaced = new Map(plan.replace)
          const expected: [string, Json][] = []
          const edits = removeMembers(scan, [...removed], text)
          scan.members.forEach((member, index) => {
            if (removed.has(member.key)) return
            let { key } = member
            let value = parse(text.slice(member.start, member.end))
            const next = replaced.get(index)
            if (next !== undefined) {
              value = next
              edits.push(replaceValue(member, write(next, [plan.order])))
            }
            if (plan.rename.includes(index)) {
              key = `renamed "${index}"`
              edits.push(renameMember(member, key))
            }
            expected.push([key, value])
          })
          if (plan.add !== 'none' && (expected.length > 0 || names.length === 0)) {
            const add = plan.add === 'first' ? prependMember : appendMember
            edits.push(add(scan, 'added "member"', JSON.stringify(plan.added)))
            expected.push(['added "member"', plan.added])
          }
          const pivot = plan.order % (edits.length + 1)
          const shuffled = [...edits.slice(pivot), ...edits.slice(0, pivot).toReversed()]
          const result = applyEdits(text, shuffled)
          expect(parse(result)).toEqual(fromEntries(expected))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('removing any subset of members keeps the rest, byte for byte', () => {
    fc.assert(
      fc.property(objectText, fc.array(fc.boolean()), (text, picks) => {
        const scan = scanJson(text)
        const gone = scan.members.filter((_, index) => picks[index])
        const kept = scan.members.filter((_, index) => !picks[index])
        const result = applyEdits(
          text,
          removeMembers(
            scan,
            gone.map(({ key }) => key),
            text,
          ),
        )
        const after = scanJson(result)
        parse(result)
        expect(after.members.map(({ key, start, end }) => [key, result.slice(start, end)])).toEqual(
          kept.map(({ key, start, end }) => [key, text.slice(start, end)]),
        )
      }),
      { numRuns: 500 },
    )
  })
})

describe('for any text at all', () => {
  const garbage = fc.oneof(
    fc
      .array(fc.oneof(piece, fc.constantFrom('a', '1', ' ')), { maxLength: 60 })
      .map((parts) => parts.join('')),
    fc.tuple(documentText, fc.nat(), fc.nat()).map(([text, from, to]) => {
      const start = from % (text.length + 1)
      return text.slice(0, start) + text.slice(start + (to % 4))
    }),
  )

  test('offsets stay inside the text and members in order', () => {
    fc.assert(
      fc.property(garbage, (text) => {
        const scan = scanJson(text, 20)
        expect(scan.close).toBeLessThan(text.length)
        let last = scan.open
        for (const { keyStart, keyEnd, start, end } of scan.members) {
          expect(keyStart).toBeGreaterThan(last)
          expect(keyEnd).toBeGreaterThan(keyStart)
          expect(end).toBeGreaterThanOrEqual(start)
          expect(end).toBeLessThanOrEqual(text.length)
          last = keyStart
        }
        findDuplicateKey(text)
        locate(text, ['a', 0, 'model'])
        applyEdits(text, removeMembers(scan, ['a', 'c'], text).slice(0, 1))
      }),
      { numRuns: 1000 },
    )
  })
})

/** How many members JSON.parse loses when `key` comes again at the end: the first one with all it holds. */
function lostBy(text: string, key: string): number {
  return 1 + countKeys(parseObject(text)[key], levels)
}
