import { describe, expect, test } from 'bun:test'

import { TypeCompiler } from '@sinclair/typebox/compiler'
import * as fc from 'fast-check'

import type { KnownEndpoint } from '#core/endpoint.ts'
import { checkRequest, compileChecker } from '#openai/check.ts'
import { explain } from '#openai/explain.ts'
import { REQUEST_SCHEMAS } from '#openai/schemas.ts'

import { VALID } from './schemas-bodies.ts'

const bodies = Object.entries(VALID) as [KnownEndpoint, readonly object[]][]
const hostile = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', '']
const known = knownNames(Object.values(REQUEST_SCHEMAS))

describe('unknown fields', () => {
  test.each(bodies)('of %s survive at every depth', (endpoint, samples) => {
    const name = fc.oneof(fc.constantFrom(...hostile), fc.string()).filter((key) => !known.has(key))
    const extra = fc.tuple(name, fc.jsonValue({ maxDepth: 3 }))
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.infiniteStream(extra), (sample, extras) => {
        const text = sprinkle(sample, () => extras.next().value as [string, unknown])
        const body: unknown = JSON.parse(text)
        const before = JSON.stringify(body)
        expect(checkRequest(endpoint, body)).toBeUndefined()
        expect(JSON.stringify(body)).toBe(before)
      }),
      { numRuns: 50 },
    )
  })

  // Elysia strips undeclared fields from objects that do not say this themselves.
  test('are allowed in words by every object of every schema', () => {
    for (const [endpoint, schema] of Object.entries(REQUEST_SCHEMAS)) {
      const closed = objectsOf(schema).filter((object) => object.additionalProperties !== true)
      expect([endpoint, closed]).toEqual([endpoint, []])
    }
  })

  test('are put into every object by the property above', () => {
    const text = sprinkle({ a: [{ b: {} }] }, () => ['x', 1])
    expect(JSON.parse(text)).toEqual({ a: [{ b: { x: 1 }, x: 1 }], x: 1 })
  })
})

// Until a checker is compiled, and about what it refuses, the explanation has the say.
describe('the explanation agrees with the compiled checker', () => {
  test.each(bodies)('on %s with one value replaced', (endpoint, samples) => {
    const schema = REQUEST_SCHEMAS[endpoint]
    if (!schema) throw new Error(`${endpoint} has no schema`)
    const checker = TypeCompiler.Compile(schema)
    const junk = fc.oneof(
      fc.constantFrom(null, 0, 1.5, '', 'x', '\n', true, [], {}, [1], ['x'], [{}], Infinity),
      fc.jsonValue({ maxDepth: 2 }),
    )
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.nat(), junk, (sample, place, value) => {
        const body = replaceOne(sample, place, value)
        const problem = explain(schema, body)
        expect(problem === undefined).toBe(checker.Check(body))
        expect(checkRequest(endpoint, body)).toEqual(problem)
      }),
      { numRuns: 200 },
    )
    compileChecker(endpoint)
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.nat(), junk, (sample, place, value) => {
        const body = replaceOne(sample, place, value)
        expect(checkRequest(endpoint, body)).toEqual(explain(schema, body))
      }),
      { numRuns: 50 },
    )
  })
})

/** JSON text of a value with one extra field at the end of each of its objects. */
function sprinkle(value: unknown, next: () => [string, unknown]): string {
  if (Array.isArray(value)) return `[${value.map((item) => sprinkle(item, next)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}:${sprinkle(v, next)}`)
  const [key, extra] = next()
  return `{${[...fields, `${JSON.stringify(key)}:${JSON.stringify(extra)}`].join(',')}}`
}

/** A copy with the `place`-th value, counted round, replaced. */
function replaceOne(root: unknown, place: number, replacement: unknown): unknown {
  const count = countValues(root)
  let left = place % count
  const walk = (value: unknown): unknown => {
    if (left-- === 0) return replacement
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, walk(v)]))
  }
  return walk(root)
}

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce<number>((sum, item) => sum + countValues(item), 1)
}

function objectsOf(schema: unknown): Record<string, unknown>[] {
  if (typeof schema !== 'object' || schema === null) return []
  const inner = Object.values(schema).flatMap(objectsOf)
  return 'type' in schema && schema.type === 'object' ? [{ ...schema }, ...inner] : inner
}

function knownNames(schemas: unknown, names = new Set<string>()): Set<string> {
  if (typeof schemas !== 'object' || schemas === null) return names
  const { properties } = schemas as { properties?: object }
  for (const name of Object.keys(properties ?? {})) names.add(name)
  for (const inner of Object.values(schemas)) knownNames(inner, names)
  return names
}
