import { describe, expect, test } from 'bun:test'

import { accepted, refused } from './rig.ts'

// Each entry: a file, the line of its only problem, the pointer, and words of the message.
type Case = readonly [text: string, line: number, pointer: string, words: string | RegExp]

const openai = (...lines: readonly string[]) =>
  ['{ "providers": { "openai": {', ...lines, '} } }'].join('\n')
const network = (...lines: readonly string[]) =>
  openai('"keys": [{ "value": "k" }], "network_config": {', ...lines, '}')
const key = (...lines: readonly string[]) => openai('"keys": [{ "value": "k",', ...lines, '}]')
const custom = (...lines: readonly string[]) =>
  [
    '{ "providers": { "mine": { "network_config": { "base_url": "https://a.example.com" },',
    '"custom_provider_config": {',
    ...lines,
    '} } } }',
  ].join('\n')

const inNetwork = '/providers/openai/network_config'
const inKey = '/providers/openai/keys/0'
const inCustom = '/providers/mine/custom_provider_config'

const groups: Readonly<Record<string, readonly Case[]>> = {
  'unknown keys': [
    ['{\n"provider": {} }', 2, '/provider', 'unknown key "provider". Did you mean "providers"?'],
    ['{ "governance": {\n"routing_rule": [] } }', 2, '/governance/routing_rule', '"routing_rules"'],
    ['{\n"zzz": {} }', 2, '/zzz', /^unknown key "zzz"\.$/],
    ['{ "client": {\n"extraFields": true } }', 2, '/client/extraFields', '"extra_fields"'],
    ['{ "client": { "compat": {\n"drop": true } } }', 2, '/client/compat/drop', 'unknown key'],
    [openai('"network": {}'), 2, '/providers/openai/network', '"network_config"'],
    [network('"base_ulr": "x"'), 3, `${inNetwork}/base_ulr`, 'Did you mean "base_url"?'],
    [network('"retry_backof_max": 1'), 3, `${inNetwork}/retry_backof_max`, '"retry_backoff_max"'],
    [key('"wieght": 1'), 3, `${inKey}/wieght`, 'Did you mean "weight"?'],
    [key('"a/b~c": 1'), 3, `${inKey}/a~1b~0c`, 'unknown key "a/b~c"'],
    [key('"__proto__": {}'), 3, `${inKey}/__proto__`, 'unknown key "__proto__"'],
    [
      key('"azure_key_config": { "endpoint": "https://a.example.com",', '"secret": "x" }'),
      4,
      `${inKey}/azure_key_config/secret`,
      'unknown key',
    ],
    [
      '{ "providers": { "openai": { "keys": [{ "value": {\n"env": "X" } }] } } }',
      2,
      `${inKey}/value/env`,
      '"env_var"',
    ],
    [
      custom('"base_provider_type": "openai",', '"keyless": true'),
      4,
      `${inCustom}/keyless`,
      '"is_key_less"',
    ],
  ],
  'wrong types and limits': [
    ['[\n1]', 1, '', 'expected an object, got array'],
    ['{ "client":\n[] }', 2, '/client', 'expected an object, got array'],
    ['{ "providers":\nnull }', 2, '/providers', 'expected an object, got null'],
    ['{ "providers": { "openai":\n3 } }', 2, '/providers/openai', 'expected an object, got number'],
    ['{ "version":\n3 }', 2, '/version', 'expected 1 or 2, got number'],
    [
      '{ "client": { "extra_fields":\n"yes" } }',
      2,
      '/client/extra_fields',
      'a boolean, got string',
    ],
    [
      '{ "client": { "stream_extra_fields":\n"first" } }',
      2,
      '/client/stream_extra_fields',
      'expected "last" or "all", got string',
    ],
    [
      '{ "client": { "max_request_body_size_mb":\n0 } }',
      2,
      '/client/max_request_body_size_mb',
      'must be more than 0',
    ],
    [key('"weight": -0.1'), 3, `${inKey}/weight`, 'must be at least 0'],
    [key('"weight": 1e999'), 3, `${inKey}/weight`, 'expected a number, got one that is too large'],
    [key('"weight": "1"'), 3, `${inKey}/weight`, 'expected a number, got string'],
    [key('"models": "gpt-4"'), 3, `${inKey}/models`, 'expected an array, got string'],
    [key('"models": ["a",', '5]'), 4, `${inKey}/models/1`, 'expected a string, got number'],
    [key('"name": ""'), 3, `${inKey}/name`, 'must not be empty'],
    [key('"azure_key_config": {}'), 3, `${inKey}/azure_key_config/endpoint`, 'is required'],
    [
      network('"max_retries": 1.5'),
      3,
      `${inNetwork}/max_retries`,
      'a whole number, got a fraction',
    ],
    [
      network('"connect_timeout_in_seconds": -1'),
      3,
      `${inNetwork}/connect_timeout_in_seconds`,
      'at least 0',
    ],
    [network('"retry_backoff_initial": "soon"'), 3, `${inNetwork}/retry_backoff_initial`, '500ms'],
    [network('"retry_backoff_initial": -5'), 3, `${inNetwork}/retry_backoff_initial`, 'at least'],
    [
      '{ "governance": { "virtual_keys": [{ "name": "v", "value": "sk-bf-v", "provider_configs": [{\n"provider": "openai",\n"weight": -1 }] }] } }',
      3,
      '/governance/virtual_keys/0/provider_configs/0/weight',
      'must be at least 0',
    ],
    ['{ "providers": {\n"a\\nb": 5 } }', 2, '/providers/a\nb', 'expected an object, got number'],
    [network('"extra_headers": { "x":', '1 }'), 4, `${inNetwork}/extra_headers/x`, 'got number'],
    [
      openai('"keys": [{ "value": "k" }],', '"concurrency_and_buffer_size": { "concurrency": 1 }'),
      3,
      '/providers/openai/concurrency_and_buffer_size/buffer_size',
      'is required',
    ],
    [
      openai('"keys": [{ "value": "k" }],', '"proxy_config": {', '"type": "sock5" }'),
      4,
      '/providers/openai/proxy_config/type',
      'Did you mean "socks5"?',
    ],
  ],
  syntax: [
    ['', 1, '', 'the file is empty'],
    ['// nothing\n', 1, '', 'empty'],
    ['{\n"client": {', 2, '', 'expected "}"'],
    ['{\n"client": tru }', 2, '', 'not a JSON value'],
    ['{ "client": {}\n"providers": {} }', 2, '', 'expected ","'],
    ['{ "client": "a\nb" }', 1, '', 'closing quote'],
    ['{}\n{}', 2, '', 'expected the end of the file'],
    [`{\n"mcp": ${'['.repeat(5000)}${']'.repeat(5000)} }`, 2, '', 'nested deeper than 200'],
    [
      '{ "client": {},\n"client": {} }',
      2,
      '/client',
      'duplicate key "client"; the first one is on line 1',
    ],
  ],
  keys: [
    [openai('"keys": [', '{ "models": ["a"] } ]'), 3, `${inKey}/value`, 'is required'],
    [openai('"keys": [ {', '"value": " " } ]'), 3, `${inKey}/value`, 'must not be empty'],
    [
      openai('"keys": [ {', '"value": "a\\r\\nb" } ]'),
      3,
      `${inKey}/value`,
      'a header cannot carry',
    ],
    [
      openai('"keys": [{ "name": "a", "value": "x" },', '{ "name": "a", "value": "y" }]'),
      3,
      '/providers/openai/keys/1/name',
      'already the name of another key, at /providers/openai/keys/0/name',
    ],
    [
      '{ "providers": { "openai": { "keys": [{ "name": "a", "value": "x" }] },\n"groq": { "keys": [{ "name": "a", "value": "y" }] } } }',
      2,
      '/providers/groq/keys/0/name',
      '/providers/openai/keys/0/name',
    ],
    [
      openai('"keys": [{ "id": "a", "value": "x" },', '{ "id": "a", "value": "y" }]'),
      3,
      '/providers/openai/keys/1/id',
      'already the id of /providers/openai/keys/0',
    ],
    [key('"models": [" gpt-4"]'), 3, `${inKey}/models/0`, 'white space'],
    [key('"blacklisted_models": [', '"regex:.*"]'), 4, `${inKey}/blacklisted_models/0`, 'patterns'],
    [key('"aliases": {', '" a": "b" }'), 4, `${inKey}/aliases/ a`, 'padded'],
    [key('"aliases": { "a": "b",', '"A": "c" }'), 4, `${inKey}/aliases/A`, 'stands twice'],
    [
      key('"azure_key_config": {', '"endpoint": "http://169.254.169.254" }'),
      4,
      `${inKey}/azure_key_config/endpoint`,
      'never sent to',
    ],
  ],
  providers: [
    [
      '{ "providers": {\n"opnai": {} } }',
      2,
      '/providers/opnai',
      'there is no built-in provider "opnai". Did you mean "openai"?',
    ],
    ['{ "providers": {\n"a/b": {} } }', 2, '/providers/a~1b', 'a provider name has'],
    ['{ "providers": {\n"a\\nb": {} } }', 2, '/providers/a\nb', 'a provider name has'],
    [
      '{ "providers": { "openai": { "keys": [{ "value": "k" }] },\n"OpenAI": {} } }',
      2,
      '/providers/OpenAI',
      'stands twice',
    ],
    [
      openai(
        '"keys": [{ "value": "k" }],',
        '"custom_provider_config": { "base_provider_type": "groq" }',
      ),
      3,
      '/providers/openai/custom_provider_config',
      'is built in',
    ],
    [custom('"is_key_less": true'), 2, `${inCustom}/base_provider_type`, 'is required'],
    [custom('"base_provider_type": "opnai"'), 3, `${inCustom}/base_provider_type`, '"openai"?'],
    [
      custom('"base_provider_type": "openai", "allowed_requests": {', '"chat_completions": true }'),
      4,
      `${inCustom}/allowed_requests/chat_completions`,
      'no operation "chat_completions". Did you mean "chat_completion"?',
    ],
    [
      custom(
        '"base_provider_type": "openai", "request_path_overrides": {',
        '"responses": "chat" }',
      ),
      4,
      `${inCustom}/request_path_overrides/responses`,
      'begins with "/"',
    ],
    [
      custom(
        '"base_provider_type": "openai", "request_path_overrides": {',
        '"responses": "http://10.0.0.1/" }',
      ),
      4,
      `${inCustom}/request_path_overrides/responses`,
      'private address',
    ],
    [
      '{ "providers": { "mine": {\n"custom_provider_config": { "base_provider_type": "openai", "is_key_less": true } } } }',
      1,
      '/providers/mine/network_config/base_url',
      'is required for a custom provider',
    ],
    [
      '{ "providers": {\n"vllm": {} } }',
      2,
      '/providers/vllm/network_config/base_url',
      'is required for vllm',
    ],
  ],
  addresses: [
    [network('"base_url": "api.example.com"'), 3, `${inNetwork}/base_url`, 'must be a URL'],
    [
      network('"base_url": "ftp://a.example.com"'),
      3,
      `${inNetwork}/base_url`,
      'http:// or https://',
    ],
    [
      network('"base_url": "https://me:pw@a.example.com"'),
      3,
      `${inNetwork}/base_url`,
      'credentials',
    ],
    [network('"base_url": "https://a.example.com/?x=1"'), 3, `${inNetwork}/base_url`, 'query'],
    [network('"base_url": "https://a.example.com/?"'), 3, `${inNetwork}/base_url`, 'query'],
    [
      network('"base_url": "http://192.168.1.1"'),
      3,
      `${inNetwork}/base_url`,
      '"allow_private_network"',
    ],
    [network('"base_url": "http://[fd12::1]"'), 3, `${inNetwork}/base_url`, 'private address'],
    [network('"base_url": "http://0xa9fea9fe"'), 3, `${inNetwork}/base_url`, '169.254.169.254'],
    [
      network('"allow_private_network": true,', '"base_url": "http://[fe80::1]/v1"'),
      4,
      `${inNetwork}/base_url`,
      'never sent to',
    ],
    [network('"base_url": "env.NO_SUCH"'), 3, `${inNetwork}/base_url`, 'NO_SUCH is not set'],
  ],
  headers: [
    [
      network('"extra_headers": {', '"x y": "1" }'),
      4,
      `${inNetwork}/extra_headers/x y`,
      'not a valid',
    ],
    [
      network('"extra_headers": {', '"x": "a\\r\\nb" }'),
      4,
      `${inNetwork}/extra_headers/x`,
      'characters',
    ],
    [
      network('"extra_headers": {', '"x": "\u{1f600}" }'),
      4,
      `${inNetwork}/extra_headers/x`,
      'characters',
    ],
    ...[
      'Authorization',
      'host',
      'Content-Length',
      'connection',
      'Transfer-Encoding',
      'upgrade',
    ].map((name): Case => [
      network('"extra_headers": {', `"${name}": "1" }`),
      4,
      `${inNetwork}/extra_headers/${name}`,
      'by the gateway itself',
    ]),
    [
      network('"extra_headers": { "X": "1",', '"x": "2" }'),
      4,
      `${inNetwork}/extra_headers/x`,
      'twice',
    ],
    [
      '{ "client": { "required_headers": [\n"a b"] } }',
      2,
      '/client/required_headers/0',
      'valid header',
    ],
  ],
  proxies: [
    [
      openai('"keys": [{ "value": "k" }], "proxy_config": {', '"type": "socks5" }'),
      2,
      '/providers/openai/proxy_config/url',
      'is required',
    ],
    [
      openai(
        '"keys": [{ "value": "k" }], "proxy_config": { "type": "socks5",',
        '"url": "http://a:1" }',
      ),
      3,
      '/providers/openai/proxy_config/url',
      'must be a socks5:// URL',
    ],
    [
      openai(
        '"keys": [{ "value": "k" }], "proxy_config": { "type": "socks5", "url": "a",',
        `"password": "${'é'.repeat(128)}" }`,
      ),
      3,
      '/providers/openai/proxy_config/password',
      'at most 255 bytes',
    ],
    [
      openai('"keys": [{ "value": "k" }], "proxy_config": {', '"type": "http" }'),
      2,
      '/providers/openai/proxy_config/url',
      'is required',
    ],
    [
      openai(
        '"keys": [{ "value": "k" }], "proxy_config": { "type": "http",',
        '"url": "socks5://a:1" }',
      ),
      3,
      '/providers/openai/proxy_config/url',
      'http:// or https://',
    ],
    [
      openai(
        '"keys": [{ "value": "k" }], "proxy_config": { "type": "http", "url": "http://a:1",',
        '"password": "env.NO_SUCH" }',
      ),
      3,
      '/providers/openai/proxy_config/password',
      'NO_SUCH is not set',
    ],
  ],
}

