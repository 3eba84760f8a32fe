import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { accessToken, startTokenServer, tokenReply } from '../../helpers/token-server.ts'
import type { TokenServer } from '../../helpers/token-server.ts'
import type { Rig, RigOptions } from './rig.ts'
import { ANSWER, startRig } from './rig.ts'

// Tokens of Microsoft Entra ID instead of a resource key, over real sockets.

const CANARY = 'canary~secret.0123456789'
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Scene {
  readonly rig: Rig
  readonly tokens: TokenServer
}

async function scene(options: RigOptions = {}, env: Record<string, string> = {}): Promise<Scene> {
  const tokens = startTokenServer()
  const rig = await startRig({
    ...options,
    key: { value: undefined, ...options.key },
    env: { AZURE_AUTHORITY_HOST: `${tokens.url}/`, ...env },
  })
  cleanups.push(
    () => tokens.stop(),
    () => rig[Symbol.asyncDispose](),
  )
  return { rig, tokens }
}

const application = {
  tenant_id: 'my tenant',
  client_id: 'my-app',
  client_secret: CANARY,
}

function bearers({ upstream }: Rig): (string | null)[] {
  return upstream.requests.map(({ headers }) => headers.get('authorization'))
}

function expectNoCanary({ gateway }: Rig, ...texts: string[]): void {
  expect([JSON.stringify(gateway.logs), ...texts].join('\n')).not.toContain(CANARY)
}

