import { expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { LoadResult } from '#config/load.ts'
import { modelUrl, placeOf } from '#providers/bedrock/place.ts'
import type { Provider, Target } from '#providers/provider.ts'
import { PROVIDERS, VENDOR_FACTS } from '#providers/registry.ts'

// What configurations and environments lead to.

function load(env: Record<string, string>, providers?: object): LoadResult {
  const text = providers && JSON.stringify({ providers })
  return loadConfig({ text, env, vendors: VENDOR_FACTS, operations: [], generation: 1 })
}

function targetOf(result: LoadResult, model: string): Target {
  const settings = result.snapshot!.providers.get('bedrock')!
  const provider = PROVIDERS.get('bedrock') as Provider
  return { provider, settings, key: settings.keys[0], model }
}

function urlOf(target: Target): string {
  return modelUrl(placeOf(target), 'converse', target)
}

test('an API key in the environment is enough, and the region stands beside it', () => {
  const env = { AWS_BEARER_TOKEN_BEDROCK: 'key', AWS_REGION: 'eu-west-3' }
  const target = targetOf(load(env), 'amazon.nova-lite-v1:0')
  expect(target.key!.value.reveal()).toBe('key')
  expect(urlOf(target)).toBe(
    'https://bedrock-runtime.eu-west-3.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse',
  )
})

test.each<[Record<string, string>, string]>([
  [{}, 'https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse'],
  [
    { AWS_DEFAULT_REGION: 'cn-north-1' },
    'https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/converse',
  ],
  [
    { AWS_REGION: 'us-gov-west-1', AWS_DEFAULT_REGION: 'us-east-1' },
    'https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/m/converse',
  ],
])('a key without a region is used where %j says', (env, url) => {
  const result = load(env, { bedrock: { keys: [{ value: 'key' }] } })
  expect(result.problems).toEqual([])
  expect(urlOf(targetOf(result, 'm'))).toBe(url)
})

test('keys without a value are accepted, and their secrets are not printed', () => {
  const result = load(
    { AWS_SECRET: 'very-secret' },
    {
      bedrock: {
        keys: [
          {
            bedrock_key_config: {
              region: 'eu-central-1',
              access_key: 'AKIDEXAMPLE',
              secret_key: 'env.AWS_SECRET',
              session_token: 'a-session-token',
              external_id: 'an-external-id',
              role_arn: 'arn:aws:iam::1:role/a',
            },
          },
        ],
      },
    },
  )
  expect(result.problems).toEqual([])
  const printed = JSON.stringify(result.snapshot!.providers.get('bedrock')) + Bun.inspect(result)
  for (const secret of ['very-secret', 'AKIDEXAMPLE', 'a-session-token', 'an-external-id']) {
    expect(printed.includes(secret)).toBe(false)
  }
})

test('a base URL keeps its path and loses its last slash', () => {
  const result = load(
    {},
    {
      bedrock: {
        keys: [{ value: 'k' }],
        network_config: { base_url: 'https://vpce.example/bedrock/' },
      },
    },
  )
  expect(urlOf(targetOf(result, 'a:b/c(d)'))).toBe(
    'https://vpce.example/bedrock/model/a%3Ab%2Fc%28d%29/converse',
  )
})