for (const [group, cases] of Object.entries(groups)) {
  describe(group, () => {
    for (const [text, line, pointer, words] of cases) {
      test(`${pointer || 'file'}: ${words}`, () => {
        const problems = refused(text)
        // What follows a syntax error is guesswork of the parser.
        if (group !== 'syntax') expect(problems).toHaveLength(1)
        const [problem] = problems
        expect(problem?.message).toMatch(words)
        expect([problem?.pointer, problem?.line]).toEqual([pointer, line])
      })
    }
  })
}

describe('places', () => {
  test('the column is that of the key when the key is wrong, of the value when the value is', () => {
    expect(refused('{  "zzz": 1 }')[0]).toMatchObject({ line: 1, column: 4 })
    expect(refused('{\n  "version": 3 }')[0]).toMatchObject({ line: 2, column: 14 })
    expect(refused('\uFEFF{ "zzz": 1 }')[0]).toMatchObject({ line: 1, column: 3 })
    expect(refused('{ "version": 2,\r\n\t"zzz": 1 }')[0]).toMatchObject({ line: 2, column: 2 })
  })

  test('what is missing is reported where it should stand', () => {
    expect(refused('{ "providers": { "openai": { "keys": [\n   {} ] } } }')[0]).toMatchObject({
      line: 2,
      column: 4,
    })
  })
})

