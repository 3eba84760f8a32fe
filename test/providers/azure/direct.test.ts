import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { AzureOpenAI } from 'openai'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { accessToken } from '../../helpers/token-server.ts'
import { ANSWER } from './rig.ts'

// A caller with a resource and a key of its own. The address comes from outside, so it must not lead inside.

const tls = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, '../../fixtures/tls', name)).text()

const OWN_KEY = 'callers-own-key-0123456789'
const EXTRA = 'header-of-the-operator'

interface Seen {
  readonly target: string
  readonly headers: Headers
}

const seen: Seen[] = []
let server: Bun.Server<undefined>
let inside: TestGateway
let outside: TestGateway
beforeAll(async () => {
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    development: false,
    tls: { cert: await tls('cert.pem'), key: await tls('key.pem') },
    fetch(request) {
      const { pathname, search } = new URL(request.url)
      seen.push({ target: pathname + search, headers: request.headers })
      return Response.json(ANSWER.json)
    },
  })
  const gateway = async (allow_private_network: boolean): Promise<TestGateway> =>
    startGateway({
      config: {
        client: { allow_direct_keys: true },
        providers: {
          azure: {
            keys: [
              {
                value: 'key-of-the-operator',
                azure_key_config: { endpoint: 'https://operator.example.com' },
              },
            ],
            network_config: {
              allow_private_network,
              ca_cert_pem: await tls('cert.pem'),
              extra_headers: { 'x-operator': EXTRA },
            },
          },
        },
      },
    })
  inside = await gateway(true)
  outside = await gateway(false)
})
afterAll(async () => {
  await inside.stop()
  await outside.stop()
  await server.stop(true)
})

function call(
  gateway: TestGateway,
  endpoint: string | undefined,
  headers: Record<string, string> = { 'api-key': OWN_KEY },
  query = '',
): Promise<Response> {
  seen.length = 0
  return fetch(`${gateway.url}/openai/v1/chat/completions${query}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(endpoint !== undefined && { 'x-bf-azure-endpoint': endpoint }),
      ...headers,
    },
    body: JSON.stringify({ model: 'azure/d', messages: [{ role: 'user', content: 'Hi' }] }),
  })
}

const here = (): string => `https://127.0.0.1:${server.port}`

describe('the resource that the header names', () => {
  test('is asked with the key of the caller and nothing of the operator', async () => {
    const response = await call(inside, `${here()}/openai/v1/`)
    expect(response.status).toBe(200)
    expect(seen.map(({ target }) => target)).toEqual(['/openai/v1/chat/completions'])
    const [{ headers }] = seen as [Seen]
    expect(headers.get('api-key')).toBe(OWN_KEY)
    expect(headers.get('x-operator')).toBeNull()
  })

  test('is asked in the version of the SDK', async () => {
    const client = new AzureOpenAI({
      endpoint: `${inside.url}/openai`,
      apiKey: OWN_KEY,
      apiVersion: '2024-10-21',
      maxRetries: 0,
      defaultHeaders: { 'x-bf-azure-endpoint': here() },
    })
    seen.length = 0
    const answer = await client.chat.completions.create({
      model: 'my-luna',
      messages: [{ role: 'user', content: 'Hi' }],
    })
    expect(answer.choices[0]?.message.content).toBe('Hello')
    expect(seen.map(({ target }) => target)).toEqual([
      '/openai/deployments/my-luna/chat/completions?api-version=2024-10-21',
    ])
  })

  test('takes a token of the caller', async () => {
    const token = accessToken('caller')
    await call(inside, here(), { authorization: `Bearer ${token}` })
    expect(seen[0]?.headers.get('authorization')).toBe(`Bearer ${token}`)
    expect(seen[0]?.headers.get('api-key')).toBeNull()
  })

  test('is needed', async () => {
    const response = await call(outside, undefined)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'header_required'])
    expect(error.message).toContain('x-bf-azure-endpoint')
  })

  test('is ignored without a key of the caller', async () => {
    const response = await call(inside, here(), {})
    expect(response.status).not.toBe(200)
    expect(seen).toHaveLength(0)
  })

  test.each([
    'http://my-resource.openai.azure.com',
    'ftp://my-resource.openai.azure.com',
    'https://user:pass@my-resource.openai.azure.com',
    'https://my-resource.openai.azure.com?x=1',
    'https://my-resource.openai.azure.com#x',
    'my-resource',
    'https://',
  ])('cannot be %s', async (endpoint) => {
    const response = await call(outside, endpoint)
    const { error }: any = await response.json()
    expect([response.status, error.param]).toEqual([400, 'x-bf-azure-endpoint'])
  })

  test.each([
    ['loopback', () => here()],
    ['loopback by name', () => `https://localhost:${server.port}`],
    ['loopback in six', () => `https://[::1]:${server.port}`],
    ['loopback as a number', () => `https://2130706433:${server.port}`],
    ['a private network', () => 'https://10.1.2.3'],
    ['a private network in disguise', () => 'https://[::ffff:10.1.2.3]'],
    ['a metadata service', () => 'https://169.254.169.254'],
  ])('cannot be in %s', async (_, endpoint) => {
    const response = await call(outside, endpoint())
    const text = await response.text()
    expect([response.status, JSON.parse(text).error.code]).toEqual([403, 'egress_forbidden'])
    expect(text).not.toContain(OWN_KEY)
    expect(seen).toHaveLength(0)
  })

  test('a version that is none is the caller’s mistake', async () => {
    const response = await call(inside, here(), undefined, '?api-version=..%2Fx')
    const { error }: any = await response.json()
    expect([response.status, error.param]).toEqual([400, 'api-version'])
    expect(seen).toHaveLength(0)
  })
})
