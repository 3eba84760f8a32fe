import { describe as group, expect, test } from 'bun:test'
import { inspect } from 'node:util'

import { describe } from '#config/describe.ts'
import { virtualKeyFor, whyNotModel, whyRefused } from '#config/virtual-key.ts'
import type { Grant, VirtualKey } from '#config/virtual-key.ts'

import { accepted, refused } from '../config/rig.ts'

const value = 'sk-bf-0123456789abcdef'
const providers = {
  openai: {
    keys: [
      { name: 'first', id: 'id-1', value: 'a' },
      { name: 'second', value: 'b' },
    ],
  },
  groq: { keys: [{ name: 'third', value: 'c' }] },
}

function keyOf(config: object, version: 1 | 2 = 2): VirtualKey {
  const virtual_keys = [{ name: 'one', id: 'vk-1', value, ...config }]
  const { governance } = accepted({ version, providers, governance: { virtual_keys } })
  return governance!.byId.get('vk-1')!
}

function grantOf(config: object, version: 1 | 2 = 2): Grant {
  const key = keyOf({ provider_configs: [{ provider: 'openai', ...config }] }, version)
  return key.grants.get('openai')!
}

function problemsOf(governance: object): string[] {
  return refused({ providers, governance }).map(({ pointer, message }) => `${pointer} ${message}`)
}

group('who a call belongs to', () => {
  test('a virtual key of a team belongs to the customer of the team', () => {
    const { governance } = accepted({
      governance: {
        customers: [{ id: 'c-1', name: 'Acme' }],
        teams: [{ id: 't-1', name: 'Search', customer_id: 'c-1' }],
        virtual_keys: [
          { id: 'vk-1', name: 'one', value, team_id: 't-1', allow_all_providers: true },
          { id: 'vk-2', name: 'two', value: 'other', customer_id: 'c-1' },
        ],
      },
    })
    expect(virtualKeyFor(value, governance!)?.owner).toEqual({
      virtualKeyId: 'vk-1',
      virtualKeyName: 'one',
      teamId: 't-1',
      teamName: 'Search',
      customerId: 'c-1',
      customerName: 'Acme',
    })
    expect(virtualKeyFor('other', governance!)?.owner).toMatchObject({
      teamId: undefined,
      customerId: 'c-1',
    })
    expect(virtualKeyFor(`${value}x`, governance!)).toBeUndefined()
  })

  test('an id is made of the name, and is the same in every process', () => {
    const read = () =>
      accepted({ governance: { virtual_keys: [{ name: 'one', value }], teams: [{ name: 'one' }] } })
    const { governance } = read()
    const [id] = [...governance!.byId.keys()]
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
    expect([...read().governance!.byId.keys()]).toEqual([id!])
    expect(governance!.teams[0]!.id).not.toBe(id)
  })

  test('without a word on virtual keys there is nothing to look them up in', () => {
    expect(accepted({ providers }).governance).toBeUndefined()
    expect(
      accepted({ providers, governance: { teams: [{ name: 't' }] } }).governance,
    ).toBeUndefined()
    expect(accepted({ governance: { virtual_keys: [] } }).governance).toMatchObject({
      isRequired: false,
    })
    for (const name of ['enforce_auth_on_inference', 'enforce_governance_header']) {
      const { governance, warnings } = accepted({ client: { [name]: true } })
      expect(governance?.isRequired).toBe(true)
      expect(warnings.join()).toContain(`/client/${name}`)
      expect(warnings.join()).toContain('every call is refused')
    }
  })

  test('a key whose variable is not set is left out, with a word on it', () => {
    const virtual_keys = [
      { id: 'a', name: 'one', value: 'env.VK_ONE', allow_all_providers: true },
      { id: 'b', name: 'two', value: 'env.VK_TWO', allow_all_providers: true },
    ]
    const snapshot = accepted({ governance: { virtual_keys } }, { env: { VK_ONE: value } })
    expect([...snapshot.governance!.byId.keys()]).toEqual(['a'])
    expect(snapshot.warnings).toEqual([
      expect.stringContaining(
        'environment variable VK_TWO is not set; virtual key "two" is skipped',
      ),
    ])
    expect(JSON.stringify(describe(snapshot))).toContain('"value":"env.VK_ONE"')
  })
})

