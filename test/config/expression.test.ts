import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { createCompiler } from '#config/expression.ts'
import type { Condition } from '#config/expression.ts'
import { FACT_TYPES } from '#config/facts.ts'
import type { Facts } from '#config/facts.ts'
import { holds } from '#config/guards.ts'

// What conditions say about calls. A guard is never wrong about it: it only says no where the condition would.

const facts: Facts = {
  model: 'gpt-4o-mini',
  provider: 'openai',
  request_type: 'chat_completion',
  stream: true,
  headers: { 'x-tier': 'premium', 'x-empty': '', 'x-count': '12', 'user-agent': 'Any/1.0' },
  params: { tier: 'gold', flag: '' },
  token_estimate: 1500n,
  now: new Date('2026-11-21T22:30:00Z'),
  virtual_key_id: '',
  virtual_key_name: '',
  team_id: '',
  team_name: '',
  customer_id: '',
  customer_name: '',
  user_id: '',
  complexity_tier: '',
  budget_used: 85.5,
  tokens_used: 0,
  request: 0,
}

function conditionOf(expression: string): Condition {
  const compiled = createCompiler()(expression)
  if ('problem' in compiled) throw new Error(`${expression}: ${compiled.problem}`)
  return compiled.condition
}

/** As the pipeline asks; and whatever the guards say, the condition itself must not say more. */
function isTrue(expression: string, about: Facts = facts): boolean {
  const condition = conditionOf(expression)
  const verdict = condition.test(about)
  const held = condition.guards.every((guard) => holds(guard, about))
  if (verdict === true && !held) throw new Error(`a guard of ${expression} is wrong`)
  return held && verdict === true
}

describe('conditions about', () => {
  test.each<[expression: string, expected: boolean]>([
    // equality, order, logic
    ['model == "gpt-4o-mini"', true],
    ['model == "gpt-4o"', false],
    ['"gpt-4o-mini" == model', true],
    ['model != "gpt-4o"', true],
    ['provider == "openai" && model == "gpt-4o-mini"', true],
    ['provider == "groq" || model == "gpt-4o-mini"', true],
    ['model == "a" || model == "gpt-4o-mini"', true],
    ['model == "a" || model == "b"', false],
    ['!(provider == "groq")', true],
    ['provider == "groq" ? model == "a" : model.contains("mini")', true],
    ['model > "gpt-3"', true],
    ['true', true],
    ['false', false],
    ['(model == "gpt-4o-mini")', true],
    // membership and text
    ['model in ["gpt-4o", "gpt-4o-mini"]', true],
    ['model in ["gpt-4o"]', false],
    ['model in []', false],
    ['!(model in ["gpt-4o"])', true],
    ['model.startsWith("gpt-")', true],
    ['model.startsWith("claude")', false],
    ['model.endsWith("mini")', true],
    ['model.contains("4o")', true],
    ['model.size() == 11', true],
    ['size(model) < 5', false],
    ['model.lowerAscii() == "gpt-4o-mini"', true],
    ['provider + "/" + model == "openai/gpt-4o-mini"', true],
    ['model.matches("^gpt-4(o|\\\\.1)(-mini)?$")', true],
    ['model.matches("^4o")', false],
    ['matches(model, "4o")', true],
    ['model.matches(r"^gpt-\\d")', true],
    // `(?i)` is RE2 and no regular expression of JavaScript
    ['model.matches("(?i)^GPT")', true],
    ['[model].exists(m, m.matches("(?i)^GPT"))', true],
    ['{"a": model.matches("(?i)^GPT")}["a"]', true],
    ['(stream ? model : provider).matches("(?i)MINI$")', true],
    // headers and parameters
    ['headers["x-tier"] == "premium"', true],
    ['headers["x-tier"] == "basic"', false],
    ['headers["x-tier"] in ["premium", "gold"]', true],
    ['headers["x-tier"].startsWith("prem")', true],
    ['headers["user-agent"].contains("Any")', true],
    ['"x-tier" in headers', true],
    ['"x-none" in headers', false],
    ['headers["x-none"] == "a"', false],
    ['headers["x-none"] != "a"', false],
    ['headers["x-none"].startsWith("a")', false],
    ['headers["x-none"] == ""', false],
    ['headers["x-empty"] == ""', true],
    ['headers["x-none"] == "a" || model == "gpt-4o-mini"', true],
    ['model == "gpt-4o-mini" || headers["x-none"] == "a"', true],
    ['!("x-none" in headers) && provider == "openai"', true],
    ['int(headers["x-count"]) > 10', true],
    ['int(headers["x-tier"]) > 10', false],
    ['headers.exists(name, name.startsWith("x-t"))', true],
    ['headers.all(name, name.size() > 2)', true],
    ['headers["constructor"] == "a"', false],
    ['model.split("-") == ["gpt", "4o", "mini"]', true],
    ['model.split("-", 2) == ["gpt", "4o-mini"]', true],
    ['model.split("-", 0).size() == 0 && model.split("-", -1).size() == 3', true],
    ['model.split("-", 9)[2] == "mini" && model.split("").size() == 11', true],
    ['"toString" in headers', false],
    ['headers["__proto__"] == "a"', false],
    ['params["tier"] == "gold"', true],
    ['params.tier == "gold"', true],
    ['has(params.flag) && params.flag == ""', true],
    ['has(params.none)', false],
    ['params["none"] == "gold"', false],
    // kind, size, time
    ['request_type == "chat_completion"', true],
    ['request_type == "embedding"', false],
    ['request_type in ["embedding", "chat_completion"]', true],
    ['stream', true],
    ['!stream', false],
    ['stream == true', true],
    ['token_estimate > 1000', true],
    ['token_estimate >= 1500 && token_estimate <= 1500', true],
    ['token_estimate < 1000', false],
    ['token_estimate > 1499.5', true],
    ['token_estimate / 2 == 750', true],
    ['token_estimate % 7 == 2', true],
    ['token_estimate / 0 > 1', false],
    ['now.getHours() == 22', true],
    ['now.getHours("Europe/Berlin") == 23', true],
    ['now.getHours("Asia/Tokyo") == 7', true],
    ['now.getHours("No/Where") == 7', false],
    ['now.getDayOfWeek() == 6', true],
    ['now.getDayOfWeek("Asia/Tokyo") == 0', true],
    ['now < timestamp("2026-12-01T00:00:00Z")', true],
    ['now > timestamp("2026-12-01T00:00:00Z")', false],
    ['now - timestamp("2026-11-21T22:00:00Z") == duration("30m")', true],
    // what nothing sets yet
    ['virtual_key_id == "" && virtual_key_name == ""', true],
    ['team_id == "" && team_name == "" && user_id == ""', true],
    ['customer_id == "" && customer_name == ""', true],
    ['team_name == "research"', false],
    ['complexity_tier == "SIMPLE"', false],
    ['budget_used > 80', true],
    ['budget_used > 85.4 && budget_used < 86', true],
    ['budget_used >= 90.0', false],
    ['tokens_used == 0.0 && request < 1', true],
  ])('%s: %p', (expression, expected) => {
    expect(isTrue(expression)).toBe(expected)
  })
})

