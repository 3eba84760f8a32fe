import { expect, test } from 'bun:test'

import type { Key, ProviderSettings } from '#config/snapshot.ts'
import type { Grant } from '#config/virtual-key.ts'
import type { Call } from '#core/call.ts'
import { eligibleKeys } from '#pipeline/keys.ts'

import { accepted } from '../config/rig.ts'

const virtual_keys = Array.from({ length: 120 }, (_, i) => ({
  id: `vk-${i}`,
  name: `n${i}`,
  value: `sk-bf-${i}`,
  provider_configs: [{ provider: 'openai', key_ids: [`key-${i % 40}`, 'key-41'] }],
}))
const providers = {
  openai: { keys: Array.from({ length: 50 }, (_, i) => ({ name: `key-${i}`, value: `k${i}` })) },
}
const snapshot = accepted({ providers, governance: { virtual_keys } })
const settings: ProviderSettings = snapshot.providers.get('openai')!
const call = { endpoint: 'chat_completion', trace: { isDetailed: false } } as unknown as Call
const grantOf = (i: number): Grant =>
  snapshot.governance!.byId.get(`vk-${i}`)!.grants.get('openai')!
const namesOf = (keys: readonly Key[]): string[] => keys.map(({ name }) => name)

test('what was found out about a virtual key is found out once, and is its own', () => {
  const first = eligibleKeys(settings, call, 'm', undefined, grantOf(3))
  expect(namesOf(first)).toEqual(['key-3', 'key-41'])
  expect(eligibleKeys(settings, call, 'm', undefined, grantOf(3))).toBe(first)
  expect(namesOf(eligibleKeys(settings, call, 'm', undefined, grantOf(4)))).toEqual([
    'key-4',
    'key-41',
  ])
  expect(eligibleKeys(settings, call, 'm', undefined)).toHaveLength(50)
})

test('models that callers make up push out what was remembered, and change nothing', () => {
  const before = eligibleKeys(settings, call, 'm', undefined, grantOf(3))
  for (let i = 0; i < 120; i++) {
    for (let n = 0; n < 100; n++)
      eligibleKeys(settings, call, `made-up-${n}`, undefined, grantOf(i))
  }
  const after = eligibleKeys(settings, call, 'm', undefined, grantOf(3))
  expect(after).toEqual(before)
  // Found out anew: with all virtual keys together, no more is remembered than there is room for.
  expect(after).not.toBe(before)
})
