import { expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { configJsonSchema } from '#config/schema-document.ts'

import { load } from './rig.ts'

// Names that the schema knows, so that random documents reach past its first level.
const names = JSON.stringify(configJsonSchema())
  .matchAll(/"([a-z_0-9]+)":\{/g)
  .map(([, name = '']) => name)
  .toArray()
  .concat('__proto__', 'constructor', 'toString', 'openai', 'vllm', 'mine', 'a/b', '~', '', 'a\nb')

const scalar = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(
    null,
    0,
    1,
    2,
    -1,
    Number.MAX_VALUE,
    '*',
    'env.X',
    'env.',
    'vault.x',
    'openai',
    'http',
    'environment',
    'http://10.0.0.1',
    'https://a.example.com/',
    'http://[::1]:99999',
    '500ms',
    'regex:(',
  ),
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6, depthSize: 'medium' },
    scalar,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 4 })), tie('tree'), {
      maxKeys: 4,
    }),
  ),
}))

// Documents of roughly the right shape, where the deeper checks live.
const key = fc.record(
  {
    name: scalar,
    value: fc.oneof(scalar, tree),
    models: fc.array(scalar, { maxLength: 2 }),
    aliases: fc.dictionary(fc.string({ maxLength: 3 }), fc.oneof(scalar, tree), { maxKeys: 2 }),
    azure_key_config: fc.record({ endpoint: scalar, client_secret: scalar }, { requiredKeys: [] }),
    vllm_key_config: fc.record({ url: scalar, model_name: scalar }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
)
const provider = fc.record(
  {
    keys: fc.oneof(fc.array(key, { maxLength: 3 }), tree),
    network_config: fc.record(
      { base_url: scalar, extra_headers: fc.dictionary(fc.string(), scalar, { maxKeys: 2 }) },
      { requiredKeys: [] },
    ),
    proxy_config: fc.record({ type: scalar, url: scalar, username: scalar }, { requiredKeys: [] }),
    custom_provider_config: fc.record(
      { base_provider_type: scalar, allowed_requests: tree, request_path_overrides: tree },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
)
const file = fc.record(
  {
    version: scalar,
    client: fc.oneof(fc.dictionary(fc.constantFrom(...names), scalar, { maxKeys: 3 }), tree),
    providers: fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), provider, {
      maxKeys: 3,
    }),
  },
  { requiredKeys: [] },
)

/** Loads, and checks what holds of every answer. */
function settles(text: string): void {
  const { snapshot, problems } = load(text, { env: { X: 'x' } })
  expect(snapshot === undefined).toBe(problems.length > 0)
  const lines = text.split('\n').length
  for (const { line, column, pointer } of problems) {
    expect(line >= 1 && line <= lines && column >= 1).toBe(true)
    expect(pointer === '' || pointer.startsWith('/')).toBe(true)
  }
  if (snapshot) expect(Object.isFrozen(snapshot)).toBe(true)
}

test('any JSON is answered with a snapshot or with problems', () => {
  fc.assert(fc.property(tree, (value) => settles(JSON.stringify(value, null, 1) ?? 'null')))
})

test('so is anything near the right shape', () => {
  fc.assert(
    fc.property(file, (value) => settles(JSON.stringify(value, null, 1))),
    { numRuns: 500 },
  )
})

test('so is any text', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '//',
    '/*',
    '*/',
    '\n',
    '\r\n',
    ' ',
    '1',
    '-',
    'e9',
    'true',
    'null',
    '"client"',
    '"providers"',
    '"openai"',
    '\uFEFF',
    '\ud800',
    '\u2028',
    '\0',
  )
  const garbage = fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 3 })))
  fc.assert(
    fc.property(garbage, (pieces) => settles(pieces.join(''))),
    { numRuns: 500 },
  )
})

test('so is nesting of any depth and a key of any length', () => {
  for (const open of ['[', '{"a":', '{"mcp":[']) {
    settles(open.repeat(100_000))
    settles(`{"mcp":${open.repeat(50)}`)
  }
  settles(`{${JSON.stringify('k'.repeat(100_000))}:1}`)
})
