import { describe, expect, test } from 'bun:test'

import { Cohort, inStep } from '#lib/cohort.ts'

describe('a cohort', () => {
  test('takes each step together, in the order in which its members came', async () => {
    const cohort = new Cohort()
    const steps: string[] = []
    const walk = async (name: string): Promise<void> => {
      steps.push(`${name} comes`)
      await cohort.join()
      steps.push(`${name} reads`)
      await inStep
      steps.push(`${name} sends`)
    }
    await Promise.all(['a', 'b', 'c'].map(walk))
    const all = ['comes', 'reads', 'sends'].flatMap((step) =>
      ['a', 'b', 'c'].map((name) => `${name} ${step}`),
    )
    expect(steps).toEqual(all)
  })

  test('waits for who comes later in the same turn, by another way', async () => {
    const cohort = new Cohort()
    const steps: string[] = []
    const walk = async (name: string): Promise<void> => {
      await cohort.join()
      steps.push(name)
    }
    const first = walk('first')
    // Where one comes after the other without a cohort: its promise has long been kept by then.
    await inStep
    expect(steps).toEqual([])
    await Promise.all([first, walk('second')])
    expect(steps).toEqual(['first', 'second'])
  })

  test('begins anew once it has gone on', async () => {
    const cohort = new Cohort()
    const before = cohort.join()
    expect(cohort.join()).toBe(before)
    await before
    const after = cohort.join()
    expect(after).not.toBe(before)
    await after
  })
})
