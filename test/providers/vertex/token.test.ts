import { afterAll, describe, expect, test } from 'bun:test'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { decodeProtectedHeader, jwtVerify } from 'jose'

import { accessToken, tokenReply } from '../../helpers/token-server.ts'
import type { Rig } from './rig.ts'
import { ACCOUNT, GEMINI_ANSWER, KEYS, serviceAccount, startRig } from './rig.ts'

// Access tokens for a project, over real sockets.

const dir = mkdtempSync(join(tmpdir(), 'asbru-vertex-'))
afterAll(() => rmSync(dir, { recursive: true }))

const CANARY = 'canary~refresh.0123456789'
const model = 'gemini-2.5-flash'

function bearers({ upstream }: Rig): (string | null)[] {
  return upstream.requests.map(({ headers }) => headers.get('authorization'))
}

/** No line of the private key in what anybody can see. */
function expectNoKey({ gateway }: Rig, ...texts: string[]): void {
  const seen = [JSON.stringify(gateway.logs), ...texts].join('\n')
  for (const line of KEYS.privateKey.split('\n').slice(1, -2)) expect(seen).not.toContain(line)
  expect(seen).not.toContain(CANARY)
}

describe('a service account', () => {
  test('signs one assertion for many calls', async () => {
    await using rig = await startRig()
    rig.upstream.reply(Array.from({ length: 50 }, () => GEMINI_ANSWER))
    const answers = await Promise.all(Array.from({ length: 50 }, () => rig.chat(model)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(new Set(bearers(rig))).toEqual(new Set([`Bearer ${accessToken('token-1')}`]))
    expect(rig.tokens.requests).toHaveLength(1)
    const [request] = rig.tokens.requests
    expect([request?.method, request?.target, request?.form.get('grant_type')]).toEqual([
      'POST',
      '/token',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
    ])
    const assertion = request!.form.get('assertion')!
    expect(decodeProtectedHeader(assertion)).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'key-1' })
    const { payload } = await jwtVerify(assertion, createPublicKey(KEYS.publicKey), {
      issuer: ACCOUNT,
      audience: `${rig.tokens.url}/token`,
    })
    expect(payload['scope']).toBe('https://www.googleapis.com/auth/cloud-platform')
    // Clocks differ: it is valid from a little before now, for no more than the hour that is allowed.
    expect(payload.iat!).toBeLessThanOrEqual(Date.now() / 1000 - 30)
    expect(payload.exp! - payload.iat!).toBe(3600)
    expectNoKey(rig)
  })

  const written: readonly [name: string, credentials: (url: string) => string][] = [
    [
      'with escaped line breaks',
      (url) =>
        JSON.stringify(
          serviceAccount(url, { private_key: KEYS.privateKey.replaceAll('\n', '\\n') }),
        ),
    ],
    [
      'with real line breaks inside the text',
      (url) => JSON.stringify(serviceAccount(url)).replaceAll('\\n', '\n'),
    ],
    ['printed over many lines', (url) => JSON.stringify(serviceAccount(url), null, 2)],
    [
      'without the id of its key',
      (url) => JSON.stringify(serviceAccount(url, { private_key_id: undefined })),
    ],
  ]
  test.each(written)('may be written %s', async (_, credentials) => {
    await using rig = await startRig({ credentials })
    rig.upstream.reply(GEMINI_ANSWER)
    expect((await rig.chat(model)).status).toBe(200)
    expect(rig.tokens.requests).toHaveLength(1)
  })

  test('may have a key in the older form', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = privateKey.export({ type: 'pkcs1', format: 'pem' })
    await using rig = await startRig({
      credentials: (url) => JSON.stringify(serviceAccount(url, { private_key: pem })),
    })
    rig.upstream.reply(GEMINI_ANSWER)
    expect((await rig.chat(model)).status).toBe(200)
  })

  test('may stand in the environment, or in the file that it names', async () => {
    const file = join(dir, 'account.json')
    await using rig = await startRig({
      env: (url) => {
        writeFileSync(file, JSON.stringify(serviceAccount(url)))
        return { GOOGLE_APPLICATION_CREDENTIALS: file }
      },
    })
    rig.upstream.reply(GEMINI_ANSWER)
    expect((await rig.chat(model)).status).toBe(200)
    expect(bearers(rig)).toEqual([`Bearer ${accessToken('token-1')}`])
    await using other = await startRig({
      config: { auth_credentials: 'env.ACCOUNT' },
      env: (url) => ({ ACCOUNT: JSON.stringify(serviceAccount(url)) }),
    })
    other.upstream.reply(GEMINI_ANSWER)
    expect((await other.chat(model)).status).toBe(200)
    expect(other.tokens.requests).toHaveLength(1)
  })

  test('gets one new token when the old one is refused', async () => {
    await using rig = await startRig()
    const refused = {
      status: 401,
      json: { error: { code: 401, message: 'expired', status: 'UNAUTHENTICATED' } },
    }
    rig.upstream.reply([refused, GEMINI_ANSWER])
    expect((await rig.chat(model)).status).toBe(200)
    expect(bearers(rig)).toEqual(
      ['token-1', 'token-2'].map((name) => `Bearer ${accessToken(name)}`),
    )
    rig.upstream.clear()
    rig.upstream.reply([refused, refused])
    const response = await rig.chat(model)
    const { error }: any = await response.json()
    expect([response.status, error.code, error.message]).toEqual([
      401,
      'invalid_api_key',
      'expired',
    ])
    expect([rig.upstream.requests.length, rig.tokens.requests.length]).toEqual([2, 3])
  })

  test('that is refused itself is named, and nothing secret is', async () => {
    await using rig = await startRig()
    rig.tokens.answer(({ form }) =>
      Response.json(
        { error: 'invalid_grant', error_description: `Invalid JWT: ${form.get('assertion')}` },
        { status: 400 },
      ),
    )
    const response = await rig.chat(model)
    const text = await response.text()
    const { error }: any = JSON.parse(text)
    expect([response.status, error.code, error.type]).toEqual([
      401,
      'invalid_api_key',
      'authentication_error',
    ])
    expect(error.message).toBe(
      `Google's token server refused the service account ${ACCOUNT} of key 'project' of provider 'vertex' (invalid_grant, Invalid JWT: [redacted]).`,
    )
    expect(rig.upstream.requests).toHaveLength(0)
    expectNoKey(rig, text)
  })

  const broken: readonly [name: string, credentials: (url: string) => string, says: string][] = [
    ['no JSON', () => `{"private_key": "${CANARY}`, 'hold no JSON object'],
    ['JSON that is no object', () => `"${CANARY}"`, 'hold no JSON object'],
    [
      'an account without its address',
      (url) => JSON.stringify(serviceAccount(url, { client_email: '' })),
      "lack 'client_email'",
    ],
    [
      'a key that is none',
      (url) => JSON.stringify(serviceAccount(url, { private_key: CANARY })),
      'is no private key',
    ],
    [
      'another kind of credentials',
      () => JSON.stringify({ type: 'gdch_service_account', audience: CANARY }),
      "of type 'gdch_service_account'",
    ],
    [
      'a token server without TLS',
      () => JSON.stringify(serviceAccount('http://tokens.example.com')),
      'no https URL',
    ],
    [
      'a token server that is no URL',
      () => JSON.stringify(serviceAccount('file:')),
      'no https URL',
    ],
  ]
  test.each(broken)('%s are no credentials', async (_, credentials, says) => {
    await using rig = await startRig({ credentials })
    const response = await rig.chat(model)
    const text = await response.text()
    const { error }: any = JSON.parse(text)
    expect([response.status, error.code]).toEqual([400, 'provider_not_configured'])
    expect(error.message).toContain(says)
    expectNoKey(rig, text)
  })

  test('is not sent to an address inside', async () => {
    await using rig = await startRig({
      credentials: () => JSON.stringify(serviceAccount('https://169.254.169.254')),
    })
    const response = await rig.chat(model)
    expect([response.status, ((await response.json()) as any).error.code]).toEqual([
      403,
      'egress_forbidden',
    ])
  })
})

