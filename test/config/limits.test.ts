import { expect, test } from 'bun:test'

import { describe } from '#config/describe.ts'

import { accepted, refused } from './rig.ts'

const openai = (key: object, more: object = {}) => ({
  providers: { openai: { keys: [{ name: 'one', value: 'sk-0123456789ab', ...key }], ...more } },
})
const queue = (more: object = {}) => ({
  concurrency_and_buffer_size: { concurrency: 10, buffer_size: 20, ...more },
})

test('a key has no limit of its own unless it is given one', () => {
  const [plain, limited] = [{}, { concurrency: 3 }].map((key) =>
    accepted(openai(key)).providers.get('openai')!,
  )
  expect([plain!.keys[0]!.concurrency, plain!.hasLimitedKeys]).toEqual([undefined, undefined])
  expect([limited!.keys[0]!.concurrency, limited!.hasLimitedKeys]).toEqual([3, true])
  const shown = JSON.stringify(describe(accepted(openai({ concurrency: 3 }))))
  expect(shown).toContain('"use_for_batch_api":false,"concurrency":3')
})

test.each([0, -1, 1.5, '3'])('%p is no limit of a key', (concurrency) => {
  expect(JSON.stringify(refused(openai({ concurrency })))).toContain('/keys/0/concurrency')
})

test('calls wait for a minute, or as long as is said, or as their callers do', () => {
  const waits = (more: object): number | undefined =>
    accepted(openai({}, more)).providers.get('openai')!.maxWaitMs
  expect(waits({})).toBe(60_000)
  expect(waits(queue())).toBe(60_000)
  expect(waits(queue({ max_wait_in_seconds: 2.5 }))).toBe(2500)
  expect(waits(queue({ max_wait_in_seconds: 0 }))).toBe(0)
  const shown = JSON.stringify(describe(accepted(openai({}, queue({ max_wait_in_seconds: 5 })))))
  expect(shown).toContain('"max_wait_in_seconds":5')
})
