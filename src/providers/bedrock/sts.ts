import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'

import type { CredentialAnswer, ObtainContext } from '../credential.ts'
import { formBody } from '../token.ts'
import type { AwsKeys, Role, Sts } from './credentials.ts'
import { domain } from './place.ts'
import { sign } from './sign.ts'

// Keys for roles ("AssumeRole" and "AssumeRoleWithWebIdentity", AWS Security Token Service API Reference, as read in
// November 2026). Requests are forms, answers XML of a fixed shape.

const version = '2011-06-15'

/** Keys for a role, taken on with keys that may do so. Throws `GatewayError` when that is refused. */
export async function assumeRole(
  keys: AwsKeys,
  role: Role,
  sts: Sts,
  context: ObtainContext,
): Promise<AwsKeys> {
  const body = formBody({
    Action: 'AssumeRole',
    Version: version,
    RoleArn: role.arn,
    RoleSessionName: role.sessionName,
    ...(role.externalId !== undefined && { ExternalId: role.externalId }),
  })
  const url = urlOf(sts)
  const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' }
  const request = { method: 'POST', url, headers, body } as const
  await sign(request, { ...keys, region: sts.region }, 'sts', context.nowMs)
  return readKeys(await context.send(request))
}

/** Keys for a role, by a token that the platform has given this process. Throws `GatewayError` when it is refused. */
export async function assumeRoleWithWebIdentity(
  token: string,
  role: Role,
  sts: Sts,
  context: ObtainContext,
): Promise<AwsKeys> {
  const body = formBody({
    Action: 'AssumeRoleWithWebIdentity',
    Version: version,
    RoleArn: role.arn,
    RoleSessionName: role.sessionName,
    WebIdentityToken: token,
  })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return readKeys(await context.send({ method: 'POST', url: urlOf(sts), headers, body }))
}

function urlOf({ endpoint, region }: Sts): string {
  if (endpoint !== undefined) return `${endpoint.replace(/\/+$/, '')}/`
  return `https://sts.${region}.${domain(region)}/`
}

function readKeys({ status, text }: CredentialAnswer): AwsKeys {
  if (status !== 200) throw refusal(status, text)
  const accessKeyId = element(text, 'AccessKeyId')
  const secretAccessKey = element(text, 'SecretAccessKey')
  const sessionToken = element(text, 'SessionToken')
  const expiresAtMs = Date.parse(element(text, 'Expiration') ?? '')
  if (
    accessKeyId === undefined ||
    secretAccessKey === undefined ||
    sessionToken === undefined ||
    Number.isNaN(expiresAtMs)
  ) {
    throw new GatewayError('upstream_malformed', 'The token service of AWS answered without keys.')
  }
  return { accessKeyId, secretAccessKey, sessionToken, expiresAtMs }
}

/** A refused role is a refused key; trouble of the service is trouble of the provider. */
function refusal(status: number, text: string): GatewayError {
  const isBusy = status === 429 || status >= 500 || status < 400
  const code = element(text, 'Code')
  const said = element(text, 'Message')
    ?.replaceAll(/\b\d{12}\b/g, '[account]')
    .slice(0, 300)
  const why = [code, said].filter((part) => part !== undefined).join(': ')
  const message = isBusy
    ? `The token service of AWS answered with status ${status}.`
    : `The token service of AWS refused to give keys for the role${why === '' ? '' : ` (${why})`}.`
  const upstream: UpstreamFailure = {
    status: isBusy ? 502 : 401,
    message,
    type: null,
    code: isBusy ? 'token_server_error' : 'invalid_api_key',
    param: null,
    retryAfterMs: undefined,
    extra: {},
  }
  return new GatewayError('upstream_error', message, { upstream })
}

function element(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`)
  const from = start + name.length + 2
  const end = start === -1 ? -1 : xml.indexOf(`</${name}>`, from)
  return end === -1 ? undefined : xml.slice(from, end).trim()
}