describe('other identities', () => {
  test('a person who logged in', async () => {
    await using rig = await startRig({
      credentials: (url) =>
        JSON.stringify({
          type: 'authorized_user',
          client_id: 'cli',
          client_secret: 'cli-secret',
          refresh_token: CANARY,
          quota_project_id: 'payer',
          token_uri: `${url}/token`,
        }),
    })
    rig.upstream.reply(GEMINI_ANSWER)
    expect((await rig.chat(model)).status).toBe(200)
    expect(Object.fromEntries(rig.tokens.requests[0]!.form)).toEqual({
      grant_type: 'refresh_token',
      client_id: 'cli',
      client_secret: 'cli-secret',
      refresh_token: CANARY,
    })
    expect(rig.upstream.requests[0]?.headers.get('x-goog-user-project')).toBe('payer')
    rig.tokens.answer(() =>
      Response.json(
        { error: 'invalid_grant', error_description: `Token ${CANARY} has been revoked.` },
        { status: 400 },
      ),
    )
    const refused = { status: 401, json: { error: { code: 401, message: 'expired' } } }
    rig.upstream.reply(refused)
    const text = await (await rig.chat(model)).text()
    expect(JSON.parse(text).error.message).toContain('has been revoked')
    expectNoKey(rig, text)
  })

  const federation = (url: string, more: object): string =>
    JSON.stringify({
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/pools/p/providers/x',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${url}/sts`,
      ...more,
    })

  test('a workload with a token of somebody else', async () => {
    const file = join(dir, 'foreign')
    writeFileSync(file, `${CANARY}\n`)
    await using rig = await startRig({
      credentials: (url) => federation(url, { credential_source: { file } }),
    })
    rig.upstream.reply(GEMINI_ANSWER)
    expect((await rig.chat(model)).status).toBe(200)
    expect(Object.fromEntries(rig.tokens.requests[0]!.form)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: '//iam.googleapis.com/projects/1/pools/p/providers/x',
      scope: 'https://www.googleapis.com/auth/cloud-platform',
      subject_token: CANARY,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    })
    expect(bearers(rig)).toEqual([`Bearer ${accessToken('token-1')}`])
    expectNoKey(rig)
  })

  test('such a workload in the place of a service account', async () => {
    await using rig = await startRig({
      credentials: (url) =>
        federation(url, {
          service_account_impersonation_url: `${url}/robot:generateAccessToken`,
          credential_source: {
            url: `${url}/foreign`,
            headers: { 'x-ask': 'yes' },
            format: { type: 'json', subject_token_field_name: 'value' },
          },
        }),
    })
    rig.tokens.answer(({ target, headers }) => {
      if (target === '/foreign') return Response.json({ value: `${CANARY}${headers.get('x-ask')}` })
      if (target === '/sts') return tokenReply('exchanged')
      const robot = accessToken(`robot for ${headers.get('authorization')}`)
      return Response.json({ accessToken: robot, expireTime: '2099-01-01T00:00:00Z' })
    })
    rig.upstream.reply([GEMINI_ANSWER, GEMINI_ANSWER])
    expect([(await rig.chat(model)).status, (await rig.chat(model)).status]).toEqual([200, 200])
    expect(rig.tokens.requests.map(({ target }) => target)).toEqual([
      '/foreign',
      '/sts',
      '/robot:generateAccessToken',
    ])
    expect(rig.tokens.requests[1]?.form.get('subject_token')).toBe(`${CANARY}yes`)
    expect(bearers(rig)[1]).toBe(
      `Bearer ${accessToken(`robot for Bearer ${accessToken('exchanged')}`)}`,
    )
  })

  test.each([
    [{ credential_source: { file: '/nowhere' } }, "'/nowhere'"],
    [{ credential_source: { environment_id: 'aws1', url: 'http://x' } }, 'credential_source'],
    [{}, 'credential_source'],
    [{ credential_source: { file: 'f' }, token_url: 'http://sts.example.com' }, 'token_url'],
    [
      { credential_source: { file: 'f' }, service_account_impersonation_url: 'x' },
      'service_account_impersonation_url',
    ],
  ])('a federation that cannot work says why: %j', async (more, says) => {
    await using rig = await startRig({ credentials: (url) => federation(url, more) })
    const response = await rig.chat(model)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([400, 'provider_not_configured'])
    expect(error.message).toContain(says)
  })

  test('the machine', async () => {
    await using rig = await startRig({
      env: (url) => ({ GCE_METADATA_HOST: url.replace('http://', '') }),
    })
    rig.tokens.answer(() => tokenReply('machine'))
    rig.upstream.reply([GEMINI_ANSWER, GEMINI_ANSWER])
    await rig.chat(model)
    await rig.chat(model)
    expect(rig.tokens.requests.map(({ method, target }) => [method, target])).toEqual([
      ['GET', '/computeMetadata/v1/instance/service-accounts/default/token'],
    ])
    expect(rig.tokens.requests[0]?.headers.get('metadata-flavor')).toBe('Google')
    expect(bearers(rig)[1]).toBe(`Bearer ${accessToken('machine')}`)
  })

  test('a caller with a token, or with an API key, of its own', async () => {
    await using rig = await startRig({ client: { allow_direct_keys: true } })
    const body = { model: `vertex/${model}`, messages: [{ role: 'user', content: 'Hi' }] }
    rig.upstream.reply([GEMINI_ANSWER, GEMINI_ANSWER])
    await rig.send('/chat/completions', body, { 'x-goog-api-key': 'AQ.own-0123456789' })
    await rig.send('/chat/completions', body, { authorization: 'Bearer ya29.own-0123456789' })
    expect(
      rig.upstream.requests.map(({ path, headers }) => [
        path,
        headers.get('x-goog-api-key'),
        headers.get('authorization'),
      ]),
    ).toEqual([
      [`/v1/publishers/google/models/${model}:generateContent`, 'AQ.own-0123456789', null],
      [`/v1/publishers/google/models/${model}:generateContent`, null, 'Bearer ya29.own-0123456789'],
    ])
    expect(rig.tokens.requests).toHaveLength(0)
  })
})
