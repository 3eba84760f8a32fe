import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import type { Key } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'

import type { CredentialSource } from '../credential.ts'
import type { Target } from '../provider.ts'
import { ambientText, keySettings, misconfigured, textSetting } from '../settings.ts'
import { fingerprint, formBody, isOfPlatform, readToken } from '../token.ts'
import { ofFederation } from './federation.ts'
import type { Origin } from './federation.ts'

// Access tokens for a project: of a service account, of a person who logged in with the command line, or of the
// machine this runs on. Google Cloud, "Using OAuth 2.0 for Server to Server Applications", "How Application Default
// Credentials works" and "About VM metadata", as read in November 2026.

export const GOOGLE_ENVIRONMENT = [
  { name: 'GOOGLE_APPLICATION_CREDENTIALS', isFile: true },
  { name: 'GOOGLE_CLOUD_PROJECT' },
  { name: 'GOOGLE_CLOUD_LOCATION' },
  { name: 'GCE_METADATA_HOST' },
] as const

const scope = 'https://www.googleapis.com/auth/cloud-platform'
const usualTokenUrl = 'https://oauth2.googleapis.com/token'
const usualExchangeUrl = 'https://sts.googleapis.com/v1/token'
const server = "Google's token server"
const lifeSeconds = 3600
/** Clocks differ, and a token from the future is refused. */
const backdatedSeconds = 60

interface Found {
  readonly source: CredentialSource
  /** The project that pays for calls of a person's own account. */
  readonly quotaProject: string | undefined
}

const found = new WeakMap<Key, Found>()

/** Where the token of a key comes from; undefined when the key is itself the credential. */
export function googleSource(target: Target): CredentialSource | undefined {
  return find(target)?.source
}

/** The project for `x-goog-user-project`, where the credentials name one. */
export function quotaProjectOf(target: Target): string | undefined {
  return find(target)?.quotaProject
}

function find(target: Target): Found | undefined {
  const { key } = target
  if (!key?.value.isEmpty) return undefined
  const known = found.get(key)
  if (known) return known
  const made = make(target)
  found.set(key, made)
  return made
}

function make(target: Target): Found {
  const own = textSetting(keySettings(target, 'vertex_key_config'), 'auth_credentials')
  const written = own ?? ambientText(target, 'GOOGLE_APPLICATION_CREDENTIALS')
  const where =
    own === undefined ? 'the file of GOOGLE_APPLICATION_CREDENTIALS' : 'auth_credentials'
  const name = `key '${target.key?.name}' of provider '${target.settings.name}'`
  if (written === undefined) return { source: ofMachine(target, name), quotaProject: undefined }
  const fields = parse(written)
  if (!fields) throw misconfigured(target, `cannot be used: ${where} hold no JSON object`)
  const quotaProject = textSetting(fields, 'quota_project_id')
  const text = (field: string): string => {
    const value = textSetting(fields, field)
    if (value === undefined) throw misconfigured(target, `cannot be used: ${where} lack '${field}'`)
    return value
  }
  switch (fields['type']) {
    case 'service_account': {
      const account = {
        email: text('client_email'),
        keyId: textSetting(fields, 'private_key_id'),
        // People paste keys with their line breaks still escaped.
        pem: text('private_key').replaceAll('\\n', '\n'),
        tokenUrl: secureUrl(fields, 'token_uri', target) ?? usualTokenUrl,
        name,
      }
      return { source: ofServiceAccount(account), quotaProject }
    }
    case 'authorized_user': {
      const person = {
        id: text('client_id'),
        secret: text('client_secret'),
        refreshToken: text('refresh_token'),
        tokenUrl: secureUrl(fields, 'token_uri', target) ?? usualTokenUrl,
        name,
      }
      return { source: ofPerson(person), quotaProject }
    }
    case 'external_account': {
      const origin = originIn(fields['credential_source'])
      if (!origin) {
        throw misconfigured(
          target,
          `cannot be used: ${where} need a credential_source with a file or a url`,
        )
      }
      const { token_lifetime_seconds: life } = recordOf(fields['service_account_impersonation'])
      const federation = {
        audience: text('audience'),
        subjectTokenType: text('subject_token_type'),
        tokenUrl: secureUrl(fields, 'token_url', target) ?? usualExchangeUrl,
        impersonationUrl: secureUrl(fields, 'service_account_impersonation_url', target),
        lifeSeconds: typeof life === 'number' ? life : lifeSeconds,
        scope,
        origin,
        name,
      }
      return { source: ofFederation(federation), quotaProject }
    }
    default: {
      const type = String(fields['type']).slice(0, 50)
      throw misconfigured(
        target,
        `cannot be used: ${where} are of type '${type}', and only service_account, authorized_user and external_account are understood`,
      )
    }
  }
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  for (const candidate of [text, withEscapedKey(text)]) {
    try {
      const value = JSON.parse(candidate) as unknown
      if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
    } catch {
      // The other way to write it is tried, and then the caller says that there is none.
    }
  }
  return undefined
}

