import { createHash, createHmac } from 'node:crypto'

import { MockFailure } from './answer.ts'
import type { DialectRequest } from './dialects.ts'

// Signature Version 4, computed once more from the bytes that came: whoever signs wrongly is refused.

/** Keys that the mock knows, from the examples of the vendor's documentation; the second is a temporary one. */
export const MOCK_KEYS = [
  {
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    sessionToken: undefined,
  },
  {
    accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLETEMP',
    sessionToken: 'AQoDYXdzEJr//mock+session/token==',
  },
] as const

const maxSkewMs = 5 * 60_000
const header =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/

/** Throws the vendor's refusal for a request that is signed by nobody, wrongly, too late, or not for this service. */
export function checkAuthorization(request: DialectRequest): void {
  const authorization = request.headers.get('authorization') ?? ''
  if (/^Bearer \S+$/.test(authorization)) {
    if (authorization !== 'Bearer wrong') return
    throw refused(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  }
  if (authorization === '') {
    throw refused('MissingAuthenticationTokenException', 'Missing Authentication Token')
  }
  const match = header.exec(authorization)
  if (!match)
    throw refused('IncompleteSignature', `Authorization header is not complete: ${authorization}`)
  const [, id, day, region, service, names] = match as unknown as string[]
  const key = MOCK_KEYS.find(({ accessKeyId }) => accessKeyId === id)
  if (!key) {
    throw refused(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  }
  const token = request.headers.get('x-amz-security-token') ?? undefined
  if (token !== key.sessionToken) {
    throw refused('ExpiredTokenException', 'The security token included in the request is expired')
  }
  const signed = names!.split(';')
  for (const needed of ['host', 'x-amz-date', ...(token ? ['x-amz-security-token'] : [])]) {
    if (!signed.includes(needed)) {
      throw refused('InvalidSignatureException', `'${needed}' must be a signed header.`)
    }
  }
  if (service !== 'bedrock') {
    throw refused(
      'InvalidSignatureException',
      `Credential should be scoped to correct service: 'bedrock'.`,
    )
  }
  const date = request.headers.get('x-amz-date') ?? ''
  const at = Date.parse(date.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
  if (!date.startsWith(day!) || !(Math.abs(at - request.now * 1000) < maxSkewMs)) {
    throw refused('InvalidSignatureException', `Signature expired: ${date} is not close to now.`)
  }
  const canonical = canonicalRequest(request, signed)
  const toSign = [
    'AWS4-HMAC-SHA256',
    date,
    `${day}/${region}/bedrock/aws4_request`,
    hash(canonical),
  ]
  const signingKey = [day!, region!, service, 'aws4_request'].reduce<string | Buffer>(
    (last, part) => hmac(last, part),
    `AWS4${key.secretAccessKey}`,
  )
  if (hmac(signingKey, toSign.join('\n')).toString('hex') === match[6]) return
  throw refused(
    'InvalidSignatureException',
    `The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.\n\nThe Canonical String for this request should have been\n'${canonical}'`,
  )
}

function canonicalRequest(request: DialectRequest, signed: readonly string[]): string {
  const { method, pathname, query, headers, text } = request
  const path = pathname.split('/').map(encode).join('/')
  const pairs = [...query].map(([name, value]) => `${encode(name)}=${encode(value)}`).toSorted()
  const lines = signed.map(
    (name) => `${name}:${(headers.get(name) ?? '').trim().replaceAll(/ +/g, ' ')}\n`,
  )
  return [method, path, pairs.join('&'), lines.join(''), signed.join(';'), hash(text)].join('\n')
}

function encode(part: string): string {
  return encodeURIComponent(part).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function refused(code: string, message: string): MockFailure {
  return new MockFailure({ status: 403, code, message })
}
