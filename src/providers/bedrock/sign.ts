import { createHash, createHmac } from 'node:crypto'
import type { Hash, Hmac } from 'node:crypto'

import type { Signable } from '../provider.ts'

/** Keys of AWS with where and for what they sign. */
export interface AwsCredential {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly region: string
}

/** What stands before the JSON of a packed credential: a plain API key never begins like this. */
const mark = 'aws-sigv4:'

/** A credential as the one text that `authorize` is given. */
export function pack(credential: AwsCredential): string {
  return mark + JSON.stringify(credential)
}

/** The credential in a text made by `pack`; undefined for any other text. */
export function unpack(packed: string): AwsCredential | undefined {
  if (!packed.startsWith(mark)) return undefined
  try {
    const found = JSON.parse(packed.slice(mark.length)) as Readonly<Record<string, unknown>>
    const { accessKeyId, secretAccessKey, sessionToken, region } = found
    if (
      typeof accessKeyId === 'string' &&
      typeof secretAccessKey === 'string' &&
      typeof region === 'string'
    ) {
      const token = typeof sessionToken === 'string' ? { sessionToken } : {}
      return { accessKeyId, secretAccessKey, region, ...token }
    }
  } catch {
    // A caller's own key that happens to look like ours: it is sent as what it is, a key.
  }
  return undefined
}

/**
 * Adds `authorization`, `x-amz-date` and, for temporary keys, `x-amz-security-token` (Signature Version 4, "Create a
 * signed AWS API request", IAM User Guide, as read in November 2026). Signed are the host as it is sent, port
 * included, and the content type; other headers may change on their way. `nowMs` is milliseconds since 1970.
 */
export async function sign(
  request: Signable,
  credential: AwsCredential,
  service: string,
  nowMs: number,
): Promise<void> {
  const { headers, body, method } = request
  const { accessKeyId, secretAccessKey, sessionToken, region } = credential
  const url = new URL(request.url)
  // Loaded with the first request: a start does not pay for it.
  const { SignatureV4 } = require('@smithy/signature-v4') as typeof import('@smithy/signature-v4')
  const signer = new SignatureV4({
    service,
    region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) },
    sha256: Sha256,
    applyChecksum: false,
  })
  const type = headers['content-type']
  const signed = await signer.sign(
    {
      method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: queryOf(url),
      headers: { host: url.host, ...(type !== undefined && { 'content-type': type }) },
      body: body instanceof ReadableStream ? undefined : body,
    },
    { signingDate: new Date(nowMs) },
  )
  for (const name of ['x-amz-date', 'x-amz-security-token', 'authorization']) {
    const value = signed.headers[name]
    if (value !== undefined) headers[name] = value
  }
}

function queryOf({ searchParams }: URL): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {}
  for (const name of new Set(searchParams.keys())) {
    const values = searchParams.getAll(name)
    query[name] = values.length === 1 ? values[0]! : values
  }
  return query
}

type SourceData = string | ArrayBuffer | ArrayBufferView

/** SHA-256 in the form that the signer wants; with a secret, its HMAC. */
class Sha256 {
  readonly #secret: SourceData | undefined
  #hash: Hash | Hmac

  constructor(secret?: SourceData) {
    this.#secret = secret
    this.#hash = begin(secret)
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()))
  }

  reset(): void {
    this.#hash = begin(this.#secret)
  }
}

function begin(secret: SourceData | undefined): Hash | Hmac {
  if (secret === undefined) return createHash('sha256')
  const key = typeof secret === 'string' ? secret : bytesOf(secret)
  return createHmac('sha256', key)
}

function bytesOf(data: Exclude<SourceData, string>): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
