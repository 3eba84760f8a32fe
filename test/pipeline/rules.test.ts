import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { loadConfig } from '#config/load.ts'
import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { Trace } from '#core/trace.ts'
import { scanJson } from '#lib/json.ts'
import { Secret } from '#lib/secret.ts'
import { estimateTokens } from '#pipeline/call-facts.ts'
import { plan } from '#pipeline/routing.ts'
import { route } from '#pipeline/rules.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

// Where routing rules send a call, as a function of the call, the configuration, a clock and a die.

function withRules(rules: readonly object[], client: object = {}): Snapshot {
  const { snapshot, problems } = loadConfig({
    text: JSON.stringify({
      client,
      providers: {
        openai: {
          keys: [
            { value: 'k', id: 'o-1', name: 'one' },
            { value: 'l', id: 'o-2', name: 'two' },
          ],
          fallbacks: ['groq/of-openai'],
        },
        groq: { keys: [{ value: 'g', id: 'g-1', name: 'gone' }], fallbacks: ['mistral'] },
        mistral: { keys: [{ value: 'm', id: 'm-1', name: 'mone' }] },
      },
      governance: { routing_rules: rules },
    }),
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
  })
  if (!snapshot) throw new Error(JSON.stringify(problems))
  return snapshot
}

interface CallParts {
  readonly model?: string | undefined
  readonly provider?: string
  readonly body?: Record<string, unknown>
  readonly headers?: Record<string, string>
  readonly more?: Partial<Call>
  readonly explain?: boolean
}

function callOf(parts: CallParts = {}): Call {
  const { provider = 'openai', headers = {}, body = {} } = parts
  const value = { messages: [{ role: 'user', content: 'hi' }], ...body }
  return {
    id: 'call',
    endpoint: 'chat_completion',
    method: 'POST',
    path: '/chat/completions',
    query: '',
    body: {
      kind: 'json',
      text: JSON.stringify(value),
      value,
      scan: scanJson(JSON.stringify(value)),
    },
    modelRequested: 'as-written',
    provider,
    model: 'model' in parts ? parts.model : 'gpt-x',
    stream: false,
    wantsUsage: true,
    caller: { directKey: undefined, azureEndpoint: undefined },
    headers,
    signal: new AbortController().signal,
    startedAt: performance.now(),
    trace: new Trace(performance.now(), parts.explain ?? false),
    ...parts.more,
  }
}

/** `provider/model` that a call is sent to. */
function goes(call: Call, snapshot: Snapshot, random = 0): string {
  const routed = route(call, snapshot, { random: () => random, nowMs: () => 0 })
  return `${routed.provider}/${routed.model}`
}

const said = (call: Call) => call.trace.list().map(({ what }) => what)

const to = (model: string, more: object = {}) => [{ model, ...more }]

