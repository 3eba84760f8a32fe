import { describe, expect, test } from 'bun:test'

import { item, response, ROOMY, storeRig } from './rig.ts'

const firstPage = { after: undefined, limit: 20, order: 'asc' } as const

describe.each(['file', 'memory'] as const)('in %s', (where) => {
  test('what was put is there, whole, for its owner only', async () => {
    using rig = storeRig(where)
    const { store } = rig
    expect(store.put(response('a', { owner: 'me' }), ROOMY)).toBe(true)
    const found = await store.get('a', 'me', ROOMY)
    expect(found).toMatchObject({ id: 'a', provider: 'mock', model: 'm' })
    expect(JSON.parse(found!.text)).toEqual({
      id: 'a',
      object: 'response',
      output: [{ id: 'out_a', type: 'message' }],
    })
    for (const owner of ['', 'you']) {
      expect(await store.get('a', owner, ROOMY)).toBeUndefined()
      expect(await store.chain('a', owner, ROOMY)).toEqual({ kind: 'missing', id: 'a' })
      expect(await store.inputItems('a', owner, firstPage, ROOMY)).toBeUndefined()
      expect((await store.items(['in_a'], owner, ROOMY)).size).toBe(0)
      expect(await store.delete('a', owner)).toBe(false)
    }
    expect(await store.delete('a', 'me')).toBe(true)
    expect(await store.delete('a', 'me')).toBe(false)
    expect((await store.items(['in_a'], 'me', ROOMY)).size).toBe(0)
  })

  test('an id is never taken twice', async () => {
    using rig = storeRig(where)
    const { store } = rig
    store.put(response('a', { owner: 'me' }), ROOMY)
    expect(store.put(response('a', { owner: 'you', head: '{"id":"x"}' }), ROOMY)).toBe(false)
    expect(await store.get('a', 'you', ROOMY)).toBeUndefined()
    expect((await store.get('a', 'me', ROOMY))?.text).toContain('"object":"response"')
  })

  test('a chain is every item before it, oldest first', async () => {
    using rig = storeRig(where)
    const { store } = rig
    store.put(response('a'), ROOMY)
    store.put(
      response('b', { previousId: 'a', input: [item('b1'), { id: undefined, text: '{"b":2}' }] }),
      ROOMY,
    )
    store.put(response('c', { previousId: 'b', output: [] }), ROOMY)
    const chain = await store.chain('c', '', ROOMY)
    expect(chain).toMatchObject({ kind: 'found' })
    const items = chain.kind === 'found' ? chain.items : []
    expect(items.map((text) => (JSON.parse(text) as { id?: string }).id)).toEqual([
      'in_a',
      'out_a',
      'b1',
      undefined,
      'out_b',
      'in_c',
    ])
  })

  test('a chain whose beginning is gone is missing, and says what', async () => {
    using rig = storeRig(where)
    const { store } = rig
    store.put(response('a'), ROOMY)
    store.put(response('b', { previousId: 'a' }), ROOMY)
    await store.delete('a', '')
    expect(await store.chain('b', '', ROOMY)).toEqual({ kind: 'missing', id: 'a' })
    expect(await store.get('b', '', ROOMY)).toBeDefined()
  })

  test('a chain of more than 500 is too long', async () => {
    using rig = storeRig(where)
    const { store } = rig
    for (let n = 0; n <= 501; n++) {
      store.put(response(`r${n}`, { previousId: n === 0 ? undefined : `r${n - 1}` }), ROOMY)
    }
    expect((await store.chain('r499', '', ROOMY)).kind).toBe('found')
    expect((await store.chain('r501', '', ROOMY)).kind).toBe('too_long')
  })

  test('input items come in pages, either way, with those of the turns before', async () => {
    using rig = storeRig(where)
    const { store } = rig
    store.put(response('a', { input: [item('1'), item('2')], output: [item('3')] }), ROOMY)
    store.put(response('b', { previousId: 'a', input: [item('4')], output: [item('5')] }), ROOMY)
    const page = async (after: string | undefined, limit: number, order: 'asc' | 'desc') => {
      const found = await store.inputItems('b', '', { after, limit, order }, ROOMY)
      if (!found || found === 'bad_cursor') return found
      return [found.items.map(({ id }) => id).join(''), found.hasMore]
    }
    expect(await page(undefined, 20, 'asc')).toEqual(['1234', false])
    expect(await page(undefined, 3, 'asc')).toEqual(['123', true])
    expect(await page('3', 3, 'asc')).toEqual(['4', false])
    expect(await page('4', 3, 'asc')).toEqual(['', false])
    expect(await page(undefined, 2, 'desc')).toEqual(['43', true])
    expect(await page('3', 2, 'desc')).toEqual(['21', false])
    expect(await page('5', 2, 'desc')).toBe('bad_cursor')
  })

  test('items are found by their ids', async () => {
    using rig = storeRig(where)
    const { store } = rig
    store.put(response('a'), ROOMY)
    const found = await store.items(['out_a', 'nothing', 'in_a'], '', ROOMY)
    expect([...found.keys()]).toEqual(['out_a', 'in_a'])
    expect(found.get('out_a')).toBe(item('out_a').text)
  })

  test('what is too old is gone at once, and removed by the sweep', async () => {
    using rig = storeRig(where)
    const { store, clock } = rig
    const limits = { ...ROOMY, maxAgeMs: 1000 }
    store.put(response('a'), limits)
    clock.nowMs += 900
    store.put(response('b', { previousId: 'a' }), limits)
    clock.nowMs += 101
    expect(await store.get('a', '', limits)).toBeUndefined()
    expect(await store.chain('b', '', limits)).toEqual({ kind: 'missing', id: 'a' })
    expect((await store.items(['in_a'], '', limits)).size).toBe(0)
    await store.sweep(limits)
    expect(await store.get('a', '', ROOMY)).toBeUndefined()
    expect((await store.items(['in_a'], '', ROOMY)).size).toBe(0)
    expect(await store.get('b', '', ROOMY)).toBeDefined()
  })

  test('beyond the count the oldest go, many slices of them', async () => {
    using rig = storeRig(where)
    const { store, clock } = rig
    for (let n = 0; n < 230; n++) {
      clock.nowMs++
      store.put(response(`r${n}`), ROOMY)
    }
    const limits = { ...ROOMY, maxCount: 10 }
    await store.sweep(limits)
    expect(await store.get('r219', '', ROOMY)).toBeUndefined()
    expect(await store.get('r220', '', ROOMY)).toBeDefined()
    expect((await store.items(['in_r0', 'out_r219', 'in_r229'], '', ROOMY)).size).toBe(1)
  })

  test('beyond the size the oldest go, and what is larger than all is not taken', async () => {
    using rig = storeRig(where)
    const { store, clock } = rig
    const big = (id: string) =>
      response(id, { input: [{ id: undefined, text: JSON.stringify('x'.repeat(10_000)) }] })
    const limits = { ...ROOMY, maxBytes: 35_000 }
    for (const id of ['a', 'b', 'c', 'd']) {
      clock.nowMs++
      expect(store.put(big(id), limits)).toBe(true)
    }
    await store.sweep(limits)
    expect(await store.get('a', '', ROOMY)).toBeUndefined()
    expect(await store.get('b', '', ROOMY)).toBeDefined()
    expect(store.put(big('e'), { ...limits, maxBytes: 5000 })).toBe(false)
    expect(await store.get('e', '', ROOMY)).toBeUndefined()
  })
})

