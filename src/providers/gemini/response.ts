import { GatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import { parseExact } from '#lib/json.ts'
import type { AnswerWriter, FinishReason } from '#openai/answer/writer.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { StreamReader } from '../provider.ts'
import { sseReader } from '../stream-reader.ts'
import { brokenAnswer, reportedFailure } from './errors.ts'
import { citations } from './grounding.ts'
import { tokensOf } from './logprobs.ts'
import { callKey } from './signatures.ts'
import { isBare, samplesOf, wavOf } from './sound.ts'
import type { Surface } from './surface.ts'
import { countsOf } from './usage.ts'
import { SIGNATURE_FORMAT } from './wire.ts'

// `GenerateContentResponse`, whole or in pieces: a stream is a row of them whose parts follow each other
// ("GenerateContentResponse" and "FinishReason", as read in November 2026).

type Fields = Readonly<Record<string, unknown>>

/** Says a whole answer to the writer. Throws `GatewayError` when it reports a failure or is no answer. */
export function readWhole(
  answer: unknown,
  writer: AnswerWriter,
  exchange: Exchange,
  surface: Surface,
): void {
  const reading = createReading(writer, exchange, surface)
  take(answer, reading)
  reading.finish()
}

/** A reader of `streamGenerateContent?alt=sse`. The stream has no end of its own besides a reason to finish. */
export function readStream(
  writer: AnswerWriter,
  exchange: Exchange,
  surface: Surface,
): StreamReader {
  const reading = createReading(writer, exchange, surface)
  return sseReader(
    ({ data }) => {
      if (data !== '' && data !== '[DONE]') take(parsed(data), reading)
    },
    () => reading.finish(),
  )
}

function parsed(data: string): unknown {
  try {
    return parseExact(data)
  } catch (cause) {
    const message = 'The provider sent an event that is not valid JSON.'
    throw new GatewayError('upstream_malformed', message, { cause })
  }
}

/** An error may come inside a list of one, and so may an answer. */
function take(value: unknown, reading: Reading): void {
  for (const piece of Array.isArray(value) ? (value as unknown[]) : [value]) {
    if (!isRecord(piece)) {
      throw new GatewayError('upstream_malformed', 'The provider sent an answer of unknown form.')
    }
    reading.take(piece)
  }
}

interface Reading {
  take(piece: Fields): void
  /** Call once when nothing more comes. */
  finish(): void
}

/** What is said at the end, or only known then. */
interface Known {
  usage: Fields | undefined
  blocked: Fields | undefined
  finishReason: string | undefined
  finishMessage: string | undefined
  grounding: Fields | undefined
  readonly google: Record<string, unknown>
}

function createReading(writer: AnswerWriter, exchange: Exchange, surface: Surface): Reading {
  const { conversation, call, target } = exchange
  const onlyOneCall = conversation.parallelCalls === false
  const known: Known = {
    usage: undefined,
    blocked: undefined,
    finishReason: undefined,
    finishMessage: undefined,
    grounding: undefined,
    google: {},
  }
  let started = false
  let id: string | undefined
  let answer = ''
  let calls = 0
  let images = 0
  let blocks = 0
  /** Index of the thought that is being told. */
  let thought = -1
  const samples: string[] = []
  let sound = ''
  const serverParts: Fields[] = []

  function sayThought(said: string, signature: string | undefined): void {
    const begins = thought === -1
    if (begins) thought = blocks++
    if (said === '' && signature === undefined && !begins) return
    writer.reasoning({
      type: 'reasoning.text',
      index: thought,
      text: said,
      ...(signature !== undefined && { signature }),
      // Clients that join pieces join every text in them.
      ...(begins && { format: SIGNATURE_FORMAT }),
    })
  }

  function saySignature(data: string, callId?: string): void {
    writer.reasoning({
      type: 'reasoning.encrypted',
      index: blocks++,
      ...(callId !== undefined && { id: callId }),
      data,
      format: SIGNATURE_FORMAT,
    })
  }

  function sayCall(given: Fields, signature: string | undefined): void {
    if (onlyOneCall && calls > 0) return
    calls++
    const name = text(given['name']) ?? ''
    const callId = text(given['id']) || `call_${newId()}`
    const args = record(given['args'])
    const key = callKey(target.settings.name, { id: callId, name, args })
    let extra: Fields | undefined
    if (signature === undefined) {
      surface.signatures.forget(key)
    } else {
      saySignature(signature, callId)
      extra = { extra_content: { google: { thought_signature: signature } } }
      surface.signatures.remember(key, signature, call.startedAt)
    }
    const number = writer.openCall({ id: callId, name, ...(extra && { extra }) })
    writer.callArguments(number, JSON.stringify(args))
  }

  function sayData(given: Fields, signature: string | undefined): void {
    const mimeType = text(given['mimeType']) ?? ''
    const data = text(given['data']) ?? ''
    if (mimeType.startsWith('audio/')) {
      sound = mimeType
      samples.push(data)
      return
    }
    const image = {
      type: 'image_url',
      index: images++,
      image_url: { url: `data:${mimeType};base64,${data}` },
      ...(signature !== undefined && {
        extra_content: { google: { thought_signature: signature } },
      }),
    }
    writer.extra({ images: [image] })
  }

  function sayPart(part: Fields): void {
    const said = part['text']
    const signature = text(part['thoughtSignature'])
    if (part['thought'] === true) {
      if (typeof said === 'string') sayThought(said, signature)
      return
    }
    if (typeof said === 'string') {
      if (said !== '') {
        thought = -1
        answer += said
        writer.text(said)
      }
      if (signature !== undefined) saySignature(signature)
      return
    }
    thought = -1
    if (isRecord(part['functionCall'])) sayCall(part['functionCall'], signature)
    else if (isRecord(part['inlineData'])) sayData(part['inlineData'], signature)
    else if (
      part['executableCode'] !== undefined ||
      part['codeExecutionResult'] !== undefined ||
      part['toolCall'] !== undefined ||
      part['toolResponse'] !== undefined
    ) {
      serverParts.push(part)
    }
  }

  function sayCandidate(candidate: Fields): void {
    const { parts } = record(candidate['content'])
    if (Array.isArray(parts)) for (const part of parts as unknown[]) sayPart(record(part))
    if (isRecord(candidate['logprobsResult'])) {
      const tokens = tokensOf(candidate['logprobsResult'])
      if (tokens.length > 0) writer.logprobs(tokens)
    }
    known.finishReason = text(candidate['finishReason']) ?? known.finishReason
    known.finishMessage = text(candidate['finishMessage']) ?? known.finishMessage
    if (isRecord(candidate['groundingMetadata'])) {
      known.grounding = { ...known.grounding, ...candidate['groundingMetadata'] }
    }
    for (const [theirs, ours] of candidateExtras) {
      if (candidate[theirs] !== undefined) known.google[ours] = candidate[theirs]
    }
  }

  return {
    take(piece) {
      const failure = reportedFailure(piece)
      if (failure) throw failure
      if (!started) {
        started = true
        id = text(piece['responseId'])
        writer.start({ id, model: text(piece['modelVersion']) })
      }
      if (isRecord(piece['usageMetadata'])) known.usage = piece['usageMetadata']
      const feedback = piece['promptFeedback']
      if (isRecord(feedback) && text(feedback['blockReason'])) known.blocked = feedback
      const { candidates } = piece
      if (!Array.isArray(candidates)) return
      for (const candidate of candidates as unknown[]) {
        // One answer has one choice.
        if (isRecord(candidate) && (integer(candidate['index']) ?? 0) === 0) sayCandidate(candidate)
      }
    },
    finish() {
      if (!started || (known.finishReason === undefined && !known.blocked)) return
      if (samples.length > 0) {
        const { format } = record(conversation.request['audio'])
        const data =
          isBare(sound) && format !== 'pcm16' ? wavOf(samples, sound) : samplesOf(samples)
        const spokenAt = Math.floor((performance.timeOrigin + call.startedAt) / 1000)
        writer.extra({
          audio: { id: `audio_${id ?? call.id}`, data, expires_at: spokenAt, transcript: '' },
        })
      }
      if (known.grounding) {
        for (const each of citations(known.grounding, answer)) writer.annotation(each)
        for (const [theirs, ours] of groundingExtras) {
          const value = known.grounding[theirs]
          if (value !== undefined) known.google[ours] = value
        }
      }
      if (serverParts.length > 0) known.google['parts'] = serverParts
      if (Object.keys(known.google).length > 0) {
        writer.extra({ extra_content: { google: known.google } })
      }
      const saidSomething = answer !== '' || calls > 0 || images > 0 || samples.length > 0
      sayFinish(writer, known, saidSomething)
      if (known.usage) writer.usage(countsOf(known.usage))
      writer.end()
    },
  }
}

const candidateExtras = [
  ['citationMetadata', 'citation_metadata'],
  ['urlContextMetadata', 'url_context_metadata'],
  ['safetyRatings', 'safety_ratings'],
] as const

const groundingExtras = [
  ['webSearchQueries', 'web_search_queries'],
  ['searchEntryPoint', 'search_entry_point'],
] as const

const filtered: ReadonlySet<string> = new Set([
  'SAFETY',
  'RECITATION',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'LANGUAGE',
  'IMAGE_SAFETY',
  'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION',
  'MODEL_ARMOR',
])
/** The model meant to call something and failed. */
const broken: ReadonlySet<string> = new Set([
  'MALFORMED_FUNCTION_CALL',
  'UNEXPECTED_TOOL_CALL',
  'TOO_MANY_TOOL_CALLS',
  'MISSING_THOUGHT_SIGNATURE',
  'MALFORMED_RESPONSE',
])

/** Throws when the answer came to nothing for a fault that is not the caller's. */
function sayFinish(writer: AnswerWriter, known: Known, saidSomething: boolean): void {
  const { blocked, finishMessage } = known
  if (blocked && known.finishReason === undefined) {
    const reason = text(blocked['blockReason']) ?? 'OTHER'
    sayBlocked(writer, reason, text(blocked['blockReasonMessage']), saidSomething)
    return
  }
  const reason = known.finishReason ?? 'OTHER'
  if (filtered.has(reason)) {
    sayBlocked(writer, reason, finishMessage, saidSomething)
    return
  }
  if (broken.has(reason) && !saidSomething) throw brokenAnswer(reason, finishMessage)
  const why: FinishReason = reason === 'MAX_TOKENS' ? 'length' : 'stop'
  const isUsual = reason === 'STOP' || reason === 'MAX_TOKENS'
  writer.finish(why, isUsual ? undefined : { native_finish_reason: reason })
}

function sayBlocked(
  writer: AnswerWriter,
  reason: string,
  message: string | undefined,
  saidSomething: boolean,
): void {
  if (!saidSomething) writer.refusal(`blocked: ${reason}${message ? ` (${message})` : ''}`)
  writer.finish('content_filter', { native_finish_reason: reason })
}