describe('the first rule that matches', () => {
  test('decides, by scope, priority and place', () => {
    const rules = [
      { name: 'late', priority: 5, targets: to('late') },
      { name: 'early', priority: -5, cel_expression: 'model == "a"', targets: to('early') },
      { name: 'one', cel_expression: 'model != "c"', targets: to('one') },
      { name: 'two', targets: to('two') },
      { name: 'team', scope: 'team', scope_id: 't', priority: 0, targets: to('team') },
      { name: 'off', enabled: false, priority: -9, targets: to('off') },
    ]
    const snapshot = withRules(rules)
    expect(goes(callOf({ model: 'a' }), snapshot)).toBe('openai/early')
    expect(goes(callOf({ model: 'b' }), snapshot)).toBe('openai/one')
    expect(goes(callOf({ model: 'c' }), snapshot)).toBe('openai/two')
  })

  test('keeps what its target leaves open', () => {
    const rule = (target: object) => withRules([{ name: 'r', targets: [target] }])
    expect(goes(callOf(), rule({ provider: 'Groq' }))).toBe('groq/gpt-x')
    expect(goes(callOf(), rule({ model: 'm' }))).toBe('openai/m')
    expect(goes(callOf(), rule({ provider: 'groq', model: 'm' }))).toBe('groq/m')
    const pinned = route(callOf(), rule({ key_id: 'o-2' }))
    expect([pinned.provider, pinned.model, pinned.pin]).toEqual([
      'openai',
      'gpt-x',
      { keyId: 'o-2' },
    ])
  })

  test('may be none, and then it is the very same call', () => {
    const call = callOf()
    expect(route(call, withRules([]))).toBe(call)
    const snapshot = withRules([{ name: 'r', cel_expression: 'model == "z"', targets: to('m') }])
    expect(route(call, snapshot)).toBe(call)
    expect(said(call)).toEqual([])
  })

  test('is looked for only where a call names a model that is not its subject', () => {
    const snapshot = withRules([{ name: 'r', targets: to('m') }])
    for (const call of [
      callOf({ model: undefined }),
      callOf({
        more: { endpoint: 'model_retrieve', path: '/models/gpt-x', body: { kind: 'none' } },
      }),
    ]) {
      expect(route(call, snapshot)).toBe(call)
    }
  })

  test('is another for another model, provider, operation or kind of answer, however often asked', () => {
    const snapshot = withRules([
      { name: 'a', cel_expression: 'stream', targets: to('stream') },
      { name: 'b', cel_expression: 'request_type == "embedding"', targets: to('embedding') },
      { name: 'c', cel_expression: 'provider.contains("roq")', targets: to('groq') },
      { name: 'd', cel_expression: 'model.endsWith("7")', targets: to('seven') },
    ])
    // More models than are remembered.
    for (let i = 0; i < 1500; i++) {
      const model = `m${i}`
      const plain = i % 10 === 7 ? 'openai/seven' : `openai/${model}`
      expect(goes(callOf({ model }), snapshot)).toBe(plain)
      expect(goes(callOf({ model, more: { stream: true } }), snapshot)).toBe('openai/stream')
      expect(goes(callOf({ model, provider: 'groq' }), snapshot)).toBe('groq/groq')
      expect(goes(callOf({ model, more: { endpoint: 'embedding' } }), snapshot)).toBe(
        'openai/embedding',
      )
    }
  })

  test('leaves what the caller wrote as it was', () => {
    const routed = route(callOf(), withRules([{ name: 'r', targets: to('m') }]))
    expect(routed.modelRequested).toBe('as-written')
  })
})

describe('targets', () => {
  const split = withRules([
    {
      name: 'r',
      targets: [
        { model: 'a', weight: 0.5 },
        { model: 'b', weight: 0.3 },
        { model: 'never', weight: 0 },
        { provider: 'groq', model: 'c', weight: 0.2 },
      ],
    },
  ])

  test('are drawn in proportion to their weights', () => {
    const counts: Record<string, number> = {}
    for (let step = 0; step < 10_000; step++) {
      const where = goes(callOf(), split, step / 10_000)
      counts[where] = (counts[where] ?? 0) + 1
    }
    // A draw that falls on a boundary may go either way by rounding.
    expect(Object.keys(counts).toSorted()).toEqual(['groq/c', 'openai/a', 'openai/b'])
    expect(Math.abs(counts['openai/a']! - 5000)).toBeLessThanOrEqual(1)
    expect(Math.abs(counts['openai/b']! - 3000)).toBeLessThanOrEqual(1)
    expect(Math.abs(counts['groq/c']! - 2000)).toBeLessThanOrEqual(1)
  })

  test('without any weight are equally likely, and no draw misses', () => {
    const even = withRules([
      { name: 'r', targets: [...to('a', { weight: 0 }), ...to('b', { weight: 0 })] },
    ])
    expect([0, 0.49, 0.5, 0.999].map((draw) => goes(callOf(), even, draw))).toEqual(
      ['a', 'a', 'b', 'b'].map((model) => `openai/${model}`),
    )
    const last = withRules([
      { name: 'r', targets: [...to('a', { weight: 0 }), ...to('b', { weight: 1 })] },
    ])
    expect(goes(callOf(), last, 0)).toBe('openai/b')
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1000, noNaN: true }), { minLength: 1, maxLength: 5 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (weights, draw) => {
          const snapshot = withRules([
            { name: 'r', targets: weights.map((weight, i) => ({ model: `m${i}`, weight })) },
          ])
          const chosen = weights[Number(goes(callOf(), snapshot, draw).slice('openai/m'.length))]
          if (weights.some((weight) => weight > 0)) expect(chosen).toBeGreaterThan(0)
          else expect(chosen).toBe(0)
        },
      ),
    )
  })
})

