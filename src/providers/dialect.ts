import { jsonBody } from '#core/body.ts'
import type { Call } from '#core/call.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { parseExact } from '#lib/json.ts'
import { embeddingsAnswer } from '#openai/answer/embeddings.ts'
import type { Embeddings } from '#openai/answer/embeddings.ts'
import { modelObject, modelsAnswer } from '#openai/answer/models.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'
import { unsupportedTool } from '#openai/bridge/tools.ts'
import type { Conversation } from '#openai/conversation/conversation.ts'

import {
  bodyOf,
  bridgedOf,
  conversationOf,
  failing,
  inCallersTerms,
  streamWriter,
  wholeWriter,
} from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { mergeExtra } from './extra-params.ts'
import { applyFates } from './fates.ts'
import type { Fates } from './fates.ts'
import { overriddenUrl } from './override.ts'
import type {
  FanOut,
  Outbound,
  Provider,
  Reading,
  StreamReader,
  Target,
  Translated,
  WholeAnswer,
} from './provider.ts'
import { noResources } from './provider.ts'

/** A request in a vendor's dialect; `body` becomes JSON. */
export interface DialectRequest {
  readonly url: string
  /** POST when absent. */
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readonly<Record<string, unknown>>
}

/** Conversations in a vendor's dialect, both ways. */
export interface ChatDialect {
  readonly fates: Fates
  /** Beginning of the content type of its streams. */
  readonly streamType: string
  /** Members of messages, parts and tools that the vendor's own code reads besides those everybody knows. */
  readonly members?: readonly string[]
  resources?(conversation: Conversation, target: Target): readonly string[]
  request(exchange: Exchange): DialectRequest
  /** Says a whole answer to the writer, from `start` to `end`. `answer` is the parsed JSON. */
  whole(
    answer: unknown,
    writer: AnswerWriter,
    exchange: Exchange,
    headers: WholeAnswer['headers'],
  ): void
  /** A reader that says a stream to the writer; it must not call `end` unless the stream said that it was whole. */
  stream(writer: AnswerWriter, exchange: Exchange): StreamReader
  /** True where the vendor should stream although the caller does not, because long whole answers fail there. */
  streamsAnyway?(exchange: Exchange): boolean
}

/** Embeddings in a vendor's dialect. */
export interface EmbeddingDialect {
  /** Most texts in one request; more go out as several. Some vendors' models differ in it. */
  readonly maxTexts: number | ((target: Target) => number)
  request(texts: readonly string[], exchange: EmbeddingExchange): DialectRequest
  whole(answer: unknown, exchange: EmbeddingExchange, headers: WholeAnswer['headers']): Embeddings
}

export interface EmbeddingExchange {
  readonly call: Call
  readonly target: Target
  readonly model: string
  readonly dimensions: number | undefined
  /** The request as it was written. */
  readonly request: Readonly<Record<string, unknown>>
  readonly drop: (param: string) => void
}

/** Listing models in a vendor's dialect. */
export interface ModelDialect {
  request(target: Target): DialectRequest
  /** Throws `GatewayError` when the answer is no list. */
  list(answer: unknown): readonly ListedModel[]
  /** Absent where the vendor cannot be asked for a single model. */
  readonly one?: {
    request(id: string, target: Target): DialectRequest
    /** `id` is what was asked for, since not every answer names its model. */
    read(answer: unknown, id: string): ListedModel
  }
}

/** Counting the tokens of a conversation in a vendor's dialect. */
export interface CountDialect {
  request(exchange: Exchange): DialectRequest
  /** The number of input tokens. Throws `GatewayError` when the answer has none. */
  read(answer: unknown): number
}

/** A vendor that does not speak OpenAI's dialect. */
export interface Dialect extends Pick<
  Provider,
  | 'name'
  | 'keyEnv'
  | 'keyless'
  | 'baseUrl'
  | 'ambient'
  | 'detectPath'
  | 'credential'
  | 'authorize'
  | 'limitHeaders'
  | 'parseError'
  | 'prefills'
  | 'lacks'
> {
  readonly chat: ChatDialect
  readonly embedding?: EmbeddingDialect
  readonly models?: ModelDialect
  readonly count?: CountDialect
  /** What the vendor takes in OpenAI's dialect besides. */
  readonly besides?: Pick<Provider, 'offers' | 'request'>
}