group('what is wrong is said where it stands', () => {
  const rows: readonly (readonly [string, object, readonly string[]])[] = [
    [
      'the same id, name and value twice',
      {
        virtual_keys: [
          { id: 'a', name: 'one', value, allow_all_providers: true },
          { id: 'a', name: 'one', value, allow_all_providers: true },
        ],
      },
      [
        '/governance/virtual_keys/1/name is already the name of /governance/virtual_keys/0',
        '/governance/virtual_keys/1/id is already the id of /governance/virtual_keys/0',
        '/governance/virtual_keys/1/value is already the value of /governance/virtual_keys/0',
      ],
    ],
    [
      'a team and a customer that are not there',
      {
        teams: [{ id: 'team-search', name: 't', customer_id: 'gone' }],
        virtual_keys: [
          { name: 'one', value, team_id: 'team-serch' },
          { name: 'two', value: 'b', customer_id: 'gone' },
        ],
      },
      [
        '/governance/teams/0/customer_id there is no customer with this id.',
        '/governance/virtual_keys/0/team_id there is no team with this id. Did you mean "team-search"?',
        '/governance/virtual_keys/1/customer_id there is no customer with this id.',
      ],
    ],
    [
      'two owners',
      {
        customers: [{ id: 'c', name: 'c' }],
        teams: [{ id: 't', name: 't' }],
        virtual_keys: [{ name: 'one', value, team_id: 't', customer_id: 'c' }],
      },
      ['/governance/virtual_keys/0/customer_id cannot stand beside "team_id"'],
    ],
    [
      'providers and keys that are not there, and a provider twice',
      {
        virtual_keys: [
          {
            name: 'one',
            value,
            provider_configs: [
              { provider: 'opnai' },
              { provider: 'openai', key_ids: ['frist'] },
              { provider: 'OpenAI' },
            ],
          },
        ],
      },
      [
        '/governance/virtual_keys/0/provider_configs/0/provider there is no provider "opnai". Did you mean "openai"?',
        '/governance/virtual_keys/0/provider_configs/1/key_ids/0 provider "openai" has no key with this id or name. Did you mean "first"?',
        '/governance/virtual_keys/0/provider_configs/2/provider "openai" stands twice',
      ],
    ],
    [
      'patterns and moments that are none',
      {
        virtual_keys: [
          {
            name: 'one',
            value,
            expires_at: 'tomorrow',
            provider_configs: [{ provider: 'openai', allowed_models: ['regex:('] }],
          },
        ],
      },
      [
        expect.stringContaining(
          '/governance/virtual_keys/0/provider_configs/0/allowed_models/0 is not a valid pattern',
        ) as string,
        '/governance/virtual_keys/0/expires_at must be a moment with its time zone, such as 2027-01-31T00:00:00Z',
      ],
    ],
    [
      'a day that no month has',
      { virtual_keys: [{ name: 'one', value, expires_at: '2027-02-30T00:00:00Z' }] },
      [
        '/governance/virtual_keys/0/expires_at must be a moment with its time zone, such as 2027-01-31T00:00:00Z',
      ],
    ],
    [
      'no value, an empty one, and one that no header can carry',
      {
        virtual_keys: [
          { name: 'two', value: ' ' },
          { name: 'three', value: 'a\nb' },
        ],
      },
      [
        '/governance/virtual_keys/0/value must not be empty',
        '/governance/virtual_keys/1/value contains characters that a header cannot carry',
      ],
    ],
  ]
  for (const [name, governance, expected] of rows) {
    test(name, () => {
      const found = problemsOf(governance)
      expect(found.toSorted()).toEqual([...expected].toSorted())
      expect(found.join()).not.toContain(value)
    })
  }

  test('a value is required, and what is misspelt is guessed', () => {
    expect(problemsOf({ virtual_keys: [{ name: 'one' }] })).toEqual([
      '/governance/virtual_keys/0/value is required',
    ])
    expect(problemsOf({ virtual_keys: [{ name: 'one', value, is_actve: true }] })).toEqual([
      '/governance/virtual_keys/0/is_actve unknown key "is_actve". Did you mean "is_active"?',
    ])
  })

  test('budgets and limits are accepted, and named as without effect', () => {
    const { warnings } = accepted({
      governance: {
        virtual_keys: [
          {
            name: 'one',
            value,
            allow_all_providers: true,
            budgets: [{ max_limit: 5 }],
            rate_limit: {},
          },
        ],
        teams: [{ name: 't', budgets: [], budget: {} }],
      },
    })
    expect(warnings).toHaveLength(1)
    for (const place of [
      '/virtual_keys/0/budgets',
      '/virtual_keys/0/rate_limit',
      '/teams/0/budgets',
    ]) {
      expect(warnings[0]).toContain(place)
    }
  })

  test('rules for an owner that nobody is are told', () => {
    const rule = (scope: string, scope_id: string) => ({
      name: scope,
      scope,
      scope_id,
      targets: [{ model: 'm' }],
    })
    const { warnings } = accepted({
      providers,
      governance: {
        customers: [{ id: 'c', name: 'c' }],
        virtual_keys: [{ id: 'vk', name: 'one', value, allow_all_providers: true }],
        routing_rules: [rule('virtual_key', 'vk'), rule('customer', 'c'), rule('team', 'gone')],
      },
    })
    expect(warnings).toEqual([expect.stringContaining('there is no team with this id')])
  })
})