describe('fallbacks', () => {
  const named = (call: Call, snapshot: Snapshot) =>
    route(call, snapshot).fallbacks?.map(({ provider, model }) => `${provider}/${model}`)
  const rule = (more: object) =>
    withRules([{ name: 'r', targets: [{ provider: 'groq', model: 'm' }], ...more }])
  const own = [{ provider: 'mistral', model: 'own' }]

  test('of the caller come first, then those of the rule, then those of the provider', () => {
    const call = callOf({ more: { fallbacks: own, hasOwnFallbacks: true } })
    expect(named(call, rule({ fallbacks: ['openai/q'] }))).toEqual(['mistral/own'])
    expect(named(call, rule({}))).toEqual(['mistral/own'])
    expect(named(callOf(), rule({ fallbacks: ['openai/q'] }))).toEqual(['openai/q'])
    expect(named(callOf(), rule({}))).toEqual(['mistral/m'])
  })

  test('of the provider that was asked for do not follow a call elsewhere', () => {
    const ofOpenai = [{ provider: 'groq', model: 'of-openai' }]
    const call = callOf({ more: { fallbacks: ofOpenai, hasOwnFallbacks: false } })
    expect(named(call, rule({}))).toEqual(['mistral/m'])
    const elsewhere = rule({ targets: [{ provider: 'mistral' }] })
    expect(named(callOf({ more: { fallbacks: ofOpenai } }), elsewhere)).toBeUndefined()
  })

  test('may leave out the model, or the provider, or name a key', () => {
    const snapshot = rule({
      fallbacks: [
        'openai/',
        'mistral',
        'meta/llama',
        { model: 'x' },
        { key_id: 'o-2', model: 'k' },
      ],
    })
    expect(named(callOf(), snapshot)).toEqual([
      'openai/m',
      'mistral/m',
      'groq/meta/llama',
      'groq/x',
      'openai/k',
    ])
    const { legs } = plan(route(callOf(), snapshot), snapshot)
    expect(legs.map(({ keys }) => keys.map(({ id }) => id).join())).toEqual([
      'g-1',
      'o-1,o-2',
      'm-1',
      'g-1',
      'g-1',
      'o-2',
    ])
  })
})

describe('a key', () => {
  const keysOf = (call: Call, snapshot: Snapshot) =>
    plan(route(call, snapshot), snapshot).legs[0].keys.map(({ id }) => id)

  test('that a rule names is the only one, whatever the caller picked', () => {
    const snapshot = withRules([{ name: 'r', targets: [{ provider_key_name: 'two' }] }])
    expect(keysOf(callOf(), snapshot)).toEqual(['o-2'])
    expect(keysOf(callOf({ headers: { 'x-bf-api-key-id': 'o-1' } }), snapshot)).toEqual(['o-2'])
    expect(keysOf(callOf({ headers: { 'x-bf-api-key': 'one' } }), snapshot)).toEqual(['o-2'])
  })

  test('that the caller picked holds as long as the provider stays', () => {
    const headers = { 'x-bf-api-key-id': 'o-1' }
    const same = withRules([{ name: 'r', targets: to('m') }])
    expect(keysOf(callOf({ headers }), same)).toEqual(['o-1'])
    const moved = withRules([{ name: 'r', targets: [{ provider: 'groq' }] }])
    expect(keysOf(callOf({ headers }), moved)).toEqual(['g-1'])
  })

  test('of another provider than the call’s makes the rule pass', () => {
    const snapshot = withRules([
      { name: 'r', targets: [{ key_id: 'g-1' }] },
      { name: 's', targets: to('m') },
    ])
    const call = callOf()
    expect(goes(call, snapshot)).toBe('openai/m')
    expect(said(call)[0]).toBe("rule 'r' does not match: its key 'gone' is not one of 'openai'")
    expect(goes(callOf({ provider: 'groq' }), snapshot)).toBe('groq/gpt-x')
  })

  test('of the caller’s own is never taken to another provider', () => {
    const snapshot = withRules([
      { name: 'away', targets: [{ provider: 'groq', model: 'm' }] },
      { name: 'here', targets: to('n') },
    ])
    const more = { caller: { directKey: new Secret('sk'), azureEndpoint: undefined } }
    const call = callOf({ more })
    expect(goes(call, snapshot)).toBe('openai/n')
    expect(said(call)[0]).toContain("the caller's own key is for 'openai' and not sent to 'groq'")
  })
})

