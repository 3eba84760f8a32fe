import { GatewayError } from '#core/errors.ts'

import type { CredentialAnswer, CredentialSource, ObtainContext, Obtained } from '../credential.ts'
import { fingerprint, formBody, readToken } from '../token.ts'

// Workload identity federation: a token that somebody else gave this workload is exchanged for one of Google's, which
// may then stand in for a service account. Google Cloud, "Configure workload identity federation" and AIP-4117, as
// read in November 2026.

export interface Federation {
  readonly audience: string
  readonly subjectTokenType: string
  readonly tokenUrl: string
  /** `:generateAccessToken` of a service account; undefined where the exchanged token is used itself. */
  readonly impersonationUrl: string | undefined
  readonly lifeSeconds: number
  readonly scope: string
  readonly origin: Origin
  /** For the words of errors. */
  readonly name: string
}

/** Where the foreign token is found. */
export interface Origin {
  readonly kind: 'file' | 'url'
  readonly place: string
  readonly headers: Readonly<Record<string, string>>
  /** The member that holds it, where what is found is JSON. */
  readonly member: string | undefined
}

const server = "Google's token server"

export function ofFederation(federation: Federation): CredentialSource {
  const { audience, tokenUrl, impersonationUrl, scope, origin, name } = federation
  return {
    cacheKey: `google federation ${fingerprint(audience, tokenUrl, impersonationUrl ?? '', scope, origin.place)}`,
    async obtain(context) {
      const subject = await subjectToken(federation, context)
      const exchanged = await context.send({
        method: 'POST',
        url: tokenUrl,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: formBody({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          audience,
          scope,
          subject_token: subject,
          subject_token_type: federation.subjectTokenType,
        }),
      })
      const what = `the federated token of ${name}`
      const own = readToken(exchanged, { server, what, secrets: [subject] }, context.nowMs)
      if (impersonationUrl === undefined) return own
      return await impersonate(impersonationUrl, own.credential, federation, context)
    },
  }
}

async function impersonate(
  url: string,
  token: string,
  { scope, lifeSeconds, name }: Federation,
  context: ObtainContext,
): Promise<Obtained> {
  const answer = await context.send({
    method: 'POST',
    url,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ scope: [scope], lifetime: `${lifeSeconds}s` }),
  })
  const what = `the impersonation that ${name} asks for`
  return readToken(inUsualNames(answer), { server, what, secrets: [token] }, context.nowMs)
}

/** The answer has names and a way to tell time of its own. */
function inUsualNames(answer: CredentialAnswer): CredentialAnswer {
  const { accessToken, expireTime } = parsed(answer.text)
  if (typeof accessToken !== 'string') return answer
  const until = Math.floor(Date.parse(String(expireTime)) / 1000)
  return { ...answer, text: JSON.stringify({ access_token: accessToken, expires_on: until }) }
}

async function subjectToken({ origin, name }: Federation, context: ObtainContext): Promise<string> {
  const found = await read(origin, context)
  const token = origin.member === undefined ? found?.trim() : parsed(found ?? '')[origin.member]
  if (typeof token === 'string' && token !== '') return token
  throw new GatewayError(
    'provider_not_configured',
    `The credentials of ${name} name '${origin.place}' as the place of a token, and there is none.`,
  )
}

async function read(origin: Origin, context: ObtainContext): Promise<string | undefined> {
  if (origin.kind === 'file') return await context.readFile(origin.place)
  const { place, headers } = origin
  const answer = await context.send({ method: 'GET', url: place, headers })
  return answer.status === 200 ? answer.text : undefined
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    // What is missing is said by whoever looked for it.
    return {}
  }
}
