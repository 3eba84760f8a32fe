import { GatewayError } from '#core/errors.ts'
import { isRecord, text } from '#openai/conversation/fields.ts'

import type { CredentialAnswer, CredentialRequest, ObtainContext } from '../credential.ts'
import type { AwsKeys, ContainerToken } from './credentials.ts'

// Keys that the machine or the container is given ("Container credential provider" and "IMDS credential provider", AWS
// SDKs and Tools Reference Guide, as read in November 2026).

/** The agents of ECS and of EKS; nothing else that is link-local is asked. */
const containerAgents: ReadonlySet<string> = new Set([
  'http://169.254.170.2',
  'http://169.254.170.23',
  'http://[fd00:ec2::23]',
])
const instance = 'http://169.254.169.254'
const roles = '/latest/meta-data/iam/security-credentials/'
const tokenSeconds = '21600'

/** Keys from a container's agent. Throws `GatewayError` when there are none. */
export async function fromContainer(
  url: string,
  token: ContainerToken,
  context: ObtainContext,
): Promise<AwsKeys> {
  const origin = originOf(url)
  const isAgent = containerAgents.has(origin)
  const isLoopback = /^http:\/\/(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(origin)
  if (!isAgent && !isLoopback && !origin.startsWith('https://')) {
    throw new GatewayError(
      'provider_not_configured',
      'AWS_CONTAINER_CREDENTIALS_FULL_URI leads neither to this machine, nor to an agent of AWS, nor to https.',
    )
  }
  const fromFile = token.file === undefined ? undefined : await context.readFile(token.file)
  const authorization = fromFile?.trim() || token.value
  if (authorization !== undefined && /[\r\n]/.test(authorization)) {
    throw new GatewayError(
      'provider_not_configured',
      'The authorization token of the container has more than one line.',
    )
  }
  const answer = await context.send({
    method: 'GET',
    url,
    ...(authorization !== undefined && { headers: { authorization } }),
    ...(isAgent && { isMetadataService: true as const }),
  })
  return readKeys(answer, 'The container’s agent')
}

/** Keys of the machine's role, by the second version of its metadata service. Throws `GatewayError` without them. */
export async function fromInstance(context: ObtainContext): Promise<AwsKeys> {
  const ask = async (request: Omit<CredentialRequest, 'isMetadataService'>): Promise<string> => {
    const answer = await context.send({ ...request, isMetadataService: true })
    if (answer.status === 200) return answer.text
    throw none(`The machine’s metadata service answered with status ${answer.status}`)
  }
  let token: string
  try {
    token = await ask({
      method: 'PUT',
      url: `${instance}/latest/api/token`,
      headers: { 'x-aws-ec2-metadata-token-ttl-seconds': tokenSeconds },
    })
  } catch (thrown) {
    throw none('Neither key nor environment has any, and this machine gives none', thrown)
  }
  const headers = { 'x-aws-ec2-metadata-token': token.trim() }
  const role = (await ask({ method: 'GET', url: instance + roles, headers })).split('\n')[0]!.trim()
  if (!/^[\w+=,.@-]{1,64}$/.test(role)) throw none('This machine has no role')
  const url = instance + roles + encodeURIComponent(role)
  const answer = await context.send({ method: 'GET', url, headers, isMetadataService: true })
  return readKeys(answer, 'The machine’s metadata service')
}

function readKeys({ status, text: body }: CredentialAnswer, server: string): AwsKeys {
  const found = status === 200 ? objectIn(body) : {}
  const accessKeyId = text(found['AccessKeyId'])
  const secretAccessKey = text(found['SecretAccessKey'])
  const expiresAtMs = Date.parse(text(found['Expiration']) ?? '')
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw none(`${server} answered with status ${status} and without keys`)
  }
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken: text(found['Token']),
    expiresAtMs: Number.isNaN(expiresAtMs) ? undefined : expiresAtMs,
  }
}

function none(why: string, cause?: unknown): GatewayError {
  return new GatewayError('provider_not_configured', `No credentials of AWS: ${why}.`, { cause })
}

function originOf(url: string): string {
  try {
    return new URL(url).origin
  } catch (cause) {
    throw new GatewayError(
      'provider_not_configured',
      'The address of the container’s credentials is no URL.',
      { cause },
    )
  }
}

function objectIn(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    return isRecord(value) ? value : {}
  } catch {
    // The status and the missing keys say enough.
    return {}
  }
}