describe('a chain', () => {
  const step = (name: string, when: string, model: string, more: object = {}) => ({
    name,
    cel_expression: when,
    targets: to(model),
    chain_rule: true,
    ...more,
  })
  const from = (rules: object[], client: object = {}) => {
    const call = callOf({ model: 'a' })
    return [goes(call, withRules(rules, client)), said(call).length]
  }

  test('goes on until no rule matches', () => {
    expect(from([step('1', 'model == "a"', 'b'), step('2', 'model == "b"', 'c')])).toEqual([
      'openai/c',
      2,
    ])
  })

  test('ends with a rule that is no part of it', () => {
    const last = { chain_rule: false }
    expect(
      from([
        step('1', 'model == "a"', 'b'),
        step('2', 'model == "b"', 'c', last),
        step('3', 'model == "c"', 'd'),
      ]),
    ).toEqual(['openai/c', 2])
  })

  test('ends where it has been before', () => {
    expect(from([step('1', 'model == "a"', 'b'), step('2', 'model == "b"', 'a')])).toEqual([
      'openai/a',
      2,
    ])
    expect(from([step('1', 'true', 'a')])).toEqual(['openai/a', 1])
  })

  test('ends at the configured depth', () => {
    const rules = Array.from({ length: 30 }, (_, i) =>
      step(`r${i}`, `model == "${i === 0 ? 'a' : `m${i}`}"`, `m${i + 1}`),
    )
    expect(from(rules)).toEqual(['openai/m10', 10])
    expect(from(rules, { routing_chain_max_depth: 3 })).toEqual(['openai/m3', 3])
  })

  test('keeps the last fallbacks that one of its rules had, and only the last key', () => {
    const snapshot = withRules([
      {
        ...step('1', 'model == "a"', 'b'),
        targets: [{ model: 'b', key_id: 'o-1' }],
        fallbacks: ['mistral/x'],
      },
      step('2', 'model == "b"', 'c'),
    ])
    const routed = route(callOf({ model: 'a' }), snapshot)
    expect(routed.fallbacks).toEqual([{ provider: 'mistral', model: 'x' }])
    expect(routed.pin).toBeUndefined()
  })
})

describe('the trace', () => {
  const rules = [
    { name: 'model', cel_expression: 'model == "secret-model"', targets: to('m') },
    { name: 'header', cel_expression: 'headers["x-a"] == "secret-word"', targets: to('m') },
    { name: 'false', cel_expression: 'model.contains("zzz")', targets: to('m') },
    { name: 'error', cel_expression: 'int(headers["x-b"]) > 1', targets: to('m') },
    { name: 'off', enabled: false, targets: to('m') },
    { name: 'team', scope: 'team', scope_id: 't', targets: to('m') },
    { name: 'hit', cel_expression: 'provider == "openai"', targets: to('m') },
    { name: 'after', targets: to('n') },
  ]
  const headers = { 'x-b': 'none' }

  test('names the winner, and what could not be evaluated', () => {
    const call = callOf({ headers })
    goes(call, withRules(rules))
    expect(said(call)).toEqual([
      "rule 'error' does not match: its condition cannot be evaluated: int() type error: cannot convert to int",
      "rule 'hit' leads to openai/m",
    ])
    expect(call.trace.list().at(-1)).toMatchObject({ step: 'route', facts: { rule_name: 'hit' } })
  })

  test('says of every rule why it did not match, to those who ask, and never what was compared', () => {
    const call = callOf({ headers, explain: true })
    goes(call, withRules(rules))
    const lines = said(call).map((line) => line.replace(/^rule '(\w+)' does not match: /, '$1: '))
    expect(lines).toEqual([
      'team: the call belongs to another team, or to none',
      'model: the model is another',
      'header: a header is another, or missing',
      'false: its condition is false',
      'error: its condition cannot be evaluated: int() type error: cannot convert to int',
      'off: it is switched off',
      "rule 'hit' leads to openai/m",
    ])
    expect(JSON.stringify(call.trace.shown())).not.toContain('secret')
  })

  test('stays bounded however many rules there are', () => {
    const many = Array.from({ length: 300 }, (_, i) => ({
      name: `r${i}`,
      cel_expression: 'int(headers["x-b"]) > 1',
      targets: to('m'),
    }))
    const quiet = callOf({ headers })
    goes(quiet, withRules(many))
    expect(said(quiet)).toHaveLength(5)
    const loud = callOf({ headers, explain: true })
    goes(loud, withRules(many))
    expect(said(loud)).toHaveLength(51)
    expect(said(loud).at(-1)).toBe('nor do 250 more rules match')
  })
})

