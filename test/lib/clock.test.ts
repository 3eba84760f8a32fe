import { afterEach, expect, spyOn, test } from 'bun:test'

import { epochMs } from '#lib/clock.ts'

// One time is shown as two: what is compared never jumps, what people read follows their clock.

const real = Date.now.bind(Date)
const spies: { mockRestore(): void }[] = []
afterEach(() => {
  for (const spy of spies.splice(0)) spy.mockRestore()
})

function stepBy(ms: number): void {
  spies.push(spyOn(Date, 'now').mockImplementation(() => real() + ms))
}

test.each([-86_400_000, -60_000, 60_000, 86_400_000])('a step of %d ms is followed', (step) => {
  epochMs(performance.now())
  const before = Date.now()
  stepBy(step)
  const after = epochMs(performance.now())
  // Whatever time passes here is far less than the step.
  expect(Math.sign(after - before)).toBe(Math.sign(step))
  expect(Math.abs(after - Date.now())).toBeLessThan(10_000)
})

test('times stay in their order, and as far apart as they were, whatever the clock does between', () => {
  const early = performance.now()
  const late = early + 250.5
  for (const step of [0, -3_600_000, 3_600_000]) {
    stepBy(step)
    // The first is what follows the clock.
    epochMs(early)
    expect(epochMs(late) - epochMs(early)).toBeCloseTo(250.5, 2)
  }
})