/** A `Provider` out of a dialect: the answer to every operation is OpenAI's, whatever travels upstream. */
export function translated(dialect: Dialect): Provider {
  const { chat, embedding, models, count, besides, ...facts } = dialect
  const own: KnownEndpoint[] = ['chat_completion', 'responses']
  if (embedding) own.push('embedding')
  if (models) own.push('list_models')
  if (models?.one) own.push('model_retrieve')
  if (count) own.push('count_tokens')
  const mine: ReadonlySet<string> = new Set(own)

  return {
    ...facts,
    passthrough: false,
    fates: chat.fates,
    composesResponses: true,
    offers: new Set([...own, ...(besides?.offers ?? [])]),
    resources(call, target) {
      if (
        !chat.resources ||
        !(call.endpoint === 'chat_completion' || call.endpoint === 'responses')
      )
        return []
      return chat.resources(conversationOf(call), target)
    },
    fanOut: (call, target) => (embedding ? fanOut(call, target, embedding.maxTexts) : undefined),
    request(call, target, resources = noResources) {
      if (!mine.has(call.endpoint) && besides?.offers.has(call.endpoint as KnownEndpoint)) {
        return besides.request(call, target, resources)
      }
      const dropped: string[] = []
      const drop = (param: string): void => {
        if (!dropped.includes(param)) dropped.push(param)
      }
      const asked = { call, target, model: target.model ?? '', dropped, drop }
      if (call.endpoint === 'embedding') return embeddingOutbound(embedding!, asked)
      if (call.endpoint === 'list_models') return listOutbound(models!, asked)
      if (call.endpoint === 'model_retrieve') return modelOutbound(models!.one!, asked)
      const conversation = conversationOf(call)
      const bridged = bridgedOf(call)
      const note = bridged ? (param: string): void => drop(bridged.placeOf(param)) : drop
      const exchange: Exchange = { ...asked, conversation, resources, drop: note }
      if (bridged) {
        for (const place of bridged.dropped) dropped.push(place)
        const fate = chat.fates.web_search_options
        if (bridged.search && fate !== 'carried' && fate !== 'emulated') {
          throw unsupportedTool(bridged.search.param, bridged.search.type, target.settings.name)
        }
      }
      try {
        for (const { place, member } of conversation.unread) {
          if (!chat.members?.includes(member)) drop(place)
        }
        applyFates(conversation.request, chat.fates, target.settings.name, note)
        if (call.endpoint === 'count_tokens') return countOutbound(count!, exchange)
        return outbound(chat.request(exchange), exchange, dropped, readingOf(chat, exchange))
      } catch (thrown) {
        throw inCallersTerms(call, thrown)
      }
    },
  }
}

interface Asked {
  readonly call: Call
  readonly target: Target
  readonly model: string
  readonly dropped: string[]
  readonly drop: (param: string) => void
}

function embeddingOutbound(embedding: EmbeddingDialect, asked: Asked): Outbound {
  const { call, target, model, dropped } = asked
  const request = bodyOf(call)
  const { dimensions } = request
  const exchange: EmbeddingExchange = {
    ...asked,
    dimensions: typeof dimensions === 'number' ? dimensions : undefined,
    request,
  }
  const wanted = embedding.request(textsOf(request), exchange)
  return outbound(wanted, asked, dropped, {
    streamType: '',
    whole({ text, headers }) {
      const found = embedding.whole(parsed(text, target.settings.name), exchange, headers)
      return embeddingsAnswer(found, model, request['encoding_format'])
    },
  })
}

function listOutbound(models: ModelDialect, asked: Asked): Outbound {
  const { target, dropped } = asked
  const { name } = target.settings
  return outbound(models.request(target), asked, dropped, {
    streamType: '',
    whole: ({ text }) => unpriced(modelsAnswer(models.list(parsed(text, name)), name)),
  })
}

function modelOutbound(one: NonNullable<ModelDialect['one']>, asked: Asked): Outbound {
  const { call, target, dropped } = asked
  const { name } = target.settings
  const id = target.model ?? decodeURIComponent(call.path.slice('/models/'.length))
  return outbound(one.request(id, target), asked, dropped, {
    streamType: '',
    whole: ({ text }) =>
      unpriced(JSON.stringify(modelObject(one.read(parsed(text, name), id), name))),
  })
}

