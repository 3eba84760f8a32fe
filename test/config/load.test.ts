import { describe, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { Secret } from '#lib/secret.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { accepted, keysOf, load, openaiKey, providerOf } from './rig.ts'

const documented = {
  'fallbacks over two providers': `{
  "providers": {
    "openai": {
      "keys": [
        {
          "value": "env.OPENAI_API_KEY",
          "models": ["gpt-4o-mini"],
          "weight": 1.0
        }
      ]
    },
    "anthropic": {
      "keys": [
        {
          "value": "env.ANTHROPIC_API_KEY",
          "models": ["claude-3-sonnet-20240229"],
          "weight": 1.0
        }
      ]
    }
  }
}`,
  'load balancing': `{
  "providers": {
    "openai": {
      "keys": [
        {
          "value": "env.OPENAI_API_KEY_1",
          "models": ["gpt-4o-mini"],
          "weight": 0.7
        },
        {
          "value": "env.OPENAI_API_KEY_2",
          "models": ["gpt-4o-mini"],
          "weight": 0.3
        }
      ]
    }
  }
}`,
  'everything about OpenAI': `{
  "providers": {
    "openai": {
      "keys": [
        {
          "value": "env.OPENAI_API_KEY",
          "models": [
            "gpt-3.5-turbo",
            "gpt-4",
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4-turbo",
            "gpt-4-vision-preview"
          ],
          "weight": 1.0
        }
      ],
      "network_config": {
        "default_request_timeout_in_seconds": 30,
        "max_retries": 2,
        "retry_backoff_initial_ms": 100,
        "retry_backoff_max_ms": 2000
      },
      "concurrency_and_buffer_size": {
        "concurrency": 5,
        "buffer_size": 20
      }
    }
  }
}`,
  'a comment behind a list': `{
  "providers": {
    "openai": {
      "keys": [
        {
          "value": "env.OPENAI_API_KEY",
          "models": ["gpt-4o-mini", "gpt-4o", "gpt-4-turbo"], // Add your model
          "weight": 1.0
        }
      ]
    }
  }
}`,
  'a comment behind a number': `{
  "providers": {
    "openai": {
      "network_config": {
        "default_request_timeout_in_seconds": 60 // Increase from 30
      }
    }
  }
}`,
}

const documentedEnv = {
  OPENAI_API_KEY: openaiKey,
  OPENAI_API_KEY_1: 'sk-first',
  OPENAI_API_KEY_2: 'sk-second',
  ANTHROPIC_API_KEY: 'sk-ant',
}

describe('documented examples load unchanged', () => {
  for (const [name, text] of Object.entries(documented)) {
    test(name, () => {
      const snapshot = accepted(text, { env: documentedEnv, vendors: VENDOR_FACTS })
      expect(providerOf(snapshot, 'openai').origin).toBe('file')
    })
  }

  test('their values arrive', () => {
    const openai = providerOf(
      accepted(documented['everything about OpenAI'], { env: documentedEnv }),
      'openai',
    )
    expect(openai.concurrency).toBe(5)
    expect(openai.bufferSize).toBe(20)
    expect(openai.network.timers.totalMs).toBe(30_000)
    const [key] = openai.keys
    expect(key?.name).toBe('openai-key-1')
    expect(key?.value.reveal()).toBe(openaiKey)
    expect(key?.models?.has('gpt-4-turbo')).toBe(true)
    expect(key?.models?.has('gpt-5')).toBe(false)

    const balanced = providerOf(
      accepted(documented['load balancing'], { env: documentedEnv }),
      'openai',
    )
    expect(balanced.keys.map(({ weight }) => weight)).toEqual([0.7, 0.3])
  })

  test('a built-in provider this version lacks is left out with a warning', () => {
    const snapshot = accepted(documented['fallbacks over two providers'], { env: documentedEnv })
    expect(snapshot.providers.has('anthropic')).toBe(false)
    expect(snapshot.warnings.join('\n')).toContain('"anthropic" is not available in this version')
  })
})

function timers(network_config: object) {
  return providerOf(accepted({ providers: { ollama: { network_config } } }), 'ollama').network
    .timers
}

function names(snapshot: ReturnType<typeof accepted>) {
  return [...snapshot.providers.values()].map(({ name, origin }) => `${name} ${origin}`)
}

function models(key: object, version?: 1 | 2) {
  return keysOf([{ value: 'k', ...key }], version ? { version } : {})[0]?.models
}

function proxy(proxy_config: object, env: Record<string, string> = {}, base_url?: string) {
  const ollama = { proxy_config, network_config: { ...(base_url && { base_url }) } }
  return providerOf(accepted({ providers: { ollama } }, { env }), 'ollama').proxyUrl?.reveal()
}

/** Calls a method as a program without types would. */
function change(target: object | undefined, method: string) {
  return () => Reflect.get(target ?? {}, method).call(target, 'x')
}

describe('defaults', () => {
  test('of a provider and of the client section', () => {
    const snapshot = accepted({ providers: { openai: { keys: [{ value: 'sk-x' }] } } })
    const openai = providerOf(snapshot, 'openai')
    expect(openai).toMatchObject({ concurrency: 1000, bufferSize: 5000, proxyUrl: undefined })
    expect(openai.network.timers).toEqual({
      connectMs: 10_000,
      headersMs: 300_000,
      firstTokenMs: 300_000,
      idleMs: 120_000,
      totalMs: 300_000,
      streamTotalMs: 3_600_000,
    })
    expect(snapshot.client).toEqual({
      allowDirectKeys: false,
      allowedOrigins: [],
      allowedHeaders: [],
      requiredHeaders: [],
      headerFilter: { allowlist: [], denylist: [] },
      allowPerRequestRawOverride: false,
      maxRequestBodyBytes: 100 * 1024 * 1024,
      dropExcessRequests: false,
      strictParams: false,
      extraFields: true,
      prometheusLabels: [],
      usageCost: false,
      streamExtraFields: 'last',
      loadBalancing: 'weighted',
      explainEndpoint: 'loopback',
      breaker: {
        enabled: true,
        errorRate: 0.5,
        minFailures: 5,
        openMs: 5000,
        maxOpenMs: 60_000,
      },
      hedging: {
        enabled: false,
        maxShare: 0.07,
        minDelayMs: 100,
        maxDelayMs: 10_000,
        minSamples: 20,
      },
      keepAliveMs: 15_000,
      headerHoldMs: 15_000,
      rescueStreams: false,
      drainMs: 25_000,
    })
    expect(snapshot.warnings).toEqual([])
  })

  test('every setting of the client section arrives', () => {
    const { client } = accepted({
      client: {
        allow_direct_keys: true,
        allowed_origins: ['https://a.example.com'],
        allowed_headers: ['X-A'],
        required_headers: ['X-Tenant'],
        header_filter_config: { allowlist: ['X-*'], denylist: ['X-Secret'] },
        allow_per_request_raw_override: true,
        max_request_body_size_mb: 0.5,
        drop_excess_requests: true,
        strict_params: true,
        extra_fields: false,
        prometheus_labels: ['Cost-Center'],
        usage_cost: true,
        stream_extra_fields: 'all',
        load_balancing: 'least_loaded',
        explain_endpoint: 'any',
        circuit_breaker: {
          enabled: false,
          error_rate: 0.25,
          min_failures: 3,
          open_in_seconds: 1,
          max_open_in_seconds: 2,
        },
        hedging: {
          enabled: true,
          max_share: 0.5,
          min_delay_in_seconds: 0,
          max_delay_in_seconds: 3,
          min_samples: 1,
        },
        stream_keep_alive_in_seconds: 0,
        stream_header_hold_in_seconds: 0.25,
        rescue_streams: true,
        drain_timeout_in_seconds: 3,
      },
    })
    expect(client).toEqual({
      allowDirectKeys: true,
      allowedOrigins: ['https://a.example.com'],
      allowedHeaders: ['x-a'],
      requiredHeaders: ['x-tenant'],
      headerFilter: { allowlist: ['x-*'], denylist: ['x-secret'] },
      allowPerRequestRawOverride: true,
      maxRequestBodyBytes: 512 * 1024,
      dropExcessRequests: true,
      strictParams: true,
      extraFields: false,
      prometheusLabels: [
        { name: 'cost_center', headers: ['x-bf-dim-cost-center', 'x-bf-prom-cost-center'] },
      ],
      usageCost: true,
      streamExtraFields: 'all',
      loadBalancing: 'least_loaded',
      explainEndpoint: 'any',
      breaker: {
        enabled: false,
        errorRate: 0.25,
        minFailures: 3,
        openMs: 1000,
        maxOpenMs: 2000,
      },
      hedging: { enabled: true, maxShare: 0.5, minDelayMs: 0, maxDelayMs: 3000, minSamples: 1 },
      keepAliveMs: 0,
      headerHoldMs: 250,
      rescueStreams: true,
      drainMs: 3000,
    })
  })

  test('timers may be fractions; zero is off for ours and the default for Bifrost’s', () => {
    expect(timers({ stream_idle_timeout_in_seconds: 0.05 }).idleMs).toBe(50)
    expect(timers({ connect_timeout_in_seconds: 0.0001 }).connectMs).toBe(1)
    expect(timers({ connect_timeout_in_seconds: 0 }).connectMs).toBe(0)
    expect(timers({ stream_total_timeout_in_seconds: 0 }).streamTotalMs).toBe(0)
    expect(timers({ default_request_timeout_in_seconds: 0 }).totalMs).toBe(300_000)
    expect(timers({ default_request_timeout_in_seconds: 7 })).toMatchObject({
      totalMs: 7000,
      headersMs: 7000,
      firstTokenMs: 7000,
    })
    expect(
      timers({ default_request_timeout_in_seconds: 7, first_token_timeout_in_seconds: 0 }),
    ).toMatchObject({ headersMs: 7000, firstTokenMs: 0 })
  })
})

describe('where providers come from', () => {
  test('no file: keys of the environment, and the mock', () => {
    const env = { OPENAI_KEY: ` ${openaiKey}\n`, GROQ_API_KEY: '' }
    const snapshot = accepted(undefined, { env })
    expect(names(snapshot)).toEqual(['openai environment', 'mock built-in'])
    expect(snapshot.source).toBeUndefined()
    const [key] = providerOf(snapshot, 'openai').keys
    expect(key?.name).toBe('OPENAI_KEY_auto_detected')
    expect(key?.value.reveal()).toBe(openaiKey)
    expect(key?.models).toBeUndefined()
  })

  test('the first variable that is set wins', () => {
    const env = { OPENAI_API_KEY: 'first', OPENAI_KEY: 'second' }
    const [key] = providerOf(accepted('{}', { env }), 'openai').keys
    expect(key?.value.reveal()).toBe('first')
  })

  test('a file with providers switches the environment off', () => {
    const env = { GROQ_API_KEY: 'gsk', OPENAI_API_KEY: openaiKey }
    const config = { providers: { openai: { keys: [{ value: 'env.OPENAI_API_KEY' }] } } }
    expect(names(accepted(config, { env }))).toEqual(['openai file', 'mock built-in'])
    expect(names(accepted({ providers: {} }, { env }))).toContain('groq environment')
    expect(names(accepted({ client: {} }, { env }))).toContain('groq environment')
  })

  test('local servers found running are added unless the file has them', () => {
    const options = { env: {}, detected: ['ollama', 'openai', 'nobody'] }
    expect(names(accepted('{}', options))).toEqual(['ollama detected', 'mock built-in'])
    expect(names(accepted({ providers: { ollama: {} } }, options))).toEqual([
      'ollama file',
      'mock built-in',
    ])
  })

  test('the file may configure the mock', () => {
    expect(names(accepted({ providers: { mock: { send_back_raw_request: true } } }))).toEqual([
      'mock file',
    ])
  })

  test('names are lower-cased', () => {
    expect(names(accepted({ providers: { OpenAI: { keys: [{ value: 'k' }] } } }))[0]).toBe(
      'openai file',
    )
  })

  test('an unusable key of the environment is ignored and named', () => {
    const snapshot = accepted(undefined, { env: { OPENAI_API_KEY: 'bad\nkey' } })
    expect(snapshot.providers.has('openai')).toBe(false)
    expect(snapshot.warnings.join('\n')).toContain('OPENAI_API_KEY')
    expect(snapshot.warnings.join('\n')).not.toContain('bad')
  })
})

describe('keys', () => {
  test('which models they serve', () => {
    expect(models({})).toBeUndefined()
    expect(models({}, 1)).toBeUndefined()
    expect(models({ models: ['*'] })).toBeUndefined()
    expect(models({ models: ['a', '*'] })).toBeUndefined()
    expect(models({ models: [] })).toEqual(new Set())
    expect(models({ models: [] }, 2)).toEqual(new Set())
    expect(models({ models: [] }, 1)).toBeUndefined()
    expect(models({ models: ['a', 'b'] })).toEqual(new Set(['a', 'b']))
    expect(models({ models: ['a'], blacklisted_models: ['*'] })).toEqual(new Set())
    expect(keysOf([{ value: 'k', blacklisted_models: ['b'] }])[0]?.blacklistedModels).toEqual(
      new Set(['b']),
    )
  })

  test('a generated name avoids the names that are given', () => {
    const keys = keysOf([{ value: 'a' }, { value: 'b', name: 'openai-key-1' }, { value: 'c' }])
    expect(keys.map(({ name }) => name)).toEqual(['openai-key-2', 'openai-key-1', 'openai-key-3'])
  })

  test('ids stay the same from load to load and differ between keys', () => {
    const [first, second] = keysOf([{ value: 'a' }, { value: 'b' }]).map(({ id }) => id)
    const again = keysOf([{ value: 'c' }])[0]?.id
    expect(again).toBe(first)
    expect(second).not.toBe(first)
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(keysOf([{ value: 'a', id: 'mine' }])[0]?.id).toBe('mine')
  })

  test('every way to write a reference', () => {
    const env = { K: ' from-env\n' }
    const value = (written: unknown) => keysOf([{ value: written }], { env })[0]
    for (const written of [
      'env.K',
      { env_var: 'K', from_env: true },
      { value: 'env.K' },
      { type: 'env', ref: 'K' },
      { type: 'env', ref: 'env.K' },
      { type: 'env', value: 'env.K' },
    ]) {
      expect(value(written)?.value.reveal()).toBe('from-env')
      expect(value(written)?.references).toEqual({ value: 'env.K' })
    }
    expect(value(' literal ')?.value.reveal()).toBe('literal')
    expect(value({ value: 'literal', type: 'plain_text' })?.value.reveal()).toBe('literal')
    expect(value({ value: 'literal', from_env: false, env_var: '' })?.value.reveal()).toBe(
      'literal',
    )
  })

  test('a key whose variable is not set is skipped and named, and the rest goes on', () => {
    const config = {
      providers: {
        openai: {
          keys: [
            { name: 'gone', value: 'env.GONE' },
            { name: 'empty', value: 'env.EMPTY' },
            { name: 'away', value: 'vault.openai#key' },
            { name: 'here', value: 'env.OPENAI_API_KEY' },
          ],
        },
      },
    }
    const snapshot = accepted(config, { env: { OPENAI_API_KEY: openaiKey, EMPTY: ' ' } })
    expect(providerOf(snapshot, 'openai').keys.map(({ name }) => name)).toEqual(['here'])
    expect(snapshot.warnings).toEqual([
      '/providers/openai/keys/0/value (line 7): environment variable GONE is not set; key "gone" is skipped',
      '/providers/openai/keys/1/value (line 11): environment variable EMPTY is not set; key "empty" is skipped',
      '/providers/openai/keys/2/value (line 15): vault.openai#key cannot be read: there is no vault support yet; key "away" is skipped',
    ])
  })

  test('a provider without a usable key stays, with a warning', () => {
    for (const keys of [[], [{ value: 'env.GONE' }], [{ value: 'k', enabled: false }]]) {
      const snapshot = accepted({ providers: { openai: { keys } } }, { env: {} })
      expect(snapshot.providers.has('openai')).toBe(true)
      expect(snapshot.warnings.join('\n')).toContain('openai has no usable key')
    }
    expect(accepted({ providers: { ollama: {} } }).warnings).toEqual([])
  })

  test('settings of one vendor, their secrets hidden', () => {
    const snapshot = accepted(
      {
        providers: {
          azure: {
            keys: [
              {
                azure_key_config: {
                  endpoint: 'env.AZURE_ENDPOINT',
                  client_id: 'me',
                  client_secret: 'env.AZURE_SECRET',
                  tenant_id: 'us',
                  scopes: ['one'],
                  deployments: { 'GPT-4o': 'my-deployment' },
                },
              },
            ],
          },
        },
      },
      { env: { AZURE_ENDPOINT: 'https://x.example.com/', AZURE_SECRET: 'azure-secret-value' } },
    )
    const [key] = providerOf(snapshot, 'azure').keys
    expect(key?.vendor).toEqual({
      azure_key_config: {
        endpoint: 'https://x.example.com',
        client_id: 'me',
        client_secret: expect.any(Secret),
        tenant_id: 'us',
        scopes: ['one'],
      },
    })
    expect(JSON.stringify(key)).not.toContain('azure-secret-value')
    expect(key?.aliases.get('gpt-4o')).toBe('my-deployment')
    expect(key?.references).toEqual({
      'azure_key_config/endpoint': 'env.AZURE_ENDPOINT',
      'azure_key_config/client_secret': 'env.AZURE_SECRET',
    })
  })

  test('aliases ignore case, may be objects, and beat deployments', () => {
    const [key] = keysOf([
      {
        value: 'k',
        aliases: { Fast: 'gpt-4o-mini', smart: { model_id: 'gpt-5', region: 'eu' } },
        azure_key_config: { endpoint: 'https://a.example.com', deployments: { fast: 'old' } },
      },
    ])
    expect([...(key?.aliases ?? [])]).toEqual([
      ['fast', 'gpt-4o-mini'],
      ['smart', 'gpt-5'],
    ])
  })

  test('an alias that is an object says where its model is', () => {
    const key = (aliases: object) => ({
      providers: {
        azure: {
          keys: [{ value: 'k', azure_key_config: { endpoint: 'https://a.example.com' }, aliases }],
        },
      },
    })
    const smart = {
      model_id: 'dep',
      description: 'for people',
      model_name: 'gpt-6-sol',
      api_version: 'env.VERSION',
      endpoint: 'https://b.example.com/',
      use_anthropic_endpoints: true,
    }
    const snapshot = accepted(key({ Smart: smart, plain: 'dep', bare: { model_id: 'dep' } }), {
      env: { VERSION: '2024-10-21' },
    })
    const [built] = providerOf(snapshot, 'azure').keys
    expect([...(built?.aliasSettings ?? [])]).toEqual([
      [
        'smart',
        {
          model_name: 'gpt-6-sol',
          api_version: '2024-10-21',
          endpoint: 'https://b.example.com',
          use_anthropic_endpoints: true,
        },
      ],
    ])
    expect(snapshot.warnings.join('\n')).not.toContain('aliases')
    const refused = (alias: object) =>
      load(key({ smart: { model_id: 'dep', ...alias } })).problems.map(({ pointer }) => pointer)
    expect(refused({ endpoint: 'http://169.254.169.254' })).toEqual([
      '/providers/azure/keys/0/aliases/smart/endpoint',
    ])
    expect(refused({ api_version: 'env.NOT_SET' })).toEqual([
      '/providers/azure/keys/0/aliases/smart/api_version',
    ])
  })

  test('the address of a server may be given with its key', () => {
    const { network, keys } = providerOf(
      accepted({
        providers: {
          vllm: { keys: [{ vllm_key_config: { url: 'http://127.0.0.1:8000/', model_name: 'm' } }] },
        },
      }),
      'vllm',
    )
    expect(network.baseUrl).toBe('http://127.0.0.1:8000')
    expect(keys[0]?.vendor['vllm_key_config']).toEqual({
      url: 'http://127.0.0.1:8000',
      model_name: 'm',
    })
  })
})

describe('providers', () => {
  test('a custom one', () => {
    const custom = providerOf(
      accepted({
        providers: {
          'My-Proxy': {
            network_config: { base_url: 'https://llm.example.com/v1/' },
            custom_provider_config: {
              base_provider_type: 'OpenAI',
              is_key_less: true,
              allowed_requests: { chat_completion: true, chat_completion_stream: false },
              request_path_overrides: {
                chat_completion: '/chat',
                embedding: 'https://other.example.com/e/',
              },
            },
          },
        },
      }),
      'my-proxy',
    )
    expect(custom.network.baseUrl).toBe('https://llm.example.com/v1')
    expect(custom.custom).toEqual({
      baseProviderType: 'openai',
      isKeyLess: true,
      allowedRequests: new Set(['chat_completion']),
      requestPathOverrides: {
        chat_completion: '/chat',
        embedding: 'https://other.example.com/e',
      },
    })
  })

  test('headers may come from the environment, and are hidden in JSON', () => {
    const { network, references } = providerOf(
      accepted({
        providers: {
          ollama: {
            network_config: {
              extra_headers: { 'X-Team': 'blue', 'X-Token': 'env.OPENAI_API_KEY' },
            },
          },
        },
      }),
      'ollama',
    )
    expect({ ...network.extraHeaders }).toEqual({ 'X-Team': 'blue', 'X-Token': openaiKey })
    expect(new Headers(network.extraHeaders).get('x-team')).toBe('blue')
    expect(JSON.stringify(network.extraHeaders)).toBe(
      '{"X-Team":"[redacted]","X-Token":"[redacted]"}',
    )
    expect(references).toEqual({ 'network_config/extra_headers/X-Token': 'env.OPENAI_API_KEY' })
  })

  test('private addresses are reached when that is asked for', () => {
    const base_url = 'http://10.1.2.3:8000'
    const network_config = { base_url, allow_private_network: true }
    expect(
      providerOf(accepted({ providers: { ollama: { network_config } } }), 'ollama').network.baseUrl,
    ).toBe(base_url)
  })
})

describe('proxies', () => {
  const remote = 'https://llm.example.com/v1'

  test('of their own', () => {
    expect(proxy({ type: 'none' })).toBeUndefined()
    expect(proxy({ type: 'http', url: 'http://proxy.example.com:3128' })).toBe(
      'http://proxy.example.com:3128',
    )
    expect(
      proxy(
        { type: 'http', url: 'proxy.example.com:3128', username: 'me@x', password: 'env.P' },
        { P: 'p:w/d' },
      ),
    ).toBe('http://me%40x:p%3Aw%2Fd@proxy.example.com:3128')
  })

  test('of the environment', () => {
    const env = { HTTPS_PROXY: 'http://s:1', http_proxy: 'http://p:2' }
    const from = { type: 'environment' }
    expect(proxy(from, env, remote)).toBe('http://s:1')
    expect(proxy(from, env, 'http://llm.example.com')).toBe('http://p:2')
    expect(proxy(from, env, 'http://127.0.0.1:1')).toBeUndefined()
    expect(proxy(from, {}, remote)).toBeUndefined()
    for (const NO_PROXY of ['*', 'example.com', '.example.com', 'a, llm.example.com:443']) {
      expect(proxy(from, { ...env, NO_PROXY }, remote)).toBeUndefined()
    }
    for (const NO_PROXY of ['ample.com', 'llm.example.com:8443', 'x.llm.example.com', ', ,']) {
      expect(proxy(from, { ...env, NO_PROXY }, remote)).toBe('http://s:1')
    }
  })
})

describe('without a word about proxies', () => {
  const env = { HTTPS_PROXY: 'http://s:1', OPENAI_API_KEY: openaiKey }
  const ambient = (snapshot: Snapshot): string | undefined =>
    snapshot.providers.get('openai')?.proxyUrl?.reveal()
  const loaded = (text: string | undefined, more: Record<string, string>): Snapshot =>
    loadConfig({ text, env: more, vendors: VENDOR_FACTS, operations: [], generation: 1 }).snapshot!

  test('the environment is obeyed, and loopback is reached directly', () => {
    expect(ambient(loaded(undefined, env))).toBe('http://s:1')
    expect(ambient(loaded('{"providers":{"openai":{}}}', env))).toBe('http://s:1')
    expect(ambient(loaded(undefined, { ...env, NO_PROXY: 'api.openai.com' }))).toBeUndefined()
    const local = '{"providers":{"openai":{"network_config":{"base_url":"https://127.0.0.1:1"}}}}'
    expect(ambient(loaded(local, env))).toBeUndefined()
    const none = '{"providers":{"openai":{"proxy_config":{"type":"none"}}}}'
    expect(ambient(loaded(none, env))).toBeUndefined()
  })

  test('nonsense in the environment stops nobody', () => {
    expect(
      ambient(loaded('{"providers":{"openai":{}}}', { ...env, HTTPS_PROXY: 'ftp://x' })),
    ).toBeUndefined()
  })
})

describe('warnings', () => {
  test('one names everything that has no effect yet', () => {
    const snapshot = accepted(`{
  "$schema": "https://www.getbifrost.ai/schema",
  "version": 2,
  "client": { "enable_logging": true, "drop_excess_requests": false, "mcp_agent_depth": 3 },
  "providers": { "ollama": {
    "network_config": {
      "max_conns_per_host": 2, "beta_header_overrides": { "a": true }
    }
  } },
  "config_store": { "enabled": true, "type": "sqlite", "config": { "path": "./config.db", "new": {} } },
  "plugins": [{ "name": "maxim", "anything": [1] }],
}`)
    expect(snapshot.warnings).toEqual([
      'accepted, but without effect in this version: ' +
        '/client/mcp_agent_depth (line 4), ' +
        '/providers/ollama/network_config/beta_header_overrides (line 7), /config_store (line 10), ' +
        '/plugins/0 (line 11)',
    ])
  })

  test('a door that stays open is named apart', () => {
    const warnings = accepted({
      client: { enforce_scim_auth: true },
    }).warnings
    expect(warnings.filter((warning) => warning.includes('whoever reaches the port'))).toHaveLength(
      1,
    )
    expect(accepted({ client: { enforce_scim_auth: false } }).warnings).toHaveLength(1)
  })
})

describe('a snapshot', () => {
  test('cannot be changed', () => {
    const snapshot = accepted({
      providers: { openai: { keys: [{ value: 'k', models: ['a'], aliases: { a: 'b' } }] } },
    })
    const { keys } = providerOf(snapshot, 'openai')
    const { allowedOrigins } = snapshot.client
    const [key] = keys
    expect(change(allowedOrigins, 'push')).toThrow()
    expect(change(snapshot.providers, 'delete')).toThrow()
    expect(change(key?.models, 'add')).toThrow()
    expect(change(key?.aliases, 'set')).toThrow()
    expect(Object.isFrozen(key)).toBe(true)
    expect(Object.isFrozen(providerOf(snapshot, 'openai').network.timers)).toBe(true)
  })

  test('knows its generation and source', () => {
    const snapshot = accepted('{}', { generation: 7 })
    expect([snapshot.generation, snapshot.source]).toEqual([7, '/etc/asbru/config.json'])
  })
})

describe('the log of calls', () => {
  const logs = (config: object) => accepted(JSON.stringify(config)).logs

  test('is kept for a year and up to a gigabyte', () => {
    expect(logs({})).toEqual({
      enabled: true,
      keepsContent: true,
      allowContentOverride: false,
      headers: [],
      apps: [],
      maxAgeMs: 365 * 86_400_000,
      maxBytes: 1024 ** 3,
      maxBodyChars: 256 * 1024,
    })
  })

  test('takes its settings from the client and from the store', () => {
    const client = {
      disable_content_logging: true,
      allow_per_request_content_storage_override: true,
      logging_headers: ['X-Team'],
      log_retention_days: 10,
    }
    const store = { type: 'sqlite', max_size_mb: 2, max_body_kb: 1, retention_days: 0 }
    expect(logs({ client, logs_store: store })).toEqual({
      enabled: true,
      keepsContent: false,
      allowContentOverride: true,
      headers: ['x-team'],
      apps: [],
      maxAgeMs: 10 * 86_400_000,
      maxBytes: 2 * 1024 ** 2,
      maxBodyChars: 1024,
    })
    expect(logs({ client, logs_store: { retention_days: 3 } }).maxAgeMs).toBe(3 * 86_400_000)
  })

  test('is off when either of them says so', () => {
    expect(logs({ client: { enable_logging: false } }).enabled).toBe(false)
    expect(logs({ logs_store: { enabled: false } }).enabled).toBe(false)
  })
})
