import { describe, expect, test } from 'bun:test'

import { Secret } from '#lib/secret.ts'
import { credentialSource } from '#providers/bedrock/credentials.ts'
import { unpack } from '#providers/bedrock/sign.ts'
import type { CredentialRequest, ObtainContext } from '#providers/credential.ts'
import type { Target } from '#providers/provider.ts'

// What is asked of machines and containers, whose addresses exist in the cloud only.

describe('nothing is asked of', () => {
  test.each([
    ['http://evil.example/creds'],
    ['http://169.254.169.254/latest/'],
    ['http://169.254.170.2@evil.example/'],
    ['http://169.254.170.2.evil.example/'],
    ['not a url'],
  ])('a container’s agent at %s', async (url) => {
    const { sent, obtained } = await obtainWith({ AWS_CONTAINER_CREDENTIALS_FULL_URI: url })
    expect(obtained).toMatchObject({ kind: 'provider_not_configured' })
    expect(sent).toEqual([])
  })
})

/** What a source asks for, with nothing but the environment to go by; no request leaves the process. */
async function obtainWith(
  env: Record<string, string>,
  answer: (request: CredentialRequest) => { status: number; text: string } = () => ({
    status: 404,
    text: '',
  }),
) {
  const sent: CredentialRequest[] = []
  const target = {
    settings: {
      name: 'bedrock',
      network: {},
      ambient: Object.fromEntries(
        Object.entries(env).map(([name, value]) => [name, new Secret(value)]),
      ),
    },
    key: { value: new Secret(''), vendor: { bedrock_key_config: { region: 'us-east-1' } } },
    model: 'echo',
  } as unknown as Target
  const call = { caller: {}, model: 'echo' } as Parameters<typeof credentialSource>[0]
  const context: ObtainContext = {
    nowMs: Date.now(),
    send(request) {
      sent.push(request)
      return Promise.resolve({ headers: {}, ...answer(request) })
    },
    readFile: () => Promise.resolve(undefined),
  }
  const obtained: unknown = await credentialSource(call, target)!
    .obtain(context)
    .catch((error: unknown) => error)
  return { sent, obtained }
}

test('the agent of ECS is the one link-local address that a relative path leads to', async () => {
  const { sent } = await obtainWith({ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/1' })
  expect(sent).toEqual([
    { method: 'GET', url: 'http://169.254.170.2/v2/credentials/1', isMetadataService: true },
  ])
  const odd = await obtainWith({ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '@evil.example/x' })
  expect(new URL(odd.sent[0]!.url).host).toBe('169.254.170.2')
})

test('a machine’s role is asked for with a token', async () => {
  const expires = new Date(Date.now() + 3_600_000).toISOString()
  const { sent, obtained } = await obtainWith({}, ({ method, url }) => {
    if (method === 'PUT') return { status: 200, text: 'imds-token' }
    if (url.endsWith('/')) return { status: 200, text: 'role-a\nrole-b' }
    const keysOf = { AccessKeyId: 'A', SecretAccessKey: 'S', Token: 'T', Expiration: expires }
    return { status: 200, text: JSON.stringify(keysOf) }
  })
  const base = 'http://169.254.169.254/latest'
  expect(sent.map(({ method, url }) => `${method} ${url}`)).toEqual([
    `PUT ${base}/api/token`,
    `GET ${base}/meta-data/iam/security-credentials/`,
    `GET ${base}/meta-data/iam/security-credentials/role-a`,
  ])
  expect(sent.every(({ isMetadataService }) => isMetadataService)).toBe(true)
  expect(sent[2]!.headers).toEqual({ 'x-aws-ec2-metadata-token': 'imds-token' })
  const { credential, expiresAtMs } = obtained as { credential: string; expiresAtMs: number }
  expect(expiresAtMs).toBe(Date.parse(expires))
  expect(unpack(credential)).toEqual({
    accessKeyId: 'A',
    secretAccessKey: 'S',
    sessionToken: 'T',
    region: 'us-east-1',
  })
})

test.each<[string, Record<string, string>]>([
  ['a machine that gives none', {}],
  ['a machine that is not to be asked', { AWS_EC2_METADATA_DISABLED: 'true' }],
  [
    'a token file that is gone',
    { AWS_WEB_IDENTITY_TOKEN_FILE: '/gone', AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/caller' },
  ],
])('%s is no configuration', async (_name, env) => {
  const { obtained } = await obtainWith(env)
  expect(obtained).toMatchObject({ kind: 'provider_not_configured' })
})
