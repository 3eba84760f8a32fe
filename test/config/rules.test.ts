import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { describe as shown } from '#config/describe.ts'

import { accepted, load, refused } from './rig.ts'

// What the file says about routing rules: what is taken, what is refused and where, and in which order they stand.

const providers = `"providers": {
"openai": { "keys": [{ "value": "k", "id": "id-o", "name": "own" }] },
"groq": { "keys": [{ "value": "g", "id": "id-g", "name": "fast" }] } }`

/** A file whose only rule starts on line 5. */
const rule = (...lines: readonly string[]) =>
  [`{ ${providers}, "governance": { "routing_rules": [{`, ...lines, '}] } }'].join('\n')
const condition = (cel: string) =>
  rule('"name": "r", "targets": [{ "model": "m" }],', `"cel_expression": ${JSON.stringify(cel)}`)
const fallback = (json: string) =>
  rule('"name": "r", "targets": [{ "model": "m" }],', `"fallbacks": [${json}]`)
const target = (json: string) => rule('"name": "r",', `"targets": [${json}]`)

const at = '/governance/routing_rules/0'

type Case = readonly [text: string, line: number, pointer: string, words: string | RegExp]

const groups: Readonly<Record<string, readonly Case[]>> = {
  'conditions that are none': [
    [condition('model =='), 5, `${at}/cel_expression`, 'Unexpected token: EOF at character 9.'],
    [condition('modle == "x"'), 5, `${at}/cel_expression`, 'Unknown variable: modle at character'],
    [condition('x && modle == "x"'), 5, `${at}/cel_expression`, 'Known are model, provider'],
    [condition('model'), 5, `${at}/cel_expression`, 'must be true or false (bool)'],
    [condition('dyn(true)'), 5, `${at}/cel_expression`, 'of type dyn'],
    [condition('1 + 2'), 5, `${at}/cel_expression`, 'of type int'],
    [condition('model == 1'), 5, `${at}/cel_expression`, 'no such overload: string == int'],
    [condition('token_estimate > "x"'), 5, `${at}/cel_expression`, 'no such overload'],
    [condition('model.nothing("x")'), 5, `${at}/cel_expression`, 'string.nothing(string)'],
    [condition('headers'), 5, `${at}/cel_expression`, 'of type map<string, string>'],
    [condition('model.size > 1'), 5, `${at}/cel_expression`, 'is not a valid expression'],
    [condition('model == "x" && '.repeat(200)), 5, `${at}/cel_expression`, 'not a valid'],
    [condition(`${'('.repeat(200)}true${')'.repeat(200)}`), 5, `${at}/cel_expression`, 'maxDepth'],
    [condition(`model == "${'x'.repeat(5000)}"`), 5, `${at}/cel_expression`, 'at most 4096'],
  ],
  'conditions that could take long': [
    [condition('model.matches("(")'), 5, `${at}/cel_expression`, '"(" is not a valid RE2 pattern'],
    [condition('model.matches("(?=a)")'), 5, `${at}/cel_expression`, 'not a valid RE2 pattern'],
    [condition('model.matches("(a)\\\\1")'), 5, `${at}/cel_expression`, 'not a valid RE2 pattern'],
    [condition('model.matches(headers["x"])'), 5, `${at}/cel_expression`, 'must be written out'],
    [condition('matches(model, provider)'), 5, `${at}/cel_expression`, 'must be written out'],
    [
      condition('headers.exists(a, a.matches("x" + a))'),
      5,
      `${at}/cel_expression`,
      'must be written out',
    ],
    [
      condition(`model.matches("${'a'.repeat(501)}")`),
      5,
      `${at}/cel_expression`,
      'at most 500 characters',
    ],
    [
      condition('headers.exists(a, params.exists(b, a == b))'),
      5,
      `${at}/cel_expression`,
      '"exists" stands inside another loop',
    ],
    [condition('[1].map(a, [2].map(b, b)).size() > 0'), 5, `${at}/cel_expression`, 'another loop'],
    [condition('cel.bind(x, model, x == "y")'), 5, `${at}/cel_expression`, '"cel.bind" cannot be'],
    [
      condition('model.matches_in_linear_time("x")'),
      5,
      `${at}/cel_expression`,
      'there is no function',
    ],
  ],
  targets: [
    [rule('"name": "r"'), 3, `${at}/targets`, 'is required'],
    [target(''), 5, `${at}/targets`, 'must hold at least one target'],
    [target('{\n}'), 5, `${at}/targets/0`, 'must name a provider, a model or a key'],
    [target('{\n"provider": "opnai"}'), 6, `${at}/targets/0/provider`, 'Did you mean "openai"?'],
    [target('{\n"weight": -1, "model": "m"}'), 6, `${at}/targets/0/weight`, 'at least 0'],
    [target('{\n"modle": "m"}'), 6, `${at}/targets/0/modle`, 'Did you mean "model"?'],
    [target('{\n"key_id": "none"}'), 6, `${at}/targets/0/key_id`, 'no key with this id'],
    [
      target('{\n"provider": "openai", "provider_key_name": "fast"}'),
      6,
      `${at}/targets/0/provider_key_name`,
      'is a key of provider "groq", not of "openai"',
    ],
    [
      target('{ "key_id": "id-o",\n"provider_key_name": "own"}'),
      6,
      `${at}/targets/0/provider_key_name`,
      'cannot stand beside "key_id"',
    ],
  ],
  fallbacks: [
    [fallback('\n"opnai/"'), 6, `${at}/fallbacks/0`, 'there is no provider "opnai"'],
    [fallback('{\n"provider": "nobody"}'), 6, `${at}/fallbacks/0/provider`, 'no provider'],
    [fallback('\n{}'), 6, `${at}/fallbacks/0`, 'must name'],
    [fallback('{\n"key_id": "x", "model": "m"}'), 6, `${at}/fallbacks/0/key_id`, 'no key'],
    [fallback(Array(21).fill('"a"').join()), 5, `${at}/fallbacks`, 'must hold at most 20'],
  ],
  'names and scopes': [
    [rule('"targets": [{ "model": "m" }]'), 3, `${at}/name`, 'is required'],
    [rule('"name": "", "targets": [{ "model": "m" }]'), 4, `${at}/name`, 'must not be empty'],
    [
      rule('"name": "r", "targets": [{ "model": "m" }],', '"scope": "team"'),
      5,
      `${at}/scope`,
      'needs "scope_id": which team',
    ],
    [
      rule('"name": "r", "targets": [{ "model": "m" }],', '"scope_id": "x"'),
      5,
      `${at}/scope_id`,
      'only for rules that are not global',
    ],
    [
      rule('"name": "r", "targets": [{ "model": "m" }],', '"scope": "planet"'),
      5,
      `${at}/scope`,
      'expected "virtual_key"',
    ],
    [
      rule('"name": "r", "targets": [{ "model": "m" }] }, {', '"name": "r", "targets": []'),
      5,
      '/governance/routing_rules/1/name',
      `is already the name of ${at}`,
    ],
    [
      rule(
        '"name": "r", "priority": 1, "targets": [{ "model": "m" }] }, {',
        '"name": "s", "priority": 1, "targets": [{ "model": "m" }]',
      ),
      5,
      '/governance/routing_rules/1/priority',
      `is already the priority of ${at} in this scope`,
    ],
    [
      rule('"name": "r", "targets": [{ "model": "m" }],', '"prioritty": 1'),
      5,
      `${at}/prioritty`,
      'Did you mean "priority"?',
    ],
  ],
}

