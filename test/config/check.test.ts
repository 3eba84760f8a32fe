import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { check } from '../../src/cli/check.ts'
import { accepted, openaiKey, operations, vendors } from './rig.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'check-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function run(
  content: string | Uint8Array | undefined,
  options: { schema?: boolean; json?: boolean; configPath?: string | undefined } = {},
) {
  const configPath = join(folder, 'config.json')
  await rm(configPath, { force: true })
  if (content !== undefined) await writeFile(configPath, content)
  let output = ''
  const code = await check({
    configPath,
    schema: false,
    json: false,
    vendors,
    operations,
    write: (text) => {
      output += text
    },
    env: {
      OPENAI_API_KEY: openaiKey,
      AZURE_SECRET: 'azure-from-env-0123456789',
      TEAM: 'team-from-env-0123456789',
    },
    ...options,
  })
  return { code, output, configPath }
}

const secrets = [
  'sk-literal-0123456789',
  'short',
  'azure-literal-0123456789',
  'header-literal-0123456789',
  'proxy-password-0123456789',
  'proxy-user-0123456789',
]
const everySecret = {
  encryption_key: 'encryption-0123456789',
  providers: {
    openai: {
      keys: [
        { name: 'from-env', value: 'env.OPENAI_API_KEY' },
        { name: 'literal', value: 'sk-literal-0123456789' },
        { name: 'small', value: 'short' },
      ],
      network_config: {
        extra_headers: { 'x-team': 'env.TEAM', 'x-token': 'header-literal-0123456789' },
      },
      proxy_config: {
        type: 'http',
        url: 'http://proxy.example.com:3128',
        username: 'proxy-user-0123456789',
        password: 'proxy-password-0123456789',
      },
    },
    azure: {
      keys: [
        {
          azure_key_config: {
            endpoint: 'https://a.example.com',
            client_secret: 'env.AZURE_SECRET',
          },
        },
        {
          azure_key_config: {
            endpoint: 'https://b.example.com',
            client_secret: 'azure-literal-0123456789',
          },
        },
      ],
    },
  },
}
const hidden = [
  ...secrets,
  openaiKey,
  'azure-from-env-0123456789',
  'team-from-env-0123456789',
  'encryption-0123456789',
]

describe('a good file', () => {
  test('is printed as it would run, without its secrets', async () => {
    for (const json of [false, true]) {
      const { code, output } = await run(JSON.stringify(everySecret), { json })
      expect(code).toBe(0)
      for (const secret of hidden) expect(output).not.toContain(secret)
      for (const shown of [
        '"env.OPENAI_API_KEY"',
        '"sk-…89"',
        '"env.AZURE_SECRET"',
        '"azu…89"',
        '"env.TEAM"',
        '"http://[redacted]@proxy.example.com:3128"',
        '"default_request_timeout_in_seconds": 300',
      ]) {
        expect(output).toContain(shown)
      }
    }
  })

  test('no secret is in a snapshot’s JSON or in what a console shows of it', () => {
    const env = {
      OPENAI_API_KEY: openaiKey,
      AZURE_SECRET: 'azure-from-env-0123456789',
      TEAM: 'team-from-env-0123456789',
    }
    const snapshot = accepted(everySecret, { env })
    const json = JSON.stringify(snapshot, (_, value: unknown) =>
      value instanceof Map ? Object.fromEntries(value) : value,
    )
    expect(json).toContain('from-env')
    const shown = Bun.inspect(snapshot, { depth: 20 })
    for (const secret of hidden) {
      expect(json).not.toContain(`"${secret}`)
      expect(shown).not.toContain(`"${secret}`)
    }
  })

  test('nor are the credentials before a host', async () => {
    const at = (path: string): string => `http://someone:told-0123456789@127.0.0.1:4318${path}`
    const otel = { collector_url: at('/v1/traces?key=told-0123456789'), metrics_enabled: true }
    const push_gateway = { enabled: true, push_gateway_url: at('') }
    const { code, output } = await run(
      JSON.stringify({
        tracing: { endpoint: at('') },
        plugins: [
          { name: 'otel', enabled: true, config: otel },
          { name: 'telemetry', enabled: true, config: { push_gateway } },
        ],
      }),
    )
    expect(code).toBe(0)
    expect(output).not.toContain('told')
    expect(output).not.toContain('someone')
    for (const shown of [
      '"endpoint": "http://[redacted]@127.0.0.1:4318/v1/traces"',
      '"endpoint": "http://[redacted]@127.0.0.1:4318/v1/traces?key=[redacted]"',
      '"push_gateway_url": "http://[redacted]@127.0.0.1:4318"',
    ]) {
      expect(output).toContain(shown)
    }
  })

  test('has its warnings behind it', async () => {
    const { code, output } = await run('{ "client": { "mcp_agent_depth": 5 } }')
    expect(code).toBe(0)
    expect(output).toContain('\nwarning: accepted, but without effect')
  })
})

describe('a bad file', () => {
  test('each problem is one line that an editor can follow', async () => {
    const { code, output, configPath } = await run('{\n  "provider": {},\n  "version": 9 }')
    expect(code).toBe(1)
    expect(output).toBe(
      `${configPath}:2:3 /provider unknown key "provider". Did you mean "providers"?\n` +
        `${configPath}:3:14 /version expected 1 or 2, got number.\n`,
    )
  })

  test('also where a name would break the line, or colour it', async () => {
    const { output, configPath } = await run('{ "a\\nb": 1, "\\u001b[31m": 2 }')
    expect(output.split('\n')).toEqual([
      `${configPath}:1:3 /a\\u000ab unknown key "a\\nb".`,
      `${configPath}:1:14 /\\u001b[31m unknown key "\\u001b[31m".`,
      '',
    ])
  })

  test('the same as JSON', async () => {
    const { code, output, configPath } = await run('{ "version": 9 }', { json: true })
    expect(code).toBe(1)
    expect(JSON.parse(output)).toEqual({
      ok: false,
      path: configPath,
      problems: [
        { pointer: '/version', line: 1, column: 14, message: 'expected 1 or 2, got number.' },
      ],
      warnings: [],
    })
  })

  test('is missing, or no text, or a folder', async () => {
    const missing = await run(undefined)
    expect([missing.code, missing.output]).toEqual([
      1,
      `${missing.configPath}:1:1 there is no such file\n`,
    ])
    expect((await run(Uint8Array.of(0xff, 0xfe, 0x7b, 0))).output).toContain('is not UTF-8 text')
    expect((await run('{}', { configPath: folder })).output).toContain('cannot be read (EISDIR)')
  })
})

test('without a file the start without one is shown', async () => {
  const { code, output } = await run(undefined, { configPath: undefined, json: true })
  expect(code).toBe(0)
  const { config } = JSON.parse(output)
  expect(config.source).toBeNull()
  expect(config.providers.openai).toMatchObject({
    origin: 'environment',
    keys: [{ name: 'OPENAI_API_KEY_auto_detected', value: 'env.OPENAI_API_KEY', models: ['*'] }],
  })
})

test('--schema prints the schema', async () => {
  const { code, output } = await run('{', { schema: true })
  expect(code).toBe(0)
  expect(JSON.parse(output).$schema).toBe('https://json-schema.org/draft/2020-12/schema')
})
