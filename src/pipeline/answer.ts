import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { locate, scanJson } from '#lib/json.ts'
import type { Member } from '#lib/json.ts'
import { mirrorCachedTokens, readUsage } from '#openai/usage.ts'
import { readEmbeddedError } from '#providers/refusal.ts'

import type { Upstream } from './dispatch.ts'
import { extraFields, rawWanted, sentText, wantsExtraFields, withExtraFields } from './extra.ts'
import { relayedHeaders } from './forward.ts'
import { nameModels } from './models.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { relayBytes } from './relay-bytes.ts'
import { relayEvents } from './relay-events.ts'

/** Answers of these are the caller's own bytes, whatever they look like. */
const bytesOnly = new Set([
  'file_content',
  'container_file_content',
  'video_download',
  'passthrough',
])
/** Answers of these may be something other than JSON. */
const bytesToo = new Set(['speech', 'transcription', 'translation'])

const maxAnswerBytes = 256 * 1024 * 1024
/** An answer nested deeper than this is no answer of the OpenAI API. */
const maxAnswerDepth = 2000
/** Up to this length an answer is parsed whole. */
const parsedChars = 256 * 1024

/**
 * Turns a successful upstream response into what the caller gets. Throws `GatewayError` when the provider said
 * 200 and meant something else: HTML, half a document, an error object.
 */
export async function readAnswer(
  call: Call,
  upstream: Upstream,
  snapshot: Snapshot,
  settle: Settle,
): Promise<Outcome> {
  const { response, connection, target } = upstream
  const type = response.headers.get('content-type') ?? ''
  const headers = relayedHeaders(response.headers)
  const { status } = response
  const base = { target, status, headers }
  if (status === 204 || status === 205) {
    connection.close()
    settle.success(undefined)
    return { ...base, kind: 'empty' }
  }
  if (type.startsWith('text/event-stream') && call.endpoint !== 'passthrough') {
    return await relayEvents(call, upstream, base, snapshot, settle)
  }
  const isJson = /^application\/(?:[\w.+-]*\+)?json\b/i.test(type)
  if (bytesOnly.has(call.endpoint) || (!isJson && bytesToo.has(call.endpoint) && !isHtml(type))) {
    return relayBytes(call, upstream, base, type, settle)
  }
  const { timers } = target.settings.network
  connection.enter('total_timeout', call.stream ? timers.totalMs : 0)
  const text = await readText(response, target.settings.name)
  const document = examine(text, target.settings.name, type)
  if (document.error) refuse(document, text, target.settings.name)
  const usage = document.usage === undefined ? undefined : readUsage(document.usage)
  connection.close()
  const answer = decorate(call, upstream, snapshot, text, document)
  settle.success(usage)
  return { ...base, kind: 'json', text: answer, usage }
}

