import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { jsonSchema, openApiSchema } from '#providers/gemini/schema.ts'

import { type Rig, startRig } from './rig.ts'

// What depends on the model, by its name.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

async function thinking(model: string, request: object): Promise<unknown> {
  const sent = await rig.sent({ model, ...request })
  const config = sent.json().generationConfig?.thinkingConfig
  return config && (config.thinkingLevel ?? config.thinkingBudget)
}

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const
type Row = readonly [model: string, ...(string | number | undefined)[]]

// prettier-ignore
const rows: readonly Row[] = [
  ['gemini-2.5-flash', 0, 512, 1024, 8192, 24_576, 24_576],
  ['gemini-2.5-flash-lite', 0, 512, 1024, 8192, 24_576, 24_576],
  ['gemini-2.5-pro', 128, 512, 1024, 8192, 24_576, 32_768],
  ['gemini-3-pro-preview', 'LOW', 'LOW', 'LOW', 'HIGH', 'HIGH', 'HIGH'],
  ['gemini-3.1-pro-preview', 'LOW', 'LOW', 'LOW', 'MEDIUM', 'HIGH', 'HIGH'],
  ['gemini-3-flash-preview', 'MINIMAL', 'MINIMAL', 'LOW', 'MEDIUM', 'HIGH', 'HIGH'],
  ['gemini-3.5-flash', 'LOW', 'LOW', 'LOW', 'MEDIUM', 'HIGH', 'HIGH'],
  ['gemini-4-argon', 'LOW', 'LOW', 'LOW', 'MEDIUM', 'HIGH', 'HIGH'],
  ['gemini-flash-latest', 'LOW', 'LOW', 'LOW', 'MEDIUM', 'HIGH', 'HIGH'],
  ['gemini-2.0-flash', ...efforts.map(() => undefined)],
  ['gemma-3-27b-it', ...efforts.map(() => undefined)],
]

describe.each([...rows])('%s', (model, ...expected) => {
  test('thinks as long as it is asked to', async () => {
    const found: unknown[] = []
    for (const effort of efforts) found.push(await thinking(model, { reasoning_effort: effort }))
    expect(found).toEqual(expected)
    expect(await thinking(model, {})).toBeUndefined()
  })
})

test('a budget in tokens is kept within what the model allows', async () => {
  const budget = (tokens: number) =>
    thinking('gemini-2.5-pro', { reasoning: { effort: 'low', max_tokens: tokens } })
  expect([await budget(1), await budget(2000), await budget(99_999)]).toEqual([128, 2000, 32_768])
})

test('thoughts are asked for when the caller wants to see them', async () => {
  const include = async (request: object) => {
    const sent = await rig.sent({ model: 'gemini-3-flash', ...request })
    return sent.json().generationConfig?.thinkingConfig?.includeThoughts
  }
  expect(await include({})).toBeUndefined()
  expect(await include({ reasoning_effort: 'none' })).toBeUndefined()
  expect(await include({ reasoning_effort: 'low' })).toBe(true)
  expect(await include({ reasoning: { summary: 'auto' } })).toBe(true)
})

describe('a schema for older models', () => {
  test.each([
    ['nothing but an object', { type: 'object', properties: {} }, undefined],
    [
      'several types',
      { type: ['string', 'integer', 'null'] },
      { nullable: true, anyOf: [{ type: 'string' }, { type: 'integer' }] },
    ],
    [
      'one of several',
      { oneOf: [{ type: 'string', format: 'email' }, { type: 'number' }] },
      { anyOf: [{ type: 'string' }, { type: 'number' }] },
    ],
    [
      'all of several',
      {
        allOf: [{ $ref: '#/$defs/a' }, { properties: { b: { type: 'string' } }, required: ['b'] }],
        $defs: { a: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] } },
      },
      {
        type: 'object',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
        required: ['a', 'b'],
      },
    ],
    [
      'a list of several kinds',
      { type: 'array', prefixItems: [{ type: 'integer' }], minItems: 1 },
      { minItems: 1, type: 'array', items: { type: 'integer' } },
    ],
    [
      'what is required and not there',
      { properties: { a: { enum: ['x', null] } }, required: ['a', 'toString', 'a'] },
      {
        type: 'object',
        properties: { a: { nullable: true, type: 'string', enum: ['x'] } },
        required: ['a'],
      },
    ],
    [
      'a reference to nowhere',
      { type: 'array', items: { $ref: '#/no/where' } },
      {
        type: 'array',
        items: {},
      },
    ],
  ])('with %s', (_, schema, expected) => {
    expect(openApiSchema(schema)).toEqual(expected as never)
  })

  test('that holds itself ends somewhere', () => {
    const node = {
      type: 'object',
      properties: { a: { $ref: '#' }, b: { $ref: '#' }, c: { allOf: [{ $ref: '#' }] } },
    }
    expect(JSON.stringify(openApiSchema(node)).length).toBeLessThan(500_000)
    const loop = { allOf: [{ $ref: '#' }], $ref: '#/allOf/0' }
    expect(openApiSchema({ properties: { loop }, $defs: {} })).toBeObject()
    let deep: Record<string, unknown> = { type: 'string' }
    for (let at = 0; at < 3000; at++) deep = { type: 'array', items: deep }
    expect(openApiSchema(deep)).toBeObject()
    const wide = Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [
        `d${at}`,
        {
          type: 'object',
          properties: { a: { $ref: `#/$defs/d${at + 1}` }, b: { $ref: `#/$defs/d${at + 1}` } },
        },
      ]),
    )
    const doubled = openApiSchema({ $ref: '#/$defs/d0', $defs: wide })
    expect(JSON.stringify(doubled).length).toBeLessThan(500_000)
  })
})

test('newer models get JSON Schema without what they do not know', () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { const: { const: 1 }, list: { items: { anyOf: [{ const: 'a' }] } } },
    default: { const: 1 },
  }
  expect(jsonSchema(schema)).toEqual({
    type: 'object',
    properties: { const: { enum: [1] }, list: { items: { anyOf: [{ enum: ['a'] }] } } },
    default: { const: 1 },
  })
})