test('the estimate of tokens counts texts, and no images', () => {
  const estimate = (body: Record<string, unknown>) => estimateTokens(callOf({ body }))
  const long = 'x'.repeat(4000)
  expect(estimate({ messages: [{ role: 'user', content: long }] })).toBe(1001)
  expect(
    estimate({ messages: [], instructions: long, input: [{ content: [{ text: long }] }] }),
  ).toBe(2000)
  expect(estimate({ messages: [], input: Array(100).fill(7) })).toBe(100)
  const image = { type: 'i', image_url: { url: `data:image/png;base64,${long}` } }
  const other = { image_url: `https://${long}`, file_data: long, data: long }
  expect(estimate({ messages: [{ content: [image, other] }] })).toBe(1)
  expect(estimateTokens(callOf({ more: { body: { kind: 'none' } } }))).toBe(0)
  const deep = { messages: JSON.parse(`${'['.repeat(5000)}"abcd"${']'.repeat(5000)}`) }
  expect(estimate(deep)).toBe(1)
})

test('property: rules never throw, and those who ask are told what happens to those who do not', () => {
  const word = fc.constantFrom('gpt-x', 'm', 'a/b', 'groq', 'ß', '__proto__', 'toString')
  const quoted = word.map((value) => JSON.stringify(value))
  const place = fc.constantFrom('model', 'provider', 'headers["a"]', 'params.b', 'request_type')
  const expression = fc.oneof(
    fc.constantFrom(
      '',
      'true',
      'int(headers["a"]) > 1',
      'token_estimate > 1',
      '!stream',
      '1 / 0 == 1',
    ),
    fc.tuple(place, quoted).map(([left, right]) => `${left} == ${right}`),
    fc.tuple(place, quoted).map(([left, right]) => `${left} != ${right} || model == "m"`),
    fc.tuple(place, quoted).map(([left, right]) => `${left}.startsWith(${right}) && stream`),
    fc.tuple(place, quoted).map(([left, right]) => `${left}.contains(${right})`),
    fc.constantFrom('headers.exists(h, h.matches("^a+$"))', 'params.all(p, p == "b")'),
  )
  const rule = fc.record({
    cel_expression: expression,
    enabled: fc.boolean(),
    chain_rule: fc.boolean(),
    priority: fc.constant(undefined),
    targets: fc.array(
      fc.oneof(
        fc.record({ model: word, weight: fc.double({ min: 0, max: 9, noNaN: true }) }),
        fc.record({ provider: fc.constantFrom('openai', 'groq', 'azure') }),
        fc.constantFrom({ key_id: 'g-1' }, { key_id: 'o-2' }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    fallbacks: fc.array(fc.oneof(word, fc.constantFrom('groq/', { key_id: 'm-1' })), {
      maxLength: 2,
    }),
  })
  const call = fc.record({
    model: word,
    provider: fc.constantFrom('openai', 'groq', 'nobody'),
    headers: fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), word),
    query: fc.constantFrom('', '?b=m&b=%ff&__proto__=1', '?%', '?a&b', '?b=gpt-x'),
    hasOwnFallbacks: fc.boolean(),
    isOwnKey: fc.boolean(),
  })
  const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
    minLength: 1,
  })
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), call, draws, (rules, made, drawn) => {
      const snapshot = withRules(rules.map((each, i) => ({ ...each, name: `r${i}` })))
      const routedBy = (explain: boolean) => {
        const given = callOf({
          model: made.model,
          provider: made.provider,
          headers: made.headers,
          explain,
          more: {
            query: made.query,
            hasOwnFallbacks: made.hasOwnFallbacks,
            fallbacks: made.hasOwnFallbacks ? [{ provider: 'groq', model: 'x' }] : undefined,
            caller: {
              directKey: made.isOwnKey ? new Secret('sk') : undefined,
              azureEndpoint: undefined,
            },
          },
        })
        let draw = 0
        const chance = { random: () => drawn[draw++ % drawn.length]!, nowMs: () => 0 }
        const { provider, model, fallbacks, pin } = route(given, snapshot, chance)
        return { provider, model, fallbacks, pin }
      }
      const quiet = routedBy(false)
      expect(routedBy(true)).toEqual(quiet)
      if (made.isOwnKey) expect(quiet.provider).toBe(made.provider)
    }),
    { numRuns: 400 },
  )
})