test('every fact has a type, and what a call is said to be agrees with it', () => {
  for (const name of Object.keys(FACT_TYPES)) {
    expect(conditionOf(`dyn(${name}) == dyn(${name})`).test(facts)).toBe(true)
  }
})

test('a condition that cannot be evaluated says why, in one bounded line', () => {
  const why = (expression: string, about: Facts = facts) =>
    (conditionOf(expression).test(about) as { why: string }).why
  expect(why('headers["x-none"] == "a"')).toBe('No such key: x-none')
  expect(why('token_estimate / 0 > 1')).toBe('division by zero')
  const long = { ...facts, headers: { 'x-tier': `${'9'.repeat(8000)}\ud800\n` } }
  expect(why('int(headers["x-tier"]) > 1', long).length).toBeLessThanOrEqual(200)
})

test('no loop is longer than a thousand, whatever a caller sends', () => {
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`h${i}`, 'v']))
  const list = { ...facts, headers: { list: ','.repeat(1000) } }
  const inList = conditionOf('headers.list.split(",").all(part, part == "")')
  expect(inList.test(list)).toEqual({ why: 'split() makes more than 1000 pieces' })
  expect(inList.test({ ...facts, headers: { list: ','.repeat(999) } })).toBe(true)
  const inAll = conditionOf('headers.all(h, h.startsWith("h"))')
  const why = 'more than 1000 headers or parameters to look through'
  expect(inAll.test({ ...facts, headers: many })).toEqual({ why })
  expect(inAll.test({ ...facts, headers: { h: '' }, params: many })).toEqual({ why })
  expect(inAll.test({ ...facts, headers: { h: '' } })).toBe(true)
  // What is no loop does not mind.
  expect(conditionOf('headers["h7"] == "v"').test({ ...facts, headers: many })).toBe(true)
})

