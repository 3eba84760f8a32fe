import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'

import { jsonBody } from '#core/body.ts'
import type { JsonBody } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { inMs, release, watch } from '#lib/deadline.ts'
import {
  countKeys,
  findDuplicateKey,
  maxMembers,
  mayBeDeeper,
  parseShort,
  scanJson,
} from '#lib/json.ts'

/** A path of keys that the caller chose may be as long as the body; what is shown of it is not. */
const maxParamLength = 200

/** Deeper than any tool schema that people write, far from where parsers run out of stack. */
const maxDepth = 512

/** A shorter text may be all brackets and is parsed all the same. */
const carefreeChars = 16 * 1024

const strict = new TextDecoder('utf-8', { fatal: true })

/** What a body may take to arrive. Who sends slower only holds us up. */
export interface Patience {
  readonly baseMs: number
  /** The bigger the body, the longer it may take. */
  readonly slowestBytesPerMs: number
}

const usualPatience: Patience = { baseMs: 60_000, slowestBytesPerMs: 10 }

/**
 * The whole request body, decompressed. Throws 413 beyond `maxBytes` (of either form), 415 for an encoding nobody
 * knows, 408 when it comes slower than 10 KB/s for more than a minute, and `client_closed` when the caller stops
 * half-way.
 */
export async function readBytes(
  request: Request,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
  patience: Patience = usualPatience,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = headers['content-length']
  let bytes: Uint8Array<ArrayBuffer>
  try {
    if (declared === undefined) bytes = await readChunks(request, maxBytes, patience)
    else if (Number(declared) > maxBytes) throw tooLarge(maxBytes)
    else bytes = await readDeclared(request, Number(declared), patience)
  } catch (thrown) {
    throw cutShort(thrown)
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity'
  if (encoding === 'identity' || bytes.length === 0) return bytes
  return await decompress(bytes, encoding, maxBytes)
}

async function readDeclared(
  request: Request,
  length: number,
  patience: Patience,
): Promise<Uint8Array<ArrayBuffer>> {
  const read = (bytes: ArrayBuffer): Uint8Array<ArrayBuffer> => new Uint8Array(bytes)
  return await inTime(request.arrayBuffer(), length, patience, read)
}

/** What `read` makes of what comes; rejects with 408 when `length` bytes should long have come. */
function inTime<Raw, T>(
  reading: Promise<Raw>,
  length: number,
  { baseMs, slowestBytesPerMs }: Patience,
  read: (raw: Raw, length: number) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = watch({
      at: inMs(baseMs + length / slowestBytesPerMs),
      expired: () => reject(tooSlow()),
    })
    const failed = (thrown: unknown): void => {
      release(deadline)
      reject(cutShort(thrown))
    }
    const came = (raw: Raw): void => {
      release(deadline)
      try {
        resolve(read(raw, length))
      } catch (thrown) {
        failed(thrown)
      }
    }
    reading.then(came, failed)
  })
}

/**
 * The whole request body as text, without a byte order mark. Throws as `readBytes` does, and 400 for bad UTF-8.
 */
export function readText(
  request: Request,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
  patience: Patience = usualPatience,
): Promise<string> {
  const length = Number(headers['content-length'] ?? Number.NaN)
  if (!(length <= maxBytes) || headers['content-encoding'] !== undefined) {
    return readBytes(request, headers, maxBytes, patience).then(decode)
  }
  // Bun makes the string straight from what it received; bytes in between would be a second copy of the body.
  return inTime(request.text(), length, patience, faithful)
}

/**
 * Bad bytes have become U+FFFD, which takes three. So a text that holds one and is no longer than what came was
 * sent with it, but for a character cut after three of its four bytes, which then reads as one U+FFFD.
 */
function faithful(text: string, length: number): string {
  if (text.includes('\uFFFD') && Buffer.byteLength(text) > length) throw notUtf8()
  return text
}

function decode(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch {
    throw notUtf8()
  }
}

function notUtf8(): GatewayError {
  return new GatewayError('invalid_json', 'The request body is not valid UTF-8.')
}

function cutShort(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  return new GatewayError('client_closed', 'The request body ended before it was complete.', {
    cause: thrown,
  })
}

async function readChunks(
  request: Request,
  maxBytes: number,
  { baseMs, slowestBytesPerMs }: Patience,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array()
  const reader = request.body.getReader()
  const late = Promise.withResolvers<never>()
  const deadline = watch({ at: inMs(baseMs), expired: () => late.reject(tooSlow()) })
  // Nobody may be waiting for it when it comes.
  late.promise.catch(() => undefined)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise])
      if (done) return new Uint8Array(Buffer.concat(chunks))
      size += value.byteLength
      if (size > maxBytes) throw tooLarge(maxBytes)
      deadline.at += value.byteLength / slowestBytesPerMs
      chunks.push(value)
    }
  } finally {
    release(deadline)
  }
}

function tooSlow(): GatewayError {
  return new GatewayError('request_timeout', 'The request body came too slowly.')
}

function tooLarge(maxBytes: number): GatewayError {
  const mb = (maxBytes / (1024 * 1024)).toFixed(maxBytes < 1024 * 1024 ? 3 : 0)
  return new GatewayError(
    'payload_too_large',
    `The request body is larger than ${mb} MB (client.max_request_body_size_mb).`,
  )
}

type Decompressor = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>

// Off this thread: a few KB can stand for as many MB as the limit allows.
const decompressors: ReadonlyMap<string, Decompressor> = new Map<string, Decompressor>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
  ['zstd', promisify(zstdDecompress)],
])

async function decompress(
  bytes: Uint8Array,
  encoding: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const decoder = decompressors.get(encoding)
  if (!decoder) {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Encoding '${encoding.slice(0, 50)}' is not supported; send gzip, deflate, br, zstd or none.`,
    )
  }
  try {
    return new Uint8Array(await decoder(bytes, { maxOutputLength: maxBytes }))
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
 * A JSON object as text and as value, in which the longest strings of a large body are cut. Throws 400 for malformed JSON, another root than an object, nesting beyond
 * 512 levels and duplicate keys (which two parsers may read differently).
 */
export function parseJson(text: string): JsonBody {
  if (text.length > carefreeChars && mayBeDeeper(text, maxDepth)) refuseDeep(text)
  let value: unknown
  try {
    value = parseShort(text)
  } catch (cause) {
    refuseDeep(text)
    throw new GatewayError(
      'invalid_json',
      `The request body is not valid JSON: ${why(text, cause)}.`,
    )
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'The request body must be a JSON object.')
  }
  const keys = countKeys(value, maxDepth)
  if (keys === -1) throw tooDeep()
  if (keys !== maxMembers(text) && keys !== scanJson(text).colons) {
    const param = findDuplicateKey(text)?.slice(0, maxParamLength)
    throw new GatewayError('duplicate_key', `The request body has '${param}' twice.`, { param })
  }
  return jsonBody(text, value as Record<string, unknown>)
}

function refuseDeep(text: string): void {
  if (scanJson(text, maxDepth).depth > maxDepth) throw tooDeep()
}

function tooDeep(): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The request body is nested more than ${maxDepth} levels deep.`,
  )
}

/** The parser's reason without the caller's own words, which may be long or secret. */
function why(text: string, cause: unknown): string {
  if (text.trim() === '') return 'it is empty'
  const reason = cause instanceof Error ? cause.message : String(cause)
  return reason
    .replace(/^JSON Parse error: /, '')
    .replace(/ ".*"$/s, '')
    .replace(/^".*"(?= is not)/s, 'this')
    .slice(0, maxParamLength)
}
