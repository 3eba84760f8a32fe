import { GatewayError } from '#core/errors.ts'

import type { CredentialSource, ObtainContext, Obtained } from '../credential.ts'
import type { Target } from '../provider.ts'
import { ambientText, keySettings, misconfigured, textSetting } from '../settings.ts'
import { fingerprint, formBody, isOfPlatform, readToken } from '../token.ts'

// Access tokens of Microsoft Entra ID instead of a resource key: for an application with a secret, for a Kubernetes
// workload with a federated token, or for the identity of the machine. Microsoft identity platform, "OAuth 2.0 client
// credentials flow", and "How to use managed identities to acquire an access token", as read in November 2026.

/** Environment variables that Azure's own hosts and SDKs set. */
export const ENTRA_ENVIRONMENT = [
  'AZURE_TENANT_ID',
  'AZURE_CLIENT_ID',
  'AZURE_CLIENT_SECRET',
  'AZURE_FEDERATED_TOKEN_FILE',
  'AZURE_AUTHORITY_HOST',
  'AZURE_POD_IDENTITY_AUTHORITY_HOST',
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
].map((name) => ({ name }))

const server = 'Microsoft Entra ID'
const metadataHost = 'http://169.254.169.254'

/** Where the token of a key comes from; undefined when the key is itself the credential. */
export function entraSource(target: Target, resourceUrl: string): CredentialSource | undefined {
  const { key, settings } = target
  if (!key) return undefined
  const own = keySettings(target, 'azure_key_config')
  const ownSecret = textSetting(own, 'client_secret')
  if (!key.value.isEmpty && ownSecret === undefined) return undefined

  const cloud = cloudOf(resourceUrl)
  const scope = scopeIn(own['scopes']) ?? cloud.scope
  const tenant = textSetting(own, 'tenant_id') ?? ambientText(target, 'AZURE_TENANT_ID')
  const client = textSetting(own, 'client_id') ?? ambientText(target, 'AZURE_CLIENT_ID')
  const secret = ownSecret ?? ambientText(target, 'AZURE_CLIENT_SECRET')
  const authority = (ambientText(target, 'AZURE_AUTHORITY_HOST') ?? cloud.authority).replace(
    /\/+$/,
    '',
  )
  const file = ambientText(target, 'AZURE_FEDERATED_TOKEN_FILE')
  const name = `key '${key.name}' of provider '${settings.name}'`
  const app: App = { authority, tenant: tenant ?? '', client: client ?? '', scope, name }
  if (secret !== undefined) {
    if (tenant === undefined || client === undefined) {
      throw misconfigured(target, 'needs tenant_id and client_id beside client_secret')
    }
    return withSecret(app, secret)
  }
  if (file !== undefined && tenant !== undefined && client !== undefined) {
    return withFederatedToken(app, file)
  }
  return withMachineIdentity(target, scope, textSetting(own, 'client_id') ?? client, name)
}

interface App {
  readonly authority: string
  readonly tenant: string
  readonly client: string
  readonly scope: string
  readonly name: string
}

function withSecret(app: App, secret: string): CredentialSource {
  const { authority, tenant, client, scope, name } = app
  return {
    cacheKey: `entra ${fingerprint(authority, tenant, client, scope, secret)}`,
    obtain: (context) =>
      exchange(
        app,
        context,
        { client_secret: secret },
        `the client credentials of ${name}`,
        secret,
      ),
  }
}

function withFederatedToken(app: App, file: string): CredentialSource {
  const { authority, tenant, client, scope, name } = app
  return {
    cacheKey: `entra federated ${fingerprint(authority, tenant, client, scope, file)}`,
    async obtain(context) {
      // The file is replaced every hour or so, so it is read each time.
      const assertion = (await context.readFile(file))?.trim()
      if (assertion === undefined || assertion === '') throw unreadable(file, name)
      const proof = {
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }
      return await exchange(app, context, proof, `the federated token of ${name}`, assertion)
    },
  }
}

async function exchange(
  { authority, tenant, client, scope }: App,
  context: ObtainContext,
  proof: Readonly<Record<string, string>>,
  what: string,
  secret: string,
): Promise<Obtained> {
  const answer = await context.send({
    method: 'POST',
    url: `${authority}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: formBody({ grant_type: 'client_credentials', client_id: client, ...proof, scope }),
  })
  return readToken(answer, { server, what, secrets: [secret] }, context.nowMs)
}

function withMachineIdentity(
  target: Target,
  scope: string,
  client: string | undefined,
  name: string,
): CredentialSource {
  const resource = scope.split(' ')[0]!.replace(/\/\.default$/, '')
  const endpoint = ambientText(target, 'IDENTITY_ENDPOINT')
  const header = ambientText(target, 'IDENTITY_HEADER')
  const query = new URLSearchParams({ resource })
  if (client !== undefined) query.set('client_id', client)
  const what = `the managed identity of ${name}`
  if (endpoint !== undefined && header !== undefined) {
    query.set('api-version', '2019-08-01')
    return {
      cacheKey: `entra app-service ${fingerprint(endpoint, resource, client ?? '')}`,
      async obtain(context) {
        const mark = endpoint.includes('?') ? '&' : '?'
        const answer = await context.send({
          method: 'GET',
          url: `${endpoint}${mark}${query.toString()}`,
          headers: { 'x-identity-header': header },
          ...(isOfPlatform(endpoint) && { isMetadataService: true }),
        })
        const asked = { server: 'The identity endpoint', what, secrets: [header] }
        return readToken(answer, asked, context.nowMs)
      },
    }
  }
  query.set('api-version', '2018-02-01')
  const other = ambientText(target, 'AZURE_POD_IDENTITY_AUTHORITY_HOST')?.replace(/\/+$/, '')
  const host = other ?? metadataHost
  return {
    cacheKey: `entra machine ${fingerprint(host, resource, client ?? '')}`,
    async obtain(context) {
      const answer = await context.send({
        method: 'GET',
        url: `${host}/metadata/identity/oauth2/token?${query.toString()}`,
        headers: { metadata: 'true' },
        ...(isOfPlatform(host) && { isMetadataService: true }),
      })
      const asked = { server: "Azure's instance metadata service", what, secrets: [] }
      return readToken(answer, asked, context.nowMs)
    },
  }
}

interface Cloud {
  readonly authority: string
  readonly scope: string
}

/** Which of the separate clouds a resource belongs to. */
function cloudOf(resourceUrl: string): Cloud {
  const { hostname } = new URL(resourceUrl)
  if (hostname.endsWith('.azure.us')) {
    return {
      authority: 'https://login.microsoftonline.us',
      scope: 'https://cognitiveservices.azure.us/.default',
    }
  }
  if (hostname.endsWith('.azure.cn')) {
    return {
      authority: 'https://login.chinacloudapi.cn',
      scope: 'https://cognitiveservices.azure.cn/.default',
    }
  }
  return {
    authority: 'https://login.microsoftonline.com',
    scope: 'https://cognitiveservices.azure.com/.default',
  }
}

function scopeIn(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined
  const scopes = value.filter((scope) => typeof scope === 'string' && scope !== '')
  return scopes.length === 0 ? undefined : scopes.join(' ')
}

function unreadable(file: string, name: string): GatewayError {
  return new GatewayError(
    'provider_not_configured',
    `The federated token file '${file}' of ${name} cannot be read or is empty.`,
  )
}
