import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { answersBytes } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { locateLate, scanJson } from '#lib/json.ts'
import type { Member } from '#lib/json.ts'
import { isEventStream } from '#lib/sse.ts'
import { mirrorAt, mirrorCachedTokens, readResponseUsage, readUsage } from '#openai/usage.ts'
import type { Usage } from '#openai/usage.ts'
import { readEmbeddedError } from '#providers/refusal.ts'

import { pricedAnswer } from './costs.ts'
import type { Upstream } from './dispatch.ts'
import { echoed } from './echo.ts'
import { extraFields, rawWanted, sentText, wantsExtraFields, withExtraFields } from './extra.ts'
import { answerHeaders, plainHeaders } from './forward.ts'
import { laterIn } from './later.ts'
import { nameModels } from './models.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { redact } from './redact.ts'
import { relayBytes } from './relay-bytes.ts'
import { relayEvents } from './relay-events.ts'
import { readTranslated } from './translated.ts'
import { nameVideos } from './video-ids.ts'
import { answers, readText, wrongForm } from './whole.ts'

/** Answers of these may be something other than JSON. */
const bytesToo = new Set(['speech', 'transcription', 'translation'])

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
  const received = plainHeaders(response.headers)
  const type = received['content-type'] ?? ''
  const headers = answerHeaders(received, target)
  const { dropped } = upstream.outbound
  if (dropped.length > 0) headers['x-bf-dropped-params'] = droppedHeader(dropped)
  const { status } = response
  const { books } = settle
  books.status = status
  books.dropped = dropped
  const base = { target, status, headers }
  if (status === 204 || status === 205) {
    if (!mayBeEmpty(call)) {
      throw new GatewayError(
        'upstream_malformed',
        `Provider '${target.settings.name}' answered with status ${status} and no content.`,
      )
    }
    connection.close()
    settle.success(undefined)
    return { ...base, kind: 'empty' }
  }
  if (upstream.outbound.reading) {
    return await readTranslated(call, upstream, upstream.outbound.reading, base, snapshot, settle)
  }
  if (isEventStream(type) && call.endpoint !== 'passthrough') {
    if (!call.stream) throw wrongForm(target.settings.name, 'a stream, which was not asked for')
    return await relayEvents(call, upstream, base, snapshot, settle)
  }
  const isJson = /^application\/(?:[\w.+-]*\+)?json\b/i.test(type)
  if (answersBytes(call.endpoint) || (!isJson && bytesToo.has(call.endpoint) && !isHtml(type))) {
    return relayBytes(call, upstream, base, type, settle)
  }
  const { timers } = target.settings.network
  connection.enter('total_timeout', call.stream ? timers.totalMs : 0)
  const original = await readText(response, received, target.settings.name)
  books.received(performance.now())
  await answers.join()
  const text = upstream.outbound.mending?.whole?.(original) ?? original
  const document = examine(text, target.settings.name, type)
  if (document.error) {
    refuse(call, document, redact(text, upstream.credential), target.settings.name)
  }
  if (document.isBare && !bytesToo.has(call.endpoint)) {
    throw wrongForm(target.settings.name, 'JSON that is no object')
  }
  // OpenAI's reference has models that cannot stream a transcript: they leave the wish unheard and answer whole.
  if (call.stream && !bytesToo.has(call.endpoint)) {
    throw wrongForm(target.settings.name, 'JSON where a stream was asked for')
  }
  const usage = document.usage === undefined ? undefined : usageIn(document, text)
  connection.close()
  const bare = decorate(call, upstream, snapshot, text, document, original)
  const answer = pricedAnswer(call, target, snapshot, bare, usage)
  books.answered(answer)
  books.later = laterIn(call, text)
  settle.success(usage)
  return { target, status, headers, kind: 'json', text: answer }
}

function usageIn({ usage, serviceTier }: Document, text: string): Usage | undefined {
  if (!text.includes('"web_search_call"')) return readUsage(usage, serviceTier)
  try {
    // Rare enough to read the whole answer once more.
    return readResponseUsage(JSON.parse(text))
  } catch {
    // Of long answers only the structure has been proved.
    return readUsage(usage, serviceTier)
  }
}

const maxListed = 50

/** The parameters that were left out, as a header; their names may be the caller's own invention. */
function droppedHeader(dropped: readonly string[]): string {
  const listed = dropped.slice(0, maxListed).map((param) => {
    const short = param.slice(0, 100)
    return /^[\w.[\]-]+$/.test(short) ? short : encodeURIComponent(short.toWellFormed())
  })
  return listed.join(',')
}