describe('the guards of', () => {
  const guards = (expression: string) =>
    conditionOf(expression).guards.map(
      ({ fact, name, test: kind, texts }) => `${fact}${name && `.${name}`} ${kind} ${texts.join()}`,
    )
  test.each([
    ['model == "a"', ['model one of a']],
    ['"a" == model && provider == "b"', ['model one of a', 'provider one of b']],
    ['model in ["a", "b"]', ['model one of a,b']],
    ['model == "a" || model in ["b"]', ['model one of a,b']],
    ['request_type == "r" && token_estimate > 1', ['request_type one of r']],
    ['headers["x"] == "a" && params.y == "b"', ['headers.x one of a', 'params.y one of b']],
    ['model.startsWith("a")', ['model begins with a']],
    ['model == "a" || provider == "b"', []],
    ['model == "a" || model.startsWith("b")', []],
    ['!(model == "a")', []],
    ['headers["x"] != "a"', ['headers.x is there ']],
    ['!headers.x.contains("a")', ['headers.x is there ']],
    ['int(headers.x) > 1', []],
    ['has(headers.x) && "y" in headers', []],
    ['headers.x != "a" || params.y != "b"', []],
    ['model != "a"', []],
    ['model == "a" ? true : false', []],
    ['model == provider', []],
    ['["a"].exists(model, model == "a")', []],
  ])('%s are %j', (expression, expected) => {
    expect(guards(expression)).toEqual(expected)
  })
})

test('property: guards and conditions agree, and nothing throws', () => {
  const text = fc.constantFrom('a', 'b', 'gpt-4', '', '__proto__', 'ß"\\\n')
  const quoted = text.map((value) => JSON.stringify(value))
  const place = fc.constantFrom(
    'model',
    'provider',
    'request_type',
    'headers["x"]',
    'headers.y',
    'params["__proto__"]',
    'params["x"]',
  )
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4 },
      fc.tuple(place, quoted).map(([left, right]) => `${left} == ${right}`),
      fc.tuple(place, quoted).map(([left, right]) => `${right} == ${left}`),
      fc.tuple(place, quoted).map(([left, right]) => `${left} != ${right}`),
      fc.tuple(place, place).map(([left, right]) => `${left} + ${right} < ${right} + "b"`),
      fc.tuple(place, quoted).map(([left, right]) => `!${left}.contains(${right})`),
      place.map((left) => `has(${left}) || ${left} == "a"`),
      fc.tuple(place, fc.array(quoted, { maxLength: 3 })).map(([left, right]) => {
        return `${left} in [${right.join()}]`
      }),
      fc.tuple(place, quoted).map(([left, right]) => `${left}.startsWith(${right})`),
      fc.constantFrom('"x" in headers', 'int(headers.x) > 1', 'token_estimate > 5', 'stream'),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a}) && (${b})`),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a}) || (${b})`),
      tie('expression').map((inner) => `!(${inner})`),
    ),
  }))
  const some = fc.dictionary(fc.constantFrom('x', 'y', '__proto__'), text)
  const call = fc
    .record({ model: text, provider: text, request_type: text, headers: some, params: some })
    .map((more): Facts => ({ ...facts, ...more }))
  const compile = createCompiler()
  fc.assert(
    fc.property(expression, call, (source, about) => {
      const compiled = compile(source)
      if ('problem' in compiled) return
      const { condition } = compiled
      const verdict = condition.test(about)
      if (verdict === true) {
        expect(condition.guards.filter((guard) => !holds(guard, about))).toEqual([])
      }
    }),
    { numRuns: 1000 },
  )
})

test('property: whatever is written as a condition is compiled or refused with a reason', () => {
  const compile = createCompiler()
  const word = fc.constantFrom(
    ...['model', 'headers', '==', '&&', '(', ')', '[', ']', '"a"', '.', 'matches', '{', '}', ','],
    ...['?', ':', 'in', '-', '!', '1', '1u', '0x', 'b"', "r'", '.exists(x,', 'has(', 'null', '\n'],
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 20 }).map((words) => words.join(' ')),
        fc.string({ unit: 'binary', maxLength: 60 }),
      ),
      (source) => {
        const compiled = compile(source)
        if ('problem' in compiled) expect(compiled.problem).not.toBe('')
        else expect(['boolean', 'object']).toContain(typeof compiled.condition.test(facts))
      },
    ),
    { numRuns: 2000 },
  )
})