/** Shells turn the escaped line breaks of a key into real ones, which JSON does not allow. */
function withEscapedKey(text: string): string {
  return text.replace(/-----BEGIN[^"]*/, (key) => key.replace(/\r?\n/g, '\\n'))
}

/** A URL that secrets go to, so they must not be readable on the way; undefined where none is written. */
function secureUrl(
  fields: Readonly<Record<string, unknown>>,
  field: string,
  target: Target,
): string | undefined {
  const written = textSetting(fields, field)
  if (written === undefined) return undefined
  const url = URL.canParse(written) ? new URL(written) : undefined
  const isHere = url && /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isHere)) return written
  throw misconfigured(target, `has credentials whose ${field} is no https URL`)
}

function originIn(value: unknown): Origin | undefined {
  const source = recordOf(value)
  const format = recordOf(source['format'])
  const isJson = format['type'] === 'json'
  const member = isJson ? textSetting(format, 'subject_token_field_name') : undefined
  const file = textSetting(source, 'file')
  if (file !== undefined) return { kind: 'file', place: file, headers: {}, member }
  const url = textSetting(source, 'url')
  if (url === undefined || !URL.canParse(url) || source['environment_id'] !== undefined) {
    return undefined
  }
  const given = Object.entries(recordOf(source['headers']))
  const headers = Object.fromEntries(given.map(([name, text]) => [name, String(text)]))
  return { kind: 'url', place: url, headers, member }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

interface Account {
  readonly email: string
  readonly keyId: string | undefined
  readonly pem: string
  readonly tokenUrl: string
  readonly name: string
}

function ofServiceAccount({ email, keyId, pem, tokenUrl, name }: Account): CredentialSource {
  let privateKey: KeyObject | undefined
  return {
    cacheKey: `google account ${fingerprint(email, pem, tokenUrl)}`,
    async obtain({ nowMs, ...context }) {
      privateKey ??= readKey(pem, name)
      const issuedAt = Math.floor(nowMs / 1000) - backdatedSeconds
      // Loaded with the first account: a start without any does not pay for it.
      const { SignJWT } = require('jose') as typeof import('jose')
      const assertion = await new SignJWT({ scope })
        .setProtectedHeader({
          alg: 'RS256',
          typ: 'JWT',
          ...(keyId !== undefined && { kid: keyId }),
        })
        .setIssuer(email)
        .setAudience(tokenUrl)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + lifeSeconds)
        .sign(privateKey)
      const answer = await context.send({
        method: 'POST',
        url: tokenUrl,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: formBody({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
      })
      const what = `the service account ${email} of ${name}`
      return readToken(answer, { server, what, secrets: [assertion, pem] }, nowMs)
    },
  }
}

function readKey(pem: string, name: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // What was wrong with it is not said: the words may hold parts of the key.
    throw new GatewayError(
      'provider_not_configured',
      `The private_key in the credentials of ${name} is no private key in PEM form.`,
    )
  }
}

interface Person {
  readonly id: string
  readonly secret: string
  readonly refreshToken: string
  readonly tokenUrl: string
  readonly name: string
}

function ofPerson({ id, secret, refreshToken, tokenUrl, name }: Person): CredentialSource {
  return {
    cacheKey: `google person ${fingerprint(id, secret, refreshToken, tokenUrl)}`,
    async obtain({ nowMs, ...context }) {
      const answer = await context.send({
        method: 'POST',
        url: tokenUrl,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: formBody({
          grant_type: 'refresh_token',
          client_id: id,
          client_secret: secret,
          refresh_token: refreshToken,
        }),
      })
      const what = `the login of ${name}`
      return readToken(answer, { server, what, secrets: [secret, refreshToken] }, nowMs)
    },
  }
}

const tokenPath = '/computeMetadata/v1/instance/service-accounts/default/token'

function ofMachine(target: Target, name: string): CredentialSource {
  const host = ambientText(target, 'GCE_METADATA_HOST') ?? 'metadata.google.internal'
  const url = `http://${host}${tokenPath}`
  return {
    cacheKey: `google machine ${host}`,
    async obtain({ nowMs, ...context }) {
      const answer = await context.send({
        method: 'GET',
        url,
        headers: { 'metadata-flavor': 'Google' },
        ...(isOfPlatform(url) && { isMetadataService: true }),
      })
      const asked = {
        server: "Google Cloud's metadata server",
        what: `the machine's service account for ${name}`,
        secrets: [],
      }
      return readToken(answer, asked, nowMs)
    },
  }
}