describe('the client credentials of an application', () => {
  test('are exchanged once for many calls', async () => {
    const { rig, tokens } = await scene({ config: application })
    rig.upstream.reply(Array.from({ length: 51 }, () => ANSWER))
    const answers = await Promise.all(Array.from({ length: 50 }, () => rig.chat('d')))
    answers.push(await rig.chat('d'))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(tokens.requests).toHaveLength(1)
    expect(new Set(bearers(rig))).toEqual(new Set([`Bearer ${accessToken('token-1')}`]))
    expect(rig.upstream.requests[0]?.headers.get('api-key')).toBeNull()
    const [request] = tokens.requests
    expect([request?.method, request?.target]).toEqual(['POST', '/my%20tenant/oauth2/v2.0/token'])
    expect(Object.fromEntries(request?.form ?? [])).toEqual({
      grant_type: 'client_credentials',
      client_id: 'my-app',
      client_secret: CANARY,
      scope: 'https://cognitiveservices.azure.com/.default',
    })
    expectNoCanary(rig)
  })

  test('scopes may be chosen', async () => {
    const config = { ...application, scopes: ['https://ai.azure.com/.default'] }
    const { rig, tokens } = await scene({ config })
    rig.upstream.reply(ANSWER)
    await rig.chat('d')
    expect(tokens.requests[0]?.form.get('scope')).toBe('https://ai.azure.com/.default')
  })

  test('a token that is refused is replaced, once', async () => {
    const { rig, tokens } = await scene({ config: application })
    const refused = { status: 401, json: { error: { code: '401', message: 'expired' } } }
    rig.upstream.reply([refused, ANSWER])
    expect((await rig.chat('d')).status).toBe(200)
    expect(bearers(rig)).toEqual(
      ['token-1', 'token-2'].map((name) => `Bearer ${accessToken(name)}`),
    )
    rig.upstream.clear()
    rig.upstream.reply([refused, refused])
    const response = await rig.chat('d')
    const answered: any = await response.json()
    expect([response.status, answered.error.code]).toEqual([401, 'invalid_api_key'])
    expect(rig.upstream.requests).toHaveLength(2)
    expect(tokens.requests).toHaveLength(3)
  })

  test('when they are refused, the answer says what is wrong and shows no secret', async () => {
    const { rig, tokens } = await scene({ config: application })
    tokens.answer(() =>
      Response.json(
        {
          error: 'invalid_client',
          error_description: `AADSTS7000215: Invalid client secret provided: '${CANARY}'.\r\nTrace ID: 1`,
        },
        { status: 401 },
      ),
    )
    const response = await rig.chat('d')
    const text = await response.text()
    const { error }: any = JSON.parse(text)
    expect([response.status, error.code, error.type]).toEqual([
      401,
      'invalid_api_key',
      'authentication_error',
    ])
    expect(error.message).toBe(
      "Microsoft Entra ID refused the client credentials of key 'resource' of provider 'azure' (invalid_client, AADSTS7000215: Invalid client secret provided: '[redacted]').",
    )
    expect(rig.upstream.requests).toHaveLength(0)
    expectNoCanary(rig, text)
  })

  test.each([
    ['trouble there', () => new Response('<html>', { status: 503 })],
    ['a success without a token', () => Response.json({ token_type: 'Bearer' })],
    ['no JSON', () => new Response('ok')],
    ['a redirection', () => Response.redirect('https://example.com', 302)],
  ])('%s is no fault of the caller', async (_, reply) => {
    const { rig, tokens } = await scene({
      config: application,
      network: { max_retries: 0, allow_private_network: true },
    })
    tokens.answer(reply)
    const response = await rig.chat('d')
    const answered: any = await response.json()
    expect([response.status, answered.error.type]).toEqual([502, 'api_error'])
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('a token that the provider repeats is not shown', async () => {
    const { rig } = await scene({ config: application })
    const told = { error: { code: '403', message: `not with ${accessToken('token-1')}` } }
    rig.upstream.reply({ status: 403, json: told })
    const text = await (await rig.chat('d')).text()
    expect(text).toContain('not with [redacted]')
    expect(text + JSON.stringify(rig.gateway.logs)).not.toContain(accessToken('token-1'))
  })

  test('without a tenant they are of no use', async () => {
    const { rig } = await scene({ config: { client_id: 'a', client_secret: CANARY } })
    const response = await rig.chat('d')
    const text = await response.text()
    expect(response.status).toBe(400)
    expect(text).toContain('needs tenant_id and client_id')
    expectNoCanary(rig, text)
  })
})

describe('without a key and a secret', () => {
  test('a workload shows its federated token, which is read anew each time', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'asbru-token-'))
    cleanups.push(() => rmSync(dir, { recursive: true }))
    const file = join(dir, 'token')
    writeFileSync(file, 'assertion-1\n')
    const { rig, tokens } = await scene(
      {},
      { AZURE_FEDERATED_TOKEN_FILE: file, AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c' },
    )
    const refused = { status: 401, json: { error: { code: '401', message: 'expired' } } }
    rig.upstream.reply([
      () => {
        writeFileSync(file, 'assertion-2')
        return Response.json(refused.json, { status: 401 })
      },
      ANSWER,
    ])
    expect((await rig.chat('d')).status).toBe(200)
    expect(
      tokens.requests.map(({ target, form }) => [target, form.get('client_assertion')]),
    ).toEqual([
      ['/t/oauth2/v2.0/token', 'assertion-1'],
      ['/t/oauth2/v2.0/token', 'assertion-2'],
    ])
    expect(tokens.requests[0]?.form.get('client_assertion_type')).toBe(
      'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    )
    expect(tokens.requests[0]?.form.has('client_secret')).toBe(false)
  })

  test('a token file that is not there is named', async () => {
    const { rig } = await scene(
      {},
      { AZURE_FEDERATED_TOKEN_FILE: '/nowhere/token', AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c' },
    )
    const response = await rig.chat('d')
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'provider_not_configured'])
    expect(error.message).toContain('/nowhere/token')
  })

  test('a machine asks its metadata service', async () => {
    const machine = startTokenServer()
    cleanups.push(() => machine.stop())
    machine.answer(() => tokenReply('machine', '86400'))
    const { rig, tokens } = await scene(
      { config: { client_id: 'user-assigned' } },
      { AZURE_POD_IDENTITY_AUTHORITY_HOST: machine.url },
    )
    rig.upstream.reply([ANSWER, ANSWER])
    await rig.chat('d')
    await rig.chat('d')
    expect(machine.requests.map(({ method, target }) => [method, target])).toEqual([
      [
        'GET',
        '/metadata/identity/oauth2/token?resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=user-assigned&api-version=2018-02-01',
      ],
    ])
    expect(machine.requests[0]?.headers.get('metadata')).toBe('true')
    expect(bearers(rig)[1]).toBe(`Bearer ${accessToken('machine')}`)
    expect(tokens.requests).toHaveLength(0)
  })

  test('an app service asks its own endpoint', async () => {
    const machine = startTokenServer()
    cleanups.push(() => machine.stop())
    const { rig } = await scene(
      {},
      { IDENTITY_ENDPOINT: `${machine.url}/msi/token`, IDENTITY_HEADER: CANARY },
    )
    rig.upstream.reply(ANSWER)
    expect((await rig.chat('d')).status).toBe(200)
    expect(machine.requests[0]?.target).toBe(
      '/msi/token?resource=https%3A%2F%2Fcognitiveservices.azure.com&api-version=2019-08-01',
    )
    expect(machine.requests[0]?.headers.get('x-identity-header')).toBe(CANARY)
    expectNoCanary(rig)
  })
})

test('Claude takes the token as well', async () => {
  const { rig } = await scene({ config: application })
  rig.upstream.reply({
    json: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-5',
      content: [{ type: 'text', text: 'Hello' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 3, output_tokens: 1 },
    },
  })
  const answer: any = await (await rig.chat('claude-sonnet-5')).json()
  expect(answer.choices[0].message.content).toBe('Hello')
  const [request] = rig.upstream.requests
  expect(request?.path).toBe('/anthropic/v1/messages')
  expect(request?.headers.get('authorization')).toBe(`Bearer ${accessToken('token-1')}`)
  expect(request?.headers.get('x-api-key')).toBeNull()
})