test('every problem is listed, in the order of the file', () => {
  const problems = refused(`{
  "client": { "alow_direct_keys": true, "extra_fields": 1 },
  "providers": {
    "openai": { "keys": [
      { "name": "a", "value": "x", "weight": -1 },
      { "name": "a", "value": "y" }
    ] },
    "groq": { "network_config": { "base_url": "nowhere" },
      "concurrency_and_buffer_size": { "concurrency": 1 } },
    "grok": {}
  },
  "pluginz": []
}`)
  expect(problems.map(({ line, pointer }) => `${line} ${pointer}`)).toEqual([
    '2 /client/alow_direct_keys',
    '2 /client/extra_fields',
    '5 /providers/openai/keys/0/weight',
    '6 /providers/openai/keys/1/name',
    '8 /providers/groq/network_config/base_url',
    '9 /providers/groq/concurrency_and_buffer_size/buffer_size',
    '10 /providers/grok',
    '12 /pluginz',
  ])
})

test('sections of later work accept anything inside', () => {
  accepted({
    governance: { budgets: 'x', roles: [{ whatever: 1 }] },
    mcp: { client_configs: [{ no: 'such' }] },
    framework: { pricing: { pricing_url: 'file:///x', new_field: {} } },
    scim_config: { a: [1] },
  })
})

test('a message never repeats a secret', () => {
  const secret = 'sk-very-secret-0123456789'
  const texts = [
    openai(`"keys": [{ "value": "${secret}\\n" + "x" }]`),
    openai(`"keys": [{ "value": ["${secret}"] }]`),
    openai(`"keys": [{ "value": "a\\u0007${secret}" }]`),
    network(`"extra_headers": { "x": "\\u0007${secret}" }`),
    network(`"base_url": "https://u:${secret}@a.example.com"`),
    openai(
      `"keys": [{ "value": "k" }], "proxy_config": { "type": "http", "url": "ftp://u:${secret}@a" }`,
    ),
  ]
  for (const text of texts) expect(JSON.stringify(refused(text))).not.toContain(secret)
})