group('what a virtual key may have', () => {
  const verdicts: readonly (readonly [
    object,
    string,
    string | undefined,
    ReturnType<typeof whyNotModel>,
  ])[] = [
    [{}, 'anything', undefined, undefined],
    [{ allowed_models: ['*'] }, 'anything', undefined, undefined],
    [{ allowed_models: [] }, 'anything', undefined, 'not allowed'],
    [{ allowed_models: ['gpt-4o'] }, 'gpt-4o', undefined, undefined],
    [{ allowed_models: ['GPT-4o'] }, 'gpt-4O', undefined, undefined],
    [{ allowed_models: ['gpt-4o'] }, 'gpt-4o-2024-08-06', undefined, undefined],
    [{ allowed_models: ['gpt-4o'] }, 'openai/gpt-4o', undefined, undefined],
    [{ allowed_models: ['gpt-4o'] }, 'gpt-4o-mini', undefined, 'not allowed'],
    [{ allowed_models: ['gpt-4o'] }, 'gpt-4o:online', undefined, 'not allowed'],
    [{ allowed_models: ['gpt-4o-2024-08-06'] }, 'gpt-4o', undefined, 'not allowed'],
    [{ allowed_models: ['gpt-4o'] }, 'fast', 'gpt-4o', undefined],
    [{ allowed_models: ['fast'] }, 'fast', 'gpt-4o', undefined],
    [{ allowed_models: ['regex:gpt-4.*'] }, 'GPT-4.1', undefined, undefined],
    [{ allowed_models: ['regex:gpt-4'] }, 'gpt-4.1', undefined, 'not allowed'],
    [{ blacklisted_models: ['gpt-4o'] }, 'gpt-4o', undefined, 'blacklisted'],
    [{ blacklisted_models: ['gpt-4o'] }, 'gpt-4o-2024-08-06', undefined, 'blacklisted'],
    [{ blacklisted_models: ['gpt-4o'] }, 'openai/GPT-4o:nitro', undefined, 'blacklisted'],
    [{ blacklisted_models: ['gpt-4o'] }, 'fast', 'gpt-4o', 'blacklisted'],
    [{ blacklisted_models: ['gpt-4o'] }, 'gpt-4o-mini', undefined, undefined],
    [{ blacklisted_models: ['regex:.*-pro'] }, 'openai/gpt-5-pro', undefined, 'blacklisted'],
    [{ blacklisted_models: ['*'] }, 'anything', undefined, 'blacklisted'],
    [
      { allowed_models: ['gpt-4o'], blacklisted_models: ['gpt-4o'] },
      'gpt-4o',
      undefined,
      'blacklisted',
    ],
  ]
  for (const [config, model, meant, verdict] of verdicts) {
    const how = meant === undefined ? '' : ` (${meant})`
    test(`${JSON.stringify(config)}: ${model}${how} is ${verdict ?? 'allowed'}`, () => {
      expect(whyNotModel(grantOf(config), model, meant)).toBe(verdict)
    })
  }

  test('an empty list is nothing, and everything in the older version', () => {
    const empty = { allowed_models: [], key_ids: [] }
    expect(grantOf(empty).keyIds).toEqual(new Set())
    expect(grantOf(empty, 1).keyIds).toBeUndefined()
    expect(whyNotModel(grantOf(empty, 1), 'anything')).toBeUndefined()
    expect(keyOf({}).allowsAllProviders).toBe(false)
    expect(keyOf({}, 1).allowsAllProviders).toBe(true)
    expect(keyOf({ provider_configs: [{ provider: 'groq' }] }, 1).allowsAllProviders).toBe(false)
  })

  test('keys are named by id or by name', () => {
    expect(grantOf({ key_ids: ['id-1'] }).keyIds).toEqual(new Set(['id-1']))
    expect(grantOf({ key_ids: ['first'] }).keyIds).toEqual(new Set(['id-1']))
    expect(grantOf({ key_ids: ['*'] }).keyIds).toBeUndefined()
  })

  test('the pool has what has a weight, the heaviest first', () => {
    const key = keyOf({
      provider_configs: [
        { provider: 'openai', weight: 0.2 },
        { provider: 'groq', weight: 0.8 },
        { provider: 'mock', weight: null },
      ],
    })
    expect(key.pool.map(({ provider }) => provider)).toEqual(['groq', 'openai'])
  })

  test('it is refused from the moment on at which it expires', () => {
    const key = keyOf({ expires_at: '2027-01-31T00:00:00+01:00' })
    const at = Date.parse('2027-01-30T23:00:00Z')
    expect(whyRefused(key, at - 1)).toBeUndefined()
    expect(whyRefused(key, at)).toBe('expired')
    expect(whyRefused(keyOf({ is_active: false }), 0)).toBe('inactive')
    expect(whyRefused(keyOf({ expires_at: null }), at)).toBeUndefined()
  })
})

