import { describe, expect, test } from 'bun:test'

import { plainProvider } from '#config/provider.ts'
import type { Key, ProviderSettings } from '#config/snapshot.ts'
import { Trace } from '#core/trace.ts'
import { Secret } from '#lib/secret.ts'
import { Keyring } from '#pipeline/keyring.ts'
import { drawKey, eligibleKeys } from '#pipeline/keys.ts'

// A thousand keys are no reason to look at a thousand keys, and the odds are what the weights say all the same.

function key(n: number, more: Partial<Key> = {}): Key {
  return {
    id: `id-${n}`,
    name: `key-${n}`,
    value: new Secret(`k${n}`),
    models: undefined,
    blacklistedModels: new Set(),
    weight: 1,
    enabled: true,
    useForBatchApi: false,
    aliases: new Map(),
    vendor: {},
    ...more,
  }
}

const many = (more: (n: number) => Partial<Key> = () => ({})): readonly Key[] =>
  Array.from({ length: 1000 }, (_, n) => key(n, more(n)))
const settings = (keys: readonly Key[]): ProviderSettings => plainProvider('openai', 'file', keys)
const call = (endpoint = 'chat_completion') =>
  ({ endpoint, headers: {}, trace: new Trace(0) }) as never
const nobodyIsOut = { isOut: () => false }

/** Numbers in [0, 1), the same in every run. */
function seeded(): () => number {
  let state = 5
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('a thousand keys', () => {
  test('are drawn by weight, those of weight zero never', () => {
    const keys = many((n) => ({ weight: n % 4 }))
    const counts = [0, 0, 0, 0]
    const draws = 60_000
    for (let n = 0; n < draws; n++) counts[drawKey(keys, n / draws).weight]!++
    expect(counts[0]).toBe(0)
    for (const weight of [1, 2, 3]) {
      expect(Math.abs(counts[weight]! / draws - weight / 6)).toBeLessThan(0.001)
    }
  })

  test('are all as likely when all weights are zero', () => {
    const keys = many(() => ({ weight: 0 }))
    const drawn = new Set(keys.map((_, n) => drawKey(keys, n / 1000)))
    expect(drawn.size).toBe(1000)
  })

  test('are asked about only until one is found', () => {
    const keys = many()
    let asked = 0
    const isOut = (): boolean => {
      asked++
      return false
    }
    for (let n = 0; n < 100; n++) {
      const ring = new Keyring(keys, { isOut })
      ring.rotate()
    }
    expect(asked).toBe(200)
  })

  test('leave the few that are up, in the proportion of their weights', () => {
    const keys = many((n) => ({ weight: n < 5 ? 3 : 1 }))
    const isOut = ({ id }: Key): boolean => Number(id.slice(3)) >= 10
    const random = seeded()
    let heavy = 0
    for (let n = 0; n < 4000; n++) {
      const { current } = new Keyring(keys, { isOut, random })
      expect(isOut(current!)).toBe(false)
      if (current!.weight === 3) heavy++
    }
    expect(Math.abs(heavy / 4000 - 0.75)).toBeLessThan(0.03)
  })

  test('keep what the session had', () => {
    const keys = many()
    for (const { id } of keys) {
      expect(new Keyring(keys, { ...nobodyIsOut, preferred: id }).current!.id).toBe(id)
    }
    expect(new Keyring(keys, { ...nobodyIsOut, preferred: 'gone' }).current).toBeDefined()
  })

  test('are found once for each model and snapshot', () => {
    const keys = many((n) => ({
      models: n % 2 === 0 ? undefined : new Set(['odd']),
      useForBatchApi: n === 8,
      enabled: n !== 4,
    }))
    const own = settings(keys)
    const even = eligibleKeys(own, call(), 'even', undefined)
    expect(even).toHaveLength(499)
    expect(eligibleKeys(own, call(), 'even', undefined)).toBe(even)
    expect(eligibleKeys(own, call(), 'odd', undefined)).toHaveLength(999)
    expect(eligibleKeys(own, call(), undefined, undefined)).toHaveLength(999)
    expect(eligibleKeys(own, call('batch_create'), 'even', undefined)).toEqual([keys[8]!])
    expect(eligibleKeys(own, call(), 'odd', { keyName: 'key-7' })).toEqual([keys[7]!])
    expect(eligibleKeys(settings(keys.slice(0, 4)), call(), 'even', undefined)).toHaveLength(2)
    const gone = settings(many(() => ({ enabled: false })))
    expect(() => eligibleKeys(gone, call(), 'even', undefined)).toThrow('support model: even')
  })
})

describe('the keys of one call', () => {
  const [one, two, three] = [key(1), key(2), key(3)]

  test('are each used once', () => {
    const ring = new Keyring([one, two, three], nobodyIsOut)
    const used = [ring.current!]
    while (ring.rotate()) used.push(ring.current!)
    expect(new Set(used)).toEqual(new Set([one, two, three]))
    expect(ring.left).toBe(0)
  })

  test('may all be out: then one of them is asked all the same', () => {
    const ring = new Keyring([one, two], { isOut: () => true })
    expect(ring.current).toBeDefined()
    expect(ring.awaited).toBeUndefined()
  })

  test('that are full are waited for, rather than those that are out asked', () => {
    const ring = new Keyring([one, two, three], {
      isOut: (which) => which === three,
      isFull: (which) => which !== three,
    })
    expect([ring.current, ring.awaited]).toEqual([undefined, [one, two]])
    ring.use(two)
    expect([ring.current, ring.awaited, ring.left]).toEqual([two, undefined, 2])
  })

  test('that are out are asked when the others are out and full', () => {
    const ring = new Keyring([one, two], { isOut: () => true, isFull: (which) => which === one })
    expect(ring.current).toBe(two)
  })

  test('keep what the session had, unless that is full', () => {
    const preferred = two.id
    for (let n = 0; n < 20; n++) {
      expect(new Keyring([one, two, three], { ...nobodyIsOut, preferred }).current).toBe(two)
    }
    const isFull = (which: Key): boolean => which === two
    const { current } = new Keyring([one, two, three], { ...nobodyIsOut, isFull, preferred })
    expect(current).not.toBe(two)
  })
})
