import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import type { Key } from '#config/snapshot.ts'
import { Trace } from '#core/trace.ts'
import { Keyring } from '#pipeline/keyring.ts'
import type { KeyFacts } from '#pipeline/keyring.ts'
import { sharesOf } from '#pipeline/shares.ts'

describe('a trace', () => {
  test('keeps what was decided, in order, with its facts', () => {
    const trace = new Trace(performance.now(), true)
    trace.add('key', 'main', { why: 'the only one' })
    trace.add('attempt', 'openai: overloaded')
    expect(trace.shown()).toEqual([
      { at_ms: expect.any(Number), step: 'key', what: 'main', why: 'the only one' },
      { at_ms: expect.any(Number), step: 'attempt', what: 'openai: overloaded' },
    ])
  })

  test('is bounded in number, and says what is missing', () => {
    const trace = new Trace(performance.now(), true)
    for (let n = 0; n < 1000; n++) trace.add('attempt', `try ${n}`)
    expect(trace.list()).toHaveLength(200)
    expect(trace.shown().at(-1)!.what).toBe('800 more decisions are not shown')
  })

  test('is bounded in size, and says what is missing', () => {
    const trace = new Trace(performance.now(), true)
    for (let n = 0; n < 150; n++)
      trace.add('route', 'x'.repeat(10_000), { n, more: 'y'.repeat(900) })
    const shown = trace.shown()
    expect(JSON.stringify(shown).length).toBeLessThan(70_000)
    expect(shown.at(-1)!.what).toBe(`${150 - (shown.length - 1)} more decisions are not shown`)
  })

  test('is a header value of at most 4 KB of printable ASCII, whatever was decided', () => {
    const words = fc.array(fc.string({ unit: 'binary', maxLength: 900 }), { maxLength: 40 })
    fc.assert(
      fc.property(words, (whats) => {
        const trace = new Trace(performance.now(), true)
        for (const what of whats) trace.add('attempt', what)
        const header = trace.header()
        expect(header.length).toBeLessThanOrEqual(4096)
        expect(header).toMatch(/^[\x20-\x7e]*$/)
        expect(() => new Headers({ 'x-bf-trace': header })).not.toThrow()
        expect(whats.length === 0 || header !== '').toBe(true)
      }),
    )
  })
})

describe('shares', () => {
  const keysOf = (weights: readonly number[]): readonly Key[] =>
    weights.map((weight, n) => ({ id: `k${n}`, name: `k${n}`, weight })) as unknown as Key[]

  /** How often each key is drawn first, over many draws of a random source that always says the same. */
  function drawn(keys: readonly Key[], facts: KeyFacts): Map<Key, number> {
    const draws = 20_000
    const counts = new Map(keys.map((key) => [key, 0]))
    let state = 12_345
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 2 ** 32
    }
    for (let n = 0; n < draws; n++) {
      const key = new Keyring(keys, { ...facts, random }).current!
      counts.set(key, counts.get(key)! + 1)
    }
    return new Map([...counts].map(([key, count]) => [key, count / draws]))
  }

  const none: ReadonlySet<number> = new Set()
  const some = (...indices: number[]): ReadonlySet<number> => new Set(indices)
  test.each([
    ['by weight', [3, 1], none, undefined],
    ['all of no weight', [0, 0, 0], none, undefined],
    ['one of no weight', [0, 5], none, undefined],
    ['all out', [3, 1], some(0, 1), undefined],
    ['a session', [1, 1, 8], none, 1],
    ['a session whose key is out', [1, 1], some(0), 0],
  ] as const)('of keys are what is drawn: %s', (_, weights, out, preferred) => {
    const keys = keysOf(weights)
    const facts: KeyFacts = {
      isOut: (key) => out.has(keys.indexOf(key)),
      preferred: preferred === undefined ? undefined : `k${preferred}`,
    }
    const shares = sharesOf(keys, facts)
    for (const [key, share] of drawn(keys, facts)) {
      expect(Math.abs((shares.get(key) ?? 0) - share)).toBeLessThan(0.02)
    }
  })

  test('one that is out is not drawn, and its share goes to the others in proportion', () => {
    const keys = keysOf([5, 3, 1])
    const shares = sharesOf(keys, { isOut: (key) => key === keys[0] })
    expect([...shares].map(([key, share]) => [key.name, share])).toEqual([
      ['k1', 0.75],
      ['k2', 0.25],
    ])
  })

  test('of the less busy of two are what is drawn', () => {
    const keys = keysOf([1, 1])
    const facts: KeyFacts = { isOut: () => false, load: (key) => (key === keys[0] ? 1 : 2) }
    expect([...sharesOf(keys, facts).values()]).toEqual([1, 0])
    const three = keysOf([2, 1, 1])
    const busy: KeyFacts = { isOut: () => false, load: (key) => three.indexOf(key) }
    const [first, second, third] = [...sharesOf(three, busy).values()]
    // Not drawn at all only when the other two are: 1/4 · 1/3 twice.
    expect(first).toBeCloseTo(1 - 2 * (1 / 4) * (1 / 3), 10)
    expect(second).toBeCloseTo(2 * (1 / 4) * (1 / 3), 10)
    expect(third).toBeCloseTo(0, 10)
    const counted = [...drawn(three, busy).values()]
    expect(Math.abs(counted[0]! - first!)).toBeLessThan(0.02)
    expect(counted[2]).toBe(0)
  })

  test('are 1 together, whatever the keys', () => {
    const weights = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(weights, fc.nat(4095), fc.boolean(), (list, mask, isLoaded) => {
        const keys = keysOf(list)
        const facts: KeyFacts = {
          isOut: (key) => ((mask >> keys.indexOf(key)) & 1) === 1,
          load: isLoaded ? (key) => key.weight : undefined,
        }
        const sum = [...sharesOf(keys, facts).values()].reduce((total, share) => total + share, 0)
        expect(sum).toBeCloseTo(1, 9)
      }),
    )
  })
})