/** Nothing is an answer to a deletion, and to what we do not know. */
function mayBeEmpty(call: Call): boolean {
  return call.method === 'DELETE' || call.endpoint === 'passthrough'
}

function isHtml(type: string): boolean {
  return /^text\/html\b/i.test(type)
}

function notJson(provider: string, type: string, text: string, cause?: unknown): GatewayError {
  const what = text.trim() === '' ? 'an empty body' : isHtml(type) ? 'HTML' : 'no valid JSON'
  return new GatewayError(
    'upstream_malformed',
    `Provider '${provider}' answered with success and ${what}.`,
    { cause },
  )
}

/** What has to be known of an answer before it may be passed on. */
interface Document {
  readonly isObject: boolean
  /** Neither object nor list. */
  readonly isBare: boolean
  /** Offset of the closing brace. */
  readonly close: number
  readonly hasMembers: boolean
  readonly hasExtraFields: boolean
  readonly usage: unknown
  readonly serviceTier: unknown
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
    isBare: typeof value !== 'object' || value === null,
    close: text.lastIndexOf('}'),
    hasMembers: hasMembers(object),
    hasExtraFields: 'extra_fields' in object,
    usage: object['usage'],
    serviceTier: object['service_tier'],
    error: Boolean(object['error']) || object['object'] === 'error' || holdsError(value),
    isNamed: 'id' in object || 'object' in object,
  }
}

/** Some providers put their error object into a list. */
function holdsError(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 1) return false
  const [first] = value as unknown[]
  return typeof first === 'object' && first !== null && 'error' in first
}

function hasMembers(object: object): boolean {
  for (const _ in object) return true
  return false
}

function scanned(text: string, provider: string, type: string): Document {
  const scan = scanJson(text, maxAnswerDepth)
  if (scan.close === -1 || text.slice(scan.close + 1).trim() !== '') {
    throw notJson(provider, type, text)
  }
  const member = (name: string): Member | undefined => scan.members.find(({ key }) => key === name)
  const usage = member('usage')
  const tier = usage && member('service_tier')
  const error = member('error')
  return {
    isObject: scan.root === 'object',
    isBare: scan.root !== 'object' && scan.root !== 'array',
    close: scan.close,
    hasMembers: scan.members.length > 0,
    hasExtraFields: member('extra_fields') !== undefined,
    usage: usage && parse(text.slice(usage.start, usage.end), provider),
    serviceTier: tier && parse(text.slice(tier.start, tier.end), provider),
    error: error !== undefined && !/^(?:null|false|0|"")$/.test(text.slice(error.start, error.end)),
    isNamed: member('id') !== undefined || member('object') !== undefined,
  }
}

/** Objects of these have a life of their own, and may report an error as part of it. */
const mayHaveFailed = /^(?:responses|batch|video|file|upload|container)/

function refuse(call: Call, document: Document, text: string, provider: string): void {
  const value = parse(text, provider)
  const root = (Array.isArray(value) ? (value as unknown[])[0] : value) as Record<string, unknown>
  const isFlat = root['object'] === 'error' && !root['error']
  if (document.isNamed && !isFlat && mayHaveFailed.test(call.endpoint)) return
  const upstream = readEmbeddedError(isFlat ? { error: root } : root)
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
  answer: string,
  document: Document,
  original: string,
): string {
  const { target, outbound, sentAt } = upstream
  if (call.endpoint === 'passthrough' || !document.isObject) return answer
  let text = answer
  let { close } = document
  const details = cacheDetails(document.usage)
  if (details) {
    text = withMirror(text, close, details)
    close += text.length - answer.length
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
  if (call.continues !== undefined) text = echoed(text, call.continues)
  return nameVideos(call, target, nameModels(call, target, snapshot, text))
}

/** Usage that counts cache reads or writes gets Bifrost's names for them as well. */
function withMirror(text: string, close: number, details: Record<string, unknown>): string {
  const mirror = mirrorAt(text, details['cached_tokens'])
  if (mirror) return text.slice(0, mirror.at) + mirror.copy + text.slice(mirror.at)
  const span = locateLate(text, 'usage', close)
  if (!span) return text
  const mirrored = mirrorCachedTokens(text.slice(span.start, span.end))
  return text.slice(0, span.start) + mirrored + text.slice(span.end)
}

/** What usage says of the input, if it counts cache reads or writes there. */
function cacheDetails(usage: unknown): Record<string, unknown> | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const { prompt_tokens_details, input_tokens_details } = usage as Record<string, unknown>
  const details = prompt_tokens_details ?? input_tokens_details
  if (typeof details !== 'object' || details === null) return undefined
  return 'cached_tokens' in details || 'cache_write_tokens' in details ? details : undefined
}