function countOutbound(count: CountDialect, exchange: Exchange): Outbound {
  const { target } = exchange
  return outbound(count.request(exchange), exchange, [], {
    streamType: '',
    whole({ text }) {
      const tokens = count.read(parsed(text, target.settings.name))
      return unpriced(JSON.stringify({ object: 'response.input_tokens', input_tokens: tokens }))
    },
  })
}

/** An answer that used no tokens. */
function unpriced(text: string): Translated {
  return { text, usage: undefined }
}

function readingOf(chat: ChatDialect, exchange: Exchange): Reading {
  const { call, target } = exchange
  const provider = target.settings.name
  return {
    streamType: chat.streamType,
    whole({ text, headers }) {
      const writer = wholeWriter(call, target)
      chat.whole(parsed(text, provider), writer, exchange, headers)
      const answer = writer.result()
      if (answer === undefined) throw incomplete(provider)
      return answer
    },
    stream(emit) {
      const writer = streamWriter(call, target, emit)
      return failing(chat.stream(writer, exchange), writer)
    },
    ...(!call.stream &&
      chat.streamsAnyway?.(exchange) && {
        collect: () => {
          const writer = wholeWriter(call, target)
          return { ...chat.stream(writer, exchange), result: () => writer.result() }
        },
      }),
  }
}

function incomplete(provider: string): GatewayError {
  return new GatewayError(
    'upstream_malformed',
    `Provider '${provider}' sent an answer without its end.`,
  )
}

function outbound(
  request: DialectRequest,
  { call, target }: Pick<Asked, 'call' | 'target'>,
  dropped: string[],
  reading: Reading,
): Outbound {
  const method = request.method ?? (request.body ? 'POST' : 'GET')
  const headers: Record<string, string> = { ...request.headers }
  const url = overriddenUrl(call, target.settings) ?? request.url
  if (!request.body) return { method, url, headers, body: undefined, dropped, reading }
  headers['content-type'] ??= 'application/json'
  const body = JSON.stringify(mergeExtra(request.body, call, dropped))
  return { method, url, headers, body, dropped, reading }
}

/** The JSON of an answer. Throws `upstream_malformed` for what is none. */
export function parsed(text: string, provider: string): unknown {
  try {
    return parseExact(text)
  } catch (cause) {
    throw new GatewayError(
      'upstream_malformed',
      `Provider '${provider}' answered with success and no valid JSON.`,
      {
        cause,
      },
    )
  }
}

/** The texts of an embeddings request. Throws for token ids, which only the tokenizer's own vendor can read. */
function textsOf(request: Readonly<Record<string, unknown>>): readonly string[] {
  const { input } = request
  if (typeof input === 'string') return [input]
  if (Array.isArray(input) && input.every((text) => typeof text === 'string')) return input
  throw new GatewayError(
    'invalid_request',
    'This provider embeds text; token ids cannot be sent to it.',
    {
      param: 'input',
      code: 'unsupported_value',
    },
  )
}

function fanOut(
  call: Call,
  target: Target,
  limit: EmbeddingDialect['maxTexts'],
): FanOut | undefined {
  if (call.endpoint !== 'embedding' || call.body.kind !== 'json') return undefined
  const request = bodyOf(call)
  const texts = textsOf(request)
  const maxTexts = typeof limit === 'number' ? limit : limit(target)
  if (texts.length <= maxTexts) return undefined
  const calls: Call[] = []
  for (let at = 0; at < texts.length; at += maxTexts) {
    const value = { ...request, input: texts.slice(at, at + maxTexts) }
    calls.push({ ...call, body: jsonBody(JSON.stringify(value), value) })
  }
  return { calls, join: (answers) => joinEmbeddings(answers) }
}

interface EmbeddingsBody {
  readonly data: readonly Readonly<Record<string, unknown>>[]
  readonly model: string
  readonly usage: { readonly prompt_tokens: number }
}

function joinEmbeddings(answers: readonly string[]): string {
  const bodies = answers.map((answer) => JSON.parse(answer) as EmbeddingsBody)
  const data = bodies.flatMap((body) => body.data)
  const tokens = bodies.reduce((sum, body) => sum + body.usage.prompt_tokens, 0)
  return JSON.stringify({
    object: 'list',
    data: data.map((entry, index) => ({ ...entry, index })),
    model: bodies[0]?.model ?? '',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  })
}
