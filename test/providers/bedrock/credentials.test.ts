import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { MOCK_KEYS } from '#providers/mock/bedrock-sign.ts'

import { startTokenServer } from '../../helpers/token-server.ts'
import type { TokenServer } from '../../helpers/token-server.ts'
import { ask } from '../play.ts'
import { keys, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// As whom the gateway calls. The mock refuses whatever is not signed with keys that it knows.

const [lasting, temporary] = MOCK_KEYS
const hello = { model: 'bedrock/echo', messages: [{ role: 'user', content: 'hi' }] }
const roleArn = 'arn:aws:iam::123456789012:role/caller'

let sts: TokenServer
let rig: Rig | undefined
let dir: string

beforeAll(() => {
  sts = startTokenServer()
  dir = mkdtempSync(join(tmpdir(), 'asbru-'))
})
beforeEach(() => {
  sts.clear()
  sts.answer(() => new Response(assumed()))
})
afterEach(async () => {
  await rig?.stop()
  rig = undefined
})
afterAll(async () => {
  await sts.stop()
  rmSync(dir, { recursive: true, force: true })
})

function assumed(action = 'AssumeRole', minutes = 60): string {
  const { accessKeyId, secretAccessKey, sessionToken } = temporary
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>
    <AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>
    <SessionToken>${sessionToken}</SessionToken>
    <Expiration>${new Date(Date.now() + minutes * 60_000).toISOString()}</Expiration>
  </Credentials></${action}Result></${action}Response>`
}

async function start(key: object, env: Record<string, string> = {}): Promise<Rig> {
  rig = await startRig(key, env)
  return rig
}

async function chat({ gateway }: Rig, more = {}, headers = {}) {
  return await ask(gateway.url, '/chat/completions', { ...hello, ...more }, headers)
}

function scopeOf({ upstream }: Rig): string {
  const authorization = upstream.requests.at(-1)!.headers.get('authorization') ?? ''
  return /Credential=([^,]*)\/aws4_request/.exec(authorization)?.[1] ?? authorization
}

const ambient = {
  AWS_ACCESS_KEY_ID: lasting.accessKeyId,
  AWS_SECRET_ACCESS_KEY: lasting.secretAccessKey,
}
const today = () => new Date().toISOString().slice(0, 10).replaceAll('-', '')

test('keys of the configuration sign for the key’s region', async () => {
  const running = await start({ bedrock_key_config: keys })
  expect((await chat(running)).status).toBe(200)
  expect(scopeOf(running)).toBe(`AKIDEXAMPLE/${today()}/eu-central-1/bedrock`)
})

test('temporary keys of the configuration send their session token', async () => {
  const { accessKeyId, secretAccessKey, sessionToken } = temporary
  const running = await start({
    bedrock_key_config: {
      region: 'us-west-2',
      access_key: accessKeyId,
      secret_key: secretAccessKey,
      session_token: sessionToken,
    },
  })
  expect((await chat(running)).status).toBe(200)
  expect(running.upstream.requests[0]!.headers.get('x-amz-security-token')).toBe(sessionToken)
})

test('an API key is sent as it is', async () => {
  const running = await start({ value: 'bedrock-api-key-abc' })
  expect((await chat(running)).status).toBe(200)
  const { headers } = running.upstream.requests[0]!
  expect(headers.get('authorization')).toBe('Bearer bedrock-api-key-abc')
  expect(headers.get('x-amz-date')).toBeNull()
})

test('keys of the environment are used where the configuration has none', async () => {
  const running = await start({ bedrock_key_config: { region: 'ap-south-1' } }, ambient)
  expect((await chat(running)).status).toBe(200)
  expect(scopeOf(running)).toBe(`AKIDEXAMPLE/${today()}/ap-south-1/bedrock`)
})

test('an ARN says where the model is', async () => {
  const running = await start({ bedrock_key_config: keys })
  const arn = 'arn:aws:bedrock:us-east-2:123456789012:application-inference-profile/echo'
  expect((await chat(running, { model: `bedrock/${arn}` })).status).toBe(200)
  expect(scopeOf(running)).toBe(`AKIDEXAMPLE/${today()}/us-east-2/bedrock`)
  expect(running.upstream.requests[0]!.path).toBe(
    '/model/arn%3Aaws%3Abedrock%3Aus-east-2%3A123456789012%3Aapplication-inference-profile%2Fecho/converse',
  )
})

test('aliases, deployments and the key’s own ARN lead to profiles', async () => {
  const profiles = 'arn:aws:bedrock:eu-west-1:123456789012:inference-profile'
  const running = await start({
    bedrock_key_config: { ...keys, arn: profiles, deployments: { old: 'eu.echo' } },
    aliases: {
      'claude-sonnet-4-5': {
        model_id: 'arn:aws:bedrock:eu-north-1:123456789012:application-inference-profile/tools',
      },
      near: {
        model_id: 'echo',
        region: 'eu-south-2',
        inference_profile_arn: 'arn:aws:bedrock::1:p/echo',
      },
    },
  })
  await chat(running, { model: 'bedrock/old' })
  expect(decodeURIComponent(running.upstream.requests[0]!.path)).toBe(
    `/model/${profiles}/eu.echo/converse`,
  )
  expect(scopeOf(running)).toContain('/eu-west-1/')
  await chat(running, { model: 'bedrock/near' })
  expect(scopeOf(running)).toContain('/eu-south-2/')
  // The alias says what the profile hides: this model can be made to call.
  const tools = [{ type: 'function', function: { name: 'f' } }]
  await chat(running, { model: 'bedrock/claude-sonnet-4-5', tools, tool_choice: 'required' })
  expect(running.upstream.requests[2]!.json().toolConfig.toolChoice).toEqual({ any: {} })
})

describe('a role', () => {
  const key = {
    bedrock_key_config: {
      ...keys,
      role_arn: roleArn,
      external_id: 'outside-7',
      session_name: 'nightly',
    },
  }
  const env = () => ({ AWS_ENDPOINT_URL_STS: sts.url })

  test('is taken on once, however many ask at the same time', async () => {
    const running = await start(key, env())
    const answers = await Promise.all(Array.from({ length: 6 }, () => chat(running)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    expect(sts.requests).toHaveLength(1)
    const { form, headers } = sts.requests[0]!
    expect(Object.fromEntries(form)).toEqual({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: 'nightly',
      ExternalId: 'outside-7',
    })
    expect(headers.get('authorization')).toContain('/eu-central-1/sts/aws4_request')
    expect(scopeOf(running)).toStartWith(`${temporary.accessKeyId}/`)
    await chat(running)
    expect(sts.requests).toHaveLength(1)
  })

  test('whose keys are withdrawn is taken on anew, once', async () => {
    const running = await start(key, env())
    await chat(running)
    const expired = {
      status: 403,
      headers: { 'x-amzn-errortype': 'ExpiredTokenException:' },
      json: { message: 'The security token included in the request is expired' },
    }
    running.upstream.reply(expired)
    expect((await chat(running)).status).toBe(200)
    expect(sts.requests).toHaveLength(2)
    running.upstream.reply([expired, expired])
    expect((await chat(running)).status).toBe(401)
    expect(sts.requests).toHaveLength(3)
  })

  test('that is refused is a refused key, and its account stays hidden', async () => {
    const running = await start(key, env())
    sts.answer(
      () =>
        new Response(
          '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/a is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>',
          { status: 403 },
        ),
    )
    const { status, json, text } = await chat(running)
    expect([status, json.error.code]).toEqual([401, 'invalid_api_key'])
    expect(json.error.message).toContain('AccessDenied')
    expect(text).not.toContain('123456789012')
    expect(running.upstream.requests).toHaveLength(0)
  })

  test.each([
    ['trouble of the service', { text: 'busy', status: 503 }, 'token_server_error'],
    ['an answer without keys', { text: '<ok/>', status: 200 }, 'bad_gateway'],
  ])('%s is the provider’s', async (_name, response, code) => {
    const running = await start(key, env())
    sts.answer(() => new Response(response.text, { status: response.status }))
    const { status, json } = await chat(running)
    expect([status, json.error.code]).toEqual([502, code])
  })

  test('comes by the token in a file, which is read anew each time', async () => {
    const file = join(dir, 'token')
    writeFileSync(file, 'first\n')
    const running = await start(
      { bedrock_key_config: { region: 'eu-central-1' } },
      {
        ...env(),
        AWS_WEB_IDENTITY_TOKEN_FILE: file,
        AWS_ROLE_ARN: roleArn,
        AWS_ROLE_SESSION_NAME: 'pod-7',
      },
    )
    sts.answer(() => new Response(assumed('AssumeRoleWithWebIdentity')))
    expect((await chat(running)).status).toBe(200)
    expect(Object.fromEntries(sts.requests[0]!.form)).toEqual({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: 'pod-7',
      WebIdentityToken: 'first',
    })
    expect(sts.requests[0]!.headers.get('authorization')).toBeNull()
    writeFileSync(file, 'second')
    running.upstream.reply({
      status: 403,
      headers: { 'x-amzn-errortype': 'ExpiredTokenException' },
      json: {},
    })
    await chat(running)
    expect(sts.requests[1]!.form.get('WebIdentityToken')).toBe('second')
  })
})

test('a container’s agent gives keys', async () => {
  const seen: (string | null)[] = []
  using agent = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch(asked) {
      seen.push(asked.headers.get('authorization'))
      const { accessKeyId, secretAccessKey, sessionToken } = temporary
      return Response.json({
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        Token: sessionToken,
        Expiration: new Date(Date.now() + 3_600_000).toISOString(),
      })
    },
  })
  const running = await start(
    { bedrock_key_config: { region: 'eu-central-1' } },
    {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://localhost:${agent.port}/creds`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'agent-token',
    },
  )
  expect((await chat(running)).status).toBe(200)
  expect(seen).toEqual(['agent-token'])
})

