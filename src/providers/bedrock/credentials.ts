import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'
import { text } from '#openai/conversation/fields.ts'

import type { CredentialSource, ObtainContext, Obtained } from '../credential.ts'
import type { Target } from '../provider.ts'
import { fingerprint } from '../token.ts'
import { fromContainer, fromInstance } from './metadata.ts'
import { keyConfig, placeOf, regionOf } from './place.ts'
import { pack } from './sign.ts'
import { assumeRole, assumeRoleWithWebIdentity } from './sts.ts'

// As whom the gateway calls: by the key's own configuration, else by what the environment says, in the order of the
// AWS SDKs ("Standardized credential providers", AWS SDKs and Tools Reference Guide, as read in November 2026).

/** Keys of AWS, wherever they came from. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /** Milliseconds since 1970; undefined for keys that stay. */
  readonly expiresAtMs?: number | undefined
}

/** A role to take on with keys that are there already. */
export interface Role {
  readonly arn: string
  readonly sessionName: string
  readonly externalId: string | undefined
}

/** Where base keys come from. */
type Origin =
  | { readonly kind: 'static'; readonly keys: AwsKeys }
  | { readonly kind: 'web-identity'; readonly role: Role; readonly tokenFile: string }
  | { readonly kind: 'container'; readonly url: string; readonly token: ContainerToken }
  | { readonly kind: 'instance' }
  | { readonly kind: 'none' }

export interface ContainerToken {
  readonly value: string | undefined
  readonly file: string | undefined
}

/** The service that gives out keys for roles. */
export interface Sts {
  readonly region: string
  /** Of `AWS_ENDPOINT_URL_STS`. */
  readonly endpoint: string | undefined
}

const defaultSession = 'asbru'
/** Keys that stay are packed anew this often. */
const staticLifeMs = 24 * 60 * 60_000

/** The variables that say as whom and where this process runs. */
export const AMBIENT = [
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  // Names a file whose content changes: it is read whenever it is needed.
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_ENDPOINT_URL_STS',
].map((name) => ({ name }))

const kept = new WeakMap<object, Map<string, CredentialSource>>()
const maxRegions = 50

/**
 * The source of the keys that sign the call; undefined where the key, or the caller, has an API key. Throws
 * `provider_not_configured` where nothing says as whom to call.
 */
export function credentialSource(call: Call, target: Target): CredentialSource | undefined {
  if (call.caller.directKey || (target.key && !target.key.value.isEmpty)) return undefined
  const region = target.model === undefined ? regionOf(target) : placeOf(target, call.model).region
  const holder = target.key ?? target.settings
  let ofHolder = kept.get(holder)
  if (!ofHolder || ofHolder.size >= maxRegions) kept.set(holder, (ofHolder = new Map()))
  let source = ofHolder.get(region)
  if (!source) ofHolder.set(region, (source = sourceFor(target, region)))
  return source
}

function sourceFor(target: Target, region: string): CredentialSource {
  const origin = originOf(target)
  const role = roleOf(target)
  const sts: Sts = {
    region: regionOf(target),
    endpoint: target.settings.ambient['AWS_ENDPOINT_URL_STS']?.reveal(),
  }
  const { name } = target.settings
  return {
    cacheKey: `aws:${fingerprint(region, JSON.stringify([origin, role, sts]))}`,
    isFixed: origin.kind === 'static' && role === undefined,
    async obtain(context) {
      const base = await baseKeys(origin, sts, context, name)
      const keys = role ? await assumeRole(base, role, sts, context) : base
      return packed(keys, region, context.nowMs)
    },
  }
}

function packed(keys: AwsKeys, region: string, nowMs: number): Obtained {
  const { accessKeyId, secretAccessKey, sessionToken, expiresAtMs } = keys
  return {
    credential: pack({ accessKeyId, secretAccessKey, sessionToken, region }),
    expiresAtMs: expiresAtMs ?? nowMs + staticLifeMs,
  }
}

async function baseKeys(
  origin: Origin,
  sts: Sts,
  context: ObtainContext,
  provider: string,
): Promise<AwsKeys> {
  switch (origin.kind) {
    case 'static':
      return origin.keys
    case 'web-identity': {
      const token = (await context.readFile(origin.tokenFile))?.trim()
      if (token) return await assumeRoleWithWebIdentity(token, origin.role, sts, context)
      throw unconfigured(provider, 'the file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read')
    }
    case 'container':
      return await fromContainer(origin.url, origin.token, context)
    case 'instance':
      return await fromInstance(context)
    case 'none':
      throw unconfigured(provider, 'neither its key nor the environment has any')
    default:
      return origin satisfies never
  }
}

function unconfigured(provider: string, why: string): GatewayError {
  return new GatewayError(
    'provider_not_configured',
    `Provider '${provider}' has no credentials of AWS: ${why}.`,
  )
}

function originOf(target: Target): Origin {
  const config = keyConfig(target)
  const accessKeyId = revealed(config['access_key'])
  const secretAccessKey = revealed(config['secret_key'])
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const sessionToken = revealed(config['session_token'])
    return { kind: 'static', keys: { accessKeyId, secretAccessKey, sessionToken } }
  }
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    throw unconfigured(target.settings.name, 'access_key and secret_key are only useful together')
  }
  return ambientOrigin((name) => revealed(target.settings.ambient[name]))
}

function ambientOrigin(read: (name: string) => string | undefined): Origin {
  const accessKeyId = read('AWS_ACCESS_KEY_ID')
  const secretAccessKey = read('AWS_SECRET_ACCESS_KEY')
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const sessionToken = read('AWS_SESSION_TOKEN')
    return { kind: 'static', keys: { accessKeyId, secretAccessKey, sessionToken } }
  }
  const tokenFile = read('AWS_WEB_IDENTITY_TOKEN_FILE')
  const arn = read('AWS_ROLE_ARN')
  if (tokenFile !== undefined && arn !== undefined) {
    const sessionName = read('AWS_ROLE_SESSION_NAME') ?? defaultSession
    return { kind: 'web-identity', role: { arn, sessionName, externalId: undefined }, tokenFile }
  }
  const relative = read('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI')
  const url =
    relative === undefined
      ? read('AWS_CONTAINER_CREDENTIALS_FULL_URI')
      : `http://169.254.170.2/${relative.replace(/^\/+/, '')}`
  if (url !== undefined) {
    const token = {
      value: read('AWS_CONTAINER_AUTHORIZATION_TOKEN'),
      file: read('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'),
    }
    return { kind: 'container', url, token }
  }
  const isDisabled = read('AWS_EC2_METADATA_DISABLED')?.toLowerCase() === 'true'
  return { kind: isDisabled ? 'none' : 'instance' }
}

function roleOf(target: Target): Role | undefined {
  const config = keyConfig(target)
  const arn = text(config['role_arn'])
  if (arn === undefined || arn === '') return undefined
  return {
    arn,
    sessionName: text(config['session_name']) || defaultSession,
    externalId: revealed(config['external_id']),
  }
}

function revealed(value: unknown): string | undefined {
  const found = value instanceof Secret ? value.reveal() : text(value)
  return found === '' ? undefined : found
}