test('what was put is there after a restart', async () => {
  using rig = storeRig()
  rig.store.put(response('a'), ROOMY)
  rig.store.close()
  const next = rig.again()
  expect(await next.get('a', '', ROOMY)).toBeDefined()
  next.put(response('b', { previousId: 'a' }), ROOMY)
  // Counted anew from the file.
  await next.sweep({ ...ROOMY, maxCount: 1 })
  expect(await next.get('b', '', ROOMY)).toBeDefined()
  expect(await next.get('a', '', ROOMY)).toBeUndefined()
})

test('a sweep follows what was too much by itself', async () => {
  using rig = storeRig()
  const limits = { ...ROOMY, maxCount: 3 }
  for (let n = 0; n < 6; n++) {
    rig.clock.nowMs++
    rig.store.put(response(`r${n}`), limits)
  }
  while (await rig.store.get('r2', '', ROOMY)) await Bun.sleep(1)
  expect(await rig.store.get('r3', '', ROOMY)).toBeDefined()
})

test('what becomes too old goes although nothing new comes', async () => {
  using rig = storeRig()
  const limits = { ...ROOMY, maxAgeMs: 1000 }
  rig.store.put(response('a'), limits)
  rig.clock.nowMs += 1001
  rig.store.keepTidy(() => limits, 1)
  while (await rig.store.get('a', '', ROOMY)) await Bun.sleep(1)
})

test('a file that nobody needed is not made for being swept', async () => {
  using rig = storeRig()
  let asked = 0
  const limits = () => {
    asked++
    return ROOMY
  }
  rig.store.keepTidy(limits, 1)
  await Bun.sleep(10)
  expect(asked).toBe(0)
  expect(rig.db.exists()).toBe(false)
})

test('memory holds less than a file may', async () => {
  using rig = storeRig('memory')
  const text = JSON.stringify('x'.repeat(20 * 1024 * 1024))
  const big = (id: string) => response(id, { input: [{ id: undefined, text }] })
  for (const id of ['a', 'b', 'c', 'd']) {
    rig.clock.nowMs++
    expect(rig.store.put(big(id), ROOMY)).toBe(true)
  }
  await rig.store.sweep(ROOMY)
  expect(await rig.store.get('a', '', ROOMY)).toBeUndefined()
  expect(await rig.store.get('b', '', ROOMY)).toBeDefined()
})