for (const [group, cases] of Object.entries(groups)) {
  test.each(cases)(`${group}: %#`, (text, line, pointer, words) => {
    const found = refused(text).find((problem) => problem.pointer === pointer)
    expect(found?.message ?? refused(text)).toMatch(words)
    expect(found?.line).toBe(line)
  })
}

describe('rules that are taken', () => {
  const targets = [{ model: 'm' }]
  const rulesOf = (...rules: object[]) =>
    accepted({
      providers: { openai: { keys: [{ value: 'k' }] } },
      governance: { routing_rules: rules },
    })

  test('stand by scope, then by priority, then as written', () => {
    const { routing } = rulesOf(
      { name: 'a', targets },
      { name: 'b', targets, priority: -1 },
      { name: 'c', targets, priority: 1, scope: 'team', scope_id: 't' },
      { name: 'd', targets, priority: 1, scope: 'virtual_key', scope_id: 'v' },
      { name: 'e', targets },
      { name: 'f', targets, priority: 0, scope: 'virtual_key', scope_id: 'v' },
      { name: 'g', targets, scope: 'customer', scope_id: 'c' },
    )
    expect(routing.rules.map(({ name }) => name).join('')).toBe('fdcgbae')
  })

  test('are whole in the resolved configuration, their defaults visible', () => {
    const snapshot = rulesOf({
      name: 'Cheap',
      cel_expression: 'model == "x"',
      targets: [{ provider: 'OpenAI' }, { model: 'm', weight: 0.25 }],
      fallbacks: ['openai/', 'openai/a/b', 'meta/llama', { provider: 'openai', model: 'q' }],
      query: { combinator: 'and' },
      description: 'any',
    })
    const { governance, client } = shown(snapshot) as any
    const [described] = governance.routing_rules
    expect(described).toEqual({
      id: snapshot.routing.rules[0]!.id,
      name: 'Cheap',
      enabled: true,
      cel_expression: 'model == "x"',
      targets: [
        { provider: 'openai', weight: 1 },
        { model: 'm', weight: 0.25 },
      ],
      fallbacks: [
        { provider: 'openai' },
        { provider: 'openai', model: 'a/b' },
        { model: 'meta/llama' },
        { provider: 'openai', model: 'q' },
      ],
      scope: 'global',
      priority: 0,
      chain_rule: false,
    })
    expect(described.id).toMatch(/^[0-9a-f]{8}-/)
    expect(client.routing_chain_max_depth).toBe(10)
    expect(shown(accepted('{}'))).not.toHaveProperty('governance')
  })

  test('cannot be changed any more', () => {
    const { routing } = rulesOf({ name: 'a', targets, cel_expression: 'model == "x"' })
    const [first] = routing.rules
    expect(Object.isFrozen(first)).toBe(true)
    expect(Object.isFrozen(first!.condition!.guards)).toBe(true)
  })

  test('no longer count as a section without effect', () => {
    expect(rulesOf({ name: 'a', targets }).warnings).toEqual([])
  })

  test.each([
    ['headers["X-Tier"] == "a"', 'names of headers are in lower case'],
    ['request_type == "chat_completion_stream"', 'request types are the same for streams'],
    ['user_id == "a"', '"user_id" is always empty in this version'],
    ['budget_used > 80', '"budget_used" is always 0 in this version'],
  ])('of which something is worth saying: %s', (cel_expression, words) => {
    const { warnings } = rulesOf({ name: 'a', targets, cel_expression })
    expect(warnings.join()).toContain(words)
    expect(warnings.join()).toContain('/governance/routing_rules/0/cel_expression (line ')
  })

  test('whose provider is not set up, or whose scope nobody is in, are taken with a warning', () => {
    const { warnings } = rulesOf(
      { name: 'a', targets: [{ provider: 'azure' }], fallbacks: ['groq/'] },
      { name: 'b', targets, scope: 'team', scope_id: 't' },
      { name: 'c', targets, scope: 'user', scope_id: 'u' },
    )
    expect(warnings.join()).toContain('provider "azure" is not configured')
    expect(warnings.join()).toContain('provider "groq" is not configured')
    expect(warnings.join()).toContain('there is no team with this id')
    expect(warnings.join()).toContain('no call belongs to a user')
  })
})