test('a snapshot shows no value of a virtual key, however it is printed', () => {
  const snapshot = accepted({
    providers,
    client: { enforce_auth_on_inference: true },
    governance: {
      teams: [{ id: 't', name: 'team' }],
      virtual_keys: [
        {
          id: 'vk-1',
          name: 'one',
          value,
          team_id: 't',
          expires_at: '2027-01-31T00:00:00Z',
          provider_configs: [
            {
              provider: 'openai',
              weight: 1,
              allowed_models: ['gpt-4o', 'regex:o[34]'],
              key_ids: ['first'],
            },
          ],
        },
      ],
    },
  })
  const described = describe(snapshot)
  expect(described).toMatchObject({
    client: { enforce_auth_on_inference: true },
    governance: {
      virtual_keys: [
        {
          id: 'vk-1',
          name: 'one',
          value: 'sk-…ef',
          is_active: true,
          expires_at: '2027-01-31T00:00:00.000Z',
          team_id: 't',
          provider_configs: [
            {
              provider: 'openai',
              weight: 1,
              allowed_models: ['gpt-4o', 'regex:o[34]'],
              blacklisted_models: [],
              key_ids: ['id-1'],
            },
          ],
        },
      ],
      teams: [{ id: 't', name: 'team' }],
    },
  })
  const keys = [...snapshot.governance!.byFingerprint.keys()]
  for (const printed of [
    JSON.stringify(described),
    inspect(snapshot, { depth: 20 }),
    keys.join(),
  ]) {
    expect(printed).not.toContain(value)
    expect(printed).not.toContain(value.slice(6))
  }
})

test('ten thousand virtual keys are read, each found by its value', () => {
  const virtual_keys = Array.from({ length: 10_000 }, (_, i) => {
    return { name: `n${i}`, value: `sk-bf-${i}`, provider_configs: [{ provider: 'openai' }] }
  })
  const { governance } = accepted({ providers, governance: { virtual_keys } })
  expect(governance!.byFingerprint.size).toBe(10_000)
  expect(virtualKeyFor('sk-bf-9999', governance!)?.owner.virtualKeyName).toBe('n9999')
})
