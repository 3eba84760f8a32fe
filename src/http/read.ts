import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'

import type { Body } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { countKeys, findDuplicateKey, scanJson } from '#lib/json.ts'

/** Deeper than any tool schema that people write, far from where parsers run out of stack. */
const maxDepth = 512

const strict = new TextDecoder('utf-8', { fatal: true })

/**
 * The whole request body, decompressed. Throws 413 beyond `maxBytes` (of either form), 415 for an encoding nobody
 * knows, and `client_closed` when the caller stops half-way.
 */
export async function readBytes(
  request: Request,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = headers['content-length']
  let bytes: Uint8Array<ArrayBuffer>
  try {
    if (declared === undefined) bytes = await readChunks(request, maxBytes)
    else if (Number(declared) > maxBytes) throw tooLarge(maxBytes)
    else bytes = new Uint8Array(await request.arrayBuffer())
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    throw new GatewayError('client_closed', 'The request body ended before it was complete.', {
      cause: thrown,
    })
  }
  const encoding = headers['content-encoding']
  if (encoding === undefined || encoding === 'identity' || bytes.length === 0) return bytes
  return decompress(bytes, encoding.trim().toLowerCase(), maxBytes)
}

async function readChunks(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.byteLength
    if (size > maxBytes) throw tooLarge(maxBytes)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function tooLarge(maxBytes: number): GatewayError {
  const mb = (maxBytes / (1024 * 1024)).toFixed(maxBytes < 1024 * 1024 ? 3 : 0)
  return new GatewayError(
    'payload_too_large',
    `The request body is larger than ${mb} MB (client.max_request_body_size_mb).`,
  )
}

const decompressors: Readonly<
  Record<string, (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer>
> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
}

function decompress(
  bytes: Uint8Array,
  encoding: string,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const decoder = decompressors[encoding]
  if (!decoder) {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Encoding '${encoding.slice(0, 50)}' is not supported; send gzip, deflate, br, zstd or none.`,
    )
  }
  try {
    return new Uint8Array(decoder(bytes, { maxOutputLength: maxBytes }))
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new GatewayError('invalid_request', `The request body is not valid ${encoding} data.`, {
      cause,
    })
  }
}

/** Throws 415 unless the body is declared as JSON, or not declared at all. */
export function requireJson(contentType: string | undefined): void {
  if (contentType === undefined || /^application\/(?:[\w.+-]*\+)?json\b/i.test(contentType)) return
  throw new GatewayError(
    'unsupported_media_type',
    `Content-Type '${contentType.slice(0, 100)}' is not supported here; send application/json.`,
  )
}

/**
 * A JSON object as text and as value. Throws 400 for bad UTF-8, malformed JSON, another root than an object,
 * nesting beyond 512 levels and duplicate keys (which two parsers may read differently).
 */
export function parseJson(bytes: Uint8Array<ArrayBuffer>): Body & { kind: 'json' } {
  let text: string
  try {
    text = strict.decode(bytes)
  } catch (cause) {
    throw new GatewayError('invalid_json', 'The request body is not valid UTF-8.', { cause })
  }
  const scan = scanJson(text, maxDepth)
  if (scan.depth > maxDepth) {
    throw new GatewayError(
      'invalid_request',
      `The request body is nested more than ${maxDepth} levels deep.`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const reason = text.trim() === '' ? 'it is empty' : (cause as Error).message
    throw new GatewayError('invalid_json', `The request body is not valid JSON: ${reason}.`, {
      cause,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'The request body must be a JSON object.')
  }
  if (countKeys(value) !== scan.colons) {
    const param = findDuplicateKey(text)
    throw new GatewayError('duplicate_key', `The request body has '${param}' twice.`, { param })
  }
  return { kind: 'json', bytes, text, value: value as Record<string, unknown>, scan }
}