test('property: whatever stands among the rules, it is taken or refused with its place', () => {
  const scalar = fc.oneof(
    fc.constantFrom(null, true, 0, -1, 1e9, 'openai', 'groq/', 'a/b', '/', '', 'id-o', 'own'),
    fc.constantFrom('model == "a"', 'model ==', 'team', 'global', '__proto__'),
    fc.string({ unit: 'binary', maxLength: 5 }),
  )
  const anyTarget = fc.record(
    { provider: scalar, model: scalar, key_id: scalar, provider_key_name: scalar, weight: scalar },
    { requiredKeys: [] },
  )
  const anyRule = fc.record(
    {
      name: scalar,
      id: scalar,
      enabled: scalar,
      cel_expression: scalar,
      targets: fc.oneof(scalar, fc.array(fc.oneof(anyTarget, scalar), { maxLength: 3 })),
      fallbacks: fc.oneof(scalar, fc.array(fc.oneof(anyTarget, scalar), { maxLength: 3 })),
      scope: scalar,
      scope_id: scalar,
      priority: scalar,
      chain_rule: scalar,
      query: scalar,
    },
    { requiredKeys: ['name', 'targets'] },
  )
  let taken = 0
  fc.assert(
    fc.property(fc.array(fc.oneof(anyRule, scalar), { maxLength: 3 }), (rules) => {
      const { snapshot, problems } = load({
        providers: { openai: { keys: [{ value: 'k', id: 'id-o', name: 'own' }] } },
        governance: { routing_rules: rules },
      })
      if (snapshot) taken++
      else expect(problems.every(({ pointer }) => pointer.startsWith('/governance'))).toBe(true)
      expect(snapshot === undefined).toBe(problems.length > 0)
    }),
    { numRuns: 1000 },
  )
  expect(taken).toBeGreaterThan(0)
})