test.each([
  ['half a pair of keys', { region: 'eu-central-1', access_key: 'A' }],
  ['a region that is none', { ...keys, region: 'evil.example/x' }],
])('%s says so', async (_name, config) => {
  const running = await start({ bedrock_key_config: config })
  const { status, json } = await chat(running)
  expect([status, json.error.code]).toEqual([400, 'provider_not_configured'])
  expect(running.upstream.requests).toHaveLength(0)
})

test('no secret is told, whatever fails', async () => {
  const running = await start(
    { bedrock_key_config: { ...keys, role_arn: roleArn, external_id: 'outside-7-secret' } },
    { AWS_ENDPOINT_URL_STS: sts.url, AWS_SECRET_ACCESS_KEY: 'ambient-secret-value' },
  )
  const said: string[] = []
  const tell = async (more = {}): Promise<void> => {
    const answer = await chat(running, more, { 'x-bf-trace': 'true' })
    said.push(answer.text, JSON.stringify([...answer.headers]))
  }
  await tell()
  const echoing = (asked: Request) =>
    Response.json(
      {
        message: `The request signature we calculated does not match. The Canonical String for this request should have been\n'POST\n${asked.headers.get('x-amz-security-token')}'`,
      },
      { status: 403, headers: { 'x-amzn-errortype': 'InvalidSignatureException' } },
    )
  // Twice, since new keys are tried once.
  running.upstream.reply([echoing, echoing])
  await tell()
  running.upstream.reply({ status: 500, text: 'broken' })
  await tell()
  await tell({ model: 'bedrock/echo!reset' })
  sts.answer(() => new Response('<Error><Code>X</Code></Error>', { status: 400 }))
  running.upstream.reply({
    status: 403,
    headers: { 'x-amzn-errortype': 'ExpiredTokenException' },
    json: {},
  })
  await tell()
  const all = said.join('\n') + JSON.stringify(running.gateway.logs)
  for (const secret of [
    lasting.secretAccessKey,
    temporary.secretAccessKey,
    temporary.sessionToken,
    'outside-7-secret',
    'ambient-secret-value',
  ]) {
    expect(all.includes(secret)).toBe(false)
    expect(all.includes(JSON.stringify(secret).slice(1, -1))).toBe(false)
  }
})