async function readText(response: Response, provider: string): Promise<string> {
  const declared = Number(response.headers.get('content-length') ?? Number.NaN)
  if (declared <= maxAnswerBytes) return await response.text()
  if (!response.body) return ''
  const decoder = new TextDecoder()
  let size = 0
  let text = ''
  for await (const chunk of response.body) {
    size += chunk.byteLength
    if (size > maxAnswerBytes) {
      throw new GatewayError(
        'upstream_malformed',
        `Provider '${provider}' sent an answer of more than ${maxAnswerBytes} bytes.`,
      )
    }
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function isHtml(type: string): boolean {
  return type.startsWith('text/html')
}

function notJson(provider: string, type: string, text: string, cause?: unknown): GatewayError {
  const what = text.trim() === '' ? 'an empty body' : isHtml(type) ? 'HTML' : 'no valid JSON'
  return new GatewayError(
    'upstream_malformed',
    `Provider '${provider}' answered with status 200 and ${what}.`,
    { cause },
  )
}

/** What has to be known of an answer before it may be passed on. */
interface Document {
  readonly isObject: boolean
  /** Offset of the closing brace. */
  readonly close: number
  readonly hasMembers: boolean
  readonly hasExtraFields: boolean
  readonly usage: unknown
  /** It has a truthy `error`. */
  readonly error: boolean
  /** It names what it is, so an `error` in it belongs to that thing. */
  readonly isNamed: boolean
}

/** Small answers are parsed, which also proves them; of large ones only the structure is walked. */
function examine(text: string, provider: string, type: string): Document {
  return text.length <= parsedChars ? parsed(text, provider, type) : scanned(text, provider, type)
}

function parsed(text: string, provider: string, type: string): Document {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw notJson(provider, type, text, cause)
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const object = isObject ? (value as Record<string, unknown>) : {}
  return {
    isObject,
    close: text.lastIndexOf('}'),
    hasMembers: hasMembers(object),
    hasExtraFields: 'extra_fields' in object,
    usage: object['usage'],
    error: Boolean(object['error']),
    isNamed: 'id' in object || 'object' in object,
  }
}

function hasMembers(object: object): boolean {
  for (const _ in object) return true
  return false
}

function scanned(text: string, provider: string, type: string): Document {
  const scan = scanJson(text, maxAnswerDepth)
  if (scan.close === -1) throw notJson(provider, type, text)
  const member = (name: string): Member | undefined => scan.members.find(({ key }) => key === name)
  const usage = member('usage')
  const error = member('error')
  return {
    isObject: scan.root === 'object',
    close: scan.close,
    hasMembers: scan.members.length > 0,
    hasExtraFields: member('extra_fields') !== undefined,
    usage: usage && parse(text.slice(usage.start, usage.end), provider),
    error: error !== undefined && !/^(?:null|false|0|"")$/.test(text.slice(error.start, error.end)),
    isNamed: member('id') !== undefined || member('object') !== undefined,
  }
}

function refuse(document: Document, text: string, provider: string): void {
  // A response, batch or job that failed is an object with an `error`, not a refusal.
  if (document.isNamed) return
  const upstream = readEmbeddedError(parse(text, provider))
  if (upstream) throw new GatewayError('upstream_error', upstream.message, { upstream })
}

function parse(text: string, provider: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new GatewayError('upstream_malformed', `Provider '${provider}' sent malformed JSON.`, {
      cause,
    })
  }
}

function decorate(
  call: Call,
  upstream: Upstream,
  snapshot: Snapshot,
  original: string,
  document: Document,
): string {
  const { target, outbound, sentAt } = upstream
  if (call.endpoint === 'passthrough' || !document.isObject) return original
  let text = original
  let { close } = document
  if (mentionsCache(document.usage)) {
    const span = locate(text, ['usage'])
    if (span) {
      const own = text.slice(span.start, span.end)
      const mirrored = mirrorCachedTokens(own)
      text = text.slice(0, span.start) + mirrored + text.slice(span.end)
      close += mirrored.length - own.length
    }
  }
  if (wantsExtraFields(call, snapshot) && !document.hasExtraFields) {
    const wanted = rawWanted(call, target.settings, snapshot)
    const raw = {
      request: wanted.request ? sentText(outbound) : undefined,
      response: wanted.response ? original : undefined,
    }
    const json = extraFields(call, target, performance.now() - sentAt, 0, raw)
    text = withExtraFields(text, close, document.hasMembers, json)
  }
  return nameModels(call, target, text)
}

/** Only usage that counts cache reads or writes gets Bifrost's names for them as well. */
function mentionsCache(usage: unknown): boolean {
  if (typeof usage !== 'object' || usage === null) return false
  const { prompt_tokens_details, input_tokens_details } = usage as Record<string, unknown>
  const details = prompt_tokens_details ?? input_tokens_details
  if (typeof details !== 'object' || details === null) return false
  return 'cached_tokens' in details || 'cache_write_tokens' in details
}
